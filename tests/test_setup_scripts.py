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

import nvidia_smi
from limits import small_disk
from loopback import wait_for
from paths import REPO_DIR

pytestmark = pytest.mark.machine

BASH = shutil.which("bash")
WORKS = f'exec "{sys.executable}" "$@"'
LINK = f'ln -s "{sys.executable}" "{{}}/bin/python"'
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
    assert refused.returncode == 2 and "expected dev, praw, bench, teacher or sky" in refused.stderr
    assert not (project / ".venv-local").exists()


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


@pytest.mark.parametrize("argument", ["--help", "--gpu"])
def test_a_script_is_found_from_any_folder(project, argument):
    done = run_setup(project.parent, f"{project.name}/setup_remote.sh", argument)
    assert (done.returncode, "No such file" in done.stderr) == ({"--help": 0, "--gpu": 2}[argument], False)


class Pod:
    """A GPU box: a project, and a folder of programs, which is all its PATH holds. Its uv only notes what it should install."""

    def __init__(self, project, tmp):
        self.project, self.tmp, self.bin = project, tmp, tmp / "bin"
        self.bin.mkdir()
        for name in ("bash", "cat", "dirname", "env", "grep", "ln", "mkdir", "mv", "rm", "sed", "tail", "touch"):
            (self.bin / name).symlink_to(shutil.which(name))
        for name in ("tmux", "rsync", "apt-get"):
            fake(self.bin, name, "exit 1")
        fake(self.bin, "uv", f'[ "$1" = --version ] || echo "$8 $TMPDIR" >> "{tmp}/installed"')
        self.python("python3")
        nvidia_smi.install(self.bin, nvidia_smi.xml(nvidia_smi.RTX3090))
        (project / "scripts/validate_environment.py").write_text("")

    def python(self, name, script=""):
        """Put a Python there whose environments hold nothing, and which first runs some shell of a test."""
        make = f'if [ "$1" = -m ] && [ "$2" = venv ]; then mkdir -p "$3/bin"; {LINK.format("$3")}; exit; fi'
        return fake(self.bin, name, f"{script}\n{make}\n{WORKS}")

    def conda(self, name, then=""):
        """Put a conda, mamba or micromamba there that notes its calls and makes an environment where -p says."""
        fake(self.bin, name, f'''[ "$1" = --version ] && exit 0
echo "$*" >> "{self.tmp}/called"; {then}
while [ "$1" != -p ]; do shift; done; mkdir -p "$2/bin"; {LINK.format("$2")}''')

    def setup(self, *arguments, script="./setup_remote.sh", **environment):
        """Return (exit status, stderr) of the script, as a box that says nothing in its environment runs it."""
        done = subprocess.run([BASH, script, *arguments], cwd=self.project, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env={"PATH": str(self.bin), "HOME": str(self.tmp), **environment})
        return done.returncode, done.stderr

    def installed(self):
        """Return the locks that were installed since the last call."""
        log = self.tmp / "installed"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        assert {line.split()[1] for line in lines} <= {f"{self.project}/.cache/setup"}  # the pod's own small disk is left alone
        return [line.split()[0] for line in lines]


@pytest.fixture
def pod(project, tmp_path):
    """Return a Pod with a volume of 40 GiB, whatever this machine has."""
    with small_disk(tmp_path / "volume") as remount:
        remount("size=40g")
        yield Pod(Path(shutil.copytree(project, tmp_path / "volume" / "project")), tmp_path)


def test_without_conda_a_box_is_set_up_by_venv_and_the_second_time_at_once(pod):
    (pod.project / "scripts/check_storage.py").unlink()  # nothing but the module is asked
    status, err = pod.setup()
    assert status == 0, err
    assert "by venv, since neither mamba, conda nor micromamba runs here" in err and "missing here" not in err
    assert re.search(r"^disk +fine +.*\n(.*\n)*driver +fine +570.124.06.*\n(.*\n)*.*making it with Python", err, re.M)  # before anything
    assert re.search(r"^memory +fine +24.0 GiB", err, re.M)  # check_gpu.py, at the end
    assert pod.installed() == ["requirements-remote.txt", "requirements-model.txt"] and not (pod.project / ".cache/setup").exists()
    assert (pod.project / ".env").read_text() == f"HF_HOME={pod.project}/.cache/huggingface\n"
    for arguments in ([], ["--venv"]):
        status, err = pod.setup(*arguments)
        assert status == 0 and "nothing to install" in err and "before setup" not in err and pod.installed() == []
    assert (pod.project / ".env").read_text().count("HF_HOME") == 1


