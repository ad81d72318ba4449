"""The Mac of a run that one walks away from: a repository with every script, a box behind a real sshd, and ways to kill what runs there."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import loopback
from loopback import REPO, needs_sshd, tree

needs_tmux = [needs_sshd, pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux: apt-get install -y tmux")]
SECRETS = {"HF_TOKEN": "hf_toy0123456789secret", "WANDB_API_KEY": "wandb0123456789secret"}


class Mac:
    """The repository that remote_run.py is started in, and the box it reaches. `job`, `there`, `here`: folders of the run `name`."""

    def __init__(self, box, name="toy.run"):
        self.box, self.name, self.processes = box, name, []
        self.job, self.there, self.here = box.far / "adapters/jobs" / name, box.far / "adapters" / name, box.repo / "adapters" / name

    def start(self, *arguments):
        env = {**os.environ, "WEATHERMAN_BASE_DIR": "", "TMPDIR": str(self.box.tmp)}
        command = [sys.executable, self.box.repo / "scripts/remote_run.py", "gpu", "--run", self.name, *map(str, arguments)]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                                   preexec_fn=hears_ctrl_c)
        self.processes.append(process)
        return process

    def run(self, *arguments):
        """Return (exit status, stdout, stderr)."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def status(self):
        return json.loads((self.job / "status.json").read_text())

    def steps(self):
        """Return how many lines the trainer there has written to metrics.jsonl."""
        path = self.there / "metrics.jsonl"
        return len(path.read_bytes().splitlines()) if path.exists() else 0

    def same(self):
        """True when the run folder is the same here and there, file by file, and holds something."""
        return bool(tree(self.here)) and tree(self.here) == tree(self.there)

    # --- what happens to rented machines ---

    def kill_supervisor(self):
        os.kill(self.status()["pid"], signal.SIGKILL)

    def power_cut(self):
        """Kill the tmux server, the supervisor, the keeper of the stage and the stage; none of them is asked."""
        keeper = int((self.job / "stage.lock").read_text())
        assert self.end_tmux(signal.SIGKILL)
        for end, pid in ((os.kill, self.status()["pid"]), (os.killpg, keeper)):
            with contextlib.suppress(ProcessLookupError):
                end(pid, signal.SIGKILL)

    def hang_up(self):
        """End the tmux server in order: what runs in it gets SIGHUP."""
        assert self.end_tmux(signal.SIGTERM)

    def end_tmux(self, number):
        """Send a signal to the tmux server of the box; return whether there is one."""
        environment = {**os.environ, "TMUX_TMPDIR": str(self.box.tmp / "tmux")}
        found = subprocess.run(["tmux", "-L", "weatherman", "display-message", "-p", "#{pid}"], env=environment, capture_output=True)
        if found.returncode == 0:
            os.kill(int(found.stdout), number)
        return found.returncode == 0

    def end(self):
        """End all that is left of a test."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                print(process.communicate()[1])  # pytest shows it where a test failed
        self.end_tmux(signal.SIGKILL)
        for path in (self.job / "job.lock", self.job / "stage.lock"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                os.killpg(int(path.read_text()), signal.SIGKILL)


def hears_ctrl_c():
    """A shell has its background jobs ignore SIGINT, and so would these tests when they are one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def mac(box):
    """A Mac with all scripts and configurations, and a box on which tmux has a socket folder of its own. A second costs a cent."""
    for part in ("scripts", "configs"):
        shutil.copytree(REPO / part, box.repo / part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("hosts.yaml", "known_hosts"))
    box.configure(setup="cpu", usd_per_hour=36.0)
    (box.tmp / "tmux").mkdir()
    box.hook.write_text(f"export TMUX_TMPDIR='{box.tmp}/tmux'\n")
    mac = Mac(box)
    yield mac
    mac.end()


def wait_for(check):
    """Return the first true value of `check()`: a loaded machine may take its time."""
    return loopback.wait_for(check, seconds=90)
