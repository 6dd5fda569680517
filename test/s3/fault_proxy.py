#!/usr/bin/python3
"""A proxy between a client of S3 and a store that makes bad days.

usage: fault_proxy.py HOST:PORT-OF-THE-STORE [CERTIFICATE KEY]

It listens on a free port of 127.0.0.1, with TLS if it is given a certificate,
and takes commands on stdin, one JSON object a line with the command's name as
"do"; each is answered by one line on stdout.  It ends with its input.

  {"do": "listening"}              answers {"port": n}
  {"do": "fault", RULE}            answers {"id": n}; rules apply in the order
                                   in which they were made, the first that
                                   matches, to a request once
  {"do": "clear", "id": n}         forgets the rule, or all
  {"do": "release"}                lets go on what a rule holds
  {"do": "link", "rtt": ms, "jitter": ms, "rate": MiB/s}
                                   of each connection, 0 for as is
  {"do": "connections", "as": "accepted" | "refused" | "unanswered"}
                                   refused: and those there are, reset;
                                   unanswered: as if the network were gone
  {"do": "requests", "where": {FIELD: VALUE or {"like": REGEX}}}
                                   answers those of the requests since the last
                                   reset: at, ended (ms), kind, method, target,
                                   headers, rule, forwarded, store_status,
                                   status (of the answer), up, down (bytes of
                                   bodies, as far as they have got)
  {"do": "seen"}                   answers their numbers by kind, bytes up and
                                   down, in_flight, most_in_flight,
                                   most_bytes_in_flight, connections, hits by
                                   rule, trouble with connections
  {"do": "timeline"}               answers [ms, requests, bytes] in flight
  {"do": "reset"}                  forgets what was seen

A rule says which requests, by

  kind      put get head delete list part create_upload complete_upload
            abort_upload list_uploads list_parts multi_delete copy put_bucket
            head_bucket other; one, or a list
  method    one, or a list
  path      a regular expression found in the path with its query
  from      the first byte that the request wants of an object, or one before
  skip      so many that match are spared first
  count     so many are met then; not given: all
  chance    each is met with this chance

and what happens to them, in this order where there is more than one:

  delay     ms before anything else
  hold      a place, where it waits for "release"
  reset     a place, where the connection is reset
  stall     a place, where nothing comes any more until the client leaves
  status    the answer's status, in place of the store's, with
            code, message   of the error document,
            body            or this instead,
            headers         and these,
            reached         true: the store gets the request all the same, and
                            does it
  garbage   bytes (latin-1) in place of all the answer, then the end
  corrupt   "request" or "answer": a bit of the body's middle byte is changed
  cut       so many bytes are missing at the end of the answer, which the
            length does not tell: the connection ends
  shorten   the same, but the length tells
  headers   of the store's answer, set, or left out where null
  body      the answer's body, its length told

Places: "before" the store gets anything of the request, in the "upload" when
half of the body is with the store, "after" the store has answered (a request
done, its answer lost), in the "answer" when half of that is with the client.

One connection to the store is opened for each of a client's.  A store that
cannot be reached resets the client.
"""
import asyncio
import collections
import contextlib
import json
import random
import re
import socket
import ssl
import sys
from connection import Connection, Link, reset
from messages import Reader

PLACES = ('before', 'upload', 'after', 'answer')


# --- rules ------------------------------------------------------------------

class Rule:
    WHICH = {'kind', 'method', 'path', 'from', 'skip', 'count', 'chance'}
    WHAT = {'delay', 'hold', 'reset', 'stall', 'status', 'code', 'message', 'reached', 'garbage', 'corrupt', 'cut',
            'shorten', 'headers', 'body'}
    NUMBERS = {'from', 'skip', 'count', 'delay', 'status', 'cut', 'shorten'}

    def __init__(self, number, fields):
        for name in fields:
            if name not in self.WHICH | self.WHAT:
                raise ValueError(f'a rule has no "{name}"')
        if not self.WHAT & set(fields):
            raise ValueError('a rule without a fault')
        for name in 'hold', 'reset', 'stall':
            if fields.get(name, 'before') not in PLACES:
                raise ValueError(f'"{name}" takes one of {PLACES}')
        if fields.get('corrupt', 'answer') not in ('request', 'answer'):
            raise ValueError('"corrupt" takes "request" or "answer"')
        # clients do not always tell numbers from strings
        fields = {name: int(value) if name in self.NUMBERS else value for name, value in fields.items()}
        self.number = number
        self.fields = fields
        self.path = re.compile(fields.get('path', ''))
        self.skip = fields.get('skip', 0)
        self.left = fields.get('count')
        self.hits = 0

    def __getattr__(self, name):
        if name not in self.WHAT:
            raise AttributeError(name)
        return self.fields.get(name)

    def meets(self, request):
        def among(name, value):
            wanted = self.fields.get(name)
            return wanted is None or value in (wanted if isinstance(wanted, list) else [wanted])

        if not (among('kind', request.kind) and among('method', request.method) and self.path.search(request.target)):
            return False
        if 'from' in self.fields and not (request.kind == 'get' and request.first_byte() >= self.fields['from']):
            return False
        if self.left == 0 or random.random() >= float(self.fields.get('chance', 1)):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        self.hits += 1
        return True


NO_RULE = Rule(0, {'delay': 0})


# --- what was seen ----------------------------------------------------------

