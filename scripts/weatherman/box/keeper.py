"""The keeper of a stage: stands between the supervisor and what it runs, so that nothing that costs money goes on unwatched."""
import contextlib
import os
import re
import select
import signal
import subprocess
import sys

from weatherman.box.job_files import ENDING, NOT_FOUND, REPO, TICK_S, WAITING_BYTES, Log, Refused, clock, held, read_job

# What sh and this script read alike: a bare word without anything sh acts on, or quotes around text that it does not expand.
ENV_LINE = re.compile(r"""\s*(?:export\s+)?([A-Za-z_]\w*)=('[^']*'|"[^"$`\\]*"|[^\s'"$`\\;&|<>()~]*)(?:\s+#.*|\s*)""")
SECRET_NAME, LEAST_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS"), 8  # shorter values stand in innocent words too


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
