"""Whether the disk that outputs go to is large enough and can be written (DESIGN §5, Storage)."""
import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from weatherman.cli import UserError, describe_os_error

GB = 10**9  # bytes; clouds sell volumes in decimal gigabytes
FINE_GB, LEAST_GB = 30, 20  # free space a whole run needs with room to spare, and at the very least: DESIGN §5
TEST_WRITE_BYTES = 4 * 2**20  # more than any file system packs into its metadata
SHARED_DEVICES = ("mfs#",)  # MooseFS, RunPod's network volumes: they report the free space of the whole cluster
FINE, WARNING, FAILURE = "fine", "warning", "failure"


@dataclass
class Storage:
    """Outcome of a check: FINE, WARNING or FAILURE; `free_bytes` is what may still be written."""

    outcome: str
    message: str
    path: str
    free_bytes: int


def existing_parent(path):
    """Return `path`, or the nearest folder above it that exists: the volume it would be made on."""
    path = Path(path).absolute()
    while not path.is_dir():
        path = path.parent
    return path


def mount_of(path, mounts):
    """Return (device, mount point) of the volume that holds the absolute `path`; ("", "/") when `mounts` does not say.

    mounts: text in the form of /proc/mounts, where a space in a name is written \\040. Of two mounts on one point the later holds.
    """
    best = ("", "/")
    for line in mounts.splitlines():
        device, point = (field.replace("\\040", " ") for field in line.split()[:2])
        if Path(path).is_relative_to(point) and len(point) >= len(best[1]):
            best = (device, point)
    return best


def used_bytes(folder):
    """Return (bytes allocated below `folder` on its own volume, number of folders that may not be read). Hard links count once."""
    device, seen, unreadable = os.stat(folder).st_dev, {}, []
    for root, folders, names in os.walk(folder, onerror=unreadable.append):
        for name in names + folders:
            with contextlib.suppress(FileNotFoundError):  # others work on this volume while we look
                entry = os.lstat(os.path.join(root, name))
                if entry.st_dev == device:
                    seen[entry.st_ino] = entry.st_blocks * 512
                elif name in folders:
                    folders.remove(name)
    return sum(seen.values()), len(unreadable)


def judge(free_bytes):
    """Return FINE, WARNING or FAILURE for an amount of free space."""
    if free_bytes < LEAST_GB * GB:
        return FAILURE
    return WARNING if free_bytes < FINE_GB * GB else FINE


def try_write(folder):
    """Write, flush to the disk and remove TEST_WRITE_BYTES in `folder`. Raises OSError when the disk does not take them."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".storage-test-") as handle:
        handle.write(os.urandom(TEST_WRITE_BYTES))  # zeros could be compressed away
        handle.flush()
        os.fsync(handle.fileno())


def read_mounts():
    """Return /proc/mounts, "" where the system has none (macOS)."""
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def reported_free(path):
    """Return the bytes that the volume of an existing `path` says may still be written."""
    volume = os.statvfs(path)
    return volume.f_bavail * volume.f_frsize


def check_storage(path, quota_gb=None, mounts=None, present_bytes=0):
    """Return the Storage outcome for the volume that `path` is on, or will be on.

    quota_gb: size of a volume that reports more than is ours; what lies on it is subtracted. mounts: text instead of /proc/mounts.
    present_bytes: what of a whole run's 30 GB lies there already, such as the environment; it counts as if it were free.
    """
    folder = existing_parent(path)
    try:
        try_write(folder)
    except OSError as error:
        error.filename = str(folder)
        known = describe_os_error(error)
        return Storage(FAILURE, known[0] if known else f"a test write failed: {error.strerror}", str(folder), 0)
    free_bytes = reported_free(folder)
    device, point = mount_of(folder.resolve(), read_mounts() if mounts is None else mounts)
    if quota_gb is not None:
        return _under_quota(folder, point if device else folder, quota_gb, free_bytes, present_bytes)
    if device.startswith(SHARED_DEVICES):
        return Storage(WARNING, f"{point} is a network volume ({device}); the {free_bytes / GB:,.0f} GB it reports free are its whole "
                                "cluster's. Try: VOLUME_QUOTA_GB=50, or --quota-gb 50", str(folder), free_bytes)
    return Storage(judge(free_bytes + present_bytes), _describe(free_bytes, present_bytes), str(folder), free_bytes)


def _under_quota(folder, volume, quota_gb, reported_bytes, present_bytes):
    used, unreadable = used_bytes(volume)
    free_bytes = min(reported_bytes, max(0, int(quota_gb * GB) - used))
    message = f"{_describe(free_bytes, present_bytes)} ({used / GB:,.1f} GB of a quota of {quota_gb:g} GB are used"
    message += f"; {unreadable} folders could not be read and are not counted)" if unreadable else ")"
    return Storage(judge(free_bytes + present_bytes), message, str(folder), free_bytes)


def _describe(free_bytes, present_bytes):
    needs = {FINE: "", WARNING: f"; a whole run is planned for {FINE_GB} GB", FAILURE: f"; at least {LEAST_GB} GB are needed"}
    beside = f" beside the environment's {present_bytes / GB:,.1f}" if present_bytes else ""
    return f"{free_bytes / GB:,.1f} GB free{beside}{needs[judge(free_bytes + present_bytes)]}"


def quota_from_environment():
    """Return $VOLUME_QUOTA_GB as a number, None when it is not set. Raises UserError when it is no positive number."""
    text = os.environ.get("VOLUME_QUOTA_GB")
    try:
        return positive_gb(text) if text else None
    except ValueError as error:
        raise UserError(f"VOLUME_QUOTA_GB: {error}.", "export VOLUME_QUOTA_GB=50, the size of the volume in gigabytes") from None


def same_volume(a, b):
    """Return whether two paths, or the folders they will be made in, are on one volume."""
    return existing_parent(a).stat().st_dev == existing_parent(b).stat().st_dev


def positive_gb(text):
    """Return `text` as a positive number of gigabytes. Raises ValueError."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"{text} is not a positive number of gigabytes")
    return value
