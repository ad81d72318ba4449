"""The body of one HTTP reply as it comes in: counted, unpacked up to a limit, carried on where a connection broke."""
import contextlib
import re
import socket
import threading
import time
import zlib
from email.utils import parsedate_to_datetime

CHUNK_BYTES = 2**16
GZIP_OR_ZLIB, RAW_DEFLATE = 47, -15  # zlib's wbits; some servers send "deflate" without zlib's header
STRONG_DATE_S = 60                   # a Last-Modified this much older than Date names one state of a file (RFC 9110 §8.8.2.2)
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


class Unusable(Exception):
    """The body would be no better the next time; the text says why."""


class Broken(Exception):
    """The body is not whole, the next time it may be; the text says why."""


class Download:
    """`data` of one file, over as many connections as it takes. `received`: bytes of it as they were sent, so before unpacking."""

    def __init__(self, max_bytes):
        self.max_bytes = max_bytes
        self.begin({})

    def begin(self, headers):
        """Forget what came and expect a body with these headers. Raises Unusable for an encoding nobody asked for."""
        self.encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if self.encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise Unusable(f"it was sent as {self.encoding}, which was not asked for")
        self.data, self.received, self.unpacker = bytearray(), 0, None
        self.validator = strong_validator(headers)

    def range_headers(self):
        """Return the request headers that ask for the rest, {} where the server gave no way to do that safely."""
        return {"Range": f"bytes={self.received}-", "If-Range": self.validator} if self.received and self.validator else {}

    def continues(self, headers):
        """Return whether a 206 with these headers is the rest, to the end, of what came so far."""
        match = CONTENT_RANGE.match(headers.get("Content-Range", ""))
        return (match is not None and int(match[1]) == self.received and int(match[2]) == int(match[3]) - 1
                and headers.get("Content-Encoding", "identity").strip().lower() == self.encoding)

    def read(self, response):
        """Take in the body of a urllib3 response. Raises its errors, Unusable for a body over the limit, Broken."""
        while response.length_remaining != 0:  # None: to the end of the connection
            chunk = response.read1(min(CHUNK_BYTES, response.length_remaining or CHUNK_BYTES), decode_content=False)
            if not chunk:
                break
            self._unpack(chunk)
            self.received += len(chunk)
        if self.unpacker is not None and not self.unpacker.eof:
            raise Broken(f"the {self.encoding} data stops in the middle")

    def _unpack(self, chunk):
        if self.encoding in ("identity", ""):
            self.data += chunk
        while chunk and self.encoding not in ("identity", ""):
            if self.unpacker is None:
                raw = self.encoding == "deflate" and chunk[0] & 15 != 8  # zlib's header names method 8
                self.unpacker = zlib.decompressobj(RAW_DEFLATE if raw else GZIP_OR_ZLIB)
            try:
                self.data += self.unpacker.decompress(chunk, self.max_bytes + 1 - len(self.data))
            except zlib.error as error:
                self.begin({})  # what came is damaged: no going on from here
                raise Broken(f"it cannot be unpacked: {error}") from None
            if not self.unpacker.eof or len(self.data) > self.max_bytes:
                break
            chunk = self.unpacker.unused_data.lstrip(b"\0")  # gzip files may be joined, or padded
            self.unpacker = None if chunk else self.unpacker
        if len(self.data) > self.max_bytes:
            raise Unusable(f"more than {self.max_bytes:,} bytes")

    def is_unpacked(self):
        """Return whether packed data came to its own end."""
        return self.unpacker is not None and self.unpacker.eof


def strong_validator(headers):
    """Return the ETag or date that names exactly these bytes, None without one or where the server serves no ranges."""
    if headers.get("Accept-Ranges", "").strip().lower() != "bytes":
        return None
    etag, changed = headers.get("ETag"), headers.get("Last-Modified")
    if etag:
        return None if etag.startswith("W/") else etag
    try:
        age_s = parsedate_to_datetime(headers["Date"]).timestamp() - parsedate_to_datetime(changed).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
    return changed if age_s >= STRONG_DATE_S else None


@contextlib.contextmanager
def cut_at(deadline, connected):
    """Shut the socket `connected` down when the moment `deadline` (monotonic) comes: a server that sends a byte now and then
    never runs into a socket's timeout, in its header no more than in its body."""
    def shut():
        with contextlib.suppress(OSError):  # closed in the meantime
            socket.socket.shutdown(connected, socket.SHUT_RDWR)  # not SSLSocket's own, which another thread may not call

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
