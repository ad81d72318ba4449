"""Run the stages of a job one after the other, and end them with a saved checkpoint when the time or the money is spent.

Reads adapters/jobs/RUN/job.json, which remote_run.py writes from the Mac, and .env; writes status.json and job.log beside job.json.
On the GPU box (Linux), inside tmux, before any environment is made: Python 3.8 is all it needs, and nothing of ours is imported.
    python scripts/remote_job.py trial --status     # where it is, what it has cost, how to look (python3 where there is no python)
    python scripts/remote_job.py trial --cancel     # save a checkpoint and end; the next command goes on from there
    tmux -L weatherman new-session -d -s trial python3 scripts/remote_job.py trial
Between this supervisor and each stage stands a keeper (--stage). It takes the stage's output into job.log, and when the supervisor is
killed it has the stage save and end: nothing that costs money goes on unwatched.
"""
import argparse
import contextlib
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
TICK_S, BEAT_S = 0.1, 2      # between two looks at what goes on; between two heartbeats in status.json
SPARE_S = 5                  # for a keeper that is late with what it does after grace_s
STOP_TRIES, STOP_RETRY_S = 10, 60
RESTARTS = 3                 # of a stage that ends as interrupted, and not by us
LOG_BYTES = 50 * 2**20       # a job.log of this size becomes job.log.1: the two hold 100 MiB at most
WAITING_BYTES = 2**16        # output that is kept in memory while the disk takes none
INTERRUPTED, NOT_FOUND, KILLED = 75, 127, 128 + signal.SIGKILL  # exit statuses, as our scripts and the shell number them
EXITS = {"finished": 0, "failed": 1, "spent": INTERRUPTED, "cancelled": INTERRUPTED}
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
# What sh and this script read alike: a bare word without anything sh acts on, or quotes around text that it does not expand.
ENV_LINE = re.compile(r"""\s*(?:export\s+)?([A-Za-z_]\w*)=('[^']*'|"[^"$`\\]*"|[^\s'"$`\\;&|<>()~]*)(?:\s+#.*|\s*)""")
SECRET_NAME, LEAST_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS"), 8  # shorter values stand in innocent words too
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux's counts on while the machine sleeps, as a provider does


class Refused(Exception):
    """Something the user can mend. `hint` is the next thing to type."""

    def __init__(self, message, hint):
        super().__init__(f"{message}\n  Try: {hint}")


def clock():
    """Return seconds that no change of the date moves."""
    return time.clock_gettime(CLOCK)


# --- the files of a job ----------------------------------------------------------------------------------------------------------

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


# --- the keeper of a stage -------------------------------------------------------------------------------------------------------

def read_env(path):
    """Return {name: value} as `set -a; . ./.env` sets them. Raises Refused, naming the line but never what stands in it."""
    if not path.exists():
        return {}
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Refused(f"{path}: mode {mode:o}: others can read your secrets.", f"chmod 600 '{path}'")
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        found = ENV_LINE.fullmatch(line)
        if found:
            values[found[1]] = found[2][1:-1] if found[2][:1] in ("'", '"') else found[2]
        elif line.strip() and not line.lstrip().startswith("#"):
            raise Refused(f"{path}:{number}: expected NAME=value; variables and commands are not expanded here.",
                          "put the value in 'single quotes'")
    return values


def keep(folder, name):
    """Run one stage and return its exit status. This process and all of the stage are one process group, and end together."""
    asked = []
    for number in ENDING:
        signal.signal(number, lambda *_: asked.append(True))
    lock = held(folder / "stage.lock")
    if lock is None:
        raise Refused(f"{folder.name}: a stage is running.", f"python scripts/remote_job.py {folder.name} --status")
    job, log = read_job(folder), Log(folder)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **read_env(REPO / ".env")}
    secrets = {value.encode(): f"[{key}]".encode() for key, value in environment.items()
               if SECRET_NAME.search(key) and len(value) >= LEAST_SECRET}
    argv = next(stage["argv"] for stage in job["stages"] if stage["name"] == name)
    output, its_end = os.pipe()
    try:  # should this process be killed, the stage still holds the lock, and its words find a reader: a broken pipe would end it unsaved
        stage = subprocess.Popen(argv, cwd=REPO, env=environment, stdin=subprocess.DEVNULL, stdout=its_end, stderr=its_end,
                                 pass_fds=[lock.fileno(), output])
    except OSError as error:
        log.add(f"{argv[0]}: {error.strerror}\n".encode())
        return NOT_FOUND
    watch(stage, output, job["grace_s"], asked, lambda data: log.add(without(secrets, data)))
    return stage.returncode if stage.returncode >= 0 else 128 - stage.returncode


