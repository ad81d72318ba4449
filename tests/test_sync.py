"""scripts/sync_*_remote.sh: a real rsync to a real sshd on loopback that the test starts and ends itself."""
import contextlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from loopback import SlowLink, needs_sshd, tree, wait_for, write
from weatherman import manifest
from weatherman.cli import run
from weatherman.remote import hosts, sync

pytestmark = pytest.mark.machine

SECRET = "planted-secret-0451"
HOSTILE = ["two words.jsonl", "-rf", "größe ünd ☂.txt", "line\nbreak.txt", "quote'\"$(touch x)`.txt", "back\\slash", " lead", "*?[a]",
           "#hash", ";semicolon", "tab\tend "]


def sync_here(box, direction, *arguments, base=None):
    """Do what the launcher does in this process, which has its libraries loaded; return (exit status, stdout, stderr)."""
    out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(hosts, "HOSTS_FILE", box.repo / "configs/hosts.yaml")
        patch.setattr(hosts, "KNOWN_HOSTS", box.known_hosts.parent)
        for module in (sync, manifest):
            patch.setattr(module, "REPO_DIR", box.repo)
        patch.setattr(tempfile, "tempdir", str(box.tmp))  # where the lock is: another test may sync with another "gpu"
        patch.setenv("WEATHERMAN_BASE_DIR", str(base or box.repo))
        status = run(sync.main, [direction, *arguments])
    signal.signal(signal.SIGTERM, before)
    return status, out.getvalue(), err.getvalue()


# --- both ways ----------------------------------------------------------------------------------------------------------

@needs_sshd
def test_round_trip_keeps_every_byte_and_moves_nothing_twice(box):
    assert box.run("to", "gpu")[0] == 0
    kept = ("configs/hosts.yaml", "configs/known_hosts/gpu")
    expected = {name: data for name, data in tree(box.repo).items() if name not in kept and "__pycache__" not in name}
    assert tree(box.far) == {**expected, "synced_from.json": b'{"commit": null, "dirty": null}'}
    assert os.access(box.far / "scripts/sync_to_remote.sh", os.X_OK)

    run_files = {"adapters/run 1/adapter_model.safetensors": random.Random(42).randbytes(300_000), "adapters/run 1/metrics.jsonl": "{}\n",
                 "adapters/run 1/eval/report.html": "<p>", "adapters/run 1/empty": ""}
    write(box.far, run_files)
    base = box.tmp / "base dir"
    assert box.run("from", "gpu", WEATHERMAN_BASE_DIR=base)[0] == 0
    assert tree(base) == {name: data if isinstance(data, bytes) else data.encode() for name, data in run_files.items()}

    for direction, folder in (("to", None), ("from", base)):
        status, out, err = sync_here(box, direction, "gpu", base=folder)
        assert status == 0 and "moved" not in err


