"""Transfers that go wrong: cut and stalled links, no rsync, full disks, closed folders, files that change or go meanwhile.

Most run in this process: what counts is what travels, and a process of our own would only load libraries.
"""
import concurrent.futures
import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from limits import as_people, leave_room, small_disk
from loopback import SlowLink, needs_sshd, tree, wait_for, write
from test_sync import FLIP, HOSTILE
from weatherman.cli import UserError
from weatherman.remote import hosts, pipe, sync, transfer
from weatherman.remote.far_files import far_manifest
from weatherman.remote.hosts import Host
from weatherman.remote.inventory import PARTIAL_DIR, PARTS_DIR
from weatherman.remote.ssh import connected
from weatherman.remote.sync import Sync
from weatherman.remote.transfer import Box

pytestmark = [pytest.mark.machine, needs_sshd]

FOLDERS = {"to": "data/processed", "from": "adapters/run"}


@pytest.fixture
def host(box, monkeypatch):
    """The Host of a box; here and there are below box.tmp."""
    monkeypatch.setattr(hosts, "KNOWN_HOSTS", box.tmp / "known_hosts")
    monkeypatch.setattr(sync, "REPO_DIR", box.repo)
    monkeypatch.setattr(tempfile, "tempdir", str(box.tmp))
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(box.repo))
    box.far.mkdir()
    return Host("gpu", "other", "127.0.0.1", box.port, os.environ.get("USER") or "root", box.key, "weatherman")


def sides(box, direction):
    """Return (folder of the sender, folder of the receiver)."""
    return (box.repo, box.far) if direction == "to" else (box.far, box.repo)


def copy(host, root, direction, *names, stall_s=60):
    """Move `names` below `root` here and the host's folder there; return Moved."""
    with connected(host) as far:
        return Sync(Box(far, stall_s), direction, dict.fromkeys(names, root)).move()


def without_rsync(box):
    """Take rsync from the far side: the shell that our scripts run in does not find it."""
    write(box.tmp, {"no/rsync": "#!/bin/sh\nexit 127\n"})
    (box.tmp / "no/rsync").chmod(0o755)
    box.hook.write_text(f"PATH='{box.tmp}/no':$PATH\n")


# --- stalled and cut links --------------------------------------------------------------------------------------------------------

SIZE, STALL_S = 4_500_000, 3
FAULTS = {"stall": f"nothing moved for {STALL_S} s, so the transfer was ended; what has arrived is kept", "cut": "."}


def break_and_resume(host, box, direction, fault):
    """Break the way the bytes go once half has arrived, and move again; the two sides are folders of their own.

    Return (seconds until it was ended, bytes kept, bytes that the second transfer moved).
    """
    here, there = box.tmp / direction / fault, box.home / direction / fault
    sender, receiver = (here, there) if direction == "to" else (there, here)
    name, content = f"{FOLDERS[direction]}/big.bin", random.Random(fault).randbytes(SIZE)
    write(sender, {name: content})
    receiver.mkdir(parents=True)
    link = SlowLink(box.port, rate=3_000_000)
    slow = replace(host, port=link.port, folder=f"{direction}/{fault}")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        moving = pool.submit(copy, slow, here, direction, name, stall_s=STALL_S)
        wait_for(lambda: link.moved > SIZE / 2, 40)
        link.held.add("out" if direction == "to" else "in") if fault == "stall" else link.cut()
        began = time.monotonic()
        with pytest.raises(UserError, match=FAULTS[fault]) as raised:
            moving.result(timeout=40)
    ended = time.monotonic() - began
    assert "the same command again, it continues where it stopped" in raised.value.hint
    link.cut()
    link.held.clear()
    assert not (receiver / name).exists()
    kept = wait_for(lambda: kept_bytes(receiver))
    link.moved = 0
    assert copy(slow, here, direction, name).names == [name]
    assert (receiver / name).read_bytes() == content and not kept_bytes(receiver)
    link.listener.close()
    return ended, kept, link.moved


def kept_bytes(folder):
    """Return the size of the largest part that an interrupted transfer left below a folder."""
    return max([part.stat().st_size for kind in (PARTIAL_DIR, PARTS_DIR) for part in folder.rglob(f"{kind}/*")], default=0)


