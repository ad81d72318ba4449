"""A web server on loopback that answers as each path tells it to, rightly or wrongly."""
import contextlib
import gzip
import http.server
import threading
import time
import zlib
from email.utils import formatdate

BODY = b"A text of some length.\n" * 50
ETAG, CHANGED = '"one"', formatdate(1_000_000_000, usegmt=True)
ZIPPED = gzip.compress(BODY)
BOMB = gzip.compress(b"\0" * 20_000_000)
STALL_S = 3.0  # longer than any client of these tests waits


class Handler(http.server.BaseHTTPRequestHandler):
    """`server.log` keeps (time, path, headers) of every request; `server.pages` maps a path to (status, body, headers) or to the name
    of a method below."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.seen = sum(path == self.path for _, path, _ in self.server.log)  # earlier requests for the same path
        self.server.log.append((time.monotonic(), self.path, self.headers))
        self.close_connection = True
        page = self.server.pages.get(self.path, (404, b"no", {}))
        with contextlib.suppress(ConnectionError):  # the client may have had enough
            getattr(self, page)() if isinstance(page, str) else self.answer(*page)

    def answer(self, status, body, headers=None):
        known = {"ETag": self.headers.get("If-None-Match"), "Last-Modified": self.headers.get("If-Modified-Since")}
        if any(value and value == (headers or {}).get(name) for name, value in known.items()):
            status, body = 304, b""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def truncated(self):
        self.answer(200, BODY[:100], {"Content-Length": str(len(BODY))})

    def truncated_once(self):
        self.answer(200, BODY) if self.seen else self.truncated()

    def resumable(self, etag=ETAG, body=BODY):
        """Break off every time, at most 400 bytes further; carry on from where If-Range still fits."""
        start = int(self.headers["Range"][6:-1]) if self.headers.get("If-Range") == etag else 0
        ranged = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        self.answer(206 if start else 200, body[start:start + 400], {"Content-Length": str(len(body) - start), "Accept-Ranges": "bytes",
                                                                      "ETag": etag, **ranged})

    def resumable_gzip(self):
        half = len(ZIPPED) // 2
        headers = {"Accept-Ranges": "bytes", "Last-Modified": CHANGED, "Content-Encoding": "gzip"}
        if self.headers.get("If-Range") == CHANGED:
            return self.answer(206, ZIPPED[half:], {**headers, "Content-Range": f"bytes {half}-{len(ZIPPED) - 1}/{len(ZIPPED)}"})
        self.answer(200, ZIPPED[:half], {**headers, "Content-Length": str(len(ZIPPED))})

    def wrong_range(self):
        """Break off, then send another part than was asked for, then all."""
        if "Range" in self.headers:
            return self.answer(206, BODY[50:], {"Content-Range": f"bytes 50-{len(BODY) - 1}/{len(BODY)}"})
        cut = BODY if self.seen else BODY[:100]
        self.answer(200, cut, {"Content-Length": str(len(BODY)), "Accept-Ranges": "bytes", "ETag": ETAG})

    def changed_meanwhile(self):
        """Break off; the file is another one when the rest is asked for."""
        if self.seen:
            return self.answer(200, b"new" * 10)
        self.answer(200, BODY[:100], {"Content-Length": str(len(BODY)), "Accept-Ranges": "bytes", "ETag": ETAG})

    def weak(self):
        self.resumable(etag='W/"one"')

    def chunked(self):
        self.answer(200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), {"Content-Length": None, "Transfer-Encoding": "chunked"})

    def chunks_cut(self):
        self.answer(200, b"%x\r\n%s" % (len(BODY), BODY[:50]), {"Content-Length": None, "Transfer-Encoding": "chunked"})

    def last_chunk_missing(self):
        self.answer(200, b"%x\r\n%s\r\n" % (len(BODY), BODY), {"Content-Length": None, "Transfer-Encoding": "chunked"})

    def two_lengths(self):
        self.send_response(200)
        for length in (len(BODY), 10):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(BODY)

    def half_a_header(self):
        self.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/pl")

    def no_http(self):
        self.connection.sendall(b"220 mail.example.org ready\r\n")

    def reset(self):
        import socket
        import struct
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def drip(self):
        """A byte now and then: no silence is long enough for a socket's timeout."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.slowly(BODY)

    def header_drip(self):
        self.slowly(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000)

    def endless(self):
        """Drip a body without a length: cut off, it looks like one that has ended."""
        self.send_response(200)
        self.end_headers()
        self.slowly(BODY)

    def slowly(self, data):
        end = time.monotonic() + STALL_S
        for at in range(len(data)):
            if time.monotonic() > end:
                return
            self.connection.sendall(data[at:at + 1])
            time.sleep(0.02)

    def silent(self):
        self.server.stopped.wait(STALL_S)

    def always_304(self):
        self.answer(304, b"")

    def busy_twice(self):
        self.answer(503, b"busy", {"Retry-After": "0"}) if self.seen < 2 else self.answer(200, BODY)

    def busy_until_a_date(self):
        self.answer(429, b"", {"Retry-After": formatdate(time.time() + 1.2, usegmt=True)}) if not self.seen else self.answer(200, BODY)

    def round_and_round(self):
        self.answer(302, b"", {"Location": f"{self.path}x"})

    def log_message(self, *args):
        pass


