"""A connection through the fault proxy: requests, answers, and what a rule makes of them."""
import asyncio
import contextlib
import random
import socket
import struct
from messages import Answer, Head, PIECE, Reader, Request, pieces, read_head

# what may be on its way in one direction of a delayed connection
WINDOW = 16 * 1024 * 1024


class Link:
    """What the network between client and store is like."""
    rtt = jitter = rate = 0

    def latency(self):
        return (self.rtt / 2 + random.random() * self.jitter) / 1000


class Outgoing:
    """One direction of a connection: bytes leave when the link has carried them, in their order."""

    def __init__(self, writer, link):
        self.writer = writer
        self.link = link
        self.underway = 0       # bytes
        self.moved = asyncio.Event()
        self.free = self.last = 0.0

    async def send(self, data):
        loop = asyncio.get_running_loop()
        due = loop.time() + self.link.latency()
        if self.link.rate:
            self.free = max(self.free, loop.time()) + len(data) / (self.link.rate * 1024 * 1024)
            due += self.free - loop.time()
        if due <= loop.time() and self.underway == 0:
            self.writer.write(data)
        else:
            # timers of one time would not keep their order
            self.last = max(due, self.last + 1e-6)
            self.underway += len(data)
            loop.call_at(self.last, self.leave, data)
            await self.below(WINDOW)
        await self.writer.drain()

    def leave(self, data):
        self.underway -= len(data)
        if not self.writer.is_closing():
            self.writer.write(data)
        self.moved.set()

    async def below(self, limit):
        while self.underway > limit:
            self.moved.clear()
            await self.moved.wait()

    async def flush(self):
        await self.below(0)
        await self.writer.drain()


def set_nodelay(writer):
    writer.get_extra_info('socket').setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(writer):
    """Ends a connection by RST."""
    with contextlib.suppress(OSError):
        writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    writer.transport.abort()


class Ended(Exception):
    """This connection is over: there is no next request on it."""


