"""Files of the web, fetched politely and whole: one connection at a time, waits, robots.txt, retries, limits on size and time."""
import contextlib
import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weatherman.cli import UserError, log
from weatherman.corpus.addresses import BadAddress, checked_url, is_public, port_of, redirect_target, resolve
from weatherman.corpus.transfer import Broken, Download, Unusable, cut_at

ROBOT = "Weatherman-LoRA"  # the name a robots.txt can address us by
USER_AGENT = f"{ROBOT} corpus collector (one connection, waits between requests, obeys robots.txt)"
REDIRECTS = {301, 302, 303, 307, 308}
BUSY = {408, 425, 429}      # these and 5xx may pass; every other status is final
MAX_CRAWL_DELAY_S = 30.0    # a robots.txt that asks for more gets this
ROBOTS_BYTES = 500 * 2**10  # RFC 9309 §2.5: what lies behind this much of a robots.txt need not be read


class Unavailable(Exception):
    """One file could not be had whole; the text says why. Another file may still come. `status`: the server's answer, if any."""

    def __init__(self, problem, status=None):
        super().__init__(problem)
        self.status = status


class Unreachable(Unavailable):
    """The host itself could not be reached: none of its files will come."""


class Disallowed(Unavailable):
    """The host's robots.txt does not allow it."""


class Transient(Exception):
    """One attempt failed, the next may not. `wait_s`: what the server asked for; `kind`: what it is when it was the last."""

    def __init__(self, problem, wait_s=None, kind=Unavailable, status=None):
        super().__init__(problem)
        self.wait_s, self.kind, self.status = wait_s or 0.0, kind, status


@dataclass
class Reply:
    """What came: `status` is 200 with the whole body in `data`, or 304, 404 or 410 without. `url`: behind all redirects."""

    url: str
    status: int
    headers: Mapping
    data: bytes = b""


