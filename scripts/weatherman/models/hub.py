"""A model hub over HTTP: may we have a repository, what lies in it with which checksums, and one file, from where a connection broke.

huggingface_hub names addresses, headers and errors. Its own download begins a broken file again from nothing (its issue 4196), and its
listing waits for ever, so both are ours: a killed download of four 5 GB shards would else lose all that had come.
"""
import contextlib
import os
import re
import time
from dataclasses import dataclass

from weatherman.cli import UserError

HUB = "https://huggingface.co"
TOKENS_PAGE = f"{HUB}/settings/tokens"
COMMIT = re.compile(r"[0-9a-f]{40}")
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)$")
BUSY = (408, 425, 429, 500, 502, 503, 504)  # these may pass
PUT_TOKEN = f"a token of {TOKENS_PAGE} as HF_TOKEN=… in .env, then: set -a; . ./.env; set +a"


class Transient(Exception):
    """It failed now and may not the next time; the text says why."""


class Refused(UserError):
    """This address will not give it, another may."""


@dataclass(frozen=True)
class HubFile:
    """What a hub says of a file. `sha256` of a large one (LFS), else None and `blob` is the SHA-1 of its git object."""

    bytes: int
    sha256: str | None
    blob: str


@dataclass(frozen=True)
class Listing:
    """The files at the top of a repository at one commit, {name: HubFile}, as `address` lists them."""

    commit: str
    address: str
    files: dict


def endpoints(mirrors):
    """Return the addresses to ask in turn: HF_ENDPOINT of the environment first, then `mirrors`, each once."""
    return list(dict.fromkeys(address.rstrip("/") for address in [own_endpoint(), *mirrors] if address))


def own_endpoint():
    """Return the address that HF_ENDPOINT names, "" without one."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")


def is_trusted(address):
    """Return whether an address may see the token: the hub itself, and the one that HF_ENDPOINT names."""
    return address in (HUB, own_endpoint())


def token_origin(address):
    """Return where the token that `address` gets comes from, None where it gets none. The token itself is never shown."""
    from huggingface_hub.utils import get_token_to_send
    if not is_trusted(address) or get_token_to_send(None) is None:
        return None
    return "HF_TOKEN" if os.environ.get("HF_TOKEN") else "the one of hf auth login"


def _headers(address):
    from huggingface_hub.utils import build_hf_headers
    token = None if is_trusted(address) else False  # None: what the environment or hf auth login holds
    return {**build_hf_headers(token=token), "Accept-Encoding": "identity"}


def look_up(repo, revision, address, timeout_s):
    """Return the Listing of a repository at `revision` (None: main). Not a byte of a file is fetched.

    The question for config.json's headers goes through the door the weights come through: it needs the same licence and token.
    Raises Transient; Refused, or UserError when asking elsewhere is useless too.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    with explained(repo, revision, address):
        url = hf_hub_url(repo, "config.json", revision=revision, endpoint=address)
        commit = get_hf_file_metadata(url, headers=_headers(address), token=False, timeout=timeout_s, endpoint=address).commit_hash
        if commit is None:
            raise Refused(f"it does not answer as a hub (no X-Repo-Commit): a login page of this network, or no hub at {address}",
                          f"curl -I {url}")
        if revision and COMMIT.fullmatch(revision) and commit != revision:
            raise Refused(f"it serves commit {commit} in place of {revision}")
        return Listing(commit, address, dict(_rows(repo, commit, address, timeout_s)))


def _rows(repo, commit, address, timeout_s):
    """Yield (name, HubFile) of the top of a repository, page by page."""
    from huggingface_hub.utils import hf_raise_for_status, http_backoff
    url = f"{address}/api/models/{repo}/tree/{commit}"
    while url:
        response = http_backoff("GET", url, headers=_headers(address), timeout=timeout_s, retry_on_exceptions=())
        hf_raise_for_status(response)
        try:
            for row in response.json():
                if row["type"] == "file":
                    lfs = row.get("lfs") or {}
                    yield row["path"], HubFile(row["size"], lfs.get("oid"), row["oid"])
        except (ValueError, KeyError, TypeError):
            raise Refused(f"its list of files is none: {url}") from None
        url = response.links.get("next", {}).get("url")