def without(secrets, data):
    """Return `data` with names in place of the secrets."""
    for value, name in secrets.items():
        data = data.replace(value, name)
    return data


def watch(stage, output, grace_s, asked, take):
    """Hand a stage's output to `take`, by whole lines where it can be, until it ends; end it when asked to or left alone."""
    supervisor = sys.stdin.fileno()  # at its end when the supervisor is
    watched, line, asked_s = [output, supervisor], b"", None
    while stage.poll() is None:
        ready = select.select(watched, [], [], TICK_S)[0]
        if output in ready:
            line += os.read(output, WAITING_BYTES)
        whole = max(line.rfind(b"\n"), line.rfind(b"\r")) + 1 if output in ready and len(line) < WAITING_BYTES else len(line)
        take(line[:whole])
        line = line[whole:]
        if supervisor in ready:
            watched.remove(supervisor)
            asked.append(True)
        if asked and asked_s is None:
            asked_s = clock()
            os.killpg(0, signal.SIGTERM)
        if asked_s is not None and clock() - asked_s > grace_s:
            os.killpg(0, signal.SIGKILL)
    os.set_blocking(output, False)
    with contextlib.suppress(BlockingIOError):
        line += os.read(output, 2**20)  # more than a pipe holds
    take(line)
    if supervisor not in watched:
        os.killpg(0, signal.SIGKILL)


# --- the supervisor --------------------------------------------------------------------------------------------------------------