@dataclass
class Client:
    """Fetches files over http(s). Limits: `timeout_s` without a byte, `deadline_s` for one file with all its retries and waits,
    `max_bytes` of the unpacked body, `max_redirects`. `wait_s`: between two requests to one host.

    `public_only`: hosts that are not on the public Internet are refused. A host is resolved once, and every connection goes to
    the addresses that were checked then. `ca_file`: certificates to trust (default: certifi's).
    """

    wait_s: float
    timeout_s: float
    deadline_s: float
    retries: int
    max_bytes: int
    max_redirects: int
    public_only: bool = False
    ca_file: str | None = None
    resolve: Callable = resolve
    _addresses: dict = field(default_factory=dict)  # host -> its checked IP addresses
    _robots: dict = field(default_factory=dict)     # origin -> rules, or the error that keeps us out
    _delays_s: dict = field(default_factory=dict)   # host -> Crawl-delay
    _ended: dict = field(default_factory=dict)      # host -> when its last request ended, monotonic

    @classmethod
    def of(cls, settings, public_only=False):
        """Return the Client of a section of the configuration (schemas.Fetching)."""
        return cls(settings.wait_s, settings.timeout_s, settings.deadline_s, settings.retries, settings.max_bytes, settings.max_redirects,
                   public_only)

    def get(self, url, etag=None, last_modified=None, complete=None, robots=True):
        """Return the Reply for `url`. Raises Unavailable, or Unreachable where the host is the reason.

        `etag`, `last_modified`: of the copy at hand; where they still hold the reply is a 304. `complete(data)` vouches for a body
        that nothing else tells the end of. `robots=False`: for a file that a person named, not one that a program came upon.
        """
        deadline = time.monotonic() + self.deadline_s
        conditions = {name: value for name, value in (("If-None-Match", etag), ("If-Modified-Since", last_modified)) if value}
        visited = []
        while True:
            parts = self._checked(url)
            if robots:
                self._obey_robots(parts)
            reply = self._load(parts, conditions, complete, deadline)
            if reply.status == 304 and not conditions:
                raise Unavailable(f"{parts.url}: HTTP 304, but there was no copy to compare with", 304)
            if reply.status not in REDIRECTS:
                return reply
            visited.append(parts)
            url = self._next_hop(visited, reply.headers.get("Location"))

    def _checked(self, url):
        try:
            return checked_url(url, self.public_only)
        except BadAddress as problem:
            raise Unavailable(f"{url.rpartition('@')[2]}: {problem}") from None  # no password in a message

    def _next_hop(self, visited, location):
        """Return the address the last of `visited` redirects to. Raises Unavailable."""
        first, last = visited[0].url, visited[-1]
        if not location:
            raise Unavailable(f"{last.url}: redirects without saying where to")
        target = self._checked(redirect_target(last.url, location))
        if target in visited:
            raise Unavailable(f"{first}: redirects in a circle")
        if len(visited) > self.max_redirects:
            raise Unavailable(f"{first}: redirects more than {self.max_redirects} times")
        if (last.scheme, target.scheme) == ("https", "http"):
            raise Unavailable(f"{last.url}: redirects from https to http")
        return target.url

    def _obey_robots(self, parts):
        """Read the host's robots.txt, once a run (RFC 9309). Raises Unavailable where it does not allow `parts`."""
        origin = parts._replace(path=None, query=None).url
        if origin not in self._robots:
            self._robots[origin] = self._read_robots(origin, parts.host)
        rules = self._robots[origin]
        if isinstance(rules, Unreachable):
            raise Unreachable(str(rules))
        if isinstance(rules, Unavailable):
            raise Disallowed(f"{parts.url}: may not be fetched, because the host's robots.txt could not be ({rules})")
        if not rules.can_fetch(parts.url, ROBOT):
            raise Disallowed(f"{parts.url}: the robots.txt of {parts.host} does not allow it")

    def _read_robots(self, origin, host):
        """Return the rules of a host; without a file (4xx) all is allowed. Where the server could not say, return the error."""
        from protego import Protego
        try:
            data = self.get(f"{origin}/robots.txt", complete=lambda data: True, robots=False).data
        except Unavailable as error:
            if error.status is None or error.status >= 500 or error.status in BUSY:
                return error
            data = b""
        rules = Protego.parse(data[:ROBOTS_BYTES].decode("utf-8-sig", "replace"))
        self._delays_s[host] = min(MAX_CRAWL_DELAY_S, rules.crawl_delay(ROBOT) or 0.0)
        return rules

    def _load(self, parts, conditions, complete, deadline):
        """Return the Reply of one address (a redirect is one too), after as many attempts as are allowed."""
        download = Download(self.max_bytes)
        for attempt in range(self.retries + 1):
            try:
                return self._attempt(parts, conditions, complete, deadline, download)
            except Transient as failure:
                wait_s = max(failure.wait_s, self.wait_s * 2**attempt)
                if time.monotonic() + wait_s >= deadline:
                    late = f"; the next try would be in {wait_s:,.0f} s, a file may take {self.deadline_s:g} s"
                    raise failure.kind(f"{parts.url}: {failure}{late}", failure.status) from None
                if attempt == self.retries:
                    raise failure.kind(f"{parts.url}: {failure}", failure.status) from None
                log(f"{parts.url}: {failure}; next try in {wait_s:g} s")
                time.sleep(wait_s)

    def _attempt(self, parts, conditions, complete, deadline, download):
        from urllib3.exceptions import HTTPError, ReadTimeoutError
        self._pause(parts.host)
        connection = self._connect(parts, deadline)
        headers = {"Host": parts.netloc, "User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate", "Connection": "close",
                   **(download.range_headers() or conditions)}
        try:
            with contextlib.closing(connection), cut_at(deadline, connection.sock):
                connection.request("GET", parts.request_uri, headers=headers, preload_content=False, decode_content=False)
                with contextlib.closing(connection.getresponse()) as response:
                    reply = self._receive(parts.url, response, complete, download)
            problem = None
        except Unusable as error:
            raise Unavailable(f"{parts.url}: {error}") from None
        except Broken as error:
            problem = str(error)
        except (TimeoutError, ReadTimeoutError):
            problem = f"nothing came for {self.timeout_s:g} s"
        except (HTTPError, http.client.HTTPException, OSError) as error:
            problem = f"the connection broke ({str(error) or type(error).__name__})"
        finally:
            self._ended[parts.host] = time.monotonic()
        if time.monotonic() >= deadline:  # then `cut_at` may be why it broke, or why it seems to be at its end
            raise Unavailable(f"{parts.url}: did not come whole in {self.deadline_s:g} s")
        if problem:
            raise Transient(problem)
        return reply

    def _pause(self, host):
        if host in self._ended:
            wait_s = max(self.wait_s, self._delays_s.get(host, 0.0))
            time.sleep(max(0.0, self._ended[host] + wait_s - time.monotonic()))

    def _connect(self, parts, deadline):
        """Return an open urllib3 connection to the first of the host's addresses that answers. Raises Unavailable, Transient."""
        from urllib3.connection import HTTPConnection, HTTPSConnection
        from urllib3.exceptions import HTTPError
        for address in self._addresses_of(parts):
            options = {"timeout": max(0.001, min(self.timeout_s, deadline - time.monotonic()))}
            if parts.scheme == "https":
                import certifi
                connection = HTTPSConnection(address, port_of(parts), server_hostname=parts.host.strip("[]"), cert_reqs="CERT_REQUIRED",
                                             ca_certs=self.ca_file or certifi.where(), **options)
            else:
                connection = HTTPConnection(address, port_of(parts), **options)
            try:
                connection.connect()
                return connection
            except ssl.SSLCertVerificationError as error:
                connection.close()
                raise Unreachable(f"{parts.host}: its certificate cannot be trusted ({error.verify_message})") from None
            except (HTTPError, OSError) as error:
                connection.close()
                problem = error
        raise Transient(f"{parts.host} cannot be reached ({problem})", kind=Unreachable)

    def _addresses_of(self, parts):
        host = parts.host.strip("[]")
        if host not in self._addresses:
            try:
                found = self.resolve(host, port_of(parts))
            except OSError as error:
                raise Transient(f"{host} cannot be found ({error})", kind=Unreachable) from None
            if self.public_only and (inner := [address for address in found if not is_public(address)]):
                raise Unreachable(f"{host}: is at {inner[0]}, which is not a public address")
            self._addresses[host] = found
        return self._addresses[host]

    def _receive(self, url, response, complete, download):
        """Return the Reply in an open urllib3 response. Raises Unavailable, Transient, and what Download.read raises."""
        status, headers = response.status, response.headers
        if status in (304, 404, 410) or status in REDIRECTS:
            return Reply(url, status, headers)
        problem = f"HTTP {status} {response.reason or ''}".rstrip()
        if status in BUSY or status >= 500:
            raise Transient(problem, retry_after(headers.get("Retry-After")), status=status)
        if status == 200:
            download.begin(headers)
        elif not download.received:
            raise Unavailable(f"{url}: {problem}", status)
        elif status != 206 or not download.continues(headers):
            download.begin({})  # the rest is not to be had: the whole file again
            raise Transient(f"the server would not carry on where the transfer broke ({problem})")
        is_told = response.chunked or response.length_remaining is not None
        download.read(response)
        data = bytes(download.data)
        if not is_told and not download.is_unpacked() and not (complete and complete(data)):
            raise Broken("the server did not say how long the file is")
        return Reply(url, 200, headers, data)