class Connection:
    """A client's connection and the one to the store that belongs to it."""

    def __init__(self, proxy, reader, writer):
        self.proxy = proxy
        self.reader = reader
        self.writer = writer
        self.to_client = Outgoing(writer, proxy.link)
        self.store = None       # (reader, writer, Outgoing)

    async def serve(self):
        """Until one of both sides ends it, or a fault does."""
        set_nodelay(self.writer)
        try:
            # the handshake's round trip, which the kernel has spared the client
            await asyncio.sleep(self.proxy.link.rtt / 1000)
            while (data := await read_head(self.reader)) is not None:
                request = Request(data)
                await self.unless_gone(self.exchange(request))
                if request.closes():
                    break
        except Ended:
            pass
        except (OSError, EOFError, ValueError) as error:
            # of a peer that left, or of a store that is not there
            self.proxy.trouble.append(repr(error))
            reset(self.writer)
        finally:
            self.close()

    async def unless_gone(self, work):
        """Does it, or cancels it when the client leaves."""
        work = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(self.reader.gone.wait())
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Ended
            await work
        finally:
            for task in work, gone:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    def close(self):
        for writer in [self.writer] + ([self.store[1]] if self.store else []):
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def reach_store(self):
        if self.store and not self.store[0].gone.is_set():
            return
        if self.store:
            self.store[1].close()
        loop = asyncio.get_running_loop()
        reader = Reader(loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, *self.proxy.target)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        set_nodelay(writer)
        self.store = (reader, writer, Outgoing(writer, self.proxy.link))

    async def exchange(self, request):
        """One request and its answer, with what is to happen to them."""
        rule = self.proxy.rule_for(request)
        with self.proxy.seen.following(request, rule) as record:
            await self.proxy.reachable.wait()
            await asyncio.sleep((rule.delay or 0) / 1000)
            await self.at('before', rule)
            if rule.garbage is not None or (rule.status and not rule.reached):
                await self.drop_body(request)
                return await self.answer_ourselves(request, rule, record)
            async with self.forwarded(request, rule, record) as (answer, body, sending):
                if self.met('after', rule) or rule.status:
                    # the store is done when all of its answer is there
                    async for _ in body:
                        pass
                    await self.at('after', rule)
                if rule.status:
                    return await self.answer_ourselves(request, rule, record)
                await self.proxy.reachable.wait()
                await self.give(answer, body, rule, record)
                # the store may have answered before it had all
                if not sending.done() or answer.closes():
                    raise Ended

    @staticmethod
    def met(place, rule):
        return place in (rule.hold, rule.reset, rule.stall)

    async def at(self, place, rule):
        """Does what the rule says of this place."""
        if rule.hold == place:
            await self.proxy.released(rule)
        if rule.reset == place:
            reset(self.writer)
            if self.store:
                self.store[1].close()
            raise Ended
        if rule.stall == place:
            # a client that leaves is not noticed behind a full buffer
            while await self.reader.read(PIECE):
                pass
            raise Ended

    async def drop_body(self, request):
        await self.allow_body(request)
        async for _ in pieces(self.reader, request.length):
            pass

    async def allow_body(self, request):
        if (request.get('expect') or '').lower() == '100-continue':
            await self.to_client.send(b'HTTP/1.1 100 Continue\r\n\r\n')

    # --- to the store

    @contextlib.asynccontextmanager
    async def forwarded(self, request, rule, record):
        """Sends the request on; gives the answer's head, its body to come, and the task that still sends."""
        await self.reach_store()
        reader, _, outgoing = self.store
        record['forwarded'] = True
        await outgoing.send(request.bytes())
        sending = asyncio.ensure_future(self.send_body(request, rule, record, outgoing))
        # its errors are of interest only where the answer depends on them
        sending.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            answer = await self.final_answer(request, reader, sending)
            record['store_status'] = answer.status
            yield answer, pieces(reader, answer.length), sending
        finally:
            sending.cancel()

    async def final_answer(self, request, reader, sending):
        while True:
            data = await self.answer_or_error(read_head(reader), sending)
            if data is None:
                raise ConnectionError('the store has closed the connection')
            answer = Answer(data, request.method)
            if answer.status >= 200:
                return answer
            await self.to_client.send(answer.bytes())

    @staticmethod
    async def answer_or_error(reading, sending):
        """What is read; or what went wrong with the sending, if that ends it all."""
        reading = asyncio.ensure_future(reading)
        try:
            await asyncio.wait([reading, sending], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() and isinstance(sending.exception(), Ended):
                raise Ended
            return await reading
        finally:
            reading.cancel()

    async def send_body(self, request, rule, record, outgoing):
        body = pieces(self.reader, request.length)
        if rule.corrupt == 'request':
            body = changed(body)
        if self.met('upload', rule):
            body = self.halfway(body, request.length, 'upload', rule, outgoing)
        async for piece in body:
            record['up'] += len(piece)
            await outgoing.send(framed(piece, request.length))
        if request.length == 'chunked':
            await outgoing.send(framed(b'', 'chunked'))
        await outgoing.flush()

    async def halfway(self, body, length, place, rule, outgoing):
        """The same pieces, but the first half, and then what is to happen."""
        left = length // 2 if isinstance(length, int) else 0
        waits = True
        async for piece in body:
            if waits and len(piece) >= left:
                if left:
                    yield piece[:left]
                await outgoing.flush()
                await self.at(place, rule)
                waits = False
                piece = piece[left:]
            left -= len(piece)
            if piece:
                yield piece
        if waits:
            await self.at(place, rule)

    # --- to the client

    async def give(self, answer, body, rule, record):
        """The store's answer, with what the rule changes in it."""
        length = answer.length
        if rule.body is not None:
            async for _ in body:
                pass
            body, length = one_piece(rule.body.encode('latin-1')), len(rule.body.encode('latin-1'))
            answer.set('Transfer-Encoding', None)
            answer.set('Content-Length', length)
        if rule.corrupt == 'answer':
            body = changed(body)
        if rule.shorten and isinstance(length, int):
            length = max(0, length - rule.shorten)
            answer.set('Content-Length', length)
            body = first(body, length)
        for name, value in (rule.headers or {}).items():
            answer.set(name, value)
        if rule.cut and isinstance(length, int):
            body = first(body, max(0, length - rule.cut))
        if self.met('answer', rule):
            body = self.halfway(body, length, 'answer', rule, self.to_client)
        await self.to_client.send(answer.bytes())
        record['status'] = answer.status
        async for piece in body:
            record['down'] += len(piece)
            await self.to_client.send(framed(piece, length))
        if length == 'chunked':
            await self.to_client.send(framed(b'', 'chunked'))
        await self.to_client.flush()
        # what is left of a body, or ends with the connection, leaves it of no use
        if length is None or rule.cut or rule.shorten:
            raise Ended

    async def answer_ourselves(self, request, rule, record):
        if rule.garbage is not None:
            await self.to_client.send(rule.garbage.encode('latin-1'))
            await self.to_client.flush()
            raise Ended
        body = rule.body
        if body is None:
            body = ('' if rule.status < 400 else '<?xml version="1.0" encoding="UTF-8"?>\n'
                    f'<Error><Code>{rule.code or "InternalError"}</Code><Message>{rule.message or "made by the fault proxy"}</Message>'
                    '<RequestId>0</RequestId></Error>')
        body = body.encode('latin-1')
        answer = Head(f'HTTP/1.1 {rule.status} Fault'.encode())
        answer.set('Content-Type', 'application/xml')
        answer.set('Content-Length', len(body))
        for name, value in (rule.headers or {}).items():
            answer.set(name, value)
        record['status'] = rule.status
        if not record['forwarded']:
            # the way to the store and back would have been twice as long
            await asyncio.sleep(self.proxy.link.latency())
        await self.to_client.send(answer.bytes() + (b'' if request.method == 'HEAD' else body))
        await self.to_client.flush()


def framed(piece, length):
    return b'%x\r\n%b\r\n' % (len(piece), piece) if length == 'chunked' else piece


async def one_piece(data):
    yield data


async def changed(body):
    """The body with one bit of its middle byte changed."""
    data = bytearray()
    async for piece in body:
        data += piece
    if data:
        data[len(data) // 2] ^= 1
        yield bytes(data)


async def first(body, length):
    """The first bytes of a body; the others are read all the same."""
    async for piece in body:
        if length > 0:
            yield piece[:length]
        length -= len(piece)
