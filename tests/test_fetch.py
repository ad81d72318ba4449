"""A mirror as a folder and as a real HTTP server that misbehaves."""
import http.server
import threading
import time
from email.utils import formatdate

import pytest

from weatherman.cli import UserError
from weatherman.corpus.fetch import USER_AGENT, Mirror, Unavailable, retry_after

BODY = b"A text of some length.\n" * 50


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves BODY in the way that the path names; `server.log` keeps (time, path, user agent)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        seen = sum(path == self.path for _, path, _ in self.server.log)
        self.server.log.append((time.monotonic(), self.path, self.headers["User-Agent"]))
        how = self.path.strip("/").removesuffix(".txt")
        if how == "busy-twice" and seen < 2:
            return self.answer(503, b"busy", {"Retry-After": "0"})
        if how == "always-busy":
            return self.answer(503, b"busy", {})
        if how == "forbidden":
            return self.answer(403, b"no", {})
        if how == "asks-for-an-hour":
            return self.answer(429, b"slow down", {"Retry-After": "3600"})
        if how == "absent":
            return self.answer(404, b"no", {})
        if how == "truncated-once" and seen or how in ("good", "busy-twice"):
            return self.answer(200, BODY, {})
        if how in ("truncated", "truncated-once"):
            return self.answer(200, BODY[:100], {"Content-Length": str(len(BODY))})
        if how == "no-length":
            return self.answer(200, BODY, {"Content-Length": None})
        if how == "chunked":
            return self.answer(200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), {"Content-Length": None, "Transfer-Encoding": "chunked"})
        if how == "chunks-cut":
            return self.answer(200, b"%x\r\n%s" % (len(BODY), BODY[:50]), {"Content-Length": None, "Transfer-Encoding": "chunked"})
        if how == "gzip":
            return self.answer(200, BODY, {"Content-Encoding": "gzip"})
        raise AssertionError(self.path)

    def answer(self, status, body, headers):
        self.close_connection = True
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.log = []
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


def mirror_of(server, wait_s=0.0, retries=2):
    return Mirror(f"http://127.0.0.1:{server.server_address[1]}", wait_s=wait_s, timeout_s=5.0, retries=retries)


@pytest.mark.parametrize("name", ["good", "busy-twice", "truncated-once", "chunked"])
def test_whole_bodies_arrive(server, name):
    assert mirror_of(server).read(f"{name}.txt") == BODY
    assert all(agent == USER_AGENT for _, _, agent in server.log)


@pytest.mark.parametrize("name, problem, requests", [
    ("truncated", "100 of 1,150 bytes came", 3), ("no-length", "did not say how long", 3), ("chunks-cut", "IncompleteRead", 3),
    ("always-busy", "HTTP 503", 3), ("forbidden", "HTTP 403", 1), ("asks-for-an-hour", "HTTP 429", 1), ("gzip", "sent as gzip", 1)])
def test_no_partial_body_comes_out(server, name, problem, requests):
    with pytest.raises(Unavailable, match=problem):
        mirror_of(server).read(f"{name}.txt")
    assert len(server.log) == requests


def test_absent_file_is_none_without_a_second_try(server):
    assert mirror_of(server).read("absent.txt") is None
    assert len(server.log) == 1


def test_waits_between_requests(server):
    mirror = mirror_of(server, wait_s=0.3)
    for _ in range(3):
        mirror.read("good.txt")
    times = [moment for moment, _, _ in server.log]
    assert all(later - earlier >= 0.28 for earlier, later in zip(times, times[1:]))


def test_a_body_over_the_cap_is_refused(server, monkeypatch):
    monkeypatch.setattr("weatherman.corpus.fetch.MAX_BYTES", 1000)
    with pytest.raises(Unavailable, match="more than 1,000 bytes"):
        mirror_of(server).read("good.txt")


def test_a_silent_server_is_given_up(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="cannot be reached"):
        mirror_of(server, retries=1).read("good.txt")


def test_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_bytes(BODY)
    mirror = Mirror(str(tmp_path), 0.0, 1.0, 0)
    assert mirror.read("a/b.txt") == BODY and mirror.read("a/c.txt") is None
    assert mirror.where("a/b.txt") == "a/b.txt"  # no path of this machine goes into a sidecar


@pytest.mark.parametrize("base, message", [("ftp://example.org/x", "only http"), ("file:///etc", "only http"),
                                           ("no/such/folder", "no such folder")])
def test_other_mirrors_are_refused(base, message):
    with pytest.raises(UserError, match=message):
        Mirror(base, 0.0, 1.0, 0)


def test_retry_after():
    assert retry_after("7") == 7.0 and retry_after(None) is None and retry_after("soon") is None
    assert 50 < retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0.0