@needs_sshd
def test_what_is_made_there_knows_the_commit_of_its_code(box):
    git = ["git", "-C", box.repo, "-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    for command in (["init", "-q"], ["add", "README.md"], ["commit", "-qm", "All there is"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert box.run("to", "gpu")[0] == 0
    there = [sys.executable, "-c", "from weatherman.manifest import git_state; print(git_state())"]
    said = subprocess.run(there, cwd=box.far / "scripts", capture_output=True, text=True, check=True).stdout
    assert said == f"{{'commit': '{commit}', 'dirty': True}}\n"


@needs_sshd
def test_data_comes_from_the_base_folder_code_from_the_repository(box):
    base = box.tmp / "base"
    write(base, {"data/processed/other.jsonl": "{}\n", "scripts/stray.py": "no\n", "adapters/run/a": "a", "adapters/other/b": "b"})
    status, out, err = sync_here(box, "to", "gpu", "--also", "adapters/run/", base=base)
    assert status == 0, err
    arrived = tree(box.far)
    assert arrived["data/processed/other.jsonl"] == b"{}\n" and "scripts/paths.py" in arrived
    assert "data/processed/train.jsonl" not in arrived and "scripts/stray.py" not in arrived
    assert arrived["adapters/run/a"] == b"a" and "adapters/other/b" not in arrived


@pytest.mark.parametrize("entry", ["models/x", "adapters/../models", ".env", "/etc"])
def test_only_adapters_travel_on_request(repo_box, entry):
    status, out, err = sync_here(repo_box, "to", "gpu", "--also", entry)
    assert status == 1 and f"{entry}: only what lies below adapters/" in err
    assert "adapters/absent: no such file or folder" in sync_here(repo_box, "to", "gpu", "--also", "adapters/absent")[2]


@needs_sshd
def test_hostile_names_survive_both_ways(box):
    broken = os.fsdecode(b"latin-1 caf\xe9")
    write(box.repo, {**{f"data/processed/{name}": name for name in HOSTILE}, f"data/processed/{broken}": "x"})
    assert sync_here(box, "to", "gpu")[0] == 0
    write(box.far, {f"adapters/run/{name}": name for name in HOSTILE})
    assert sync_here(box, "from", "gpu")[0] == 0
    assert {f"data/processed/{name}" for name in [*HOSTILE, broken]} <= set(tree(box.far))
    assert tree(box.repo / "adapters/run") == {name: name.encode() for name in HOSTILE}


@needs_sshd
def test_nothing_is_deleted_and_linked_folders_stay_links(box):
    for side, name in ((box.repo, "data/processed"), (box.far, "data/processed"), (box.far, "adapters"), (box.repo, "adapters")):
        disk = box.tmp / f"{side.name}-{name.replace('/', '-')}"
        shutil.move(side / name, disk) if (side / name).exists() else disk.mkdir()
        (side / name).parent.mkdir(parents=True, exist_ok=True)
        (side / name).symlink_to(disk)
    write(box.far, {"data/processed/old.jsonl": "old\n", "adapters/run/a.json": "{}"})
    write(box.repo, {"adapters/mine/b.json": "{}"})
    for direction in ("to", "from"):
        status, out, err = sync_here(box, direction, "gpu")
        assert status == 0, err
    assert set(tree(box.far / "data/processed")) == {"old.jsonl", "train.jsonl"}
    assert set(tree(box.repo / "adapters")) == {"mine/b.json", "run/a.json"}
    write(box.tmp, {"disk/c.json": "old"})
    (box.repo / "adapters/linked run").symlink_to(box.tmp / "disk")
    write(box.far, {"adapters/linked run/c.json": "new"})
    sync_here(box, "from", "gpu")  # rsync 3.5 refuses to write through that link, older ones follow it: neither may replace it
    links = [(box.far, "data/processed"), (box.far, "adapters"), (box.repo, "adapters"), (box.repo, "adapters/linked run")]
    assert all((side / name).is_symlink() for side, name in links)


@needs_sshd
def test_dry_run_tells_all_and_changes_nothing(box):
    status, out, err = sync_here(box, "to", "gpu", "--dry-run", "--delete")
    assert status == 0 and not box.far.exists()
    assert "new               6,000  data/processed/train.jsonl" in out
    assert re.search(r"MB would take about 1 s at [\d.]+ MB/s, measured now", err)
    write(box.far, {"adapters/run/metrics.jsonl": "{}\n"})
    write(box.repo, {"adapters/run/old": "old", "adapters/other/b": "b"})
    status, out, err = sync_here(box, "from", "gpu", "--dry-run", "--delete")
    assert (status, out) == (0, "new                   3  adapters/run/metrics.jsonl\ndelete                -  adapters/run/old\n")
    assert "1 files on this machine are not the sender's and would be deleted" in err
    assert tree(box.repo / "adapters") == {"run/old": b"old", "other/b": b"b"}


# --- what must not travel, nor show ----------------------------------------------------------------------------------------

def command_lines(found, ended):
    """Put every command line that runs on this machine into the set `found`, until `ended` is set."""
    while not ended.wait(0.03):
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.add(process.read_bytes())
            except OSError:
                continue


@needs_sshd
def test_planted_secrets_arrive_nowhere_and_show_nowhere(box):
    pem = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n"
    places = [".env", ".git/config", "models/x.safetensors", "scripts/.env.local", "scripts/.venv-local/x", "configs/cert.PEM",
              "configs/hosts.yaml.bak", "data/raw/book.txt", "data/processed/id_rsa", "data/processed/sub/.ssh/config",
              "data/processed/train.jsonl.part", "scripts/__pycache__/x.pyc", "configs/.env", "configs/credentials.json"]
    write(box.repo, {**{name: SECRET for name in places}, "data/synthetic/notes.txt": pem})
    write(box.tmp, {"elsewhere.txt": SECRET, "disk/elsewhere.txt": SECRET})
    (box.repo / "data/processed/link.txt").symlink_to(box.tmp / "elsewhere.txt")
    (box.repo / "data/processed/linked").symlink_to(box.tmp / "disk")
    write(box.far, {"adapters/run/.env": SECRET, "adapters/run/id_ed25519": SECRET, "adapters/run/notes.txt": pem,
                    "adapters/run/run.json": "{}"})
    box.hook.write_text(f"env >> '{box.tmp}/far environment'\n")
    before, lines, ended = set(tree(box.far)), set(), threading.Event()
    watcher = threading.Thread(target=command_lines, args=(lines, ended))
    watcher.start()
    said = [box.run(direction, "gpu", *flags, HF_TOKEN=SECRET, AWS_SECRET_ACCESS_KEY=SECRET)
            for direction, flags in (("to", ["--dry-run"]), ("to", []), ("from", []), ("from", ["--verify-only"]))]
    ended.set()
    watcher.join()
    assert [status for status, _, _ in said] == [0] * 4, said
    arrived = {name: data for name, data in tree(box.far).items() if name not in before}
    assert "data/processed/train.jsonl" in arrived and "configs/hosts.example.yaml" in arrived and "configs/hosts.yaml" not in arrived
    assert not [name for name, data in arrived.items() if SECRET.encode() in data]
    assert set(tree(box.repo / "adapters")) == {"run/run.json"}
    assert "withheld, it holds a private key: adapters/run/notes.txt" in said[2][2]
    assert any(b"--server" in line for line in lines) and any(b"ssh_config" in line for line in lines)  # it did look
    assert not [line for line in lines if SECRET.encode() in line]
    assert not [text for _, out, err in said for text in (out, err) if SECRET in text]
    assert "PATH=" in (box.tmp / "far environment").read_text() and SECRET not in (box.tmp / "far environment").read_text()


# --- two at once ------------------------------------------------------------------------------------------------------------

@needs_sshd
def test_a_second_sync_waits_for_the_first_and_for_no_dead_one(box):
    write(box.repo, {"data/processed/big.bin": random.Random(1).randbytes(3_000_000)})
    link = SlowLink(box.port, rate=20_000_000)
    box.configure(port=link.port)
    first = box.start("to", "gpu")
    wait_for(lambda: list((box.far / "data/processed").glob(".big.bin.*")))
    link.held = {"out", "in"}
    second = box.start("to", "gpu")
    said = wait_for(second.stderr.readline)
    assert f"another sync with it is at work (process {first.pid}): waiting" in said
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    link.held = set()
    assert second.communicate(timeout=60)[1] and second.returncode == 0
    assert (box.far / "data/processed/big.bin").read_bytes() == (box.repo / "data/processed/big.bin").read_bytes()
    link.listener.close()


# --- connections that fail (every layer: test_hosts.py) ------------------------------------------------------------------------

def test_unconfigured_host_is_refused_by_name(repo_box):
    status, out, err = sync_here(repo_box, "to", "lambda")
    assert status == 2
    assert 'no host is called "lambda". There are: gpu.' in err and "hosts.example.yaml" in err


@needs_sshd
def test_a_changed_host_key_moves_nothing(box):
    write(box.far, {"adapters/run/a": "a"})
    assert sync_here(box, "from", "gpu", "--dry-run")[0] == 0
    box.new_host_key()
    for direction in ("to", "from"):
        status, out, err = sync_here(box, direction, "gpu")
        assert status == 1 and "host key is not the one seen before" in err
    assert set(tree(box.far)) == {"adapters/run/a"} and not (box.repo / "adapters").exists()
    subprocess.run(err.split("Try: ")[1].split(" if you")[0], shell=True, check=True)
    assert sync_here(box, "from", "gpu")[0] == 0 and tree(box.repo / "adapters") == {"run/a": b"a"}


@needs_sshd
def test_a_file_where_the_folder_should_be(box):
    box.far.write_text("in the way")
    status, out, err = sync_here(box, "to", "gpu")
    assert status == 1 and "cannot be made or written" in err and "exists" in err.lower()
    assert box.far.read_text() == "in the way"
    status, out, err = sync_here(box, "from", "gpu")
    assert status == 1 and "there is no folder weatherman" in err


@needs_sshd
def test_far_side_cannot_name_files_outside_adapters(box):
    write(box.far, {"adapters/run/a": "x"})
    box.hook.write_text("find() { printf 'adapters/../../evil\\0'; }; eval \"$(cat)\"; exit\n")
    status, out, err = sync_here(box, "from", "gpu")
    assert status == 1 and "named a file outside adapters: adapters/../../evil" in err


# --- bytes that change --------------------------------------------------------------------------------------------------------

# Run there before each command: after rsync has received files, changes a byte of one.
FLIP = """case $SSH_ORIGINAL_COMMAND in "rsync --server"*)
  sh -c "$SSH_ORIGINAL_COMMAND"; status=$?
  if [ -f '{file}' ]; then printf X | dd of='{file}' bs=1 seek=9 conv=notrunc 2>/dev/null; fi
  exit $status;;
esac
"""


def flip_byte(path):
    """Change one byte; size and times stay as they were."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@needs_sshd
def test_a_byte_flipped_between_transfer_and_check_is_found_and_mended(box):
    target = "data/processed/train.jsonl"
    box.hook.write_text(FLIP.format(file=box.far / target))
    status, out, err = sync_here(box, "to", "gpu")
    assert status == 1 and f"{target}: sha256 on the receiving side is not the sender's." in err
    assert "1 of " in err and "scripts/sync_to_remote.sh gpu" in err
    box.hook.unlink()
    assert sync_here(box, "to", "gpu", "--verify-only")[0] == 1
    assert sync_here(box, "to", "gpu")[0] == 0
    assert (box.far / target).read_bytes() == (box.repo / target).read_bytes()


@needs_sshd
@pytest.mark.parametrize("direction", ["to", "from"])
def test_verify_only_finds_a_flipped_byte_that_size_and_time_hide(box, direction):
    write(box.far, {"adapters/run/adapter.safetensors": bytes(range(256)) * 40})
    assert sync_here(box, direction, "gpu")[0] == 0
    name, damaged, good = {"to": ("data/processed/train.jsonl", box.far, box.repo),
                           "from": ("adapters/run/adapter.safetensors", box.repo, box.far)}[direction]
    flip_byte(damaged / name)
    status, out, err = sync_here(box, direction, "gpu", "--verify-only")
    assert status == 1 and name in err
    assert (damaged / name).read_bytes() != (good / name).read_bytes()  # verifying alone mends nothing
    assert sync_here(box, direction, "gpu")[0] == 0
    assert (damaged / name).read_bytes() == (good / name).read_bytes()


@pytest.mark.parametrize("direction", ["to", "from"])
def test_help_names_the_launcher(repo_box, direction):
    status, out, err = repo_box.run(direction, "--help")
    assert status == 0 and f"usage: sync_{direction}_remote.sh" in out and "--verify-only" in out
