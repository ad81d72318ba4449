"""scripts/sync_*_remote.sh: a real rsync to a real sshd on loopback that the test starts and ends itself."""
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopback import SlowLink, needs_sshd, tree, wait_for, write
from weatherman.machines import sync

pytestmark = pytest.mark.machine

SECRET = "planted-secret-0451"
HOSTILE = ["two words.jsonl", "-rf", "größe ünd ☂.txt", "line\nbreak.txt", "quote'\"$(touch x)`.txt", "back\\slash", " lead", "*?[a]",
           "#hash", ";semicolon", "tab\tend "]


# --- both ways ----------------------------------------------------------------------------------------------------------

@needs_sshd
def test_round_trip_keeps_every_byte_and_moves_nothing_twice(box):
    assert box.run("to", "gpu")[0] == 0
    kept = ("configs/hosts.yaml", "configs/known_hosts/gpu")
    expected = {name: data for name, data in tree(box.repo).items() if name not in kept and "__pycache__" not in name}
    assert tree(box.far) == expected
    assert os.access(box.far / "scripts/sync_to_remote.sh", os.X_OK)

    run_files = {"adapters/run 1/adapter_model.safetensors": random.Random(42).randbytes(300_000), "adapters/run 1/metrics.jsonl": "{}\n",
                 "adapters/run 1/eval/report.html": "<p>", "adapters/run 1/empty": ""}
    write(box.far, run_files)
    base = box.tmp / "base dir"
    assert box.run("from", "gpu", WEATHERMAN_BASE_DIR=base)[0] == 0
    assert tree(base) == {name: data if isinstance(data, bytes) else data.encode() for name, data in run_files.items()}

    for direction, environment in (("to", {}), ("from", {"WEATHERMAN_BASE_DIR": base})):
        status, out, err = box.run(direction, "gpu", **environment)
        assert status == 0 and "moved" not in err


@needs_sshd
def test_data_comes_from_the_base_folder_code_from_the_repository(box):
    base = box.tmp / "base"
    write(base, {"data/processed/other.jsonl": "{}\n", "scripts/stray.py": "no\n"})
    assert box.run("to", "gpu", WEATHERMAN_BASE_DIR=base)[0] == 0
    arrived = tree(box.far)
    assert "data/processed/other.jsonl" in arrived and "scripts/paths.py" in arrived
    assert "data/processed/train.jsonl" not in arrived and "scripts/stray.py" not in arrived


@needs_sshd
def test_hostile_names_survive_both_ways(box):
    write(box.repo, {f"data/processed/{name}": name for name in HOSTILE})
    assert box.run("to", "gpu")[0] == 0
    write(box.far, {f"adapters/run/{name}": name for name in HOSTILE})
    assert box.run("from", "gpu")[0] == 0
    assert {f"data/processed/{name}" for name in HOSTILE} <= set(tree(box.far))
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
        status, out, err = box.run(direction, "gpu")
        assert status == 0, err
    assert set(tree(box.far / "data/processed")) == {"old.jsonl", "train.jsonl"}
    assert set(tree(box.repo / "adapters")) == {"mine/b.json", "run/a.json"}
    write(box.tmp, {"disk/c.json": "old"})
    (box.repo / "adapters/linked run").symlink_to(box.tmp / "disk")
    write(box.far, {"adapters/linked run/c.json": "new"})
    box.run("from", "gpu")  # rsync 3.5 refuses to write through that link, older ones follow it: neither may replace it
    links = [(box.far, "data/processed"), (box.far, "adapters"), (box.repo, "adapters"), (box.repo, "adapters/linked run")]
    assert all((side / name).is_symlink() for side, name in links)


@needs_sshd
def test_dry_run_tells_all_and_changes_nothing(box):
    status, out, err = box.run("to", "gpu", "--dry-run")
    assert status == 0 and not box.far.exists()
    assert "new               6,000  data/processed/train.jsonl" in out
    write(box.far, {"adapters/run/metrics.jsonl": "{}\n"})
    status, out, err = box.run("from", "gpu", "--dry-run")
    assert (status, out) == (0, "new                   3  adapters/run/metrics.jsonl\n")
    assert not (box.repo / "adapters").exists()


# --- what must not travel ------------------------------------------------------------------------------------------------

