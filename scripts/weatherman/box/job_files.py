"""The files of a job, adapters/jobs/RUN/: job.json says what to run, status.json where it is, job.log what was said; locks are held."""
import contextlib
import fcntl
import json
import os
import re
import signal
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "remote_job.py"
REPO = SCRIPT.parent.parent
LOG_BYTES = 50 * 2**20       # a job.log of this size becomes job.log.1: the two hold 100 MiB at most
WAITING_BYTES = 2**16        # output that is kept in memory while the disk takes none
TICK_S = 0.1                 # between two looks at what goes on
INTERRUPTED, NOT_FOUND, KILLED = 75, 127, 128 + signal.SIGKILL  # exit statuses, as our scripts and the shell number them
ENDING = (signal.SIGTERM, signal.SIGINT)
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux's counts on while the machine sleeps, as a provider does


class Refused(Exception):
    """Something the user can mend. `hint` is the next thing to type."""

    def __init__(self, message, hint):
        super().__init__(f"{message}\n  Try: {hint}")


def clock():
    """Return seconds that no change of the date moves."""
    return time.clock_gettime(CLOCK)


def job_folder(run):
    """Return adapters/jobs/RUN below the base folder. Raises Refused where there is no job.json."""
    folder = Path(os.environ.get("WEATHERMAN_BASE_DIR") or REPO).expanduser().resolve() / "adapters/jobs" / run
    if "/" in run or not (folder / "job.json").is_file():
        raise Refused(f"{folder}: no job.json, which says what to run.", "the remote_run.py command on the Mac again; it writes one")
    return folder


def read_object(path):
    """Return the JSON object that a file holds. Raises Refused when it holds anything else, or half of one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
        raise ValueError("not an object")
    except ValueError as error:  # what is no JSON or no UTF-8 is one too
        raise Refused(f"{path}: damaged or half written: {error}; expected one JSON object.",
                      f"mv '{path}' '{path}.damaged', then the remote_run.py command on the Mac again; without status.json the job "
                      "begins anew, and so do its limits") from None


def read_job(folder):
    """Return job.json. Raises Refused when it is not what remote_run.py writes."""
    path = folder / "job.json"
    job = read_object(path)
    needed = ["grace_s", *(["usd_per_hour"] if job.get("budget_usd") else []), *(["stop_wait_s"] if job.get("stop_argv") else [])]
    wrong = [f'"{key}" is missing' for key in ("limit_s", "budget_usd", "stages", "stop_argv") if key not in job]
    for key in ("limit_s", "budget_usd", "usd_per_hour", "grace_s", "stop_wait_s"):
        value = job.get(key)
        fits = type(value) in (int, float) and 0 < value < float("inf")  # NaN would be a limit that is never reached
        if not fits and (value is not None or key in needed):
            wrong.append(f'"{key}" must be a number above 0{"" if key in needed else " or null"}')
    if wrong:
        raise Refused(f"{path}: {'; '.join(wrong)}.", "the remote_run.py command on the Mac again; it writes a new one")
    return job


def limit_s(job):
    """Return the seconds after which a job is ended, the time or the money spent: infinity without a limit."""
    paid_s = job["budget_usd"] / job["usd_per_hour"] * 3600 if job["budget_usd"] else float("inf")
    return min(job["limit_s"] or float("inf"), paid_s)


def held(path):
    """Return a lock file with our pid in it, held until it is closed everywhere; None while another process holds it."""
    handle = open(path, "a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    handle.truncate(0)
    with contextlib.suppress(OSError):  # a full disk takes no pid, and the lock holds without
        os.write(handle.fileno(), b"%d\n" % os.getpid())
    return handle


def signal_to(group, number):
    """Send a signal to a process group, unless it is gone; none to 0, a group that is not known."""
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(group, number)


class Log:
    """job.log: appended to, and moved away when it gets large. What a full disk does not take waits in memory, its end at least."""

    def __init__(self, folder):
        self.path, self.waiting = folder / "job.log", b""

    def add(self, data):
        """Append bytes, after those that wait."""
        self.waiting = (self.waiting + data)[-max(WAITING_BYTES, len(data)):]
        if self.waiting:
            with contextlib.suppress(OSError), open(self.path, "ab", buffering=0) as handle:
                self.waiting = self.waiting[handle.write(self.waiting):]
                if handle.tell() >= LOG_BYTES:
                    os.replace(self.path, f"{self.path}.1")

    def say(self, text):
        """Append a line of our own, with the time."""
        self.add(f"== {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime())} {text}\n".encode())

    def last_lines(self, count=5):
        """Return what was written since our own last line, `count` lines of it at most."""
        with contextlib.suppress(FileNotFoundError), open(self.path, "rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - 4096))
            said = re.sub(r"(?s).*(^|\n)== [^\n]*", "", handle.read().decode("utf-8", "replace"))
            return "\n".join([line for line in re.split("[\r\n]+", said) if line.strip()][-count:])
        return ""
