"""Checkpoints that are whole or do not count: which ones lie in a folder, on the machine that trains and on the one that fetches them."""
from pathlib import Path

from weatherman.files import sha256_file

SEAL = "checkpoint.manifest.json"  # written last: its presence and hashes mean the checkpoint is whole


def is_whole(checkpoint):
    """Return whether every file of a checkpoint is there with the bytes its manifest names."""
    import orjson
    checkpoint = Path(checkpoint)
    try:
        listed = orjson.loads((checkpoint / SEAL).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return False
    return all((checkpoint / name).is_file() and sha256_file(checkpoint / name) == sha256 for name, sha256 in listed.items())


def step_of(checkpoint):
    """checkpoint-120 -> 120"""
    return int(Path(checkpoint).name.rsplit("-", 1)[1])


def checkpoints(folder):
    """Return the checkpoint folders below `folder`, whole or not, newest step first."""
    return sorted(Path(folder).glob("checkpoint-[0-9]*"), key=step_of, reverse=True)


def latest_whole(folder):
    """Return the newest whole checkpoint below `folder`, or None."""
    return next(filter(is_whole, checkpoints(folder)), None)
