"""The shell scripts that list and hash the far side's files, run here by the shells a far side may have."""
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limits import as_people
from loopback import write
from weatherman.remote import far_files, inventory

pytestmark = pytest.mark.machine

ABC, EMPTY = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3", f"{hashlib.sha256().hexdigest()} 0"
SHELLS = [shell for shell in ("sh", "bash", "busybox") if shutil.which(shell)]


def far_answer(folder, names, path=os.environ["PATH"], shell="sh", prefix=()):
    """Return (exit status, stdout lines) of the hashing script in `folder`."""
    script = f"cd '{folder}'\n{far_files.FAR_HASH}show_all {' '.join(map(far_files._argument, names))}\n"
    command = [*map(shutil.which, prefix[:1]), *prefix[1:], shutil.which(shell), *(["sh"] if shell == "busybox" else []), "-s"]
    done = subprocess.run(command, input=os.fsencode(script), capture_output=True, env={"PATH": str(path)})
    return done.returncode, [line for line in done.stdout.decode().splitlines() if line != "."]


def programs(tmp_path, *names):
    """Return a PATH that holds these programs alone. Scripts, not links: a version manager's shim needs its own path."""
    for name in names:
        if not (found := sys.executable if name == "python3" else shutil.which(name)):
            pytest.skip(f"{name} is not installed")
        write(tmp_path, {f"bin/{name}": f"#!/bin/sh\necho {name} >> '{tmp_path}/started'\nexec '{found}' \"$@\"\n"})
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path / "bin"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("tools", [["python3"], ["sha256sum"], ["shasum", "perl"]], ids=lambda tools: tools[0])
def test_any_one_checksum_program_will_do(tmp_path, tools, shell):
    if shell == "busybox" and tools != ["python3"]:
        pytest.skip("busybox has a sha256sum of its own, whatever the PATH")
    path = programs(tmp_path, *tools, *([] if tools == ["python3"] else ["wc", "head", "grep", "sleep"]))
    write(tmp_path, {"files/a b": "abc", "files/-rf": "", "files/key": "x\n-----BEGIN RSA PRIVATE KEY-----\n",
                     "files/json": '{"private_key": "-----BEGIN PRIVATE KEY-----"}', "files/public": "-----BEGIN PUBLIC KEY-----"})
    (tmp_path / "files/folder").mkdir()
    status, lines = far_answer(tmp_path / "files", ["a b", "absent", "-rf", "folder", "key", "json", "public"], path, shell)
    assert status == 0 and lines[:4] == [ABC, "- 0", EMPTY, "- 0"]
    assert [line.split()[0] for line in lines[4:6]] == ["private-key"] * 2 and lines[6].endswith(" 26")


@pytest.mark.parametrize("tool", ["python3", "sha256sum"])
def test_a_file_that_cannot_be_read_is_not_taken_for_absent(tmp_path, tool):
    path = programs(tmp_path, tool, "wc", "head", "grep", "sleep")
    write(tmp_path, {"files/closed": "abc", "files/open": "abc"})
    (tmp_path / "files/closed").chmod(0)
    status, lines = far_answer(tmp_path / "files", ["closed", "open"], path, prefix=as_people())
    assert (status, lines) == (0, ["unreadable 0", ABC])


def test_no_checksum_program_is_an_error_of_its_own(tmp_path):
    assert far_answer(tmp_path, ["x"], path=tmp_path) == (far_files.NO_HASH, [])


def test_two_thousand_files_are_hashed_by_few_programs(tmp_path):
    names = [f"file {number}" for number in range(2000)]
    write(tmp_path / "files", dict.fromkeys(names, "abc"))
    path = programs(tmp_path, "python3")
    status, lines = far_answer(tmp_path / "files", names, path)
    assert status == 0 and lines == [ABC] * 2000
    assert len((tmp_path / "started").read_text().split()) == 2  # one to see whether it runs


FILE_NAMES = st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b and b"/" not in b and b not in (b".", b".."))


@settings(max_examples=5, deadline=None)
@given(names=st.sets(FILE_NAMES, min_size=1, max_size=40))
def test_any_file_name_is_hashed_by_the_far_shell(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    (folder / "d").mkdir()
    for name in names:
        Path(os.fsdecode(bytes(folder) + b"/d/" + name)).write_bytes(name)
    status, lines = far_answer(folder, [f"d/{os.fsdecode(name)}" for name in names])
    assert status == 0 and lines == [f"{hashlib.sha256(name).hexdigest()} {len(name)}" for name in names]
    assert not any("\n" in inventory.printable(os.fsdecode(name)) for name in names)
