"""Lists of addresses, the names of pages, and what makes a page unfit."""
import gzip
import re
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from misbehaving import serving
from weatherman.cli import UserError
from weatherman.corpus.addresses import BadAddress
from weatherman.corpus.fetch import Client, Unavailable
from weatherman.corpus.page import Page, Refused
from weatherman.corpus.urls import normal_url, page_name, read_urls, saved_pages
from weatherman.corpus.web import WALLS, Known, our_directives, read_saved, reason_of, verify

SENTENCE = "The river rose in the night and took the lower fence with it, and nobody at the landing was much surprised by that. "


# --- lists ------------------------------------------------------------------------------------------------------------------

def test_a_list_of_addresses(tmp_path):
    (tmp_path / "urls.txt").write_bytes(b"\xef\xbb\xbf# weather\nhttps://example.org/a#top\n\n   http://EXAMPLE.org:80/b  # the second\r\n"
                                        b"ftp://example.org/c\nexample.org/d\nhttp://me:pw@example.org/\nhttp://x/\xff\n#https://example.org/e\n"
                                        b"http://example.org/" + b"a" * 9000 + b"\nhttp://a b/\nhttp://[::1/\n")
    bad = []
    assert list(read_urls(tmp_path / "urls.txt", lambda *row: bad.append(row))) == [
        (2, "https://example.org/a"), (4, "http://example.org/b")]
    assert [line for line, *_ in bad] == [5, 6, 7, 8, 10, 11, 12]
    assert [reason for _, reason, _ in bad] == ["bad_url"] * 3 + ["invalid_utf8"] + ["bad_url"] * 3
    assert bad[0][2] == "ftp://example.org/c: is no http(s) address" and "pw" not in bad[2][2]


@given(st.lists(st.one_of(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
                          st.sampled_from([b"http://a.b/c", b"# x", b"", b"http://\xc3\xbc.de"])), max_size=8))
def test_every_line_is_an_address_a_comment_or_refused(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("list") / "urls.txt"
    path.write_bytes(b"\n".join([b"# a list", *lines]))
    bad = []
    good = list(read_urls(path, lambda *row: bad.append(row)))
    told = [line for line, *_ in [*good, *bad]]
    assert len(set(told)) == len(told)
    for number, line in enumerate(lines, 2):
        text = line.decode("utf-8", "replace").strip()
        assert number in told or re.match(r"#|$|.*\s#", text, re.S) is not None
    assert all(normal_url(url) == url for _, url in good)


@pytest.mark.parametrize("text,url", [
    ("HTTPS://Example.ORG", "https://example.org/"), ("http://example.org:80/a", "http://example.org/a"),
    ("https://example.org:443/a", "https://example.org/a"), ("https://example.org:80/a", "https://example.org:80/a"),
    ("http://example.org/a/../b/./c", "http://example.org/b/c"), ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
    ("http://example.org/a?utm_source=x&id=7&fbclid=y", "http://example.org/a?id=7"),
    ("http://example.org/?b=2&a=1", "http://example.org/?b=2&a=1"),
    ("http://example.org/%c3%bc#part", "http://example.org/%C3%BC"), ("http://[2001:DB8::1]/", "http://[2001:db8::1]/"),
    ("http://example.org/?q=a%20b&x", "http://example.org/?q=a%20b&x")])
def test_one_spelling_of_an_address(text, url):
    assert normal_url(text) == url == normal_url(url)


@pytest.mark.parametrize("text", [
    "", "example.org", "//example.org/", "ftp://example.org/", "file:///etc/passwd", "javascript:alert(1)", "http:///a", "data:text/html,x",
    "http://example.org/a b", "http://me:pw@example.org/", "http://example.org:99999/", "http://[::1/", "http://a\\b/",
    "http://" + "ü" * 70 + ".example/"])
def test_no_address(text):
    with pytest.raises(BadAddress):
        normal_url(text)


HOSTS = st.sampled_from(["example.org", "EXAMPLE.org:80", "xn--bcher-kva.example", "192.0.2.1:8080", "[2001:db8::1]", "ü.example"])


@given(st.sampled_from(["http", "https", "HTTP"]), HOSTS, st.text(max_size=20), st.text(max_size=20))
@example("http", "example.org", "..", "utm_source=%")
def test_normal_is_normal_and_names_a_file(scheme, host, path, query):
    try:
        url = normal_url(f"{scheme}://{host}/{path}?{query}")
    except BadAddress:
        return
    assert normal_url(url) == url and url.isascii() and re.match(r"https?://[^/]+/", url)
    name = page_name(url, url.encode())
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,59}-[0-9a-f]{10}", name)


def test_names():
    assert page_name("https://www.example.org/The-Storm/of?1889", b"1") == "example.org-the-storm-of-6b86b273ff"
    assert page_name("http://example.org/ärger", b"1").startswith("example.org-arger-")
    assert page_name("川", b"1") == "page-6b86b273ff" and page_name("../../etc", b"1") == "etc-6b86b273ff"
    assert page_name("https://example.org/", b"1") != page_name("https://example.org/", b"2")