def fetch(repo, commit, name, size, part, address, limits, arrived):
    """Append what is missing of a file to `part`, until it has `size` bytes. arrived(n) is told of every n bytes, and may raise.

    limits: `stall_s` without a byte, or so long with less than `min_bytes_per_s`, is Transient, as a lost connection is: what has
    arrived stays. Raises Refused and UserError as look_up does.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff
    have = part.stat().st_size if part.exists() else 0
    have = have if have <= size else 0
    if have == size:
        return part.touch()
    headers = _headers(address) | ({"Range": f"bytes={have}-"} if have else {})
    url = hf_hub_url(repo, name, revision=commit, endpoint=address)
    with explained(repo, commit, address, f"{name}: "), http_stream_backoff("GET", url, headers=headers, timeout=limits.stall_s,
                                                                            retry_on_exceptions=(), retry_on_status_codes=BUSY) as response:
        hf_raise_for_status(response)  # the token does not go where a redirect leads: httpx drops it at another origin
        have = have if _continues(response, have, size) else 0
        _append(part, have, size, _swift(response.iter_bytes(), limits), arrived)
    if part.stat().st_size < size:
        raise Transient(f"{name}: the connection ended after {part.stat().st_size:,} of {size:,} bytes")


def _continues(response, have, size):
    """Return whether a reply is the rest behind the `have` bytes there are; a server without ranges sends all again."""
    found = CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return response.status_code == 206 and found is not None and (int(found[1]), int(found[2])) == (have, size)


def _append(part, have, size, chunks, arrived):
    """Write chunks to `part` behind its first `have` bytes, and onto the disk."""
    try:
        with open(part, "ab") as out:
            out.truncate(have)
            for chunk in chunks:
                have += len(chunk)
                if have > size:
                    raise Transient(f"{part.name}: more than the {size:,} bytes it should have")
                out.write(chunk)
                arrived(len(chunk))
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:  # a full disk does not say which file
        error.filename = error.filename or str(part)
        raise


def _swift(chunks, limits):
    """Yield chunks. Raises Transient when too few come: a byte now and then never runs into a socket's timeout."""
    since, count = time.monotonic(), 0
    for chunk in chunks:
        yield chunk
        count += len(chunk)
        now = time.monotonic()
        if now - since >= limits.stall_s:
            if count < limits.min_bytes_per_s * (now - since):
                raise Transient(f"only {count:,} bytes came in {now - since:.0f} s")
            since, count = now, 0


@contextlib.contextmanager
def explained(repo, revision, address, what=""):
    """Turn what httpx and the hub's library raise into Transient (about `what`), Refused, or UserError with the page to visit."""
    from huggingface_hub import errors
    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise UserError("HF_HUB_OFFLINE is set, so nothing is asked for.", "unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE") from None
    except errors.HfHubHTTPError as error:
        raise _refusal(error, repo, revision or "main", address) from None
    except errors.HTTPError as error:  # httpx's own: no such host, refused, reset, silent, not valid TLS
        raise Transient(what + first_line(error)) from None


def _refusal(error, repo, revision, address):
    """Return the exception for an HTTP error of the hub, told apart by status and the hub's own X-Error-Code."""
    from huggingface_hub import errors
    status, page = error.response.status_code, f"{HUB}/{repo}"
    said = " ".join((error.server_message or "").split())[:300]
    if status in BUSY:
        return Transient(f"status {status}: {said or 'busy'}")
    if isinstance(error, errors.RevisionNotFoundError):
        return Refused(f"{repo} has no revision {revision}", f"{page}/commits/main lists them")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return Refused(f"{repo} holds no config.json at {revision}: no model for transformers", f"{page}/tree/{revision}")
    if status in (401, 403):
        return _denial(isinstance(error, errors.GatedRepoError), status, said, repo, address)
    if status == 404:
        return Refused(f"no repository is called {repo} (status 404)", f"its exact name: {HUB}/models?search={repo.split('/')[-1]}")
    return Refused(f"status {status}: {said or 'no reason given'}", page)


def _denial(gated, status, said, repo, address):
    """Return the exception for 401 (who are you?) or 403 (you may not)."""
    page, origin = f"{HUB}/{repo}", token_origin(address)
    if not is_trusted(address):
        return Refused(f"status {status}: it wants a token, and a mirror is not sent ours",
                       f"HF_ENDPOINT={address}, if you trust it")
    if status == 401 and origin:
        return UserError(f"{repo}: 401: the token ({origin}) is not valid: mistyped, expired or revoked. The hub: {said}", PUT_TOKEN)
    if status == 401 and gated:
        return UserError(f"{repo}: 401: its licence must be accepted, and no token is set to show that it was.",
                         f"{page} to accept it, then {PUT_TOKEN}")
    if status == 401:
        return Refused(f"401: no repository is called {repo}, or it is private and no token is set",
                       f"its exact name: {HUB}/models?search={repo.split('/')[-1]}; for a private one {PUT_TOKEN}")
    if gated:
        return UserError(f"{repo}: 403: the token ({origin or 'none'}) is good, but its account may not read this repository: the licence "
                         f"is not accepted, or the request is not answered yet. The hub: {said}",
                         f"{page} to accept or to see the state; a fine-grained token also needs the right to read gated repositories: "
                         f"{TOKENS_PAGE}")
    return Refused(f"status 403: {said or 'no reason given'}", page)


def first_line(error):
    """Return the first line of an error, with its kind."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"[:200]
