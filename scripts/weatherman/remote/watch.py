"""Run a program whose progress is watched: one that moves nothing for a while is ended, with all that it started.

ssh's keep-alives notice a dead link, and not one that has stopped in one direction; rsync's --timeout takes its own keep-alives for
progress, and neither sees what happens before rsync starts or while the far side hashes. So bytes are counted here.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from weatherman.cli import UserError
from weatherman.remote.layers import ssh_error
from weatherman.remote.ssh import SSH_FAILED, ssh_command

STALL_S = 300  # also the longest that a far disk may take to read one large file before anything moves; hashing sends signs of life
GRACE_S = 10   # rsync needs a moment to put away what has arrived
CHUNK_BYTES = 65536


class Watched:
    """A program in a process group of its own. `count()` is how many bytes have moved; `stalled` says that it was ended for moving none."""

    def __init__(self, command, count, stall_s, least, **options):
        self.process = subprocess.Popen(command, start_new_session=True, **options)
        self.count, self.stall_s, self.least, self.stalled = count, stall_s, least, False
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        mark, since = self.count(), time.monotonic()
        while not self.ended.wait(min(1, self.stall_s / 20)):
            if self.count() - mark >= self.least:
                mark, since = self.count(), time.monotonic()
            elif time.monotonic() - since > self.stall_s:
                self.stalled = True
                return self.end()

    def end(self):
        """End the whole group, by force when it takes longer than GRACE_S; its programs may outlive the one that started them."""
        deadline = time.monotonic() + GRACE_S
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers so for a group of zombies
            os.killpg(self.process.pid, signal.SIGTERM)
            while time.monotonic() < deadline:
                self.process.poll()
                os.killpg(self.process.pid, 0)
                time.sleep(0.05)
            os.killpg(self.process.pid, signal.SIGKILL)


@contextlib.contextmanager
def watched(what, command, count, stall_s, least=1, **options):
    """Give the Popen of `command`; afterwards it has ended. Raises UserError when fewer than `least` bytes moved in `stall_s` s."""
    watch = Watched(command, count, stall_s, least, **options)
    try:
        yield watch.process
        watch.process.wait()
    except BaseException as error:
        watch.end()
        if not (watch.stalled and isinstance(error, Exception)):  # what breaks because we ended the other end is not the cause
            raise
    finally:
        watch.ended.set()
        watch.thread.join()
        watch.process.wait()
    if watch.stalled:
        raise UserError(f"{what}: nothing moved for {stall_s:g} s, so the transfer was ended; what has arrived is kept.",
                        "the same command again, it continues where it stopped")


def far_run(far, command, stall_s, feed=(), take=None):
    """Run a shell command on the far side; return (exit status, stdout bytes, stderr text).

    feed: an iterable of bytes for its stdin. take: a function that reads its stdout from a CountedReader; what it returns is then
    returned instead of the bytes. Raises UserError when ssh fails, or when nothing moved in either direction for `stall_s` seconds.
    """
    moved = [0, 0]  # out, in
    said = []
    with watched(str(far.host), [*ssh_command(far), command], lambda: sum(moved), stall_s,
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        helpers = [threading.Thread(target=_feed, args=(process.stdin, feed, moved), daemon=True),
                   threading.Thread(target=lambda: said.append(process.stderr.read()), daemon=True)]
        for helper in helpers:
            helper.start()
        reader = CountedReader(process.stdout, moved)
        output = take(reader) if take else reader.read_all()
        for helper in helpers:
            helper.join()
    stderr = b"".join(said).decode("utf-8", "replace")
    if process.returncode == SSH_FAILED:
        raise ssh_error(far.host, stderr)
    return process.returncode, output, stderr


def _feed(stdin, chunks, moved):
    with contextlib.suppress(BrokenPipeError, ConnectionResetError), stdin:  # its exit status says why it stopped reading
        for chunk in chunks:
            for start in range(0, len(chunk), CHUNK_BYTES):
                stdin.write(chunk[start:start + CHUNK_BYTES])
                stdin.flush()
                moved[0] += len(chunk[start:start + CHUNK_BYTES])


class CountedReader:
    """Reads a pipe and counts its bytes in moved[1]."""

    def __init__(self, pipe, moved):
        self.pipe, self.moved = pipe, moved

    def read(self, size=CHUNK_BYTES):
        """Return up to `size` bytes as soon as there are any, b"" at the end."""
        data = self.pipe.read1(size)
        self.moved[1] += len(data)
        return data

    def readline(self):
        """Return the next line with its end, b"" at the end."""
        data = self.pipe.readline(CHUNK_BYTES)
        self.moved[1] += len(data)
        return data

    def read_all(self):
        """Return everything to the end as bytes."""
        return b"".join(iter(self.read, b""))

    def copy_to(self, handle, size):
        """Write up to `size` bytes to a file; return how many came before the end."""
        left = size
        while left and (data := self.read(min(left, CHUNK_BYTES))):
            handle.write(data)
            left -= len(data)
        return size - left


def terminal():
    """Return where a program may draw its progress: our stderr on a terminal, else nowhere."""
    return sys.stderr.fileno() if sys.stderr.isatty() else subprocess.DEVNULL


def installed(program):
    """True when `program` is on the PATH here and runs at all."""
    return shutil.which(program) is not None and subprocess.run([program, "--version"], capture_output=True).returncode == 0
