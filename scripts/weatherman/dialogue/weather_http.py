"""One JSON answer over http(s), for the weather services: timeouts, a deadline, a limit on size, retries where they can help."""
import contextlib
import http.client
import time
from urllib.parse import urlencode, urlsplit

import orjson

from weatherman.corpus.fetch import retry_after
from weatherman.corpus.transfer import Broken, Download, Unusable, cut_at
from weatherman.dialogue.weather_api import TIMED_OUT, WeatherError, malformed

USER_AGENT = "Weatherman-LoRA weather client"
RETRIED = {429, 500, 502, 503, 504}


def get_json(base, path, query, settings):
    """Return (status, JSON body) of a GET request; the body is {} where an error has none. Raises WeatherError.

    Retries HTTP 429, 5xx and broken connections until the deadline. No redirect is followed. No message holds the query: it may
    carry a key.
    """
    deadline = time.monotonic() + settings.deadline_s
    for attempt in range(settings.retries + 1):
        failure, wait_s = None, settings.wait_s * 2**attempt
        try:
            status, headers, data = _request(base, f"{path}?{urlencode(query)}", settings, deadline)
            is_final = status not in RETRIED
            wait_s = max(wait_s, retry_after(headers.get("Retry-After")) or 0.0)
        except WeatherError as error:
            failure, is_final = error, error.kind == "malformed"
        if is_final or attempt == settings.retries or time.monotonic() + wait_s >= deadline:
            break
        time.sleep(wait_s)
    if failure:
        raise failure
    return status, _decoded(status, data)


def _request(base, target, settings, deadline):
    """Return (status, headers, body) of one attempt. Raises WeatherError timeout or unavailable; malformed for a body over the limit."""
    from urllib3.exceptions import HTTPError, NewConnectionError
    from urllib3.exceptions import TimeoutError as NoAnswer
    left_s = deadline - time.monotonic()
    try:
        with contextlib.closing(_connect(base, min(settings.timeout_s, max(left_s, 0.001)))) as connection:
            with cut_at(deadline, connection.sock):
                connection.request("GET", target, headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate",
                                                           "Connection": "close"}, preload_content=False, decode_content=False)
                with contextlib.closing(connection.getresponse()) as response:
                    download = Download(settings.max_bytes)
                    download.begin(response.headers)
                    download.read(response)
        if time.monotonic() >= deadline:  # then `cut_at` may be why it is at its end
            raise WeatherError("timeout", TIMED_OUT)
        return response.status, response.headers, bytes(download.data)
    except Unusable as problem:
        raise malformed(str(problem)) from None
    except (Broken, HTTPError, http.client.HTTPException, OSError) as problem:
        silent = isinstance(problem, (TimeoutError, NoAnswer)) and not isinstance(problem, NewConnectionError)  # urllib3 calls all timeouts
        if silent or time.monotonic() >= deadline:
            raise WeatherError("timeout", TIMED_OUT) from None
        raise WeatherError("unavailable", "The weather service could not be reached.") from None


def _connect(base, timeout_s):
    from urllib3.connection import HTTPConnection, HTTPSConnection
    parts = urlsplit(base)
    if parts.scheme == "https":
        import certifi
        connection = HTTPSConnection(parts.hostname, parts.port or 443, timeout=timeout_s, cert_reqs="CERT_REQUIRED",
                                     ca_certs=certifi.where())
    else:
        connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_s)
    connection.connect()
    return connection


def _decoded(status, data):
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if status == 200:
            raise malformed("it is not JSON") from None
        return {}


def http_error(status):
    """Return the WeatherError of an HTTP status whose body gives no reason."""
    kind = "rate_limit" if status == 429 else "unavailable" if status >= 500 else "refused"
    words = "Too many requests: the" if status == 429 else "The"
    return WeatherError(kind, f"{words} weather service answered with HTTP status {status}.")
