"""Move files to or from the other side: rsync where both sides have it, else tar and cat (pipe.py); and measure the link.

Nothing here decides whether the bytes are right: the manifests of both sides, compared afterwards, do.
"""
import contextlib
import fcntl
import functools
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

from weatherman.cli import UserError, log
from weatherman.manifest import SYNCED_FROM, git_state
from weatherman.remote import pipe
from weatherman.remote.far_files import delete_far, far_manifest, far_script, list_far, make_far_folder
from weatherman.remote.inventory import PARTIAL_DIR
from weatherman.remote.layers import ssh_error
from weatherman.remote.ssh import SSH_FAILED, ssh_command
from weatherman.remote.watch import CHUNK_BYTES, STALL_S, installed, terminal, watched

LEAST_BYTES = 1024       # fewer in STALL_S are rsync's own keep-alives: 4 bytes each, one every half of its --timeout
# What rsync 2.6.9 and every openrsync have. -I: files differ, although times and sizes may agree. No -l: links do not travel.
RSYNC_OPTIONS = ("-Ipt", "-0", "--files-from=names")
RSYNC_TIMEOUT_S = 120    # ends the far rsync when the link has gone, so that it puts away what has arrived
PARTLY = (23, 24)        # rsync's exit statuses for "some files did not move"; the manifests tell which, and why it matters
PROBE_S, PROBE_BYTES = 2, 8_000_000  # of the link, for --dry-run


class Box:
    """A machine reached over ssh, as one side of a sync; cloud.Store is the other kind and has the same methods."""

    def __init__(self, far, stall_s=STALL_S):
        self.far, self.stall_s, self.name = far, stall_s, far.host.alias
        self._without_rsync = None  # who lacks it; "" when both sides have it, None before they were asked

    def __str__(self):
        return str(self.far.host)

    @property
    def lock_name(self):
        """What tells this machine from others, also when its alias or address changes."""
        return self.far.host.identity

    def prepare(self):
        """Make ready to receive."""
        make_far_folder(self.far, self.stall_s)

    def list(self, entries):
        """Return (names, withheld) of what is there below `entries`."""
        return list_far(self.far, entries, self.stall_s)

    def manifest(self, names):
        """Return the manifest of what is there."""
        return far_manifest(self.far, list(names), self.stall_s)

    promised = manifest  # nothing else says what its files should be

    def move(self, direction, root, folder, names, sent):
        """Copy `names`, all below `folder` of the local `root`, to or from the same folder there, whatever times and sizes say.

        sent: the sender's manifest. Returns what the program said of files that did not move ("" when nothing).
        """
        os.makedirs(os.path.join(root, folder), exist_ok=True)
        if self._without_rsync is None:
            self._without_rsync = self._who_lacks_rsync()
            if self._without_rsync:
                log(f"{self._without_rsync} has no rsync that runs: moving by {'tar' if direction == 'to' else 'cat'} through ssh instead")
        if not self._without_rsync:
            return rsync(self.far, direction, root, folder, names, self.stall_s)
        return (pipe.send if direction == "to" else pipe.fetch)(self.far, root, folder, names, sent, self.stall_s)

    def damaged(self, sent):
        """Return the names that are there and not what `sent` promises: none, as the promise is made from the files themselves."""
        return []

    def _who_lacks_rsync(self):
        if not installed("rsync"):
            return "this machine"
        runs = far_script(self.far, "rsync --version >/dev/null 2>&1\n", self.stall_s)[0] == 0
        return "" if runs else str(self)

    def finish(self, direction, sent):
        """Write down there which commit the code is of, for the manifests that are made there."""
        if direction == "to":
            text = shlex.quote(json.dumps(git_state()))
            script = f"printf %s {text} > {SYNCED_FROM}.part && mv -f {SYNCED_FROM}.part {SYNCED_FROM}\n"
            status, _, stderr = far_script(self.far, script, self.stall_s)
            if status:
                raise UserError(f"{self}: {SYNCED_FROM} cannot be written there: {stderr.strip()[-400:]}", "the same command again")

    def delete(self, names):
        """Delete files there."""
        delete_far(self.far, names, self.stall_s)

    def speed(self, direction):
        """Return the bytes a second that pass now."""
        return link_speed(self.far, direction)


def rsync_accepts(option):
    """True when the installed rsync knows `option`; works on every rsync and openrsync, which end at --version."""
    return subprocess.run(["rsync", option, "--version"], capture_output=True).returncode == 0