@pytest.mark.parametrize("said, expected", [
    (nvidia_smi.xml(nvidia_smi.RTX3090, driver="470.223.02", cuda="11.4"), r"^driver +failure +470.223.02"),
    ("", "nvidia-smi was not found")])
def test_a_box_whose_card_cannot_train_keeps_its_environment_and_says_so(pod, said, expected):
    nvidia_smi.install(pod.bin, said)
    if not said:
        (pod.bin / "nvidia-smi").unlink()
    status, err = pod.setup("--venv")
    assert status == 3 and re.search(expected, err, re.M) and "no card here can train" in err
    assert pod.installed() != [] and (pod.project / ".venv-remote/.finished").exists()
    assert err.index("made all the same") < err.index("making it with")  # said before the minutes of installing, too
    nvidia_smi.install(pod.bin, nvidia_smi.xml(nvidia_smi.RTX3090))  # the same volume, at a machine with a card
    assert pod.setup("--venv")[0] == 0 and pod.installed() == []


@pytest.mark.parametrize("where", ["shell", ".env"])
def test_a_disk_too_small_by_its_quota_stops_before_anything_is_made_or_removed(pod, where):
    old = pod.project / ".venv-remote" / "of_other_locks"
    old.parent.mkdir()
    old.write_text("kept")
    (pod.project / ".env").write_text(f"VOLUME_QUOTA_GB={'0.001' if where == '.env' else '50'}\nHF_HOME=/data/hf\n")
    status, err = pod.setup(**{"VOLUME_QUOTA_GB": "0.001"} if where == "shell" else {})
    assert status == 1 and re.search(r"^disk +failure .*quota of 0.001 GB", err, re.M) and "nothing was installed" in err
    assert old.read_text() == "kept" and pod.installed() == []


def test_all_missing_programs_come_in_one_line_with_one_command(pod):
    for name in ("python3", "tmux", "rsync"):
        (pod.bin / name).unlink()
    sudo = "" if os.geteuid() == 0 else "sudo "
    for _ in range(2):
        status, err = pod.setup()
        assert status == 1 and "Missing here, so nothing was installed: python3-venv tmux rsync.\n" in err
        assert f"Try: {sudo}apt-get update && {sudo}apt-get install -y python3-venv tmux rsync && ./setup_remote.sh\n" in err
    pod.python("python3.12", 'case "$*" in *ensurepip*) exit 1 ;; esac')  # Debian's, without its other half
    expected = "nothing was installed: python{}.{}-venv tmux rsync.".format(*sys.version_info)
    assert expected in pod.setup()[1] and pod.installed() == []
    assert not (pod.project / ".venv-remote").exists() and not (pod.project / ".env").exists()


def test_no_tmux_is_a_warning_with_its_command(pod):
    (pod.bin / "tmux").unlink()
    status, err = pod.setup()
    assert status == 0 and "note: missing here: tmux. Without tmux a run over ssh ends with its connection" in err
    assert "apt-get install -y tmux\n" in err


def test_a_python_too_old_or_too_new_is_named(pod):
    fake(pod.bin, "python3", '[ "$1" = -V ] && echo Python 3.14.0')  # a later Ubuntu's: an apt-get would bring the same
    status, err = pod.setup()
    assert status == 1 and "The only Python here is Python 3.14.0; 3.10-3.13 are supported" in err and "install micromamba" in err


