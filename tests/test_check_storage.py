"""check_storage.py and weatherman.machines.storage: three outcomes, real disks of a chosen size, volumes that misreport."""
import json
import os
import subprocess
import sys

import pytest

from limits import as_people
from paths import SCRIPTS_DIR
from weatherman.cli import UserError
from weatherman.machines import storage
from weatherman.machines.storage import FAILURE, FINE, GB, WARNING

MOUNTS = """/dev/sda1 / ext4 rw 0 0
mfs#eu-1.example:9421 /workspace fuse rw 0 0
tmpfs /workspace/my\\040disk tmpfs rw 0 0
"""


@pytest.fixture
def disk(tmp_path):
    """Return a function that mounts a tmpfs of the given mount options and returns its folder."""
    mounted = []

    def mount(options):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting a tmpfs is not permitted here (sudo make test): {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def run_script(*arguments, prefix=(), **environment):
    done = subprocess.run([*prefix, sys.executable, SCRIPTS_DIR / "check_storage.py", *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("free, outcome", [
    (30 * GB, FINE), (30 * GB - 1, WARNING), (20 * GB, WARNING), (20 * GB - 1, FAILURE), (0, FAILURE)])
def test_thresholds(free, outcome):
    assert storage.judge(free) == outcome


@pytest.mark.parametrize("size, status, outcome", [("32g", 0, FINE), ("25g", 0, WARNING), ("64m", 1, FAILURE)])
def test_real_disks(disk, size, status, outcome):
    folder = disk(f"size={size}")
    code, out, _ = run_script("--path", folder, "--json")
    assert (code, json.loads(out)["outcome"]) == (status, outcome)
    assert list(folder.iterdir()) == []  # the test write is gone


def test_base_dir_is_what_is_checked(disk):
    folder = disk("size=64m")
    code, out, _ = run_script(WEATHERMAN_BASE_DIR=str(folder))
    assert code == 1 and str(folder) in out and "at least 20 GB are needed" in out


def test_read_only_disk(disk):
    code, out, _ = run_script("--path", disk("size=32g,ro"))
    assert code == 1 and "read-only" in out


def test_full_disk(disk):
    folder = disk("size=1m")
    code, out, _ = run_script("--path", folder)
    assert code == 1 and "the disk is full" in out
    assert list(folder.iterdir()) == []


def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    code, out, _ = run_script("--path", tmp_path, prefix=as_people())
    assert code == 1 and "permission denied" in out


def test_missing_folder_stands_for_its_parent(tmp_path):
    assert storage.existing_parent(tmp_path / "not" / "yet") == tmp_path
    (tmp_path / "file").write_bytes(b"x")
    assert storage.existing_parent(tmp_path / "file") == tmp_path


@pytest.mark.parametrize("path, expected", [
    ("/workspace/project", ("mfs#eu-1.example:9421", "/workspace")),
    ("/workspaces", ("/dev/sda1", "/")),
    ("/workspace/my disk/x", ("tmpfs", "/workspace/my disk")),
])
def test_mount_of(path, expected):
    assert storage.mount_of(path, MOUNTS) == expected


def test_volume_that_misreports_needs_a_quota(tmp_path):
    mounts = f"mfs#eu-1.example:9421 {tmp_path} fuse rw 0 0\n"
    unknown = storage.check_storage(tmp_path, mounts=mounts)
    assert unknown.outcome == WARNING and "VOLUME_QUOTA_GB" in unknown.message
    (tmp_path / "used").write_bytes(os.urandom(3 * 10**6))
    known = storage.check_storage(tmp_path, quota_gb=0.01, mounts=mounts)
    assert known.outcome == FAILURE
    assert 6.9e6 < known.free_bytes <= 7.0e6  # 10 MB less 3 MB and the file system's rounding


def test_used_bytes_counts_a_hard_link_once_and_stays_on_its_volume(disk, tmp_path):
    folder = disk("size=64m")
    (folder / "a").write_bytes(os.urandom(2**20))
    os.link(folder / "a", folder / "b")
    inner = folder / "inner"
    inner.mkdir()
    before = storage.used_bytes(folder)
    assert before == (2**20, 0)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    try:
        (inner / "c").write_bytes(os.urandom(2**20))
        assert storage.used_bytes(folder) == before
    finally:
        subprocess.run(["umount", inner], check=True)


@pytest.mark.parametrize("text", ["", "abc", "-3", "0", "nan", "inf"])
def test_quota_must_be_a_positive_number(text):
    code, out, err = run_script("--quota-gb", text)
    assert code == 2 and out == "" and "--quota-gb" in err
    if text:
        code, _, err = run_script(VOLUME_QUOTA_GB=text)
        assert code == 1 and "VOLUME_QUOTA_GB" in err and "Traceback" not in err


def test_a_quota_that_is_no_number_is_mendable_for_every_script_that_reads_it(monkeypatch):
    monkeypatch.setenv("VOLUME_QUOTA_GB", "fifty")
    with pytest.raises(UserError, match="VOLUME_QUOTA_GB: could not convert"):
        storage.quota_from_environment()