def rsync(far, direction, root, folder, names, stall_s):
    """Copy by rsync, watched. Returns its words about files that did not move; raises UserError when it stopped."""
    # "./": rsync takes a name that starts with # or ; for a comment.
    below = ["./" + name.removeprefix(f"{folder}/") for name in names]
    (far.work / "names").write_bytes(b"".join(os.fsencode(name) + b"\0" for name in below))
    counter = far.work / "moved"
    relay = [sys.executable, "-I", "-S", str(Path(__file__).with_name("relay.py")), str(counter), *ssh_command(far)[:-1]]
    # A script, not the text of -e: rsync splits that at spaces, and openrsync knows no quotes in it.
    (far.work / "ssh").write_text(f'#!/bin/sh\nexec {shlex.join(relay)} "$@"\n', encoding="utf-8")
    (far.work / "ssh").chmod(0o700)
    ends = [os.path.join(root, folder, ""), f"{far.host.alias}:{os.path.join(far.host.folder, folder, '')}"]
    with _locked(counter), watched(str(far.host), [*rsync_command(), *(ends if direction == "to" else reversed(ends))],
                 lambda: int.from_bytes(counter.read_bytes(), "big"), stall_s, LEAST_BYTES,
                 cwd=far.work, stdin=subprocess.DEVNULL, stdout=terminal(), stderr=subprocess.PIPE) as process:
        stderr = process.stderr.read().decode("utf-8", "replace").strip()
    if process.returncode and process.returncode not in PARTLY:
        raise _rsync_error(far, direction, process.returncode, stderr)
    return stderr if process.returncode else ""


@contextlib.contextmanager
def _locked(counter):
    """Make the count file that relay.py writes, and hold the lock that tells it that somebody reads."""
    with open(counter, "wb") as handle:
        handle.write(bytes(8))
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@functools.cache
def rsync_command():
    """Return rsync with the options that the installed one has of those we want."""
    command = ["rsync", *RSYNC_OPTIONS, f"--timeout={RSYNC_TIMEOUT_S}", "-e", "./ssh"]
    # No link to a folder is replaced.
    if rsync_accepts("--no-implied-dirs"):
        command.append("--no-implied-dirs")
    if rsync_accepts(f"--partial-dir={PARTIAL_DIR}"):
        command.append(f"--partial-dir={PARTIAL_DIR}")
    else:
        log("this rsync cannot keep partial files: an interrupted file starts again (brew install rsync)")
    if sys.stderr.isatty():
        command.append("--info=progress2" if rsync_accepts("--info=progress2") else "--progress")
    return command


def _rsync_error(far, direction, status, stderr):
    if status == SSH_FAILED:
        return ssh_error(far.host, stderr)
    return pipe.disk_full(far, direction, stderr) or UserError(
        f"{far.host}: rsync stopped (status {status}): {stderr[-600:]}", "the same command again, it continues where it stopped")


# --- the link -----------------------------------------------------------------------------------------------------------

def link_speed(far, direction):
    """Return the bytes a second that pass now: PROBE_S seconds or PROBE_BYTES of noise, counted in the second half of the time.

    By then TCP has found its pace and the buffers on the way are full. Files that ssh can compress go faster.
    """
    command = "cat >/dev/null" if direction == "to" else f"head -c {PROBE_BYTES} /dev/urandom"
    process = subprocess.Popen([*ssh_command(far), command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    marks = []  # (seconds, bytes so far)

    def probe():
        total = 0
        while total < PROBE_BYTES:
            size = process.stdin.write(os.urandom(CHUNK_BYTES)) if direction == "to" else len(process.stdout.read1(CHUNK_BYTES))
            if not size:
                return
            total += size
            marks.append((time.monotonic(), total))

    helper = threading.Thread(target=_quietly, args=(probe,), daemon=True)
    helper.start()
    while not marks and helper.is_alive():
        time.sleep(0.02)
    helper.join(PROBE_S)
    process.kill()
    process.wait()
    helper.join()
    if len(marks) < 2:
        raise UserError(f"{far.host}: the link could not be measured.", f"python scripts/check_host.py {far.host.alias}")
    middle = (marks[0][0] + marks[-1][0]) / 2
    start = max(mark for mark in marks if mark[0] <= middle)
    return (marks[-1][1] - start[1]) / (marks[-1][0] - start[0])


def _quietly(work):
    try:
        work()
    except (OSError, ValueError):  # the process was ended
        pass
