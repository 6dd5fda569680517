"""Messages of HTTP/1.1: what the fault proxy has to know of them."""
import asyncio
import re
from urllib.parse import parse_qs, urlsplit

PIECE = 256 * 1024


class Head:
    """The first line and the headers of a message, as it came."""

    def __init__(self, data):
        lines = data.decode('latin-1').split('\r\n')
        self.first = lines[0]
        self.fields = [line.split(':', 1) for line in lines[1:] if line]

    def get(self, name):
        for key, value in self.fields:
            if key.lower() == name:
                return value.strip()
        return None

    def set(self, name, value):
        self.fields = [field for field in self.fields if field[0].lower() != name.lower()]
        if value is not None:
            self.fields.append([name, f' {value}'])

    def closes(self):
        return 'close' in (self.get('connection') or '').lower()

    def bytes(self):
        lines = [self.first] + [f'{key}:{value}' for key, value in self.fields]
        return '\r\n'.join(lines + ['', '']).encode('latin-1')

    def framing(self, otherwise):
        """How the body's end is told: 'chunked', a length, or None: by the end of the connection."""
        if (self.get('transfer-encoding') or '').lower() == 'chunked':
            return 'chunked'
        length = self.get('content-length')
        return int(length) if length is not None else otherwise


class Request(Head):
    def __init__(self, data):
        super().__init__(data)
        self.method, self.target, _ = self.first.split(' ', 2)
        self.length = self.framing(0)
        url = urlsplit(self.target)
        query = parse_qs(url.query, keep_blank_values=True)
        host = (self.get('host') or '').rsplit(':', 1)[0]
        in_path = re.fullmatch(r'[\d.]+|localhost', host)
        key = url.path.lstrip('/').partition('/')[2] if in_path else url.path.lstrip('/')
        self.kind = self.kind_of(key, query)

    def kind_of(self, key, query):
        method = self.method
        if 'uploads' in query:
            return {'POST': 'create_upload', 'GET': 'list_uploads'}.get(method, 'other')
        if 'uploadId' in query:
            return {'PUT': 'part', 'POST': 'complete_upload', 'DELETE': 'abort_upload', 'GET': 'list_parts'}.get(method, 'other')
        if 'delete' in query and method == 'POST':
            return 'multi_delete'
        if 'list-type' in query and method == 'GET':
            return 'list'
        if not key:
            return {'PUT': 'put_bucket', 'HEAD': 'head_bucket'}.get(method, 'other')
        if method == 'PUT' and self.get('x-amz-copy-source'):
            return 'copy'
        return method.lower() if method in ('PUT', 'GET', 'HEAD', 'DELETE') else 'other'

    def wanted(self):
        """The bytes that go up or are to come down, as far as the request says."""
        asked = re.fullmatch(r'bytes=(\d+)-(\d+)', self.get('range') or '')
        if asked:
            return int(asked[2]) - int(asked[1]) + 1
        return self.length if isinstance(self.length, int) else 0

    def first_byte(self):
        """Where the range begins that is asked for."""
        asked = re.fullmatch(r'bytes=(\d+)-\d*', self.get('range') or '')
        return int(asked[1]) if asked else 0


class Answer(Head):
    def __init__(self, data, method):
        super().__init__(data)
        self.status = int(self.first.split(' ')[1])
        bodiless = method == 'HEAD' or self.status in (204, 304) or self.status < 200
        self.length = 0 if bodiless else self.framing(None)


class Reader(asyncio.StreamReader):
    """Tells when the other side has left, whatever is still to be read."""

    def __init__(self, loop):
        super().__init__(limit=1024 * 1024, loop=loop)
        self.gone = asyncio.Event()

    def feed_eof(self):
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc):
        super().set_exception(exc)
        self.gone.set()


async def read_head(reader):
    """The bytes of a message's head, or None where the connection ends before one."""
    try:
        return (await reader.readuntil(b'\r\n\r\n'))[:-4]
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ConnectionError('a message ends in its head')
        return None


async def pieces(reader, length):
    """The body of a message, piece by piece, without what frames it."""
    if length == 'chunked':
        while True:
            size = int((await reader.readline()).split(b';')[0], 16)
            if size:
                yield await reader.readexactly(size)
            await reader.readline()
            if size == 0:
                return
    while length is None or length > 0:
        piece = await reader.read(PIECE if length is None else min(PIECE, length))
        if not piece:
            if length is None:
                return
            raise ConnectionError('a message ends in its body')
        if length is not None:
            length -= len(piece)
        yield piece
