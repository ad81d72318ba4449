"""Checkpoints that are whole or do not count, and runs that stop in order when the box is taken away."""
import contextlib
import errno
import fcntl
import os
import shutil
import signal
import tempfile
from pathlib import Path

from paths import show
from weatherman.checkpoints import SEAL, checkpoints, step_of
from weatherman.cli import Interrupted, UserError
from weatherman.files import sha256_file, write_json
from weatherman.training import distributed

LOG = "train.log"
TRIAL_BYTES = 16 * 2**20  # what must still fit on a disk that is not full


def seal(checkpoint):
    """Write the manifest of a finished checkpoint folder: {relative path: sha256}. Every file is on the disk before it is."""
    checkpoint = Path(checkpoint)
    files = sorted(p for p in checkpoint.rglob("*") if p.is_file() and p.name != SEAL)
    for path in files:
        with open(path, "rb") as handle:
            os.fsync(handle.fileno())
    write_json(checkpoint / SEAL, {str(p.relative_to(checkpoint)): sha256_file(p) for p in files})


def rotate(folder, keep, best=None):
    """Remove all checkpoints below `folder` but the `keep` newest sealed ones and `best`, a path or None.

    Called when the newest is sealed: transformers' own rotation runs before that, and by age, so it can leave none that is whole.
    """
    found = checkpoints(folder)
    kept = [checkpoint for checkpoint in found if (checkpoint / SEAL).is_file()][:keep]
    for checkpoint in found:
        if checkpoint not in kept and (best is None or checkpoint.name != Path(best).name):
            shutil.rmtree(checkpoint)


def drop_later(folder, step):
    """Remove the checkpoints below `folder` of steps after `step`: a resumed run makes them anew, and these are not whole."""
    for checkpoint in checkpoints(folder):
        if step_of(checkpoint) > step:
            shutil.rmtree(checkpoint)


@contextlib.contextmanager
def alone_in(folder):
    """Hold a run folder while it is trained in. Raises UserError when another process does; one that was killed holds nothing."""
    with open(folder / LOG, "ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{show(folder)}: another process is training this run now.", f"tail -f '{folder / LOG}'") from None
        yield


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
                        "python scripts/check_storage.py, free some space, then the same command") from None


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

    `asked` says whether one came. A Ctrl-C after that interrupts at once; a repeated SIGTERM or SIGHUP does not, since launchers
    and init systems send several. Several processes must stop after the same update, so there nothing interrupts.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self):
        self.asked = self._alone = self._interrupts = False

    def __enter__(self):
        self._alone = not distributed.several()
        self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]
        self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self):
        """Inside, a signal interrupts without delay (raises Interrupted): for work that changes nothing, such as an evaluation."""
        if self._alone and self.asked:
            raise Interrupted
        self._interrupts = self._alone
        try:
            yield
        finally:
            self._interrupts = False

    def _note(self, number, frame):
        again, self.asked = self.asked, True
        if number == signal.SIGHUP:
            self._let_go_of_terminals()
        impatient = self._alone and again and number == signal.SIGINT
        if impatient or (self._interrupts and not again):
            raise Interrupted

    def _let_go_of_terminals(self):
        """A terminal that hung up fails every write, and a log line must not end the run before it is saved; train.log has them all."""
        with open(os.devnull, "w") as nowhere:
            for fd in self._terminals:
                os.dup2(nowhere.fileno(), fd)