@pytest.mark.parametrize("rsync", ["rsync", "pipe"])
def test_broken_links_are_noticed_and_the_same_call_resumes(host, box, rsync):
    """Cut and one-way stall, each in both directions, all at once: it is mostly waiting."""
    if rsync == "pipe":
        without_rsync(box)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = {(way, fault): pool.submit(break_and_resume, host, box, way, fault) for way in FOLDERS for fault in FAULTS}
    for (way, fault), result in found.items():
        ended, kept, moved = result.result()
        assert kept > SIZE / 4 and moved < SIZE - kept + 1_000_000, (way, fault, kept, moved)
        assert ended < 15 and (fault == "cut" or ended > STALL_S - 1)


def test_a_far_side_that_falls_silent_before_anything_moves_is_ended(host, box):
    box.hook.write_text("sleep 30\n")
    began = time.monotonic()
    with connected(host) as far, pytest.raises(UserError, match="nothing moved for 1 s"):
        far_manifest(far, ["a"], stall_s=1)
    assert time.monotonic() - began < 8


def test_slow_hashing_there_is_no_stall(host, box):
    """A file that takes longer to hash than a stall may last: signs of life arrive meanwhile."""
    write(box.far, {"adapters/a": "abc"})
    box.hook.write_text('sleep() { command sleep 0.2; }; sha256sum() { for i in 1 2 3 4 5 6 7 8 9 10; do command sleep 0.2; done; '
                        'command sha256sum; }; python3() { return 1; }; eval "$(cat)"; exit\n')
    with connected(host) as far:
        assert far_manifest(far, ["adapters/a"], stall_s=1)["adapters/a"][1] == 3