@needs_sshd
def test_planted_secrets_never_arrive(box):
    pem = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n"
    places = [".env", ".git/config", "models/x.safetensors", "scripts/.env.local", "scripts/.venv-local/x", "configs/cert.PEM",
              "configs/hosts.yaml.bak", "data/raw/book.txt", "data/processed/id_rsa", "data/processed/sub/.ssh/config",
              "data/processed/train.jsonl.part", "scripts/__pycache__/x.pyc", "configs/.env"]
    write(box.repo, {**{name: SECRET for name in places}, "data/synthetic/notes.txt": pem})
    write(box.tmp, {"elsewhere.txt": SECRET, "disk/elsewhere.txt": SECRET})
    (box.repo / "data/processed/link.txt").symlink_to(box.tmp / "elsewhere.txt")
    (box.repo / "data/processed/linked").symlink_to(box.tmp / "disk")
    status, out, err = box.run("to", "gpu")
    assert status == 0, err
    arrived = tree(box.far)
    assert "data/processed/train.jsonl" in arrived and "configs/hosts.example.yaml" in arrived and "configs/hosts.yaml" not in arrived
    assert not [name for name, data in arrived.items() if SECRET.encode() in data]
    write(box.far, {"adapters/run/.env": SECRET, "adapters/run/id_ed25519": SECRET, "adapters/run/run.json": "{}"})
    assert box.run("from", "gpu")[0] == 0
    assert set(tree(box.repo / "adapters")) == {"run/run.json"}


@pytest.mark.parametrize("name", ["data/.env", "a/.ENV.local", "x/hosts.yaml", "x/id_ed25519.bak", "a/b.pem", ".git/x",
                                  "a/.rsync-partial/b"])
def test_withheld_names(name):
    assert sync.is_withheld(name)


@pytest.mark.parametrize("name", ["scripts/environment.py", "configs/hosts.example.yaml", "adapters/keys.json", "a/tokenizer.json",
                                  "x/.gitkeep"])
def test_ordinary_names_are_not_withheld(name):
    assert not sync.is_withheld(name)


# --- hosts.yaml ----------------------------------------------------------------------------------------------------------

def test_unconfigured_host_is_refused_by_name(repo_box):
    status, out, err = repo_box.run("to", "lambda")
    assert status == 2
    assert 'no host is called "lambda". There are: gpu.' in err and "hosts.example.yaml" in err


def test_missing_hosts_file_says_how_to_make_it(repo_box):
    (repo_box.repo / "configs/hosts.yaml").unlink()
    status, out, err = repo_box.run("from", "gpu")
    assert status == 2 and "cp configs/hosts.example.yaml configs/hosts.yaml" in err


@pytest.mark.parametrize("change, message", [
    ({"port": 70000}, "hosts.yaml:5: hosts.gpu.port: input should be less than or equal to 65535"),
    ({"port": 0}, "greater than or equal to 1"),
    ({"host": "-oProxyCommand=x"}, "hosts.gpu.host"),
    ({"folder": "x;touch y"}, "hosts.gpu.folder"),
    ({"folder": "-x"}, "hosts.gpu.folder"),
    ({"user": "me you"}, "hosts.gpu.user"),
    ({"keyy": "x"}, 'unknown key "hosts.gpu.keyy" (did you mean "key"?)'),
])
def test_bad_values_are_named_with_their_line(repo_box, change, message):
    repo_box.configure(**change)
    status, out, err = repo_box.run("to", "gpu")
    assert status == 2 and message in err


def test_key_must_exist_and_be_private(repo_box):
    repo_box.key.chmod(0o644)
    status, out, err = repo_box.run("to", "gpu")
    assert status == 2 and "hosts.yaml:7" in err and "can be read by others (mode 644)" in err and "chmod 600" in err
    repo_box.key.unlink()
    status, out, err = repo_box.run("to", "gpu")
    assert status == 2 and "does not exist" in err


# --- connections that fail -----------------------------------------------------------------------------------------------

@needs_sshd
def test_wrong_key(box):
    other = box.tmp / "keys/other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    box.configure(key=other)
    status, out, err = box.run("to", "gpu")
    assert status == 1 and "is not accepted for user" in err and "ssh-copy-id" in err and "Traceback" not in err


@needs_sshd
def test_wrong_port(repo_box):
    status, out, err = repo_box.run("to", "gpu")
    assert status == 1 and f"nothing listens on port {repo_box.port}" in err


@needs_sshd
def test_changed_host_key_is_refused_and_the_shown_command_mends_it(box):
    assert box.run("to", "gpu", "--dry-run")[0] == 0
    known = box.known_hosts
    seen = known.read_text().split()
    known.write_text(f"{seen[0]} {seen[1]} {box.key.with_suffix('.pub').read_text().split()[1]}\n")
    status, out, err = box.run("to", "gpu")
    assert status == 1 and "host key is not the one seen before" in err and not box.far.exists()
    subprocess.run(err.split("Try: ")[1].split(" if you")[0], shell=True, check=True, capture_output=True)
    assert box.run("to", "gpu", "--dry-run")[0] == 0


