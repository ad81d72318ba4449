"""weatherman.machines.install_log: what an installer prints is kept whole, and people see what moves."""
import os
import pty
import subprocess
import sys

import pytest

from paths import SCRIPTS_DIR
from weatherman.machines.install_log import news

COMMAND = [sys.executable, "-I", str(SCRIPTS_DIR / "weatherman/machines/install_log.py")]


@pytest.mark.parametrize("line, shown", [
    ("Collecting torch==2.10.0 (from -r requirements-remote.txt (line 9))", "7 of 100: Collecting torch==2.10.0"),
    ("  Downloading torch-2.10.0-cp310-cp310-manylinux_2_28_x86_64.whl (899.7 MB)",
     "downloading torch-2.10.0-cp310-cp310-manylinux_2_28_x86_64.whl (899.7 MB)"),
    ("  Downloading idna-3.20-py3-none-any.whl (70 kB)", None), ("Installing collected packages: pytz, mpmath",) * 2,
    ("Installed 24 packages in 31ms",) * 2, ("Requirement already satisfied: pip", None), ("", None)])
def test_news(line, shown):
    assert news(line, 7, "100") == shown


def test_all_is_kept_and_every_25th_package_is_shown(tmp_path):
    said = b"".join(b"Collecting p%d==1\n  Downloading p%d.whl (3.0 MB)\n" % (n, n) for n in range(1, 60)) + b"Installing: caf\xe9\nno end"
    (tmp_path / "log").write_text("an earlier installer's\n")
    done = subprocess.run([*COMMAND, tmp_path / "log", "60"], input=said, capture_output=True, check=True)
    assert done.stderr.decode() == "  25 of 60: Collecting p25==1\n  50 of 60: Collecting p50==1\n  Installing: caf\ufffd\n"
    assert (tmp_path / "log").read_text() == "an earlier installer's\n" + said.decode(errors="replace") and done.stdout == b""


@pytest.mark.machine
def test_a_terminal_sees_one_moving_line(tmp_path):
    ours, theirs = pty.openpty()
    said = b"Collecting a==1\nBuilding " + b"x" * 200 + b"\n"
    subprocess.run([*COMMAND, tmp_path / "log", "9"], input=said, stderr=theirs, check=True)
    os.close(theirs)
    assert os.read(ours, 4096).decode() == "\r\033[K  1 of 9: Collecting a==1\r\033[K  Building " + "x" * 61 + "\r\033[K"
    os.close(ours)