def test_saved_pages(tmp_path):
    for name in ("b.html", "sub/A.HTM", "sub/c.html.gz", "x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(b"page") if name.endswith("gz") else b"page")
    found = saved_pages([tmp_path, tmp_path / "x.txt"])
    assert [path.name for path in found] == ["b.html", "A.HTM", "c.html.gz", "x.txt"]
    assert {read_saved(path, 100) for path in found} == {b"page"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no saved page"):
        saved_pages([tmp_path, tmp_path / "empty"])


def test_saved_pages_are_limited(tmp_path):
    (tmp_path / "bomb.html.gz").write_bytes(gzip.compress(b"a" * 1_000_000))
    (tmp_path / "cut.html.gz").write_bytes(gzip.compress(b"a" * 100)[:-5])
    (tmp_path / "fake.html.gz").write_bytes(b"<html>")
    reasons = {}
    for path in sorted(tmp_path.glob("*")):
        with pytest.raises(Refused) as refused:
            read_saved(path, 1000)
        reasons[path.name] = refused.value.reason
    assert reasons == {"bomb.html.gz": "too_large", "cut.html.gz": "not_html", "fake.html.gz": "not_html"}


# --- fit or not -------------------------------------------------------------------------------------------------------------

def page(text, title=""):
    return Page(text, title, "", "", "", "", "utf-8")


CLEANING = SimpleNamespace(min_words=100, language="en")


def refusal(text, title=""):
    try:
        verify(page(text, title), CLEANING, 42)
    except Refused as refused:
        return refused.reason
    return None


def test_what_a_page_must_have():
    assert refusal(SENTENCE * 5) is None
    assert refusal(SENTENCE * 4) == "too_short"
    german = "Der Fluss stieg in der Nacht und nahm den unteren Zaun mit, und am Ufer wunderte sich niemand darüber. "
    assert refusal(german * 8) == "other_language"


@pytest.mark.parametrize("text,title,reason", [
    ("The page you requested has moved.", "", "error_page"), ("Try the front page.", "404 Not Found", "error_page"),
    ("Please verify you are human to go on.", "", "robot_check"), ("Please enable JavaScript.", "", "robot_check"),
    ("Before you continue to the Gazette, accept all cookies.", "", "consent_wall"),
    (SENTENCE * 3 + "Subscribe to continue reading.", "", "paywall"), ("Already a subscriber? Log in.", "", "paywall")])
def test_walls_in_front_of_a_page(text, title, reason):
    assert refusal(text, title) == reason and reason in WALLS


def test_an_article_may_speak_of_walls():
    assert refusal(SENTENCE * 8 + "Subscribe to continue reading was all that the page not found said to the robot.") is None


@pytest.mark.parametrize("header,ours", [
    ("noindex, nofollow", "noindex, nofollow"), ("googlebot: noindex, nofollow", ""), ("otherbot: noindex, weatherman-lora: noai", "noai"),
    ("unavailable_after: 25 Jun 2030 15:00:00 PST, noindex", "unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"),
    ("*: none", "none"), ("", "")])
def test_directives_for_us(header, ours):
    assert our_directives(header) == ours


def test_two_pages_with_one_text_or_address():
    known, mark = Known(), {"sha256": "1" * 64, "url": "https://example.org/a", "canonical": ""}
    known.check("a", mark)
    known.add("a", mark)
    known.check("a", mark)  # itself again
    for other in ({**mark, "url": ""}, {**mark, "sha256": "2" * 64}, {"sha256": "2" * 64, "url": "", "canonical": mark["url"]}):
        with pytest.raises(Refused, match="web:a$") as refused:
            known.check("b", other)
        assert refused.value.reason == "duplicate_page"
    known.check("b", {"sha256": "2" * 64, "url": "", "canonical": ""})


@pytest.mark.timeout(30)
@pytest.mark.parametrize("path,reason", [
    ("/private/page", "robots"), ("/bomb", "too_large"), ("/loop", "bad_redirect"), ("/far", "bad_redirect"), ("/to-file", "unavailable"),
    ("/forbidden", "unavailable"), ("/redirects-more-than-500-bytes", "unavailable"), ("/truncated", "unavailable")])
def test_reasons_of_what_the_client_says(path, reason):
    with serving() as server:
        server.pages |= {"/robots.txt": (200, b"User-agent: *\nDisallow: /private/", {}), "/redirects-more-than-500-bytes": (403, b"", {})}
        with pytest.raises(Unavailable) as problem:
            Client(0.0, 1.0, 5.0, 0, 10_000, 3).get(server.address + path)
    assert reason_of(str(problem.value)) == reason


def test_a_private_address_is_a_reason():
    with pytest.raises(Unavailable) as problem:
        Client(0.0, 1.0, 5.0, 0, 10_000, 3, public_only=True).get("http://127.0.0.1:9/")
    assert reason_of(str(problem.value)) == "private_address"
