"""Read files of a mirror, a folder or a web server, politely and whole (Project Gutenberg asks robots to wait between requests)."""
import email.utils
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from weatherman.cli import UserError, log

USER_AGENT = "Weatherman-LoRA corpus collector (python urllib; one connection, waits between requests, caches for ever)"
MAX_BYTES = 32 * 2**20    # the longest plain-text book at Project Gutenberg is about 10 MB
MAX_RETRY_AFTER_S = 300   # a server that asks for more is not waited for
RETRY_STATUS = {429, 500, 502, 503, 504}


class Unavailable(Exception):
    """One file could not be had whole; the text says why. Another file may still come."""


@dataclass
class Mirror:
    """A folder or an http(s) address laid out as Project Gutenberg is. `read` keeps `wait_s` between two requests."""

    base: str
    wait_s: float
    timeout_s: float
    retries: int
    _last: float | None = None

    def __post_init__(self):
        scheme = urllib.parse.urlsplit(self.base).scheme
        self.is_url = scheme in ("http", "https")
        if not self.is_url and "://" in self.base:
            raise UserError(f"{self.base}: only http(s) addresses and folders can be a mirror.", "--mirror https://gutenberg.pglaf.org")
        if not self.is_url and not Path(self.base).is_dir():
            raise UserError(f"{self.base}: no such folder.", f"ls -d '{self.base}'")

    def where(self, path):
        """Return what a sidecar says of a file: its address, or its path inside the folder (no path of this machine)."""
        return f"{self.base.rstrip('/')}/{path}" if self.is_url else path

    def read(self, path):
        """Return the bytes of `path`, None when the mirror has no such file. Raises Unavailable, UserError."""
        return self._read_url(path) if self.is_url else self._read_file(path)

    def _read_file(self, path):
        file = Path(self.base) / path
        if not file.is_file():
            return None
        if file.stat().st_size > MAX_BYTES:
            raise Unavailable(f"{path}: more than {MAX_BYTES:,} bytes")
        return file.read_bytes()

    def _read_url(self, path):
        for attempt in range(self.retries + 1):
            self._pause()
            reachable = True
            try:
                return get(self.where(path), self.timeout_s)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code in (404, 410):
                    return None
                problem, wait_s = f"HTTP {error.code} {error.reason}", retry_after(error.headers.get("Retry-After"))
                if error.code not in RETRY_STATUS or (wait_s or 0) > MAX_RETRY_AFTER_S:
                    break
            except urllib.error.URLError as error:
                reachable, problem, wait_s = False, f"cannot be reached: {error.reason}", None
            except (TimeoutError, ConnectionError, http.client.HTTPException, Truncated) as error:
                problem, wait_s = str(error) or type(error).__name__, None
            if attempt < self.retries:
                wait_s = max(wait_s or 0, self.wait_s * 2**attempt)
                log(f"{path}: {problem}; next try in {wait_s:g} s")
                time.sleep(wait_s)
        if not reachable:  # the next book would fare no better
            raise UserError(f"{self.base}: {problem}.", "another --mirror, or the same command when the network is back")
        raise Unavailable(f"{path}: {problem}")

    def _pause(self):
        if self._last is not None:
            time.sleep(max(0.0, self._last + self.wait_s - time.monotonic()))
        self._last = time.monotonic()


class Truncated(Exception):
    """Fewer bytes came than were announced, or nothing says where the body ends."""


def get(url, timeout_s):
    """Return the whole body at `url`. Raises urllib's errors, Truncated, and Unavailable for a body over MAX_BYTES.

    A body needs a length or chunks: without either a cut connection looks like the end.
    """
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    with urllib.request.urlopen(request, timeout=timeout_s) as reply:
        length = reply.headers.get("Content-Length")
        if length is None and not reply.chunked:
            raise Truncated("the server did not say how long the file is")
        data = reply.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Unavailable(f"{url}: more than {MAX_BYTES:,} bytes")
        if length is not None and len(data) != int(length):
            raise Truncated(f"{len(data):,} of {int(length):,} bytes came")
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise Unavailable(f"{url}: sent as {reply.headers['Content-Encoding']}, which was not asked for")
        return data


def retry_after(value):
    """Return the seconds a Retry-After header asks for (a number or an HTTP date), None without a readable one."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
