"""What may travel: every file a box needs, and no secret under any name."""
import subprocess

import pytest

from loopback import REPO, write
from weatherman.cli import UserError
from weatherman.remote import inventory

KEYS = {
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "pkcs8": "-----BEGIN PRIVATE KEY-----\n",
    "openssh": "-----BEGIN OPENSSH PRIVATE KEY-----\n", "locked": "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    "pgp": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "putty": "PuTTY-User-Key-File-3: x\n",
    "after a comment": "# my key\n\n-----BEGIN EC PRIVATE KEY-----\n",
    "service account": '{"type": "service_account", "project_id": "p", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIE"}',
}


@pytest.mark.parametrize("name", ["data/.env", "a/.ENV.local", "x/hosts.yaml", "x/id_ed25519.bak", "a/b.pem", ".git/x",
                                  "a/.rsync-partial/b", "a/.weatherman-part/b", "a/credentials.json",
                                  "x/client_secret_1.json", ".git-credentials", "a/token"])
def test_withheld_names(name):
    assert inventory.is_withheld(name)


@pytest.mark.parametrize("name", ["scripts/environment.py", "configs/hosts.example.yaml", "adapters/keys.json", "a/tokenizer.json",
                                  "x/.gitkeep", "a/tokens.py", "adapters/r/checkpoints/checkpoint-10/optimizer.pt"])
def test_ordinary_names_are_not_withheld(name):
    assert not inventory.is_withheld(name)


@pytest.mark.parametrize("kind", KEYS)
def test_a_private_key_is_known_by_its_content(tmp_path, kind):
    write(tmp_path, {"data/processed/notes.txt": KEYS[kind], "data/processed/public.txt": KEYS[kind].replace("PRIVATE", "PUBLIC").lower()})
    assert inventory.list_local(tmp_path, inventory.DATA) == (["data/processed/public.txt"], ["data/processed/notes.txt"])


def test_everything_that_a_box_needs_travels():
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    names, withheld = inventory.list_local(REPO, inventory.CODE)
    code = [name for name in tracked if name.startswith(("scripts/", "configs/")) and (REPO / name).exists()]
    assert len(code) > 150 and set(code) <= set(names)  # none is withheld by its name or content
    needed = {"setup_remote.sh", "scripts/setup_common.sh", "requirements-remote.txt", "requirements-cpu.txt", "requirements-cpu.in",
              "requirements-model.txt", "environment-remote.yml", "Makefile", "configs/templates/smollm2.jinja", "scripts/remote_job.py"}
    assert needed <= set(names) and not needed & set(withheld)
    assert not any(name.startswith((".env", "models", "configs/known_hosts", "configs/hosts.yaml")) for name in names)


@pytest.mark.parametrize("name", ["adapters/../../evil", "/etc/passwd", "models/x", "adaptersx/y", "adapters/a/../../../x"])
def test_the_other_side_cannot_name_files_outside_what_was_asked_for(name):
    with pytest.raises(UserError, match="named a file outside adapters"):
        inventory.sort_listed(["adapters/run/a", name], inventory.RESULTS, "gpu")


def test_what_the_other_side_lists_is_withheld_by_the_same_rules():
    listed = ["adapters/b/.env", "requirements-x.txt", "adapters/a/x"]
    names, withheld = inventory.sort_listed(listed, ("adapters", "requirements-*.txt"), "gpu")
    assert (names, withheld) == (["adapters/a/x", "requirements-x.txt"], ["adapters/b/.env"])


def test_a_linked_folder_is_followed_and_links_below_are_not(tmp_path):
    write(tmp_path, {"disk/a.txt": "a", "outside/b.txt": "b"})
    (tmp_path / "base/data").mkdir(parents=True)
    (tmp_path / "base/data/processed").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/folder").symlink_to(tmp_path / "outside")
    (tmp_path / "disk/file").symlink_to(tmp_path / "outside/b.txt")
    names, withheld = inventory.list_local(tmp_path / "base", inventory.DATA)
    assert (names, withheld) == (["data/processed/a.txt"], ["data/processed/file", "data/processed/folder"])
