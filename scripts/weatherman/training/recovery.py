"""Checkpoints that are whole or do not count, and runs that stop in order when the box is taken away."""
import signal
from pathlib import Path

from weatherman.cli import Interrupted
from weatherman.files import sha256_file, write_json

SEAL = "checkpoint.manifest.json"  # written last: its presence and hashes mean the checkpoint is whole


def seal(checkpoint):
    """Write the manifest of a finished checkpoint folder: {relative path: sha256}."""
    checkpoint = Path(checkpoint)
    files = sorted(p for p in checkpoint.rglob("*") if p.is_file() and p.name != SEAL)
    write_json(checkpoint / SEAL, {str(p.relative_to(checkpoint)): sha256_file(p) for p in files})


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


def latest_whole(folder):
    """Return the newest whole checkpoint below `folder`, or None."""
    for checkpoint in sorted(Path(folder).glob("checkpoint-[0-9]*"), key=step_of, reverse=True):
        if is_whole(checkpoint):
            return checkpoint
    return None


class StopRequest:
    """Turns SIGTERM, SIGHUP and Ctrl-C into a request that the training loop honours after the update at hand.

    A second signal interrupts at once. `asked` says whether one came.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self):
        self.asked = False

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        if self.asked:
            raise Interrupted
        self.asked = True
