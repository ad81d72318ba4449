"""A small file system of its own, to be filled: for tests of what a full or read-only disk does."""
import contextlib
import os
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
