"""The supervisor of a job: runs its stages, and ends them with a saved checkpoint when the time or the money is spent."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from weatherman.box.job_files import (
    ENDING,
    INTERRUPTED,
    KILLED,
    SCRIPT,
    TICK_S,
    Log,
    Refused,
    clock,
    held,
    limit_s,
    read_job,
    read_object,
    signal_to,
)

BEAT_S = 2                   # between two heartbeats in status.json
SPARE_S = 5                  # for a keeper that is late with what it does after grace_s
STOP_TRIES, STOP_RETRY_S = 10, 60
RESTARTS = 3                 # of a stage that ends as interrupted, and not by us
EXITS = {"finished": 0, "failed": 1, "spent": INTERRUPTED, "cancelled": INTERRUPTED}


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
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a lost terminal, or tmux server: what was started here is to outlive them
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
        command, asked_s = [sys.executable, str(SCRIPT), self.folder.name, "--stage", name], None
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
