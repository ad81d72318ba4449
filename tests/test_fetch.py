"""The web client and the mirror, against a real server on loopback that misbehaves in each known way."""
import ssl
import time
from email.utils import formatdate

import pytest
import trustme

from misbehaving import BODY, CHANGED, ETAG, serving
from weatherman.cli import UserError
from weatherman.corpus.addresses import is_public
from weatherman.corpus.fetch import ROBOT, Client, Disallowed, Mirror, Reply, Unavailable, Unreachable, retry_after

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def server():
    with serving() as running:
        yield running


def client(**changes):
    return Client(**{"wait_s": 0.0, "timeout_s": 0.5, "deadline_s": 5.0, "retries": 2, "max_bytes": 10_000, "max_redirects": 3, **changes})


def paths(server):
    return [path for _, path, _ in server.log if path != "/robots.txt"]


@pytest.mark.parametrize("name, requests", [
    ("good", 1), ("chunked", 1), ("gzip", 1), ("deflate", 1), ("raw-deflate", 1), ("gzip-no-length", 1), ("busy-twice", 3),
    ("truncated-once", 2), ("wrong-range", 3), ("here", 2), ("elsewhere", 2), ("resumable-gzip", 2)])
def test_whole_bodies_arrive(server, name, requests):
    reply = client().get(f"{server.address}/{name}")
    assert (reply.status, reply.data) == (200, BODY) and len(paths(server)) == requests
    assert all(headers["User-Agent"].startswith(ROBOT) for _, _, headers in server.log)


def test_joined_gzip_members_are_one_body(server):
    assert client().get(f"{server.address}/two-gzips").data == BODY * 2


@pytest.mark.parametrize("name, problem, requests", [
    ("truncated", "connection broke .*100 bytes read", 3), ("too-long", "connection broke .*850 more expected", 3),
    ("no-length", "did not say how long", 3), ("bad-length", "did not say how long", 3), ("two-lengths", "unmatching values", 3),
    ("chunks-cut", "connection broke", 3), ("last-chunk-missing", "connection broke", 3), ("half-a-header", "did not say how long", 3),
    ("no-http", "connection broke", 3), ("reset", "connection broke", 3), ("weak", "connection broke", 3),
    ("silent", "nothing came for 0.2 s", 3),
    ("always-busy", "HTTP 503", 3), ("asks-in-words", "HTTP 429", 3), ("asks-for-an-hour", "HTTP 429.*next try would be in 3,600 s", 1),
    ("forbidden", "HTTP 403", 1), ("partial-unasked", "HTTP 206", 1), ("always-304", "HTTP 304", 1),
    ("gzip-cut", "stops in the middle", 3), ("gzip-cut-no-length", "stops in the middle", 3), ("no-gzip", "cannot be unpacked", 3),
    ("brotli", "sent as br", 1), ("bomb", "more than 10,000 bytes", 1),
    ("loop", "in a circle", 1), ("loop-a", "in a circle", 2), ("far", "more than 3 times", 4), ("nowhere", "without saying where", 1),
    ("to-ftp", "no http", 1), ("to-file", "no http", 1), ("to-secret", "user name or password", 1),
    ("to-nonsense", "not a web address", 1)])
def test_nothing_half_or_unsafe_comes_out(server, name, problem, requests):
    with pytest.raises(Unavailable, match=problem) as error:
        client(timeout_s=0.2).get(f"{server.address}/{name}")
    assert len(paths(server)) == requests and "pw" not in str(error.value)


@pytest.mark.parametrize("name", ["drip", "header-drip", "endless"])
def test_a_slow_drip_ends_at_the_deadline(server, name):
    started = time.monotonic()
    with pytest.raises(Unavailable, match="did not come whole in 0.6 s"):
        client(deadline_s=0.6).get(f"{server.address}/{name}", complete=lambda data: True)
    assert 0.5 < time.monotonic() - started < 1.5 and paths(server) == [f"/{name}"]


def test_a_broken_transfer_is_carried_on(server):
    assert client().get(f"{server.address}/resumable").data == BODY
    assert [headers.get("Range") for _, path, headers in server.log if path == "/resumable"] == [None, "bytes=400-", "bytes=800-"]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server):
    assert client().get(f"{server.address}/changed-meanwhile").data == b"new" * 10


def test_a_body_without_a_length_needs_a_voucher(server):
    assert client().get(f"{server.address}/no-length", complete=lambda data: data.endswith(b"length.\n")).data == BODY
    with pytest.raises(Unavailable, match="did not say how long"):
        client().get(f"{server.address}/no-length", complete=lambda data: data.endswith(b"THE END\n"))