@pytest.mark.parametrize("tool, call", [("conda", "env create -p"), ("mamba", "env create -p"), ("micromamba", "create -y -p")])
def test_conda_is_taken_where_it_runs_and_kept_where_it_no_longer_does(pod, tool, call):
    pod.conda(tool, f'echo "$CONDA_ALWAYS_YES $MAMBA_ALWAYS_YES $TMPDIR" > "{pod.tmp}/said"')
    status, err = pod.setup()
    assert status == 0 and f".venv-remote: by {tool}, which runs here" in err, err
    assert (pod.tmp / "called").read_text() == f"{call} {pod.project}/.venv-remote -f environment-remote.yml\n"
    assert (pod.tmp / "said").read_text() == f"true true {pod.project}/.cache/setup\n" and pod.installed() == ["requirements-model.txt"]
    (pod.bin / tool).unlink()  # over ssh no conda is on the PATH: not a reason to install 8 GB again
    status, err = pod.setup()
    assert status == 0 and "nothing to install" in err and pod.installed() == []


def test_a_conda_that_fails_leaves_no_finished_environment(pod):
    pod.conda("mamba", "exit 7")
    assert pod.setup()[0] == 7 and not (pod.project / ".venv-remote/.finished").exists()
    assert not (pod.project / ".cache/setup").exists()


def test_micromamba_alone_brings_the_python_that_looks_at_the_box(pod):
    (pod.bin / "python3").unlink()
    pod.conda("micromamba")
    status, err = pod.setup()
    assert status == 0 and "missing here: python3." in err, err  # remote_run.py needs one on the PATH
    assert (pod.tmp / "called").read_text() == (
        f"create -y -p {pod.project}/.venv-python --override-channels -c conda-forge python=3.10\n"
        f"create -y -p {pod.project}/.venv-remote -f environment-remote.yml\n")
    assert pod.setup()[0] == 0 and (pod.tmp / "called").read_text().count("\n") == 2


def test_a_setup_killed_while_it_installs_is_done_again_by_the_next(pod):
    fake(pod.bin, "uv", f'[ "$1" = --version ] && exit; touch "{pod.tmp}/begun" "$TMPDIR/wheel"; exec "{shutil.which("sleep")}" 60')
    process = subprocess.Popen([BASH, "./setup_remote.sh"], cwd=pod.project, start_new_session=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": str(pod.bin)})
    wait_for((pod.tmp / "begun").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (pod.project / ".cache/setup/wheel").exists() and not (pod.project / ".venv-remote/.finished").exists()
    fake(pod.bin, "uv", f'[ "$1" = --version ] || echo "$8 $TMPDIR" >> "{pod.tmp}/installed"')
    look = f'[ ! -e "{pod.project}/.cache/setup/wheel" ] || touch "{pod.tmp}/in the way"'
    nvidia_smi.install(pod.bin, nvidia_smi.xml(nvidia_smi.RTX3090), then=look)
    status, err = pod.setup()
    assert not (pod.tmp / "in the way").exists()  # the killed one's wheels went before the disk was measured
    assert status == 0 and "unfinished, or of other locks or another Python: rebuilding it" in err
    assert pod.installed() == ["requirements-remote.txt", "requirements-model.txt"] and not (pod.project / ".cache/setup").exists()
    assert (pod.project / ".env").read_text().count("HF_HOME") == 1


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
    """Really installs, from a lock of a few small packages in place of the data tools: make test itself installs those."""
    shutil.copy(project / "requirements-dev.txt", project / "requirements-local.txt")
    (project / "scripts/validate_environment.py").write_text("import hypothesis, pytest, rattler\n")
    fake(tmp_path, "uv", "exit 1")  # by pip: it takes long enough to be killed in between
    environment = {**os.environ, "PYTHON": sys.executable, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    start_and_kill(project, environment, whole_group=True)
    start_and_kill(project, environment, whole_group=False)  # its pip lives on and must not mix with the next one's
    done = subprocess.run([BASH, "setup_local.sh"], cwd=project, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "waiting for it" in done.stderr and "rebuilding it" in done.stderr

    started = time.monotonic()
    again = subprocess.run([BASH, "setup_local.sh"], cwd=project, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert again.returncode == 0 and "nothing to install" in again.stderr
    assert time.monotonic() - started < 5
