"""Sync with a cloud store: the real rclone, with folders of this machine behind two kinds of remote."""
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from loopback import tree, write
from test_sync import HOSTILE, SECRET, flip_byte, sync_here
from weatherman.cli import UserError
from weatherman.remote import cloud

pytestmark = [pytest.mark.machine,
              pytest.mark.skipif(not shutil.which("rclone"), reason="rclone is not installed: apt-get install -y rclone")]
# rclone's lists of names cannot hold the others; they are refused.
NAMES = [name for name in HOSTILE if "\n" not in name and "\t" not in name]


@pytest.fixture
def store(repo_box, monkeypatch):
    """The folder behind the remote "plain:" (keeps sha256) and, scrambled by rclone's crypt, "crypt:" (keeps no checksum at all)."""
    folder = repo_box.tmp / "store"
    secret = subprocess.run(["rclone", "obscure", "password"], capture_output=True, text=True, check=True).stdout.strip()
    write(repo_box.tmp, {"rclone.conf": f"[plain]\ntype = alias\nremote = {folder}\n\n[crypt]\ntype = crypt\nremote = {folder}\n"
                                        f"password = {secret}\nfilename_encryption = off\ndirectory_name_encryption = false\n"})
    monkeypatch.setenv("RCLONE_CONFIG", str(repo_box.tmp / "rclone.conf"))
    folder.mkdir()
    return folder


@pytest.mark.parametrize("remote", ["plain", "crypt"])
def test_there_and_back_with_a_flipped_byte_both_ways(repo_box, store, remote):
    """One byte flipped in the store, found when sending, when verifying and when fetching."""
    name = f"{remote}:weather man"
    write(repo_box.repo, {"data/processed/id_rsa": SECRET, ".env": SECRET,
                          "adapters/run/adapter.safetensors": random.Random(1).randbytes(9000),
                          "adapters/run/sub dir/größe": "☂", "adapters/run/empty": ""})
    status, out, err = sync_here(repo_box, "to", name, "--also", "adapters/run")
    assert status == 0, err
    assert ("read back to be compared" in err) == (remote == "crypt")
    suffix = "" if remote == "plain" else ".bin"
    root = store / "weather man"
    assert (root / f"configs/hosts.example.yaml{suffix}").exists() and not (root / f"data/processed/id_rsa{suffix}").exists()
    assert not [path for path, data in tree(store).items() if SECRET.encode() in data or "hosts.yaml" in path]
    assert "moved" not in sync_here(repo_box, "to", name, "--also", "adapters/run")[2]

    base = repo_box.tmp / "another machine"
    damaged = root / f"adapters/run/adapter.safetensors{suffix}"
    whole = damaged.read_bytes()
    flip_byte(damaged)
    status, out, err = sync_here(repo_box, "from", name, base=base)
    assert status == 1 and {"plain": "adapter.safetensors: sha256 on the receiving side", "crypt": "rclone copy ended"}[remote] in err
    assert not (base / "adapters/run/adapter.safetensors").exists()
    assert sync_here(repo_box, "to", name, "--also", "adapters/run", "--verify-only")[0] == 1
    if remote == "plain":
        assert sync_here(repo_box, "to", name, "--also", "adapters/run")[0] == 0 and damaged.read_bytes() == whole
    damaged.write_bytes(whole)
    status, out, err = sync_here(repo_box, "from", name, base=base)
    assert status == 0 and tree(base) == {f"adapters/{path}": data for path, data in tree(repo_box.repo / "adapters").items()}


def test_a_flip_in_the_store_is_found_although_the_file_here_is_right(repo_box, store):
    write(repo_box.repo, {"adapters/run/a": "weights"})
    assert sync_here(repo_box, "to", "plain:x", "--also", "adapters/run")[0] == 0
    assert sync_here(repo_box, "from", "plain:x", "--verify-only")[0] == 0
    flip_byte(store / "x/adapters/run/a")
    status, out, err = sync_here(repo_box, "from", "plain:x", "--verify-only")
    assert status == 1 and "adapters/run/a" in err


def test_names_deleting_and_the_manifest(repo_box, store):
    write(repo_box.repo, {f"data/processed/{name}": name for name in NAMES})
    assert sync_here(repo_box, "to", "plain:x")[0] == 0
    assert all((store / "x/data/processed" / name).read_text() == name for name in NAMES)
    checked = subprocess.run(["sha256sum", "-c", "--quiet", cloud.MANIFEST], cwd=store / "x", capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stderr == "", checked  # as it is documented
    (repo_box.repo / "data/processed/-rf").unlink()
    write(store, {"x/notes.txt": "not ours"})
    status, out, err = sync_here(repo_box, "to", "plain:x", "--delete", "--yes")
    assert status == 0 and "data/processed/-rf" in out and "deleted 1 files" in err
    assert not (store / "x/data/processed/-rf").exists() and (store / "x/notes.txt").exists()
    assert "-rf" not in (store / "x" / cloud.MANIFEST).read_text()
    write(repo_box.repo, {"data/processed/line\nend": "x"})
    status, out, err = sync_here(repo_box, "to", "plain:x")
    assert status == 1 and "line\\nend: rclone's lists of files cannot hold" in err


def test_what_its_manifest_does_not_know_is_not_trusted(repo_box, store):
    status, out, err = sync_here(repo_box, "from", "plain:x")
    assert status == 1 and "nothing to move" in err
    write(store, {"x/adapters/run/a": "by another program"})
    status, out, err = sync_here(repo_box, "from", "plain:x")
    assert status == 1 and "MANIFEST.sha256 does not know adapters/run/a" in err and not (repo_box.repo / "adapters").exists()
    write(store, {f"x/{cloud.MANIFEST}": "not a manifest\n"})
    status, out, err = sync_here(repo_box, "from", "plain:x")
    assert status == 1 and "MANIFEST.sha256:1: expected a sha256 and a name" in err


def test_a_remote_that_is_not_configured(repo_box, store):
    status, out, err = sync_here(repo_box, "to", "absent:x")
    assert status == 1 and "didn't find section in config file" in err and "Traceback" not in err


def test_rclone_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="rclone, which reaches cloud stores, is not installed here"):
        cloud.Store("s3:bucket", Path(tmp_path))


def test_sums_are_those_of_sha256sum(tmp_path):
    write(tmp_path, {name: name for name in NAMES})
    listed = subprocess.run(["sha256sum", "--", *NAMES], cwd=tmp_path, capture_output=True, check=True).stdout
    recorded = cloud.parse_sums(listed, "store")
    assert list(recorded) == NAMES and cloud.parse_sums(cloud.format_sums(recorded), "store") == recorded
    assert sorted(cloud.format_sums(recorded).splitlines()) == sorted(listed.splitlines())
    assert os.fsencode("größe ünd ☂.txt") in listed