@pytest.mark.parametrize("name, status", [("absent", 404), ("gone", 410), ("empty", 200)])
def test_absent_and_empty_files(server, name, status):
    assert (client().get(f"{server.address}/{name}").status, len(paths(server))) == (status, 1)


@pytest.mark.parametrize("known, status", [({"etag": ETAG}, 304), ({"last_modified": CHANGED}, 304), ({"etag": '"two"'}, 200), ({}, 200)])
def test_conditional_requests(server, known, status):
    reply = client().get(f"{server.address}/not-modified", **known)
    assert (reply.status, reply.data) == (status, b"" if status == 304 else BODY) and reply.headers["etag"] == ETAG


def test_waits_between_requests(server):
    polite = client(wait_s=0.25)
    for _ in range(2):
        polite.get(f"{server.address}/here")
    times = [moment for moment, _, _ in server.log]
    assert len(times) == 5 and all(later - earlier >= 0.24 for earlier, later in zip(times, times[1:]))  # robots.txt and redirects too


def test_waits_until_the_date_a_server_names(server):
    started = time.monotonic()
    assert client().get(f"{server.address}/busy-until-a-date").data == BODY
    assert time.monotonic() - started > 0.15  # HTTP dates have whole seconds


def test_retry_after():
    assert retry_after("7") == 7.0 and retry_after(None) is None and retry_after("soon") is None and retry_after("²") is None
    assert 50 < retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0.0


