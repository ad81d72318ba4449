"""A training job on another machine, seen from here: what is there, what to start, how to end it. scripts/remote_job.py is its own side.

Nothing is kept here that could go stale: every question is answered by the job folder there, adapters/jobs/RUN/.
"""
import json
import re
import shlex
from dataclasses import dataclass

from weatherman.cli import UserError
from weatherman.remote.far_files import CANNOT_WRITE, NO_FOLDER
from weatherman.remote.layers import ReachError
from weatherman.remote.ssh import far_path, far_sh

JOBS = "adapters/jobs"
TMUX_SERVER = "weatherman"  # of its own, so that nothing of ours appears among the user's sessions
ANSWER_TIMEOUT_S = 60       # a link that is dead one way shows no other sign
HEARTBEAT_S = 60            # the supervisor writes status.json at least every 5 s: after so long it is dead, or its disk is full
LOG_TAIL_BYTES, LOG_PART_BYTES = 3000, 500_000  # of job.log: shown at first, and moved at once
SETUP_FLAGS = {"auto": [], "venv": ["--venv"], "cpu": ["--cpu"]}
# A supervisor that was killed after train.py and before it noted so trains again, and train.py refuses to do a finished run twice.
UNLESS_FINISHED = 'test -f "$0" || exec "$@"'


@dataclass(frozen=True)
class Look:
    """What one look at a job has found. `job`, `status`: the files of its folder, None where there is none that can be read.

    cancel_asked: somebody wants it ended; fetched: everything is here since it ended; run: "begun", "finished" or None, as train.py left
    adapters/RUN; sealed: names of its finished checkpoints; now: seconds, its clock; token: HF_TOKEN stands in its .env; models: names
    below models/; log: what job.log holds from byte `log_from` on.
    """

    job: dict | None
    status: dict | None
    pid_lives: bool
    cancel_asked: bool
    fetched: bool
    run: str | None
    sealed: tuple
    now: float
    token: bool
    models: tuple
    log_from: int
    log: bytes

    @property
    def running(self):
        """True when the supervisor is at work."""
        return self.job is not None and self.status is not None and self.status["state"] == "running" and not self.lost

    @property
    def ended(self):
        """True when the supervisor has ended the job, one way or another.

        A supervisor that got a signal says "cancelled" too, but a reboot or a lost terminal is nobody's wish: that job is lost.
        """
        return self.job is not None and self.status is not None and self.status["state"] != "running" and not self._signalled

    @property
    def _signalled(self):
        return self.status["state"] == "cancelled" and not self.cancel_asked

    @property
    def lost(self):
        """True when the supervisor is gone and has not ended the job: killed, a reboot, a tmux server that died."""
        if self.job is None or self.ended:
            return False
        return self.status is None or self._signalled or not self.pid_lives or self.now - self.status["updated_at"] > HEARTBEAT_S


LOOK = """
printf '\\0' # what the far shell prints by itself before this is no part of the first answer
put() { printf '%s=%s\\0' "$1" "$2"; }
put now "$(date +%s)"
CDPATH= cd -- "$folder" 2>/dev/null || exit 0
put job "$(cat "$jobs/job.json" 2>/dev/null)"
put status "$(cat "$jobs/status.json" 2>/dev/null)"
pid=$(sed -n 's/.*"pid": *\\([0-9][0-9]*\\).*/\\1/p' "$jobs/status.json" 2>/dev/null | head -n 1)
if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then put pid_lives 1
elif [ -n "$pid" ]; then # df knows nothing of a quota
  if ! head -c 65536 /dev/zero 2>/dev/null > "$jobs/trial.part"; then put full 1; fi
  rm -f "$jobs/trial.part"
fi
for marker in cancel fetched; do if [ -f "$jobs/$marker" ]; then put "$marker" 1; fi; done
if [ -f "$run/run.json" ]; then put run finished; elif [ -f "$run/started.json" ]; then put run begun; fi
for seal in "$run"/checkpoints/checkpoint-*/checkpoint.manifest.json; do
  if [ -f "$seal" ]; then put sealed "$(basename "$(dirname "$seal")")"; fi
done
if grep -Eq '^ *(export +)?HF_TOKEN=["'"'"']?[^"'"'"' #]' .env 2>/dev/null; then put token 1; fi
for model in models/*/config.json; do
  if [ -f "$model" ]; then put model "$(basename "$(dirname "$model")")"; fi
done
size=0
if [ -f "$jobs/job.log" ]; then size=$(($(wc -c < "$jobs/job.log"))); fi
if [ "$from" -gt "$size" ]; then from=0; fi # it became job.log.1
if [ "$from" -lt 0 ]; then from=$((size > tail_bytes ? size - tail_bytes : 0)); fi
put log_from "$from"
printf 'log='
if [ "$size" -gt "$from" ]; then tail -c "+$((from + 1))" "$jobs/job.log" | head -c "$part_bytes"; fi
"""