def test_the_relay_passes_everything_to_a_slow_rsync(tmp_path):
    """rsync gives it an end that does not block."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    (tmp_path / "moved").write_bytes(bytes(8))
    with open(tmp_path / "moved", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        relay = subprocess.Popen([sys.executable, Path(transfer.__file__).with_name("relay.py"), tmp_path / "moved",
                                  "head", "-c", "3000000", "/dev/zero"], stdin=subprocess.DEVNULL, stdout=theirs)
        theirs.close()
        wait_for(lambda: (tmp_path / "moved").read_bytes() != bytes(8))
        time.sleep(0.2)  # its end is full by now
        received = 0
        while data := ours.recv(65536):
            received += len(data)
    assert relay.wait() == 0 and received == int.from_bytes((tmp_path / "moved").read_bytes(), "big") == 3_000_000


@pytest.mark.parametrize("direction, signal_number", [("to", signal.SIGKILL), ("from", signal.SIGTERM)])
def test_a_killed_transfer_leaves_nothing_running_and_resumes(box, direction, signal_number):
    size, (sender, receiver) = 4_000_000, sides(box, direction)
    name = f"{FOLDERS[direction]}/big.bin"
    content = random.Random(42).randbytes(size)
    write(sender, {name: content})
    link = SlowLink(box.port, rate=4_000_000)
    box.configure(port=link.port)
    process = box.start(direction, "gpu")
    wait_for(lambda: [part for part in (receiver / name).parent.glob(".big.bin.*") if part.stat().st_size > size / 3], 40)
    os.killpg(process.pid, signal_number)
    process.communicate(timeout=20)  # until nobody holds its stderr any more: rsync and ssh have ended too
    assert process.returncode == (-9 if signal_number == signal.SIGKILL else 75)
    kept = wait_for(lambda: kept_bytes((receiver / name).parent))
    assert not (receiver / name).exists()
    link.moved = 0
    assert box.run(direction, "gpu")[0] == 0
    assert (receiver / name).read_bytes() == content
    assert kept > size / 4 and link.moved < size - kept + 1_000_000, (kept, link.moved)
    link.listener.close()


# --- no rsync -----------------------------------------------------------------------------------------------------------------

def test_no_rsync_there(host, box, capfd):
    without_rsync(box)
    big = random.Random(5).randbytes(300_000)
    files = {**{name: name for name in HOSTILE}, "sub folder/-x/empty": "", "empty too": "", "same": "abc", "same again": "abc", "big": big}
    for direction, folder in FOLDERS.items():
        sender, receiver = sides(box, direction)
        write(sender, {f"{folder}/{name}": content for name, content in files.items()})
        os.chmod(sender / folder / "same", 0o755)
        write(receiver, {f"{folder}/same": "xyz"})
        moved = copy(host, box.repo, direction, *(f"{folder}/{name}" for name in files))
        assert sorted(moved.names) == sorted(f"{folder}/{name}" for name in files) and not moved.damaged
        assert tree(receiver / folder) == {name: data if isinstance(data, bytes) else data.encode() for name, data in files.items()} | (
            {"train.jsonl": (sender / folder / "train.jsonl").read_bytes()} if (receiver / folder / "train.jsonl").exists() else {})
        said = capfd.readouterr().err
        assert said.count("gpu (") == 1 and "has no rsync that runs: moving by" in said
    assert os.access(box.far / "data/processed/same", os.X_OK) and not os.access(box.far / "data/processed/big", os.X_OK)


@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed: apt-get install -y busybox")
def test_a_far_side_with_nothing_but_busybox(host, box):
    """tar, find, head, tail and sha256sum of busybox; no python3, no rsync."""
    for name in "sh tar find head tail wc mkdir mv chmod cat rmdir rm grep sleep sha256sum".split():
        write(box.tmp, {f"busybox/{name}": f"#!/bin/sh\nexec {shutil.which('busybox')} {name} \"$@\"\n"})
        (box.tmp / "busybox" / name).chmod(0o755)
    box.hook.write_text(f"PATH='{box.tmp}/busybox'\n")
    for direction, folder in FOLDERS.items():
        sender, receiver = sides(box, direction)
        names = [f"{folder}/{name}" for name in HOSTILE]
        write(sender, {name: name for name in names})
        assert copy(host, box.repo, direction, *names).names == names
        assert all((receiver / name).read_text() == name for name in names)
    with connected(host) as far:
        assert set(Box(far).list(["adapters"])[0]) == {f"adapters/run/{name}" for name in HOSTILE}


def test_without_rsync_whole_parts_are_not_sent_again(host, box):
    without_rsync(box)
    files = {f"data/processed/{number}": random.Random(number).randbytes(300_000) for number in range(3)}
    write(box.repo, files)
    parts = {pipe.part_name(name, hashlib.sha256(data).hexdigest()): data for name, data in files.items()}
    last = list(parts)[-1]
    write(box.far / "data/processed" / PARTS_DIR, {**parts, last: parts[last][:200]})
    link = SlowLink(box.port, rate=10**9)
    assert copy(replace(host, port=link.port), box.repo, "to", *files).names == list(files)
    assert 300_000 < link.moved < 450_000 and {name: (box.far / name).read_bytes() for name in files} == files
    link.listener.close()


def test_only_options_of_macos_rsync_are_used(box):
    """A stand-in for openrsync: refuses every option that its manual page lacks, or that older ones lack."""
    short, long = "0468BCDEFHILOPRSTWVabcdefghiklmnopqrtuvxyz", "files-from timeout version progress"
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


# --- disks and permissions ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rsync", ["rsync", "pipe"])
def test_a_full_disk_there_is_named_and_the_same_call_goes_on(host, box, rsync):
    names = ["data/processed/a", "data/processed/big"]
    write(box.repo, {names[0]: "a", names[1]: random.Random(3).randbytes(3_000_000)})
    if rsync == "pipe":
        without_rsync(box)
    with small_disk(box.far) as remount:
        leave_room(box.far, remount, 1_000_000)
        with pytest.raises(UserError, match="the disk there is full: .*(No space left on device|Wrote only)"):
            copy(host, box.repo, "to", *names)
        remount("size=64m")
        assert not (box.far / names[1]).exists() and names[1] in copy(host, box.repo, "to", *names).names
        assert (box.far / names[1]).read_bytes() == (box.repo / names[1]).read_bytes()


@pytest.fixture
def person(box, host):
    """The same host, where root's right to ignore permissions is taken from the far side."""
    prefix = " ".join(as_people())
    (box.tmp / "session.sh").write_text((box.tmp / "session.sh").read_text().replace("exec sh -c", f"exec {prefix} sh -c"))
    return host


@pytest.mark.parametrize("rsync", ["rsync", "pipe"])
def test_a_folder_there_that_cannot_be_written(person, box, rsync):
    write(box.repo, {"data/processed/closed/a": "a", "data/synthetic/b": "b"})
    closed = box.far / "data/processed/closed"
    closed.mkdir(parents=True)
    closed.chmod(0o500)
    if rsync == "pipe":
        without_rsync(box)
    try:
        moved = copy(person, box.repo, "to", "data/processed/closed/a", "data/synthetic/b")
        assert moved.damaged == ["data/processed/closed/a"] and "Permission denied" in moved.said
        assert moved.names == ["data/synthetic/b"]
    except UserError as error:
        assert rsync == "pipe" and "Permission denied" in str(error)
    closed.chmod(0o700)
    assert copy(person, box.repo, "to", "data/processed/closed/a", "data/synthetic/b").damaged == []