# --- robots.txt -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("robots, allowed", [
    ((200, b"User-agent: *\nDisallow: /go", {}), False), ((200, b"User-agent: *\nDisallow: /elsewhere", {}), True),
    ((200, f"User-agent: {ROBOT.lower()}\nDisallow: /\n\nUser-agent: *\nAllow: /".encode(), {}), False),
    ((200, b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /*ood$", {"Content-Length": None}), False),
    ((200, b"<html>no rules \xff</html>", {}), True), ((404, b"", {}), True), ((403, b"", {}), True), ((500, b"", {}), False),
    ((429, b"", {}), False), ((301, b"", {"Location": "/rules"}), False), ("reset", False)])
def test_robots_are_obeyed(server, robots, allowed):
    server.pages |= {"/robots.txt": robots, "/rules": (200, b"User-agent: *\nDisallow: /", {})}
    robot = client(retries=0)
    for _ in range(2):
        if allowed:
            assert robot.get(f"{server.address}/good").data == BODY
        else:
            with pytest.raises(Disallowed, match="robots.txt"):
                robot.get(f"{server.address}/good")
    assert [path for _, path, _ in server.log].count("/robots.txt") == 1 and (allowed or "/good" not in paths(server))
    assert robot.get(f"{server.address}/good", robots=False).data == BODY


def test_robots_hold_behind_a_redirect(server):
    with serving() as other:
        other.pages["/robots.txt"] = (200, b"User-agent: *\nDisallow: /", {})
        server.pages["/away"] = (302, b"", {"Location": f"{other.address}/good"})
        with pytest.raises(Disallowed):
            client().get(f"{server.address}/away")
        assert paths(other) == []


def test_a_crawl_delay_is_kept_up_to_a_limit(server, monkeypatch):
    monkeypatch.setattr("weatherman.corpus.fetch.MAX_CRAWL_DELAY_S", 0.3)
    server.pages["/robots.txt"] = (200, b"User-agent: *\nCrawl-delay: 600", {})
    client().get(f"{server.address}/good")
    assert 0.29 < server.log[1][0] - server.log[0][0] < 2


# --- addresses --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("address, public", [
    ("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True), ("2002:808:808::1", True),
    ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
    ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("240.0.0.1", False), ("255.255.255.255", False),
    ("192.0.2.1", False), ("198.18.0.1", False), ("::", False), ("::1", False), ("::127.0.0.1", False), ("::ffff:127.0.0.1", False),
    ("64:ff9b::7f00:1", False), ("64:ff9b:1::808:808", False), ("2002:7f00:1::", False), ("2002:a00:1::1", False), ("fc00::1", False),
    ("fe80::1%eth0", False), ("fec0::1", False), ("ff02::1", False), ("2001:db8::1", False), ("2001::7f00:1", False)])
def test_public_addresses(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1"])
def test_private_hosts_are_refused_unasked(server, host):
    with pytest.raises(Unavailable, match="is not a public address"):
        client(public_only=True).get(f"http://{host}:{server.port}/good")
    assert server.log == []


def test_every_address_of_a_host_must_be_public():
    with pytest.raises(Unavailable, match="10.0.0.1, which is not a public"):
        client(public_only=True, resolve=lambda host, port: ["8.8.8.8", "10.0.0.1"]).get("http://books.example/x")


@pytest.mark.parametrize("url, problem", [("http://books.example:22/x", "port 22"), ("http://me@books.example/x", "user name"),
                                          ("gopher://books.example/", "no http"), ("http:///x", "no http"), ("//books.example", "no http"),
                                          ("http://books.example:99999/", "not a web address"), ("", "no http")])
def test_addresses_nobody_should_ask_for(url, problem):
    with pytest.raises(Unavailable, match=problem):
        client(public_only=True).get(url)


class Rebinding:
    """A name server that gives a good address first and then one of the inner network."""

    def __init__(self):
        self.answers = ["127.0.0.1", "10.255.255.1"]

    def __call__(self, host, port):
        return [self.answers.pop(0)]


def test_a_host_is_resolved_once_and_stays_where_it_was_checked(server):
    names = Rebinding()
    robot = client(resolve=names, deadline_s=2.0)
    for name in ("good", "truncated-once", "here"):  # first request, retry, redirect
        assert robot.get(f"http://books.example:{server.port}/{name}").data == BODY
    assert names.answers == ["10.255.255.1"]
    assert {headers["Host"] for _, _, headers in server.log} == {f"books.example:{server.port}"}


def test_a_redirect_to_a_private_host_is_not_followed(server):
    server.pages["/inside"] = (302, b"", {"Location": f"http://inside.example:{server.port}/good"})
    robot = client(resolve=lambda host, port: ["127.0.0.1"])
    robot.get(f"http://books.example:{server.port}/good")  # known before the rule below begins to hold
    robot.public_only = True
    with pytest.raises(Unavailable, match="inside.example: is at 127.0.0.1, which is not a public address"):
        robot.get(f"http://books.example:{server.port}/inside")
    assert paths(server) == ["/good", "/inside"]


def test_the_next_address_is_tried_where_one_does_not_answer(server):
    robot = client(resolve=lambda host, port: ["::1", "127.0.0.1"])  # the server does not listen on ::1
    assert robot.get(f"http://books.example:{server.port}/good").data == BODY


def test_tls_is_pinned_to_the_address_and_checked_for_the_name(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("books.example").configure_cert(context)
    trusting = {"ca_file": str(tmp_path / "ca.pem"), "resolve": lambda host, port: ["127.0.0.1"]}
    with serving(context) as server, serving() as plain:
        assert client(**trusting).get(f"https://books.example:{server.port}/good").data == BODY
        for host, changes in (("other.example", {}), ("127.0.0.1", {}), ("books.example", {"ca_file": None})):
            with pytest.raises(Unreachable, match="certificate cannot be trusted"):
                client(**{**trusting, **changes}).get(f"https://{host}:{server.port}/good")
        server.pages["/down"] = (302, b"", {"Location": f"{plain.address}/good"})
        with pytest.raises(Unavailable, match="from https to http"):
            client(**trusting).get(f"https://books.example:{server.port}/down")
        assert plain.log == [] and {path for _, path, _ in server.log} == {"/robots.txt", "/good", "/down"}


# --- mirrors ----------------------------------------------------------------------------------------------------------

def test_a_mirror_on_the_web(server):
    mirror = Mirror(server.address, client())
    assert mirror.read("good").data == BODY and mirror.read("absent") is None and mirror.read("gone") is None
    assert mirror.read("not-modified", etag=ETAG).status == 304
    assert mirror.where("good") == f"{server.address}/good"


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_a_mirror_that_cannot_be_reached_ends_the_run(base):
    with pytest.raises(UserError, match="cannot be (reached|found)"):
        Mirror(base, client(retries=1)).read("good")


def test_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_bytes(BODY)
    mirror = Mirror(str(tmp_path), client())
    assert mirror.read("a/b.txt") == Reply("a/b.txt", 200, {}, BODY) and mirror.read("a/c.txt") is None
    assert mirror.where("a/b.txt") == "a/b.txt"  # no path of this machine goes into a sidecar
    with pytest.raises(Unavailable, match="more than 1,000 bytes"):
        Mirror(str(tmp_path), client(max_bytes=1000)).read("a/b.txt")


@pytest.mark.parametrize("base, message", [("ftp://example.org/x", "only http"), ("file:///etc", "only http"),
                                           ("no/such/folder", "no such folder")])
def test_other_mirrors_are_refused(base, message):
    with pytest.raises(UserError, match=message):
        Mirror(base, client())
