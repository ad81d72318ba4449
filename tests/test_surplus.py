"""--delete: what the sender no longer has goes from the receiving side, after it was shown and somebody agreed."""
import os
import pty
import subprocess
import sys

import pytest

from loopback import needs_sshd, tree, write
from test_sync import sync_here
from weatherman.remote.surplus import folder_of

pytestmark = pytest.mark.machine


def answer(box, direction, typed):
    """Run a sync with --delete on a terminal and type an answer; return (exit status, stdout, stderr)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([box.repo / f"scripts/sync_{direction}_remote.sh", "gpu", "--delete"], stdin=theirs, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHON": sys.executable, "WEATHERMAN_BASE_DIR": ""})
    os.write(ours, typed.encode())
    out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    return process.returncode, out, err


@needs_sshd
def test_only_what_is_shown_goes_and_only_when_somebody_agrees(box):
    assert sync_here(box, "to", "gpu")[0] == 0
    gone = {"data/processed/-rf": "1", "data/processed/old dir/a\nb": "2", "scripts/removed.py": "3", "requirements-old.txt": "4"}
    kept = {".env": "s", "scripts/.env": "s", "configs/hosts.yaml": "s", "notes.txt": "n", "models/x": "m", "adapters/run/a": "a",
            "data/raw/r": "r", "data/processed/id_rsa": "s", "data/synthetic/tool_use.jsonl": '{"id": "2"}\n', "data/synthetic/extra": "e"}
    write(box.far, {**gone, **kept})
    (box.repo / "data/synthetic/tool_use.jsonl").unlink()  # nothing left in that folder: nothing there is deleted
    (box.far / "data/processed/outside").symlink_to(box.tmp)
    before = tree(box.far)
    status, out, err = sync_here(box, "to", "gpu", "--delete")
    assert status == 1 and "Nothing was deleted: nobody can be asked here" in err and "scripts/sync_to_remote.sh gpu --delete --yes" in err
    assert [line.split(None, 2)[2] for line in out.splitlines()] == sorted(name.replace("\n", "\\n") for name in gone)
    assert "kept, as the sender has nothing in it: data/synthetic" in err and tree(box.far) == before
    assert "nothing was deleted" in answer(box, "to", "n\n")[2] and tree(box.far) == before
    status, out, err = answer(box, "to", "y\n")
    assert status == 0 and "deleted 4 files on gpu" in err and "Delete these 4 files" in out
    assert tree(box.far) == {name: data for name, data in before.items() if name not in gone}
    assert not (box.far / "data/processed/old dir").exists() and (box.far / "data/processed/outside").is_symlink()


@needs_sshd
def test_here_only_runs_that_the_far_side_still_has_lose_files(box):
    write(box.far, {"adapters/run/checkpoints/checkpoint-2/a": "2", "adapters/run/key.txt": "-----BEGIN RSA PRIVATE KEY-----\n",
                    "adapters/jobs/run/job.log": "log"})
    write(box.repo, {"adapters/run/checkpoints/checkpoint-1/a": "1", "adapters/other/run.json": "{}", "adapters/jobs/other/job.log": "log",
                     "adapters/probes/llama.a100.json": "{}", "adapters/run/key.txt": "mine", "adapters/run/.env": "s"})
    status, out, err = sync_here(box, "from", "gpu", "--delete", "--yes")
    assert status == 0 and "deleted 1 files on this machine" in err
    assert "adapters/other" in err and "adapters/jobs/other" in err
    assert set(tree(box.repo / "adapters")) == {"run/checkpoints/checkpoint-2/a", "run/key.txt", "run/.env", "jobs/run/job.log",
                                                "other/run.json", "jobs/other/job.log", "probes/llama.a100.json"}
    assert not (box.repo / "adapters/run/checkpoints/checkpoint-1").exists()
    (box.far / "adapters").rename(box.far / "lost")
    (box.far / "adapters").mkdir()
    status, out, err = sync_here(box, "from", "gpu", "--delete", "--yes")
    assert status == 1 and "nothing to move" in err and (box.repo / "adapters/run/checkpoints/checkpoint-2/a").exists()


@pytest.mark.parametrize("name, folder", [("adapters/run/a/b", "adapters/run"), ("adapters/jobs/run/x", "adapters/jobs/run"),
                                          ("adapters/loose", "adapters/loose"), ("data/processed/x/y", "data/processed"),
                                          ("scripts/a/b.py", "scripts"), ("README.md", "")])
def test_the_folder_a_file_belongs_to(name, folder):
    assert folder_of(name) == folder