def test_a_file_and_a_folder_there_that_cannot_be_read(person, box):
    write(box.far, {"adapters/run/a": "a", "adapters/run/closed/b": "b"})
    (box.far / "adapters/run/a").chmod(0)
    with pytest.raises(UserError, match="adapters/run/a cannot be read there"):
        copy(person, box.repo, "from", "adapters/run/a")
    (box.far / "adapters/run/closed").chmod(0)
    with connected(person) as far, pytest.raises(UserError, match="cannot list adapters: .*Permission denied"):
        sync.pull(far, ["adapters"])
    (box.far / "adapters/run/closed").chmod(0o700)


# --- files that change meanwhile ---------------------------------------------------------------------------------------------------

def on_transfer(box, script):
    """Run shell text there each time before rsync starts."""
    box.hook.write_text(f'case $SSH_ORIGINAL_COMMAND in "rsync --server"*) cd weatherman; {script}; cd ..;; esac\n')


def test_a_checkpoint_that_goes_while_it_is_fetched_is_no_error(host, box):
    write(box.far, {"adapters/run/keep": "k", "adapters/run/checkpoint-1/a": "a"})
    on_transfer(box, "rm -rf adapters/run/checkpoint-1")
    with connected(host) as far:
        moved = sync.pull(far, ["adapters/run"])
    assert (moved.names, moved.vanished, moved.damaged) == (["adapters/run/keep"], ["adapters/run/checkpoint-1/a"], [])
    assert tree(box.repo / "adapters") == {"run/keep": b"k"} and moved.bytes == 1


def test_a_log_that_comes_to_rest_is_fetched_again_and_one_that_never_rests_is_named(host, box):
    write(box.far, {"adapters/run/log": "1\n", "adapters/run/always": "1\n", "adapters/run/still": "1\n"})
    # The log grows while it moves the first time, and once more before it is looked at again.
    box.hook.write_text('cd weatherman; echo 2 >> adapters/run/always; case $SSH_ORIGINAL_COMMAND in\n'
                        '"rsync --server"*) [ -e ../first ] || echo 2 >> adapters/run/log; touch ../first;;\n'
                        '*) if [ -e ../first ] && ! [ -e ../second ]; then echo 3 >> adapters/run/log; touch ../second; fi;; esac; cd ..\n')
    with connected(host) as far:
        moved = sync.pull(far, ["adapters/run"])
    assert sorted(moved.names) == ["adapters/run/log", "adapters/run/still"] and moved.changing == ["adapters/run/always"]
    assert (box.repo / "adapters/run/log").read_text() == "1\n2\n3\n"


# --- the calls that remote_run makes -------------------------------------------------------------------------------------------------

def test_push_and_pull(host, box):
    write(box.repo, {"adapters/base/adapter.safetensors": "weights", "adapters/other/x": "x"})
    with connected(host) as far:
        moved = sync.push(far, extra=["adapters/base"])
        assert "adapters/base/adapter.safetensors" in moved.names and (moved.vanished, moved.changing, moved.damaged) == ([], [], [])
        assert moved.bytes == sum((box.far / name).stat().st_size for name in moved.names) and moved.seconds > 0
        assert sync.push(far, extra=["adapters/base"]).names == [] and not (box.far / "adapters/other").exists()
        write(box.far, {"adapters/run/a": "a", "adapters/run/sub/b": "b", "adapters/jobs/run/job.log": "log"})
        assert sync.pull(far, ["adapters/run/a", "adapters/jobs/run/"]).names == ["adapters/jobs/run/job.log", "adapters/run/a"]
        assert sync.pull(far, ["adapters/absent"]).names == []
        with pytest.raises(UserError, match="only what lies below adapters/"):
            sync.pull(far, ["data/processed"])


def test_damage_raises(host, box):
    box.hook.write_text(FLIP.format(file=box.far / "data/processed/train.jsonl"))
    with connected(host) as far, pytest.raises(UserError, match=r"1 of \d+ files are not the sender's after the transfer"):
        sync.push(far)


def test_the_link_is_measured(host, box):
    link = SlowLink(box.port, rate=2_000_000)
    with connected(replace(host, port=link.port)) as far:
        for direction in ("to", "from"):
            assert 1_000_000 < transfer.link_speed(far, direction) < 3_000_000
    link.listener.close()