def look_at_job(far, run, log_from=-1):
    """Return the Look at a job. log_from: where job.log is read from, -1 for the end of it."""
    given = {"folder": far.host.folder, "jobs": f"{JOBS}/{run}", "run": f"adapters/{run}", "from": log_from,
             "tail_bytes": LOG_TAIL_BYTES, "part_bytes": LOG_PART_BYTES}
    script = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in given.items()) + LOOK
    exit_status, output, stderr = far_sh(far, script, ANSWER_TIMEOUT_S)
    head, _, log = output.partition(b"\0log=")
    found = {}
    for field in head.decode("utf-8", "replace").split("\0"):
        name, _, value = field.partition("=")
        if value:
            found.setdefault(name, []).append(value)
    if exit_status or "now" not in found:
        raise UserError(f"{far.host}: its shell does not answer as expected (status {exit_status}): {stderr.strip()[-300:]}",
                        f"python scripts/check_host.py {far.host.alias}")
    status = _json(found.get("status"))
    if "full" in found and status["state"] == "running":
        status |= {"state": "failed", "message": f"the disk of {far.host.alias} is full; not even how the job ended could be written"}
    sealed = tuple(name for name in found.get("sealed", []) if re.fullmatch(r"checkpoint-\d+", name))
    return Look(_json(found.get("job")), status, "pid_lives" in found, "cancel" in found,
                "fetched" in found, found.get("run", [None])[0], sealed, float(found["now"][0]), "token" in found,
                tuple(found.get("model", [])), int(found.get("log_from", ["0"])[0]), log)


def will_pass(error):
    """True for an error of the link that waiting may mend; a key that is not the right one is mended by a person."""
    return isinstance(error, ReachError) and error.layer not in ("host key", "authentication")


def _json(texts):
    """Return the value, None for a file that is absent or, after a power cut, empty or cut off."""
    try:
        return json.loads(texts[0]) if texts else None
    except json.JSONDecodeError:
        return None


# --- what the job is ----------------------------------------------------------------------------------------------------

def stages(host, run, model, training_flags, evaluate):
    """Return the stages of job.json: set up, download, train, and evaluate where there is a test set."""
    python = ".venv-cpu/bin/python" if host.setup == "cpu" else ".venv-remote/bin/python"
    train = [python, "scripts/train.py", "--run", run, *training_flags]
    found = {"setup": ["bash", "setup_remote.sh", *SETUP_FLAGS[host.setup]],
             "download": [python, "scripts/download_model.py", model],
             "train": ["sh", "-c", UNLESS_FINISHED, f"adapters/{run}/run.json", *train]}
    if evaluate:
        found["evaluate"] = [python, "scripts/eval_model.py", run]
    return [{"name": name, "argv": argv} for name, argv in found.items()]


def differences(before, after):
    """Return lines that name the stages in which two jobs do other work. How the environment is made does not count."""
    was, now = ({stage["name"]: shlex.join(stage["argv"]) for stage in job["stages"] if stage["name"] != "setup"}
                for job in (before, after))
    return [f"  {name}: {was.get(name)}\n  {'':>{len(name)}}  -> {now.get(name)}" for name in was | now if was.get(name) != now.get(name)]


def limit_s(job):
    """Return the seconds after which the box ends a job, counted from its first start; None where nothing ends it."""
    limits = [job["limit_s"]] if job.get("limit_s") else []
    if job.get("budget_usd") and job.get("usd_per_hour"):
        limits.append(job["budget_usd"] / job["usd_per_hour"] * 3600)
    return min(limits, default=None)


def limits_in_words(job):
    """Return "ends after 3 hours or 5.00 USD" for what of a job.json ends the job."""
    found = [f"{job['limit_s'] / 3600:g} hours"] if job.get("limit_s") else []
    found += [f"{job['budget_usd']:.2f} USD"] if job.get("budget_usd") else []
    return f"ends after {' or '.join(found)}" if found else "without a limit"


# --- to start it, and to end it -----------------------------------------------------------------------------------------

def write_job(far, job):
    """Write job.json there, whole or not at all; what was fetched before is not all any more. Raises UserError when it does not fit."""
    text = json.dumps(job, indent=1)
    script = (f'mkdir -p -- "$jobs" && cd -- "$jobs" && rm -f cancel fetched && printf "%s\\n" {shlex.quote(text)} > job.json.part '
              f"&& mv -f job.json.part job.json || exit {CANNOT_WRITE}\n")
    status, _, stderr = far_sh(far, f"jobs={far_path(far.host, JOBS, job['run'])}\n{script}", ANSWER_TIMEOUT_S)
    if status:
        raise UserError(f"{far.host}: the job cannot be written there: {stderr.strip()[-300:] or f'status {status}'}",
                        "free some space on that disk, then the same command again")


def start(far, run):
    """Start the supervisor in tmux there. One that runs already holds the job's lock and stays alone."""
    session = re.sub(r"[^A-Za-z0-9_-]", "_", run)  # tmux takes . and : for separators
    quota = ["env", f"VOLUME_QUOTA_GB={far.host.volume_gb:g}"] if far.host.volume_gb else []
    command = shlex.join(["tmux", "-L", TMUX_SERVER, "new-session", "-d", "-s", session, *quota, "python3", "scripts/remote_job.py", run])
    status, _, stderr = far_sh(far, f"CDPATH= cd -- {far_path(far.host)} || exit {NO_FOLDER}\n{command}\n", ANSWER_TIMEOUT_S)
    if status and "duplicate session" not in stderr:
        raise UserError(f"{far.host}: tmux did not start (status {status}): {stderr.strip()[-300:]}",
                        f"ssh -p {far.host.port} {far.host.user}@{far.host.host} tmux -L {TMUX_SERVER} new-session -d   # what it says")


def ask_to_end(far, look):
    """Send SIGTERM to the supervisor: it has the trainer save a checkpoint, and ends the job as "cancelled"."""
    marker = far_path(far.host, JOBS, look.status["run"], "cancel")
    far_sh(far, f": > {marker}; kill -TERM {int(look.status['pid'])}\n", ANSWER_TIMEOUT_S)


def mark_fetched(far, run):
    """Write the marker that tells the box that everything is here, so that it need not stop itself."""
    far_sh(far, f": > {far_path(far.host, JOBS, run, 'fetched')}\n", ANSWER_TIMEOUT_S)
