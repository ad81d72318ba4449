"""Read a web page: its main text, and what it says of itself; or the reason why it may not or cannot be used."""
import contextlib
import re
import signal
from dataclasses import dataclass

from weatherman.corpus.charset import decode
from weatherman.corpus.main_text import clean, find_main_text

ALARM_AGAIN_S = 0.1  # an exception raised inside a garbage collector's callback is lost, so one alarm is not enough
SNIFF_BYTES = 64 * 2**10
TAG = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|article|main|section|div|p|h[1-6]|table|span|br)\b", re.I)
HTML_TYPES = {"", "text/html", "application/xhtml+xml", "application/octet-stream"}  # the last: servers that do not know


class Refused(Exception):
    """A page that may not or cannot be used. `reason`: as in the rejects file; the text says what was found."""

    def __init__(self, reason, detail):
        super().__init__(detail)
        self.reason = reason


@dataclass
class Page:
    """What was read from a page. text: blocks with a blank line between them. An unknown text field is ""."""

    text: str
    title: str
    author: str
    date: str        # ISO 8601 day of publication
    licence: str     # what the page states: an address or a name
    canonical: str   # the address that the page gives itself
    charset: str     # what its bytes were decoded with


class _TookTooLong(BaseException):
    """No library's `except Exception` may stop it."""


def read_page(data, url, content_type="", limit_s=0.0):
    """Return the Page of bytes that came from `url`. Raises Refused (not_html, bad_encoding, robots_meta, paywall, no_main_text, too_slow).

    content_type: the header of that name. limit_s: seconds of work, 0 for any; works in the main thread only.
    """
    check_is_html(data, content_type)
    html, charset = decode(data, content_type)
    import bs4  # noqa: F401  both before the clock starts: an import that is cut off cannot be done again
    import trafilatura  # noqa: F401
    with time_limit(limit_s):
        soup = parse(html)
        check_permission(soup)
        licence, canonical = find_licence(soup), find_canonical(soup, url)
        document, found = find_main_text(soup, url)
    text = "\n\n".join(found)
    if not text:
        raise Refused("no_main_text", "no block of text was found that is not navigation")
    if "\ufffd" in text:
        at = text.index("\ufffd")
        raise Refused("bad_encoding", f"characters were lost (U+FFFD): {clean(text[max(0, at - 30):at + 30])}")
    return Page(text, clean(document.title), clean(document.author), document.date or "", licence, canonical, charset)


def parse(html):
    """Return the BeautifulSoup of a page; XHTML is read as browsers read it, as HTML."""
    import warnings

    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        return BeautifulSoup(html, "lxml")


@contextlib.contextmanager
def time_limit(seconds):
    """Raise Refused when the block takes longer: a few kB of hostile HTML can keep a parser busy for hours."""
    fired = []

    def stop(signum, frame):
        fired.append(signum)
        raise _TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, ALARM_AGAIN_S)
    try:
        yield
    except (Exception, _TookTooLong):
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not fired:
            raise
        raise Refused("too_slow", f"reading it took more than {seconds:g} s") from None  # or what a library made of the alarm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_is_html(data, content_type):
    """Raise Refused unless both the header and the first bytes say HTML."""
    kind = content_type.split(";")[0].strip().lower()
    if kind not in HTML_TYPES:
        raise Refused("not_html", f"it is {kind}")
    start = data[:SNIFF_BYTES]
    if b"\0" in start:  # UTF-16, or a picture
        start = start.replace(b"\0", b"")
    if data.startswith((b"%PDF", b"PK\x03\x04", b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"\x1f\x8b")) or not TAG.search(start):
        raise Refused("not_html", f"it begins with {data[:24]!r}")


def check_permission(soup):
    """Raise Refused when the page asks not to be indexed or trained on, or is not free to read (schema.org, TDMRep)."""
    for tag in soup.find_all("meta", attrs={"name": re.compile(r"^(?:robots|weatherman-lora|tdm-reservation)$", re.I)}):
        refuse_directives(tag.get("content", ""), tag["name"].lower())
    for tag in soup.find_all("script", type="application/ld+json"):
        if re.search(r'"isAccessibleForFree"\s*:\s*"?false', tag.string or "", re.I):
            raise Refused("paywall", "it says isAccessibleForFree: false")


def refuse_directives(text, name="robots"):
    """Raise Refused when robots directives (a meta tag, an X-Robots-Tag header) forbid the use, or text and data mining is reserved."""
    words = set(re.findall(r"[\w-]+", text.lower()))
    forbidden = {"1"} if name == "tdm-reservation" else {"noindex", "none", "noai"}
    if words & forbidden:
        raise Refused("robots_meta", f"{name}: {', '.join(sorted(words & forbidden))}")


def find_licence(soup):
    """Return what rel=license or a licence meta tag states, "" without one. One inside a figure is the picture's."""
    for tag in soup.find_all(["a", "link"], rel="license", href=True):
        if not tag.find_parent(["figure", "figcaption"]):
            return clean(tag["href"])
    tag = soup.find("meta", attrs={"name": re.compile(r"^(?:dc(?:terms)?\.(?:license|rights)|license)$", re.I)})
    return clean(tag.get("content")) if tag else ""


def find_canonical(soup, url):
    """Return the absolute address in rel=canonical (else og:url), "" without one or when it is a site's front page."""
    from urllib.parse import urljoin, urlsplit
    link, meta = soup.find("link", rel="canonical", href=True), soup.find("meta", property="og:url", content=True)
    if not link and not meta:
        return ""
    try:
        found = urljoin(url, (link["href"] if link else meta["content"]).strip())
        parts = urlsplit(found)
    except ValueError:
        return ""
    front_page = parts.path in ("", "/") and not parts.query  # a common mistake: every page names the front page
    return "" if front_page or parts.scheme not in ("http", "https") else found
