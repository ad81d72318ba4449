"""All models on this disk: what lies below models/ and in the hub's cache, and what of it nobody needs."""
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from paths import folder, show
from weatherman.cli import UserError
from weatherman.models import model_files
from weatherman.models.download import alone_in
from weatherman.models.registry import registry

LEFTOVERS = (".part", ".incomplete")  # ours, and hf download's below .cache/huggingface
WHOLE, TOKENIZER_ONLY, BROKEN, UNFINISHED, CACHED, LINK, OTHER = (
    "whole", "tokenizer only", "broken", "not whole", "hub cache", "link", "no model")


@dataclass(frozen=True)
class Found:
    """A model on the disk. `last_used`: date of its latest access, as far as the file system notes it."""

    name: str
    revision: str
    state: str
    bytes: int
    last_used: str
    path: str


@dataclass(frozen=True)
class Useless:
    """What prune would remove: a file or folder, or a revision of the hub's cache (`revision`)."""

    path: str
    bytes: int
    why: str
    revision: str | None = None


def survey():
    """Return [Found] of models/ and, where HF_HOME or HF_HUB_CACHE is set, of the hub's cache. Links are named, not followed."""
    top = folder("models")
    places = sorted(path for path in top.iterdir() if path.is_dir()) if top.is_dir() else []
    return [_found(path) for path in places if not _is_leftover(path)] + [
        Found(repo.repo_id, revision.commit_hash, CACHED, revision.size_on_disk, _date(repo.last_accessed), str(revision.snapshot_path))
        for repo, revision in _cached()]


def _found(path):
    if path.is_symlink():
        return Found(path.name, "-", LINK, 0, "-", f"{show(path.parent)}/{path.name} -> {os.readlink(path)}")
    files = _files(path)
    used = max((os.lstat(file).st_atime for file in files), default=0)
    revision = (model_files.read_manifest(path) or {}).get("revision", "-")
    return Found(path.name, revision, state(path), sum(map(_size, files)), _date(used) if used else "-", show(path))


def state(path):
    """Return what a folder below models/ is."""
    if model_files.missing(path) is None:
        manifest = model_files.read_manifest(path)
        return BROKEN if manifest and manifest["broken"] else WHOLE
    names = [file.name for file in _files(path)]
    if any(name.endswith((".safetensors", *LEFTOVERS)) for name in names):
        return UNFINISHED
    return TOKENIZER_ONLY if "tokenizer.json" in names else OTHER


def useless():
    """Return [Useless]: leftovers of downloads, models that are not whole, cached revisions that the registry does not pin.

    A whole model is never among them, nor a tokenizer that was fetched alone, a link, or what is no model.
    """
    top, found = folder("models"), []
    for path in sorted(top.iterdir()) if top.is_dir() else []:
        if path.is_symlink():
            continue
        if _is_leftover(path):
            found.append(Useless(str(path), _total(path), "leftover"))
        elif path.is_dir() and state(path) == UNFINISHED:
            found.append(Useless(str(path), _total(path), f"not whole: {model_files.missing(path)}"))
        elif path.is_dir():
            found += [Useless(str(file), _size(file), "leftover") for file in _files(path) if _is_leftover(file)]
    pinned = {entry.revision for entry in registry().models.values()}
    found += [Useless(str(file.file_path), file.size_on_disk, "leftover") for file in _unfinished_in_cache()]
    return found + [Useless(str(revision.snapshot_path), revision.size_on_disk, f"{repo.repo_id}: not a revision of the registry",
                            revision.commit_hash)
                    for repo, revision in _cached() if revision.commit_hash not in pinned]


def remove(found):
    """Remove [Useless]. Raises UserError, before anything is gone, while another process works on one of these models."""
    top = folder("models")
    for path in {top / Path(one.path).relative_to(top).parts[0] for one in found if Path(one.path).is_relative_to(top)}:
        if path.is_dir():
            with alone_in(path):
                pass
    for one in found:
        if one.revision is None:
            shutil.rmtree(one.path) if Path(one.path).is_dir() else Path(one.path).unlink(missing_ok=True)
    revisions = [one.revision for one in found if one.revision]
    if revisions:
        _scan().delete_revisions(*revisions).execute()


def _is_leftover(path):
    return path.name.endswith(LEFTOVERS)


def _files(path):
    """Return the files below a folder; links are left out, and not followed."""
    return [Path(root) / name for root, _, names in os.walk(path) for name in names if not os.path.islink(os.path.join(root, name))]


def _total(path):
    return sum(map(_size, _files(path))) if path.is_dir() else _size(path)


def _size(path):
    return os.lstat(path).st_size


def _date(seconds):
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _scan():
    """Return huggingface_hub's survey of its cache, None where HF_HOME names none: a laptop's own is other projects' too."""
    if not (os.environ.get("HF_HOME") or os.environ.get("HF_HUB_CACHE")):
        return None
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir
    try:
        return scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return None
    except ValueError as error:  # HF_HOME is a file
        raise UserError(f"HF_HOME: {error}", "export HF_HOME=… to a folder") from None


def _cached():
    """Return [(repository, revision)] of the models in the hub's cache."""
    scan = _scan()
    repos = sorted((repo for repo in scan.repos if repo.repo_type == "model"), key=lambda repo: repo.repo_id) if scan else []
    return [(repo, revision) for repo in repos for revision in sorted(repo.revisions, key=lambda revision: revision.commit_hash)]


def _unfinished_in_cache():
    scan = _scan()
    return sorted((file for file in scan.incomplete_files if file.file_path.parts[-3].startswith("models--")),
                  key=lambda file: file.file_path) if scan else []


def as_dicts(found):
    """Return dataclasses as dicts, for --json."""
    return [asdict(one) for one in found]