@needs_sshd
def test_a_file_where_the_folder_should_be(box):
    box.far.write_text("in the way")
    status, out, err = box.run("to", "gpu")
    assert status == 1 and "cannot be made or written" in err and "exists" in err.lower()
    assert box.far.read_text() == "in the way"
    status, out, err = box.run("from", "gpu")
    assert status == 1 and "there is no folder weatherman" in err


@needs_sshd
def test_no_rsync_on_the_far_side(box):
    box.hook.write_text('case $SSH_ORIGINAL_COMMAND in rsync*) echo "sh: 1: rsync: not found" >&2; exit 127;; esac\n')
    status, out, err = box.run("to", "gpu")
    assert status == 1 and "rsync is not installed there" in err


@needs_sshd
def test_far_side_cannot_name_files_outside_adapters(box):
    write(box.far, {"adapters/run/a": "x"})
    box.hook.write_text("find() { printf 'adapters/../../evil\\0'; }; eval \"$(cat)\"; exit\n")
    status, out, err = box.run("from", "gpu")
    assert status == 1 and "named a file outside adapters: adapters/../../evil" in err


# --- bytes that change, links that break -----------------------------------------------------------------------------------

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
    write(box.tmp, {"flip.py": "import sys\np = sys.argv[1]\nd = bytearray(open(p, 'rb').read())\nd[9] = 0\nopen(p, 'wb').write(d)\n"})
    box.hook.write_text('case $SSH_ORIGINAL_COMMAND in "rsync --server"*) sh -c "$SSH_ORIGINAL_COMMAND"; status=$?\n'
                        f"f='{box.far}/{target}'; if [ -f \"$f\" ]; then '{sys.executable}' '{box.tmp}/flip.py' \"$f\"; fi\n"
                        "exit $status;; esac\n")
    status, out, err = box.run("to", "gpu")
    assert status == 1 and f"{target}: sha256 on the receiving side is not the sender's." in err
    assert "1 of " in err and "scripts/sync_to_remote.sh gpu" in err
    box.hook.unlink()
    assert box.run("to", "gpu", "--verify-only")[0] == 1
    assert box.run("to", "gpu")[0] == 0
    assert (box.far / target).read_bytes() == (box.repo / target).read_bytes()


@needs_sshd
@pytest.mark.parametrize("direction", ["to", "from"])
def test_verify_only_finds_a_flipped_byte_that_size_and_time_hide(box, direction):
    write(box.far, {"adapters/run/adapter.safetensors": bytes(range(256)) * 40})
    assert box.run(direction, "gpu")[0] == 0
    name, damaged, good = {"to": ("data/processed/train.jsonl", box.far, box.repo),
                           "from": ("adapters/run/adapter.safetensors", box.repo, box.far)}[direction]
    flip_byte(damaged / name)
    status, out, err = box.run(direction, "gpu", "--verify-only")
    assert status == 1 and name in err
    assert (damaged / name).read_bytes() != (good / name).read_bytes()  # verifying alone mends nothing
    assert box.run(direction, "gpu")[0] == 0
    assert (damaged / name).read_bytes() == (good / name).read_bytes()


@needs_sshd
@pytest.mark.parametrize("direction, signal_number", [("to", signal.SIGKILL), ("from", signal.SIGTERM)])
def test_an_interrupted_transfer_resumes_where_it_stopped(box, direction, signal_number):
    size, folder = 12_000_000, "data/processed" if direction == "to" else "adapters/run"
    sender, receiver = (box.repo, box.far) if direction == "to" else (box.far, box.repo)
    content = random.Random(42).randbytes(size)
    write(sender, {f"{folder}/big.bin": content})
    link = SlowLink(box.port, rate=6_000_000)
    box.configure(port=link.port)
    process = box.start(direction, "gpu")
    wait_for(lambda: [p for p in (receiver / folder).glob(".big.bin.*") if p.stat().st_size > size / 3])
    if signal_number == signal.SIGKILL:
        os.killpg(process.pid, signal.SIGKILL)  # launcher, rsync and ssh at once, as a power cut does
    else:
        process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == (-9 if signal_number == signal.SIGKILL else 75)
    assert not (receiver / folder / "big.bin").exists()
    partial = receiver / folder / ".rsync-partial/big.bin"
    kept = wait_for(lambda: partial.exists() and partial.stat().st_size)
    link.moved = 0
    assert box.run(direction, "gpu")[0] == 0
    assert (receiver / folder / "big.bin").read_bytes() == content
    assert kept > size / 4 and link.moved < size - kept + 1_500_000, (kept, link.moved)
    link.listener.close()


