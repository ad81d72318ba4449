"""weatherman.machines.before_setup: what .env says and gets, room on the disk, and what the driver can run."""
import os
import shlex
import subprocess

import pytest

from limits import small_disk
from nvidia_smi import COULD_NOT, H100, RTX3090, install, xml
from paths import REPO_DIR
from weatherman.cli import UserError
from weatherman.machines import before_setup
from weatherman.machines.storage import FAILURE, FINE, GB, WARNING, check_storage


@pytest.fixture
def env(tmp_path, monkeypatch):
    """Return the path of a .env that is not there yet, in a shell that says nothing."""
    for name in before_setup.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".env"


def sourced(path, name):
    """Return what a shell makes of a name in a .env."""
    return subprocess.run(["bash", "-c", f'set -a; . "{path}"; printf %s "${name}"'], capture_output=True, text=True, check=True).stdout


def test_without_env_one_is_made_for_its_owner_alone(env, capsys):
    cache = f"{REPO_DIR}/.cache/huggingface"
    assert before_setup.settings(env) == {"HF_HOME": cache}
    assert env.read_text() == f"HF_HOME={cache}\n" and env.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().err.count("\n") == 1
    assert before_setup.settings(env) == {"HF_HOME": cache}  # again: nothing more is written or said
    assert env.read_text().count("HF_HOME") == 1 and capsys.readouterr().err == ""


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("before", ["HF_TOKEN=hf_x", "#HF_HOME=\nHF_TOKEN=hf_x\n", "HF_HOME=\n", "# comment", ""])
def test_other_lines_and_the_mode_stay(env, before, mode):
    env.write_text(before)
    env.chmod(mode)
    before_setup.settings(env)
    assert env.read_text() == f"{before}{'' if before.endswith(chr(10)) or not before else chr(10)}HF_HOME={REPO_DIR}/.cache/huggingface\n"
    assert env.stat().st_mode & 0o777 == mode  # validate_environment.py names a wrong one
    assert sourced(env, "HF_HOME") == f"{REPO_DIR}/.cache/huggingface"


@pytest.mark.parametrize("line", ["HF_HOME=/data/hf", "export HF_HOME=/data/hf", "HF_HOME='/data/hf' # mine", '  HF_HOME="/data/hf"'])
def test_what_env_says_already_is_kept(env, line):
    env.write_text(f"VOLUME_QUOTA_GB=50\n{line}\n")
    assert before_setup.settings(env) == {"VOLUME_QUOTA_GB": "50", "HF_HOME": "/data/hf"}
    assert env.read_text() == f"VOLUME_QUOTA_GB=50\n{line}\n" and sourced(env, "HF_HOME") == "/data/hf"


def test_the_shell_comes_before_env_and_a_link_stays_one(env, monkeypatch):
    monkeypatch.setenv("HF_HOME", "/from/shell")
    assert before_setup.settings(env)["HF_HOME"] == "/from/shell" and not env.exists()
    monkeypatch.setenv("VOLUME_QUOTA_GB", "70")
    monkeypatch.delenv("HF_HOME")
    secrets = env.with_name("secrets")
    secrets.write_text("VOLUME_QUOTA_GB=50\n")
    env.symlink_to(secrets)
    assert before_setup.settings(env)["VOLUME_QUOTA_GB"] == "70"
    assert env.is_symlink() and "HF_HOME=" in secrets.read_text()


def test_the_cache_goes_to_the_volume_of_the_outputs(env, tmp_path):
    base = tmp_path / "my 'big' disk"
    env.write_text(f"WEATHERMAN_BASE_DIR={shlex.quote(str(base))}\n")
    assert before_setup.settings(env)["HF_HOME"] == f"{base}/.cache/huggingface" == sourced(env, "HF_HOME")


def test_env_is_read_and_never_run(env, tmp_path):
    env.write_text(f"VOLUME_QUOTA_GB=$(touch {tmp_path}/ran)\nHF_HOME=$HOME/hf\n")
    assert before_setup.settings(env)["HF_HOME"] == f"{os.environ['HOME']}/hf" and not (tmp_path / "ran").exists()
    env.write_text("HF_TOKEN='open\n")
    with pytest.raises(UserError, match=r"\.env:1: No closing quotation"):
        before_setup.settings(env)


def rows(found):
    return {name: (outcome, text) for name, outcome, text in found}


def test_an_environment_that_is_there_counts_as_part_of_the_plan(tmp_path):
    with small_disk(tmp_path / "disk") as remount:
        for size_gib, present, outcome in ((24, 0, WARNING), (24, 8, FINE), (14, 8, WARNING), (10, 8, FAILURE), (18, 0, FAILURE)):
            remount(f"size={size_gib}g")
            found = check_storage(tmp_path / "disk", present_bytes=present * GB)
            assert found.outcome == outcome and ("beside the environment's 8.0" in found.message) == bool(present), size_gib


def test_room_on_two_volumes(tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk"):
        monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path / "disk" / "run"))  # need not be there yet
        found = rows(before_setup.room_rows(REPO_DIR / ".venv-not-there"))
        assert found["disk of outputs"][0] == FAILURE and "at least 20 GB" in found["disk of outputs"][1]
        assert found["disk of .venv-not-there"][1].endswith(f"GB free; it takes {before_setup.INSTALL_GB}")


@pytest.mark.parametrize("quota_gb, status", [("0.001", 1), ("1e6", 0)])
def test_a_quota_decides(tmp_path, monkeypatch, capsys, quota_gb, status):
    install(tmp_path, xml(RTX3090))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with small_disk(tmp_path / "disk") as remount:
        remount("size=40g")
        monkeypatch.setattr(before_setup, "REPO_DIR", tmp_path / "disk")
        monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path / "disk"))
        monkeypatch.setenv("VOLUME_QUOTA_GB", quota_gb)
        assert before_setup.room(tmp_path / "disk" / ".venv-remote") == status
        said = capsys.readouterr().err
        assert ("nothing was installed" in said) == bool(status) and f"a quota of {float(quota_gb):g} GB" in said
        monkeypatch.setenv("VOLUME_QUOTA_GB", "fifty")
        with pytest.raises(UserError, match="VOLUME_QUOTA_GB: .*fifty"):
            before_setup.room_rows(tmp_path)


@pytest.mark.parametrize("said, expected", [
    (xml(RTX3090), {"driver": FINE, "CUDA": FINE, "cards": FINE}),
    (xml(RTX3090, driver="470.223.02", cuda="11.4"), {"driver": WARNING, "CUDA": WARNING, "cards": FINE}),
    (xml({**H100, "total": "16000 MiB", "architecture": "Turing"}),
     {"driver": FINE, "CUDA": FINE, "cards": FINE, "memory": WARNING, "bf16": WARNING}),
    (COULD_NOT, {"card": WARNING})])
def test_the_driver_is_named_and_stops_nothing(tmp_path, monkeypatch, said, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install(tmp_path, said)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert {name: outcome for name, (outcome, _) in rows(before_setup.driver_rows()).items()} == expected
