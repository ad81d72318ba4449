"""validate_environment.py: every mismatch at once, libraries that do not work, tools, PYTHONSAFEPATH."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import validate_environment
from limits import small_disk
from paths import REPO_DIR, SCRIPTS_DIR
from weatherman.cli import UserError
from weatherman.machines import exercises, lockfile, machine
from weatherman.machines.storage import FAILURE, FINE, WARNING
from weatherman.remote import programs


def validate(*arguments, **environment):
    """Return (exit status, {check: (outcome, found)}, stderr) of the real script under this Python."""
    done = subprocess.run([sys.executable, SCRIPTS_DIR / "validate_environment.py", "--env=local", "--json", *arguments],
                          capture_output=True, text=True, env={**os.environ, **environment})
    rows = json.loads(done.stdout)["checks"] if done.stdout else []
    return done.returncode, {row["check"]: (row["outcome"], row["found"]) for row in rows}, done.stderr


def plant(folder, name, version):
    """Make `folder` hold a package of this name and version, as an installer would leave it."""
    info = Path(folder, f"{name}-{version}.dist-info")
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def fake(folder, name, script):
    path = Path(folder, name)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.skipif(Path(sys.prefix).parent != REPO_DIR, reason="not run by an environment that setup_local.sh made (make test)")
def test_a_finished_environment_is_good():
    status, rows, _ = validate("--quick")
    assert status == 0 and rows["packages"][0] == FINE


def test_all_mismatches_are_reported_at_once(tmp_path):
    plant(tmp_path, "orjson", "0.0.1")
    plant(tmp_path, "Beautifulsoup4", "0.0.2")  # names are compared as indexes do
    plant(tmp_path, "torch", "2.13.0+cpu")
    status, rows, err = validate("--quick", PYTHONPATH=str(tmp_path))
    assert status == 1
    assert rows["orjson"] == (FAILURE, f"0.0.1; expected {lockfile.read_lock(REPO_DIR / 'requirements-local.txt')['orjson'][0]}")
    assert rows["beautifulsoup4"][0] == FAILURE
    assert rows["torch"] == (FAILURE, "2.13.0+cpu; expected not installed")
    assert "rm -rf" not in err or Path(sys.prefix).parent == REPO_DIR  # never proposes to delete somebody else's Python


def test_mismatches():
    wanted = {"a": "1.0", "b": "2.0", "torch": "2.13.0"}
    assert lockfile.mismatches(wanted, {"a": "1.0", "b": "2.0", "torch": "2.13.0+cpu", "more": "1"}) == []
    assert lockfile.mismatches(wanted, {"a": "1.1", "torch": "2.13.1"}, ["c"]) == [
        ("a", "1.0", "1.1"), ("b", "2.0", "missing"), ("torch", "2.13.0", "2.13.1")]


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True)


@given(st.dictionaries(NAMES, VERSIONS, min_size=1, max_size=20), st.booleans())
def test_read_lock_returns_what_was_pinned(tmp_path_factory, pins, with_marker):
    marker = " ; python_version < '3.11'" if with_marker else ""
    path = tmp_path_factory.mktemp("lock") / "requirements.txt"
    path.write_text("# made\n" + "".join(f"{n}=={v}{marker} \\\n    --hash=sha256:{'0' * 64}\n    # via x==1\n" for n, v in pins.items()))
    assert lockfile.read_lock(path) == {n: (v, "python_version < '3.11'" if with_marker else None) for n, v in pins.items()}


def test_markers_decide_what_is_wanted():
    pins = {"never": ("1", "python_version < '3.0'"), "always": ("1", "python_version > '3.0'"), "plain": ("1", None)}
    assert lockfile.wanted_here(pins) == {"always": "1", "plain": "1"}


@pytest.mark.parametrize("content", [None, "", "# nothing\n"])
def test_absent_or_empty_lock(tmp_path, content):
    path = tmp_path / "requirements-x.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="requirements-x.txt"):
        lockfile.read_lock(path)


@pytest.mark.machine  # each setup has just done the same with its own Python
@pytest.mark.parametrize("exercise", exercises.DATA, ids=lambda e: e.__name__)
def test_data_libraries_work(exercise):
    exercise()


def test_libraries_that_do_not_work_and_a_full_disk_are_found(tmp_path):
    (tmp_path / "jsonlines.py").write_text("raise ImportError('built for another Python')")
    (tmp_path / "tqdm.py").write_text("def tqdm(items, file): return iter([])")
    with small_disk(tmp_path / "disk"):
        status, rows, _ = validate(PYTHONPATH=str(tmp_path), WEATHERMAN_BASE_DIR=str(tmp_path / "disk"))
    assert status == 1
    assert rows["disk"][0] == FAILURE and "at least 20 GB" in rows["disk"][1]
    assert rows["jsonlines"] == (FAILURE, "ImportError: built for another Python")
    assert rows["tqdm"] == (FAILURE, "RuntimeError: showed no progress")
    assert rows["pyyaml"] == (FINE, "works")


def test_the_environment_itself_is_part_of_the_planned_disk(tmp_path, monkeypatch):
    monkeypatch.delenv("VOLUME_QUOTA_GB", raising=False)
    with small_disk(tmp_path / "disk"):
        for base, beside in ((sys.prefix, True), (tmp_path / "disk" / "run", False)):
            monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
            disk = {name: found for name, _, found in validate_environment.check_machine("local")}["disk"]
            assert ("GB free beside the environment's 1.0" in disk) == beside, disk


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH is new in Python 3.11")
def test_safe_path_is_found_and_explained():
    status, rows, _ = validate("--quick", PYTHONSAFEPATH="1")
    assert status == 1 and rows["modules"][0] == FAILURE and "unset PYTHONSAFEPATH" in rows["modules"][1]


def test_tools_missing_or_broken(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.rsync()[0] == programs.ssh()[0] == WARNING
    assert machine.bash()[0] == FAILURE
    fake(tmp_path, "rsync", "echo 'unknown option' >&2; exit 1")
    fake(tmp_path, "ssh", "exit 255")
    fake(tmp_path, "bash", "echo '3.1.17(1)-release'")
    assert "unknown option" in programs.rsync()[1]
    assert "does not take the options" in programs.ssh()[1]
    assert machine.bash() == (FAILURE, "3.1.17(1)-release; 3.2 or later is needed")


def test_rsync_that_copies_nothing_is_not_good(tmp_path, monkeypatch):
    fake(tmp_path, "rsync", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.rsync()[0] == WARNING


@pytest.mark.parametrize("tool", ["bash", "rsync", "ssh"])
def test_tools_of_this_machine(tool):
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed (sudo apt-get install rsync openssh-client)")
    check = machine.bash if tool == "bash" else getattr(programs, tool)
    assert check()[0] == FINE


@pytest.mark.parametrize("mode, outcome", [(0o600, FINE), (0o400, FINE), (0o644, WARNING), (0o640, WARNING)])
def test_env_file_is_for_its_owner_alone(tmp_path, mode, outcome):
    path = tmp_path / ".env"
    path.write_text("HF_TOKEN=x\n")
    path.chmod(mode)
    assert machine.env_file(path)[0] == outcome
    assert machine.env_file(tmp_path / "absent")[0] == FINE