# --- other programs than ours ------------------------------------------------------------------------------------------------

@needs_sshd
def test_only_options_of_macos_rsync_are_used(box):
    """A stand-in for openrsync: refuses every option that its manual page lacks, or that lacks in older ones (--partial-dir)."""
    short, long = "0468BCDEFHILOPRSTWVabcdefghiklmnopqrtuvxyz", "files-from no-implied-dirs timeout version"
    write(box.tmp, {"bin/rsync": f"""#!{sys.executable}
import os, sys
arguments = iter(sys.argv[1:])
for a in arguments:
    if a == "-e": next(arguments)
    elif a.startswith("--"): good = a[2:].split("=")[0] in {long.split()}
    elif a.startswith("-"): good = set(a[1:]) <= set({short!r})
    else: continue
    if a != "-e" and not good: sys.exit("rsync: unrecognized option `" + a + "'")
os.execv({shutil.which("rsync")!r}, ["rsync"] + sys.argv[1:])
"""})
    (box.tmp / "bin/rsync").chmod(0o755)
    path = f"{box.tmp / 'bin'}:{os.environ['PATH']}"
    refused = subprocess.run([box.tmp / "bin/rsync", "--info=progress2", "--version"], capture_output=True)
    assert refused.returncode == 1  # the stand-in does refuse
    status, out, err = box.run("to", "gpu", PATH=path)
    assert status == 0 and "cannot keep partial files" in err
    assert (box.far / "data/processed/train.jsonl").read_bytes() == (box.repo / "data/processed/train.jsonl").read_bytes()
    write(box.far, {"adapters/r/x": "x"})
    assert box.run("from", "gpu", PATH=path)[0] == 0


def far_answer(folder, names, path=os.environ["PATH"], shell="sh"):
    """Run the far side's hashing script here; return (exit status, stdout lines)."""
    script = f"cd '{folder}'\n" + sync.FAR_HASH + "".join(f"show {sync.shlex.quote(name)}\n" for name in names)
    done = subprocess.run([shutil.which(shell), "-s"], input=os.fsencode(script), capture_output=True, env={"PATH": path})
    return done.returncode, done.stdout.decode().splitlines()


@pytest.mark.parametrize("program", ["sha256sum", "shasum", "python3"])
def test_any_one_checksum_program_will_do(tmp_path, program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    write(tmp_path, {"files/a b": "abc", "files/empty": ""})
    for name in (program, "wc", "perl"):  # a script, not a link: a version manager's shim needs its own path
        if found := sys.executable if name == "python3" else shutil.which(name):
            write(tmp_path, {f"bin/{name}": f"#!/bin/sh\nexec '{found}' \"$@\"\n"})
            (tmp_path / "bin" / name).chmod(0o755)
    status, lines = far_answer(tmp_path / "files", ["a b", "absent", "empty"], path=str(tmp_path / "bin"))
    assert status == 0
    assert lines == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3", "- 0",
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0"]


def test_no_checksum_program_is_an_error_of_its_own(tmp_path):
    assert far_answer(tmp_path, ["x"], path=str(tmp_path)) == (sync.NO_HASH, [])


FILE_NAMES = st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b and b"/" not in b and b not in (b".", b".."))


@settings(max_examples=60, deadline=None)
@given(name=FILE_NAMES, content=st.binary(max_size=50))
def test_any_file_name_is_hashed_by_the_far_shell(tmp_path_factory, name, content):
    folder = tmp_path_factory.mktemp("names")
    (folder / "d").mkdir()
    path = Path(os.fsdecode(bytes(folder) + b"/d/" + name))
    path.write_bytes(content)
    assert far_answer(folder, [f"d/{os.fsdecode(name)}"]) == (0, [f"{hashlib.sha256(content).hexdigest()} {len(content)}"])
    assert "\n" not in sync.printable(os.fsdecode(name))


@pytest.mark.parametrize("direction", ["to", "from"])
def test_help_names_the_launcher(repo_box, direction):
    status, out, err = repo_box.run(direction, "--help")
    assert status == 0 and f"usage: sync_{direction}_remote.sh" in out and "--verify-only" in out
