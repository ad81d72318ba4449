"""setup_local.sh and setup_remote.sh: which Python they take, what they refuse, and that a killed setup is mended by the next."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paths import REPO_DIR

pytestmark = pytest.mark.machine

BASH = shutil.which("bash")
WORKS = f'exec "{sys.executable}" "$@"'
SHIM = "echo 'pyenv: python3.10: command not found' >&2; exit 127"


def fake(folder, name, script):
    path = Path(folder, name)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def project(tmp_path):
    """Return a copy of what setup needs, without any environment."""
    folder = tmp_path / "project"
    folder.mkdir()
    for path in [*REPO_DIR.glob("setup_*.sh"), *REPO_DIR.glob("requirements-*"), REPO_DIR / "environment-remote.yml"]:
        shutil.copy(path, folder)
    for name in ("scripts", "configs"):
        shutil.copytree(REPO_DIR / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def shell(folder, script, **environment):
    """Run a script that has the shared functions at hand; PATH holds only what is given."""
    done = subprocess.run([BASH, "-c", f"set -euo pipefail; VENV=.venv-x; . scripts/setup_common.sh; {script}"], cwd=folder,
                          capture_output=True, text=True, env={"PATH": "", **environment})
    return done.returncode, done.stdout.strip(), done.stderr


def test_first_python_that_runs_is_taken(project, tmp_path):
    fake(tmp_path, "python3.10", SHIM)
    fake(tmp_path, "python3.12", WORKS)
    fake(tmp_path, "python3.13", WORKS)
    assert shell(project, 'find_python; echo "$PYTHON"', PATH=str(tmp_path)) == (0, "python3.12", "")


def test_plain_python3_is_the_last_resort(project, tmp_path):
    fake(tmp_path, "python3", WORKS)
    assert shell(project, 'find_python; echo "$PYTHON"', PATH=str(tmp_path))[1] == "python3"


def test_no_python_at_all(project, tmp_path):
    fake(tmp_path, "python3.10", SHIM)
    status, _, err = shell(project, "find_python", PATH=str(tmp_path))
    assert status == 1 and "No Python 3.10-3.13" in err and "Try:" in err


@pytest.mark.parametrize("script", [SHIM, "exit 1"])
def test_a_python_that_was_asked_for_is_not_replaced(project, tmp_path, script):
    fake(tmp_path, "python3.11", WORKS)
    asked = fake(tmp_path, "mine", script)
    status, _, err = shell(project, "find_python", PATH=str(tmp_path), PYTHON=str(asked))
    assert status == 1 and f"PYTHON={asked} does not run" in err


def test_a_stamp_holds_for_its_files_and_python_only(project, tmp_path):
    python = project / ".venv-x" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    lock = project / "requirements-local.txt"
    asks = "cat() { local line; read -r line < \"$1\"; printf '%s\\n' \"$line\"; }; "  # PATH is empty
    current = asks + 'is_current finished requirements-local.txt && echo current || echo stale'
    assert shell(project, current)[1] == "stale"  # no stamp
    shell(project, 'fingerprint requirements-local.txt > .venv-x/.finished')
    assert shell(project, current)[1] == "current"
    other = fake(tmp_path, "other", "echo Python 3.99.0")
    assert shell(project, current, PYTHON=str(other))[1] == "stale"
    lock.write_bytes(lock.read_bytes() + b"\n")
    assert shell(project, current)[1] == "stale"
    shell(project, 'fingerprint requirements-local.txt > .venv-x/.finished')
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert shell(project, current)[1] == "stale"


def run_setup(folder, script, *arguments, **environment):
    return subprocess.run([BASH, script, *arguments], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "PYTHON": sys.executable, **environment})


@pytest.mark.parametrize("script", ["setup_local.sh", "setup_remote.sh"])
def test_help_and_unknown_arguments(project, script):
    helped = run_setup(project, script, "--help")
    assert helped.returncode == 0 and "Usage:" in helped.stdout and "set -e" not in helped.stdout
    refused = run_setup(project, script, "--gpu")
    assert refused.returncode == 2 and "--gpu" in refused.stderr


@pytest.mark.parametrize("name", ["", "local", "../praw", "torch"])
def test_only_known_locks_can_be_added(project, name):
    refused = run_setup(project, "setup_local.sh", "--add", name)
    assert refused.returncode == 2 and "expected dev, praw, bench or teacher" in refused.stderr and not (project / ".venv-local").exists()


def finished_environment(project):
    """Make .venv-local look finished, so that only what is added is installed."""
    python = project / ".venv-local" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (project / "scripts/validate_environment.py").write_text("")
    shell(project, "VENV=.venv-local; fingerprint requirements-local.txt > .venv-local/.finished", PATH=os.environ["PATH"])


def test_locks_are_added_once_by_hash(project, tmp_path):
    finished_environment(project)
    fake(tmp_path, "uv", f'[ "$1" = --version ] || echo "$*" >> "{tmp_path}/called"')
    path = f"{tmp_path}:{os.environ['PATH']}"
    for arguments, added in ((["--add", "praw", "--dev"], ["praw", "dev"]), (["--dev", "--add", "bench", "--add", "praw"], ["bench"]),
                             (["--add", "dev", "--add", "praw"], [])):
        (tmp_path / "called").write_text("")
        done = run_setup(project, "setup_local.sh", *arguments, PATH=path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "called").read_text() == "".join(
            f"pip install --python .venv-local/bin/python --no-deps --require-hashes -r requirements-{name}.txt\n" for name in added)
    (project / "requirements-praw.txt").write_text("praw==1.0\n")  # another lock is another environment
    assert "installed requirements-praw.txt (1 pinned, by uv)" in run_setup(project, "setup_local.sh", "--add", "praw", PATH=path).stderr


def test_an_addition_that_fails_leaves_no_finished_environment(project, tmp_path):
    finished_environment(project)
    fake(tmp_path, "uv", '[ "$1" = --version ]')
    done = run_setup(project, "setup_local.sh", "--add", "praw", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1 and "installing requirements-praw.txt" in done.stderr
    assert not (project / ".venv-local" / ".finished").exists()


@pytest.mark.parametrize("folder", ["", "data", "../x", ".venv/../data", "/tmp"])
def test_only_an_environment_is_ever_replaced(project, folder):
    (project / "data").mkdir()
    (project / "data" / "mine").write_text("kept")
    assert run_setup(project, "setup_local.sh", "--into", folder).returncode == 2
    assert (project / "data" / "mine").read_text() == "kept"


def tools_without_conda(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("dirname", "cat", "rm"):
        (folder / name).symlink_to(shutil.which(name))
    fake(folder, "python3", WORKS)
    return folder


def test_conda_absent_is_refused_before_anything_is_touched(project, tmp_path):
    (project / ".venv-remote").mkdir()
    (project / ".venv-remote" / "mine").write_text("kept")
    done = run_setup(project, "setup_remote.sh", PATH=str(tools_without_conda(tmp_path)))
    assert done.returncode == 1 and "--venv" in done.stderr
    assert (project / ".venv-remote" / "mine").read_text() == "kept"


@pytest.mark.parametrize("tool, call", [("conda", "env create -p"), ("mamba", "env create -p"), ("micromamba", "create -y -p")])
def test_conda_is_called_with_the_file_and_its_failure_is_ours(project, tmp_path, tool, call):
    folder = tools_without_conda(tmp_path)
    fake(folder, tool, f'[ "$1" = --version ] && exit 0; echo "$*" > "{tmp_path}/called"; exit 3')
    done = run_setup(project, "setup_remote.sh", PATH=str(folder))
    assert done.returncode != 0
    assert (tmp_path / "called").read_text() == f"{call} {project}/.venv-remote -f environment-remote.yml\n"
    assert not (project / ".venv-remote" / ".finished").exists()


def start_and_kill(project, environment, whole_group):
    """Start setup_local.sh, kill -9 it (and all it started, or the script alone) while packages arrive."""
    log = project / ".venv-local" / "setup.log"
    log.unlink(missing_ok=True)  # an earlier one's
    process = subprocess.Popen([BASH, "setup_local.sh"], cwd=project, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("Collecting") > 5):
        assert process.poll() is None and time.monotonic() < deadline, "the setup ended before it could be killed"
        time.sleep(0.05)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    assert not (project / ".venv-local" / ".finished").exists()


def test_killed_setup_is_mended_by_the_next_and_the_one_after_has_nothing_to_do(project, tmp_path):
    fake(tmp_path, "uv", "exit 1")  # by pip: it takes long enough to be killed in between
    environment = {**os.environ, "PYTHON": sys.executable, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    start_and_kill(project, environment, whole_group=True)
    start_and_kill(project, environment, whole_group=False)  # its pip lives on and must not mix with the next one's
    done = subprocess.run([BASH, "setup_local.sh"], cwd=project, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "waiting for it" in done.stderr and "rebuilding it" in done.stderr
    assert re.search(r"langdetect +fine", done.stderr)

    started = time.monotonic()
    again = subprocess.run([BASH, "setup_local.sh"], cwd=project, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert again.returncode == 0 and "nothing to install" in again.stderr
    assert time.monotonic() - started < 5
