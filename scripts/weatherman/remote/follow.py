"""Follow a job on another machine until it ends, however often the link breaks: show what it does, fetch every finished checkpoint."""
import functools
import re
import sys
import time

from weatherman.cli import UserError, log
from weatherman.remote import job
from weatherman.remote.inventory import printable
from weatherman.remote.outcome import minutes

FIRST_POLL_S, POLL_S = 0.5, 4  # the pause between two looks grows from one to the other while nothing happens
LONGEST_WAIT_S = 60   # between two tries to reach a machine that does not answer
START_S = 20          # a supervisor that was just started may take so long to write its first status
AFTER_LIMIT_S = 900   # beyond its limit and grace a job is over, whether the machine answers or not
FETCH_TRIES = 2       # in which nothing more arrives of what is left when the job has ended
STARTS = 5            # of a supervisor that dies again and again, before a person must look
PROGRESS = re.compile(r"step (\d+)/(\d+)  (.*)")


class Screen:
    """Shows the lines of a job: its progress as one moving line on a terminal, elsewhere line by line."""

    def __init__(self):
        self.bar, self.rest, self.spent, self.said = None, b"", "", None

    def line(self, text):
        """Print a line above the moving one."""
        if self.bar is not None:
            self.bar.clear()
        log(text)

    def once(self, text):
        """Print a line unless this method printed the same last time."""
        if text != self.said:
            self.line(text)
        self.said = text

    def money(self, look):
        """Take in what was spent, for the lines of progress."""
        spent = look.status and look.status["spent_usd"]
        budget = f" of ${look.job['budget_usd']:.2f}" if look.job["budget_usd"] else ""
        self.spent = "" if spent is None else f"${spent:.2f}{budget} spent"

    def output(self, data):
        """Show bytes of job.log: whole lines; of a line that was overwritten, what stood there last."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for raw in lines:
            text = printable(raw.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")).rstrip()
            progress = PROGRESS.fullmatch(text)
            if progress and sys.stderr.isatty():
                self._move(int(progress[1]), int(progress[2]), progress[3])
            elif text:
                self.line(f"{text}  {self.spent}" if progress else text)

    def _move(self, step, steps, words):
        if self.bar is None or self.bar.total != steps or step < self.bar.n:  # of another start of the run
            from tqdm import tqdm
            self.close()
            self.bar = tqdm(total=steps, desc="training", unit="step", file=sys.stderr, leave=False, dynamic_ncols=True,
                            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt}  {postfix}")
        self.bar.set_postfix_str("  ".join(filter(None, (words, self.spent))), refresh=False)
        self.bar.update(step - self.bar.n)
        self.bar.refresh()

    def close(self):
        """End the moving line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def until_answered(work, screen, deadline=None):
    """Return work(), which raises UserError while the machine cannot be reached; say so once, and try again with growing waits.

    deadline: by time.monotonic(), when the job is over in any case; None where it has no limit. Raises UserError after it.
    """
    wait_s, lost_at = 1, None
    while True:
        try:
            found = work()
        except UserError as error:
            if not job.will_pass(error):
                raise
            if lost_at is None:
                lost_at = time.monotonic()
                screen.line(f"{error}\n  The run goes on there. Trying again until it answers; Ctrl-C leaves it running.")
            if deadline is not None and time.monotonic() > deadline:
                raise UserError(f"no answer for {minutes(time.monotonic() - lost_at)}, and its limit has passed: what ran there has ended.",
                                "your provider's page: is the machine still there, and still paid for? Then the same command") from None
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            continue
        if lost_at is not None:
            screen.line(f"reached again after {minutes(time.monotonic() - lost_at)}")
        return found


class Supervisor:
    """Starts the supervisor there again when it is gone. One that lives holds its job's lock, so a start too many does nothing."""

    def __init__(self, far, run, screen, boots):
        self.far, self.run, self.screen, self.starts = far, run, screen, 0
        self.boots, self.started_at = boots, time.monotonic()  # before the last start from here; None where there was none

    def awaited(self, look):
        """True while status.json is still that of an earlier start."""
        return self.boots is not None and boots_of(look) <= self.boots

    def revive(self, look):
        """Start it, unless it was started a moment ago and has not said so yet. Raises UserError when it has died too often."""
        if self.awaited(look) and time.monotonic() - self.started_at < START_S:
            return
        if self.starts == STARTS:
            raise UserError(f"{self.far.host}: the job's supervisor was started {STARTS} times, and is gone again.",
                            f"look there: tail -n 50 {job.JOBS}/{self.run}/job.log")
        self.screen.line("the job's supervisor is gone (killed, a reboot, or a lost tmux server): starting it again, the job goes on")
        job.start(self.far, self.run)
        self.starts, self.started_at, self.boots = self.starts + 1, time.monotonic(), boots_of(look)


def boots_of(look):
    """Return how often the supervisor of a job was started."""
    return look.status["boot"] if look.status else 0


def follow(far, results, screen, boots=None):
    """Show a job and fetch its checkpoints until it has ended; return the last Look at it.

    results: its fetch.Results; boots: where the supervisor was started just now, how often it was before; its status.json may still be
    that of the start before. Raises UserError when the job is not there any more.
    """
    run, log_from, deadline, pause_s = results.run, -1, None, FIRST_POLL_S
    supervisor = Supervisor(far, run, screen, boots)
    while True:
        look = until_answered(functools.partial(job.look_at_job, far, run, log_from), screen, deadline)
        if look.job is None:
            raise UserError(f"{far.host}: the job is not there any more ({job.JOBS}/{run}/job.json).",
                            "the same command again: it begins anew, from the checkpoints that are here")
        screen.money(look)
        screen.output(look.log)
        log_from = look.log_from + len(look.log)
        gone = look.lost or supervisor.awaited(look)
        if look.ended and not gone and not look.log:
            return look
        until_answered(functools.partial(supervisor.revive, look) if gone else functools.partial(fetch_new, results, look, screen),
                       screen, deadline)
        deadline = _deadline(look)
        pause_s = FIRST_POLL_S if look.log else min(2 * pause_s, POLL_S)
        time.sleep(pause_s)


def fetch_new(results, look, screen):
    """Fetch the finished checkpoints that are not here yet. What goes wrong is said; the next look tries again."""
    try:
        for name in results.checkpoints(look.sealed):
            screen.line(f"{name} is here, verified")
    except UserError as error:
        screen.once(f"a checkpoint could not be fetched, trying again: {error}")


def bring_home(far, results, screen):
    """Fetch all that a job which has ended left; return (the last Look at it, files, bytes) of the run folder, equal on both sides.

    Goes on while anything arrives, and while the link is to blame; else raises the UserError of the last try.
    """
    failures, stored = 0, None
    while True:
        look = until_answered(functools.partial(job.look_at_job, far, results.run), screen)
        try:
            return look, *results.everything(look.sealed)
        except UserError as error:
            before, stored = stored, results.stored_bytes()
            failures = 0 if job.will_pass(error) or stored != before else failures + 1
            if failures == FETCH_TRIES:
                raise
            screen.once(f"not everything is here yet, trying again: {error}")
            time.sleep(1)


def _deadline(look):
    limit = job.limit_s(look.job)
    if limit is None or look.status is None:
        return None
    return time.monotonic() + limit - look.status["spent_s"] + look.job["grace_s"] + AFTER_LIMIT_S
