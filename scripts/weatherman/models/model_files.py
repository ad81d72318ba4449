"""What lies in a model's folder: its manifest of checksums, whether it is whole, which of a repository's files belong in it."""
from fnmatch import fnmatchcase

from weatherman.cli import UserError
from weatherman.files import sha256_file, write_json
from weatherman.manifest import now

MANIFEST = "download.manifest.json"
SCHEMA = 1
TOKENIZER = ("tokenizer*", "*.model", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "chat_template*")
SMALL = ("generation_config.json", "license*", "licence*", "notice*", "use_policy*")  # Llama's wants its texts kept
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
LEFT_OUT = ("consolidated*",)  # the same weights once more, in the maker's own form
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
INDEX = "model.safetensors.index.json"


def is_weights(name):
    """Return whether a file of a repository holds weights that we read, or their index."""
    return _fits(name, WEIGHTS) and not _fits(name, LEFT_OUT)


def belongs(name, weights=True):
    """Return whether a file at the top of a repository belongs in a model's folder. weights=False: tokenizer and licence alone."""
    return _fits(name, TOKENIZER + SMALL) or (weights and (name == "config.json" or is_weights(name)))


def _fits(name, patterns):
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)


def missing(folder, weights=True):
    """Return the first thing that a model folder lacks, None when it is whole: tokenizer, weights (every shard), config.json."""
    if not (folder / "tokenizer.json").is_file():
        return "no tokenizer.json"
    if not weights:
        return None
    try:
        names = shards(folder)
    except UserError as error:
        return str(error)
    return next((f"no {name}" for name in [*names, "config.json"] if not (folder / name).is_file()), None)


def shards(folder):
    """Return the sorted names of a model's weight files. Raises UserError when their index cannot be read."""
    index = folder / INDEX
    return sorted(set(weight_map(folder).values())) if index.is_file() else ["model.safetensors"]


def weight_map(folder):
    """Return {tensor: file} of the index of a model in shards. Raises UserError when it cannot be read."""
    import orjson
    try:
        found = orjson.loads((folder / INDEX).read_bytes())["weight_map"]
        if all(isinstance(name, str) and "/" not in name for name in found.values()):
            return found
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        pass
    raise UserError(f"no readable {INDEX}")


def read_manifest(folder):
    """Return the manifest of a model folder, None when there is none, or none of ours."""
    import orjson
    try:
        found = orjson.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def write_manifest(folder, origin, files):
    """Write the manifest of a model folder. origin: {repo, revision, source, checksums_from}; files: {name: {bytes, sha256}}."""
    write_json(folder / MANIFEST, {"schema": SCHEMA, **origin, "written_at": now(), "files": dict(sorted(files.items())), "broken": []})


def record(folder, origin):
    """Write the manifest of what lies in a folder now, all of it hashed."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    write_manifest(folder, origin, {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in files})


def mark_broken(folder, names):
    """Note in the manifest which files are not what was downloaded, so that the next download fetches them and no others."""
    write_json(folder / MANIFEST, {**read_manifest(folder), "broken": sorted(names)})


def finished(folder, repo, revision):
    """Return the manifest of a model that was downloaded whole and has its sizes still, else None. Its bytes are verify_model.py's."""
    found = read_manifest(folder)
    if found is None or found["broken"] or found["repo"] != repo or revision not in (None, found["revision"]):
        return None
    right = all((folder / name).is_file() and (folder / name).stat().st_size == file["bytes"] for name, file in found["files"].items())
    return found if right and missing(folder) is None else None


def checked(folder, name, file):
    """Return why a file of the manifest is not what it was, None when its bytes are. file: {bytes, sha256}."""
    path = folder / name
    if not path.is_file():
        return "is not there"
    size = path.stat().st_size
    if size != file["bytes"]:
        return f"has {size:,} bytes; {file['bytes']:,} were downloaded"
    found = sha256_file(path)
    return None if found == file["sha256"] else f"sha256 is {found[:12]}…; {file['sha256'][:12]}… was downloaded"