def retry_after(value):
    """Return the seconds a Retry-After header asks for (a number or an HTTP date), None without a readable one."""
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader
    try:
        return None if value is None else float(Retry().parse_retry_after(value))
    except InvalidHeader:
        return None


@dataclass
class Mirror:
    """A folder or an http(s) address laid out as Project Gutenberg is."""

    base: str
    client: Client

    def __post_init__(self):
        self.is_url = self.base.startswith(("http://", "https://"))
        if not self.is_url and "://" in self.base:
            raise UserError(f"{self.base}: only http(s) addresses and folders can be a mirror.", "--mirror https://gutenberg.pglaf.org")
        if not self.is_url and not Path(self.base).is_dir():
            raise UserError(f"{self.base}: no such folder.", f"ls -d '{self.base}'")

    def where(self, path):
        """Return what a sidecar says of a file: its address, or its path inside the folder (no path of this machine)."""
        return f"{self.base.rstrip('/')}/{path}" if self.is_url else path

    def read(self, path, **options):
        """Return the Reply for `path` (`options` as for Client.get), None when the mirror has no such file.

        Raises Unavailable, and UserError when the mirror itself cannot be reached: the next file would fare no better.
        """
        if not self.is_url:
            return self._read_file(path)
        try:
            reply = self.client.get(self.where(path), **options)
        except Unreachable as error:
            raise UserError(f"{self.base}: {error}.", "the same command when the network is back, or another address") from None
        return reply if reply.status in (200, 304) else None

    def _read_file(self, path):
        file = Path(self.base) / path
        if not file.is_file():
            return None
        if file.stat().st_size > self.client.max_bytes:
            raise Unavailable(f"{path}: more than {self.client.max_bytes:,} bytes")
        return Reply(path, 200, {}, file.read_bytes())
