"""What tests take away from a script: room on the disk, the right to write to it, root's right to ignore permissions."""
import contextlib
import os
import shutil
import subprocess

import pytest


@contextlib.contextmanager
def small_disk(folder):
    """Mount a tmpfs at `folder` and give `remount(options)`. Skips the test where that is not allowed: only root may mount."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a full or read-only disk needs a tmpfs, which Linux lets root mount: sudo make test")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)  # lazily: weights may still be mapped


def leave_room(folder, remount, room):
    """Shrink the small disk at `folder` until `room` bytes are free."""
    disk = os.statvfs(folder)
    remount(f"size={(disk.f_blocks - disk.f_bfree) * disk.f_frsize + room}")


def as_people():
    """Return the command prefix that takes root's right to ignore permission bits away; empty for everybody else."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root ignores permissions and setpriv is not installed: apt-get install util-linux")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