PAGES = {f"/{name.replace('_', '-')}": name for name, value in vars(Handler).items()
         if callable(value) and name not in ("do_GET", "answer", "slowly", "log_message", "round_and_round")}
PAGES |= {
    "/good": (200, BODY, {}), "/not-modified": (200, BODY, {"ETag": ETAG, "Last-Modified": CHANGED}),
    "/no-length": (200, BODY, {"Content-Length": None}), "/gzip": (200, ZIPPED, {"Content-Encoding": "gzip"}),
    "/deflate": (200, zlib.compress(BODY), {"Content-Encoding": "deflate"}),
    "/raw-deflate": (200, zlib.compress(BODY)[2:-4], {"Content-Encoding": "deflate"}),
    "/two-gzips": (200, ZIPPED + ZIPPED, {"Content-Encoding": "gzip"}),
    "/gzip-no-length": (200, ZIPPED, {"Content-Encoding": "gzip", "Content-Length": None}),
    "/gzip-cut": (200, ZIPPED[:-9], {"Content-Encoding": "gzip"}), "/no-gzip": (200, BODY, {"Content-Encoding": "gzip"}),
    "/gzip-cut-no-length": (200, ZIPPED[:-9], {"Content-Encoding": "gzip", "Content-Length": None}),
    "/brotli": (200, BODY, {"Content-Encoding": "br"}), "/bomb": (200, BOMB, {"Content-Encoding": "gzip"}),
    "/empty": (200, b"", {}), "/gone": (410, b"", {}), "/forbidden": (403, b"no", {}), "/always-busy": (503, b"busy", {}),
    "/too-long": (200, BODY, {"Content-Length": "2000"}), "/bad-length": (200, BODY, {"Content-Length": "many"}),
    "/asks-for-an-hour": (429, b"slow down", {"Retry-After": "3600"}), "/asks-in-words": (429, b"", {"Retry-After": "soon"}),
    "/partial-unasked": (206, BODY, {"Content-Range": "bytes 0-9/20"}),
    "/here": (301, b"", {"Location": "/good"}), "/elsewhere": (302, b"", {"Location": "good?q=ä b".encode().decode("latin-1")}),
    "/good?q=%C3%A4%20b": (200, BODY, {}), "/loop": (302, b"", {"Location": "/loop#again"}), "/loop-a": (307, b"", {"Location": "/loop-b"}),
    "/loop-b": (308, b"", {"Location": "/loop-a"}), "/nowhere": (302, b"", {}), "/to-ftp": (302, b"", {"Location": "ftp://127.0.0.1/x"}),
    "/to-file": (302, b"", {"Location": "file:///etc/passwd"}), "/to-secret": (302, b"", {"Location": "http://me:pw@127.0.0.1/x"}),
    "/to-nonsense": (302, b"", {"Location": "http://[::1/x"}), **{f"/far{'x' * n}": "round_and_round" for n in range(9)},
}


@contextlib.contextmanager
def serving(context=None):
    """Give a running server with `pages`, `log` and `address`; over TLS with an ssl `context`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.port = dict(PAGES), server.server_address[1]
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.address = f"http{'s' if context else ''}://127.0.0.1:{server.port}"
    with running(server):
        yield server


@contextlib.contextmanager
def running(server):
    """Run a ThreadingHTTPServer that keeps a `log`; `stopped` is set before it ends, so that handlers need not be waited for."""
    server.daemon_threads, server.block_on_close = True, False
    server.log, server.stopped = [], threading.Event()
    server.handle_error = lambda request, client: None  # refused handshakes, connections that were reset
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
