"""Checkpoints that are whole or do not count, and runs that stop in order when the box is taken away."""
import contextlib
import errno
import os
import signal
import tempfile
from pathlib import Path

from paths import show
from weatherman.cli import Interrupted, UserError
from weatherman.files import sha256_file, write_json

SEAL = "checkpoint.manifest.json"  # written last: its presence and hashes mean the checkpoint is whole
TRIAL_BYTES = 16 * 2**20  # what must still fit on a disk that is not full


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


@contextlib.contextmanager
def disk_errors(folder):
    """Turn any error inside into a UserError when `folder` cannot be written to any more.

    The libraries hide it: tokenizers raises a bare Exception, safetensors a class of its own, torch a RuntimeError that says
    nothing of the disk. So whatever it is, the disk itself is asked.
    """
    try:
        yield
    except Exception as error:
        full = os.strerror(errno.ENOSPC)
        trouble = None if isinstance(error, UserError) else full if full in str(error) else write_trouble(folder)
        if trouble is None:
            raise
        raise UserError(f"{show(folder)}: cannot be written any more: {trouble}. The checkpoints finished before are whole.",
                        "python scripts/check_storage.py, free some space, then the same command with --resume") from None


def write_trouble(folder):
    """Return why TRIAL_BYTES cannot be written below `folder`, None when they can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as handle:
            handle.write(bytes(TRIAL_BYTES))
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        return error.strerror
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