class Seen:
    def __init__(self):
        self.reset()

    def reset(self):
        self.start = asyncio.get_running_loop().time()
        self.requests = collections.deque(maxlen=100_000)
        self.timeline = collections.deque(maxlen=100_000)
        self.in_flight = self.bytes_in_flight = 0
        self.most = self.most_bytes = 0

    def now(self):
        return round((asyncio.get_running_loop().time() - self.start) * 1000, 2)

    @contextlib.contextmanager
    def following(self, request, rule):
        record = {'at': self.now(), 'kind': request.kind, 'method': request.method, 'target': request.target,
                  'headers': {key.lower(): value.strip() for key, value in request.fields}, 'rule': rule.number or None,
                  'forwarded': False, 'store_status': None, 'status': None, 'up': 0, 'down': 0, 'ended': None}
        generation = self.start
        self.requests.append(record)
        self.count(1, request.wanted())
        try:
            yield record
        finally:
            record['ended'] = self.now()
            # what began before a reset is not counted after it
            if generation == self.start:
                self.count(-1, -request.wanted())

    def count(self, requests, size):
        self.in_flight += requests
        self.bytes_in_flight += size
        self.most = max(self.most, self.in_flight)
        self.most_bytes = max(self.most_bytes, self.bytes_in_flight)
        self.timeline.append((self.now(), self.in_flight, self.bytes_in_flight))


def agrees(value, wanted):
    if isinstance(wanted, dict):
        return value is not None and re.search(wanted['like'], str(value)) is not None
    return value is None if wanted is None else value is not None and str(value) == str(wanted)


# --- the proxy --------------------------------------------------------------

class Proxy:
    def __init__(self, target, tls):
        self.target = target
        self.tls = tls
        self.link = Link()
        self.seen = Seen()
        self.rules = []
        self.made = 0
        self.holding = {}
        self.connections = {}       # tasks
        self.trouble = collections.deque(maxlen=100)
        self.reachable = asyncio.Event()
        self.server = None
        self.sockets = []
        self.port = 0

    def rule_for(self, request):
        return next((rule for rule in self.rules if rule.meets(request)), NO_RULE)

    async def released(self, rule):
        await self.holding.setdefault(rule.number, asyncio.Event()).wait()

    # --- listening

    def bind(self):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(('127.0.0.1', self.port))
        self.port = bound.getsockname()[1]
        return bound

    async def accept(self):
        loop = asyncio.get_running_loop()

        def protocol():
            reader = Reader(loop)
            return asyncio.StreamReaderProtocol(reader, self.accepted, loop=loop)

        self.stop_listening()
        self.server = await loop.create_server(protocol, sock=self.bind(), ssl=self.tls, backlog=1024)
        self.reachable.set()

    async def accepted(self, reader, writer):
        self.connections[asyncio.current_task()] = writer
        try:
            await Connection(self, reader, writer).serve()
        finally:
            del self.connections[asyncio.current_task()]

    def stop_listening(self):
        if self.server:
            self.server.close()
            self.server = None
        while self.sockets:
            self.sockets.pop().close()

    def refuse(self):
        """The port stays ours, and is bound without anybody listening."""
        self.stop_listening()
        self.sockets.append(self.bind())
        for task, writer in self.connections.items():
            reset(writer)
            task.cancel()

    def be_silent(self):
        """A full queue of connections makes the kernel drop those that come."""
        self.stop_listening()
        listener = self.bind()
        listener.listen(0)
        self.sockets.append(listener)
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(('127.0.0.1', self.port))
            self.sockets.append(filler)
        self.reachable.clear()

    # --- commands

    async def do_listening(self):
        return {'port': self.port}

    async def do_fault(self, **fields):
        rule = Rule(self.made + 1, fields)
        self.made += 1
        self.rules.append(rule)
        return {'id': rule.number}

    async def do_clear(self, id=None):
        self.rules = [rule for rule in self.rules if id not in (None, rule.number)]
        return await self.do_release()

    async def do_release(self):
        for event in self.holding.values():
            event.set()
        self.holding.clear()
        return {}

    async def do_link(self, rtt=0, jitter=0, rate=0):
        self.link.rtt, self.link.jitter, self.link.rate = float(rtt), float(jitter), float(rate)
        return {}

    async def do_connections(self, **how):
        if how['as'] == 'accepted':
            await self.accept()
        elif how['as'] == 'refused':
            self.refuse()
        elif how['as'] == 'unanswered':
            self.be_silent()
        else:
            raise ValueError(f'no way to treat connections: {how["as"]}')
        return {}

    async def do_requests(self, where):
        return {'requests': [record for record in self.seen.requests if all(agrees(record[name], wanted) for name, wanted in where.items())]}

    async def do_seen(self):
        seen = self.seen
        return {'kinds': collections.Counter(record['kind'] for record in seen.requests),
                'up': sum(record['up'] for record in seen.requests), 'down': sum(record['down'] for record in seen.requests),
                'in_flight': seen.in_flight, 'most_in_flight': seen.most, 'most_bytes_in_flight': seen.most_bytes,
                'connections': len(self.connections), 'hits': {rule.number: rule.hits for rule in self.rules},
                'trouble': list(self.trouble)}

    async def do_timeline(self):
        return {'timeline': list(self.seen.timeline)}

    async def do_reset(self):
        self.seen.reset()
        return {}

    async def obey(self, line):
        command = json.loads(line)
        return await getattr(self, 'do_' + command.pop('do'))(**command)


async def main(target, certificate=None, key=None):
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    host, port = target.rsplit(':', 1)
    loop = asyncio.get_running_loop()
    proxy = Proxy((host, int(port)), tls)
    await proxy.accept()
    commands = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        try:
            answer = await proxy.obey(line)
        except Exception as error:
            answer = {'error': repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