class Supervisor:
    """One start of a job. `status` is what status.json holds."""

    def __init__(self, folder):
        path, now = folder / "status.json", time.time()
        before = read_object(path) if path.exists() else {}
        self.folder, self.log, self.job, self.asked, self.trouble = folder, Log(folder), {}, False, None
        # Since a job that had ended: nobody waited for it, and the machine may have been stopped. A gap in a running one counts.
        idle_s = max(0, now - before["updated_at"]) if before.get("state", "running") != "running" else 0
        self.status = {"run": folder.name, "state": "running", "stage": None, "done": before.get("done", []), "exit_status": None,
                       "message": "", "pid": os.getpid(), "boot": before.get("boot", 0) + 1, "began_at": before.get("began_at", now),
                       "idle_s": round(before.get("idle_s", 0) + idle_s, 1)}
        self.started_s, self.beaten_s = clock(), 0
        # The later one: the date may have been set back.
        self.spent_before_s = max(before.get("spent_s", 0), now - self.status["began_at"] - self.status["idle_s"])

    def spent_s(self):
        """Return the seconds from the first start to now or to the job's end, with those between a kill and the next start: all billed."""
        return self.spent_before_s + clock() - self.started_s

    def account(self):
        """Return what was spent, in words."""
        limit, price = limit_s(self.job), self.job["usd_per_hour"]
        money = f", ${self.spent_s() / 3600 * price:.2f} at ${price:.2f} an hour" if price else ""
        return f"{self.spent_s():,.0f} s{f' of {limit:,.0f} s' if limit < float('inf') else ''}{money}"

    def beat(self):
        """Write status.json, whole or not at all. A full disk must not end the stage that may be saving: the next beat tries again."""
        self.beaten_s, spent, price = clock(), self.spent_s(), self.job.get("usd_per_hour")
        self.status.update(updated_at=round(time.time(), 1), spent_s=round(spent, 1), spent_usd=price and round(spent / 3600 * price, 4))
        path = self.folder / "status.json"
        try:
            with open(f"{path}.part", "w", encoding="utf-8") as handle:
                handle.write(json.dumps(self.status, indent=1) + "\n")
                handle.flush()
                os.fsync(handle.fileno())  # after a power cut the next start finds the old or the new one, and never half of it
            os.replace(handle.name, path)
        except OSError as error:
            self.trouble = error
        else:
            if self.trouble:
                self.log.say(f"status.json could not be written for a while: {self.trouble}")
            self.trouble = None

    def tick(self):
        """Wait a moment; beat when it is time."""
        if clock() - self.beaten_s >= BEAT_S:
            self.beat()
        time.sleep(TICK_S)

    def why_end(self):
        """Return the state that the job must end in now, None when it may go on."""
        return "cancelled" if self.asked else "spent" if self.spent_s() >= limit_s(self.job) else None

    def end(self, state, message, exit_status=None):
        """Note how the job ended, and return the exit status of this script."""
        self.status.update(state=state, stage=None, message=message, exit_status=exit_status)
        self.beat()
        self.log.say(f"job {state}: {message}")
        return EXITS[state]

    def work(self):
        """Run what is left of the job, then stop the machine where job.json says so. Returns the exit status of this script."""
        for number in ENDING:
            signal.signal(number, lambda *_: setattr(self, "asked", True))
        try:
            self.job = read_job(self.folder)
            exit_status = self.run_stages()
        except Refused as error:
            exit_status = self.end("failed", str(error))
        if self.job.get("stop_argv"):
            self.stop_machine()
        return exit_status

    def run_stages(self):
        """Run the stages that are not done, and the setup again with them; note how the job ended and return our exit status."""
        done = self.status["done"]
        left = [stage["name"] for stage in self.job["stages"] if stage["name"] not in done]
        if left and "setup" in done:
            left.insert(0, "setup")  # quick when nothing has changed; and the machine may be another one with the same volume
        for name in left:
            exit_status, said = self.run_stage(name)
            if exit_status == 0:
                self.status["done"] = done = [*(stage for stage in done if stage != name), name]
            elif self.why_end():
                how = {None: "was not started", INTERRUPTED: "saved and ended", KILLED: "was killed"}
                return self.end(self.why_end(), f"{name} {how.get(exit_status, f'ended: {exit_status}')}; {self.account()}", exit_status)
            else:
                return self.end("failed", f"{name} ended with {exit_status}: {said or 'it said nothing'}", exit_status)
        return self.end("finished", self.account(), 0)

    def run_stage(self, name):
        """Return (exit status, last lines) of a stage, None for both when it may not start. An interrupted one is started again."""
        for _ in range(1 + RESTARTS):
            self.wait_for_the_last()
            if self.why_end():
                return None, None
            with contextlib.suppress(FileNotFoundError):
                (self.folder / "fetched").unlink()  # it is not all any more
            self.status["stage"] = name
            self.beat()
            self.log.say(f"{name}: starts; {self.account()}")
            started_s, exit_status = clock(), self.await_keeper(name)
            said = self.log.last_lines()
            self.log.say(f"{name}: ended with {exit_status} after {clock() - started_s:,.0f} s")
            if exit_status != INTERRUPTED or self.why_end():
                break
        return exit_status, said

    def await_keeper(self, name):
        """Start a stage's keeper and return its exit status; have it end the stage when the job must end."""
        command, asked_s = [sys.executable, str(Path(__file__).resolve()), self.folder.name, "--stage", name], None
        keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True)
        while keeper.poll() is None:
            if asked_s is None and self.why_end():
                asked_s = clock()
                self.log.say(f"{name}: {self.why_end()}: asked to save and end within {self.job['grace_s']:,.0f} s")
                keeper.terminate()
            if asked_s is not None and clock() - asked_s > self.job["grace_s"] + SPARE_S:  # it hangs, as on a disk that went away
                signal_to(keeper.pid, signal.SIGKILL)
            self.tick()
        keeper.stdin.close()
        signal_to(keeper.pid, signal.SIGKILL)  # what the stage left behind
        return keeper.returncode if keeper.returncode >= 0 else 128 - keeper.returncode

    def wait_for_the_last(self):
        """Return when no stage of a supervisor that was killed runs any more: its keeper has it save and end. Raises Refused."""
        path = self.folder / "stage.lock"
        for number, wait_s in ((0, 0), (signal.SIGTERM, self.job["grace_s"] + SPARE_S), (signal.SIGKILL, SPARE_S)):
            until = clock() + wait_s
            if number:  # whoever holds the lock belongs to the group of the keeper whose pid is in it
                self.log.say(f"a stage of a supervisor that was killed is still there: {number.name}, and {wait_s:,.0f} s to end")
                signal_to(int(path.read_text() or 0), number)
            while True:
                lock = held(path)
                if lock:
                    return lock.close()
                if clock() >= until:
                    break
                self.tick()
        raise Refused(f"{path}: a process of an earlier stage holds it and does not end.", f"fuser -v '{path}'")

    def stop_machine(self):
        """Run stop_argv, unless the Mac has fetched everything before or a signal says not to."""
        fetched, tries, until, self.asked = self.folder / "fetched", STOP_TRIES, clock() + self.job["stop_wait_s"], False
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # without tmux the machine costs as much
        self.log.say(f"this machine stops in {self.job['stop_wait_s']:,.0f} s if nothing is fetched. To keep it: touch '{fetched}'")
        while tries and not self.asked and not fetched.exists():
            if clock() >= until:
                tries, until = tries - 1, clock() + STOP_RETRY_S
                if self.stopped():
                    return
            self.tick()
        why = "everything is fetched" if fetched.exists() else "it was asked to" if self.asked else "it cannot stop itself"
        self.log.say(f"this machine goes on running: {why}")

    def stopped(self):
        """Run stop_argv and return whether it succeeded."""
        try:
            exit_status = subprocess.call(self.job["stop_argv"], stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=STOP_RETRY_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            exit_status = error
        self.log.say(f"stopping this machine ended with {exit_status}")
        return exit_status == 0


def supervise(folder):
    """Run a job, alone; return the exit status."""
    lock = held(folder / "job.lock")
    if lock is None:
        raise Refused(f"{folder.name}: another supervisor runs this job.", f"python scripts/remote_job.py {folder.name} --status")
    try:
        supervisor = Supervisor(folder)
    except Refused as error:
        Log(folder).say(str(error))  # tmux takes what is said on the terminal with it
        raise
    if sys.stdout.isatty():  # whatever happens to the terminal happens to tail
        subprocess.Popen(["tail", f"--pid={os.getpid()}", "-n", "20", "-F", supervisor.log.path], stderr=subprocess.DEVNULL)
    with open(supervisor.log.path, "ab") as log:  # where a traceback, ours or a keeper's, outlives the terminal
        os.dup2(log.fileno(), sys.stderr.fileno())
    return supervisor.work()


# --- by hand on the box ----------------------------------------------------------------------------------------------------------

def show(folder):
    """Print status.json in words; return the exit status."""
    path = folder / "status.json"
    if not path.exists():
        raise Refused(f"{folder.name}: was not started yet.", f"python scripts/remote_job.py {folder.name}   # inside tmux")
    s = read_object(path)
    money = f", ${s['spent_usd']:.2f}" if s["spent_usd"] is not None else ""
    print(f"{s['run']}: {s['state']}{', in stage ' + s['stage'] if s['stage'] else ''}; done: {', '.join(s['done']) or 'nothing yet'}\n"
          f"  {s['spent_s'] / 3600:.2f} h{money} since the first of {s['boot']} starts")
    if s["state"] == "running":
        print(f"  pid {s['pid']}, last heartbeat {time.time() - s['updated_at']:.0f} s ago (a minute or more: killed, or the disk is full)")
    if s["message"]:
        print(f"  {s['message']}")
    print(f"  To look: tail -F '{folder / 'job.log'}'")
    return 0


def cancel(folder):
    """Ask the supervisor to save and end; return the exit status."""
    path = folder / "job.lock"
    if held(path):
        raise Refused(f"{folder.name}: no supervisor runs this job.", f"python scripts/remote_job.py {folder.name} --status")
    pid = path.read_text()
    if not pid:
        raise Refused(f"{path}: the disk was full when the supervisor started, so its pid is not known.", f"fuser -k -TERM '{path}'")
    os.kill(int(pid), signal.SIGTERM)
    print(f"{folder.name}: asked to save and end. To look: tail -F '{folder / 'job.log'}'")
    return 0


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", metavar="RUN", help="name of the job")
    action = p.add_mutually_exclusive_group()
    action.add_argument("--status", action="store_true", help="print where the job is")
    action.add_argument("--cancel", action="store_true", help="have it save and end")
    action.add_argument("--stage", metavar="NAME", help="run one stage; the supervisor calls this")
    args = p.parse_args(argv)
    try:
        folder = job_folder(args.run)
        if args.stage:
            return keep(folder, args.stage)
        return (show if args.status else cancel if args.cancel else supervise)(folder)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
