"""What 03 is asked to collect: lists of web addresses, folders of saved pages, and the file name that each page gets."""
import hashlib
import re
import unicodedata
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from weatherman.cli import UserError
from weatherman.corpus.addresses import BadAddress, checked_url, port_of
from weatherman.files import read_lines

MAX_URL_BYTES = 8000    # RFC 9110 §4.1 asks servers for no more
SLUG_CHARS = 60
DIGEST_CHARS = 10
PAGE_SUFFIXES = (".html", ".htm", ".xhtml", ".html.gz", ".htm.gz")
# Parameters that say who clicked where, not what is shown.
TRACKING = re.compile(r"^(?:utm_\w+|gclid|dclid|fbclid|msclkid|yclid|igshid|mc_[ce]id|_hs(?:enc|mi))$")


def read_urls(path, on_bad):
    """Yield (line number, address) for each address of a list: one a line, `#` comments, blank lines.

    Addresses come out as `normal_url` gives them. A bad line goes to `on_bad(line number, reason, excerpt)`.
    """
    for number, line in read_lines(path, MAX_URL_BYTES):
        if line is None:
            on_bad(number, "bad_url", f"longer than {MAX_URL_BYTES:,} bytes")
            continue
        try:
            text = re.sub(r"(?:^|\s)#.*", "", line.decode("utf-8-sig" if number == 1 else "utf-8")).strip()
        except UnicodeDecodeError:
            on_bad(number, "invalid_utf8", line[:200].decode("utf-8", "backslashreplace"))
            continue
        if not text:
            continue
        try:
            yield number, normal_url(text)
        except BadAddress as problem:
            on_bad(number, "bad_url", f"{text.rpartition('@')[2]}: {problem}")


def normal_url(text):
    """Return the one spelling of an http(s) address: host in lower case and ASCII, no default port, fragment or click tracking.

    Raises BadAddress.
    """
    if re.search(r"[\s\x00-\x20\x7f\\]", text):
        raise BadAddress("holds white space or a backslash")
    try:
        parts = urlsplit(text)
        host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    except ValueError:  # brackets that do not match; a host that no name can be
        raise BadAddress("is not a web address") from None
    query = parts.query
    if any(TRACKING.match(name) for name, _ in parse_qsl(query)):
        query = urlencode([(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if not TRACKING.match(name)])
    checked = checked_url(urlunsplit((parts.scheme, host, parts.path, query, "")))
    return checked._replace(port=None if port_of(checked) == port_of(checked._replace(port=None)) else checked.port).url


def page_name(text, key):
    """Return a file name that tells where a page came from and is the same for the same `key`: "example.org-the-storm-1a2b3c4d5e"."""
    plain = unicodedata.normalize("NFKD", re.sub(r"^https?://(?:www\.)?", "", text)).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9.]+", "-", plain.split("?")[0])[:SLUG_CHARS].strip("-.")
    return f"{slug or 'page'}-{hashlib.sha256(key).hexdigest()[:DIGEST_CHARS]}"


def saved_pages(names):
    """Return the HTML files that `--input` names: files, and those in folders by path. Raises UserError for one that holds none."""
    found = []
    for path in map(Path, names):
        inside = sorted(p for p in path.rglob("*") if p.is_file() and p.name.lower().endswith(PAGE_SUFFIXES)) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no saved page is in this folder; expected {', '.join(PAGE_SUFFIXES)}.", f"ls '{path}'")
        found += inside
    return found
