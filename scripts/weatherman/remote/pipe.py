"""Move files where one side has no rsync: tar towards the far side, cat from it, both through ssh.

What arrives waits in a folder of parts beside its place, under a name made of the file's name and sha256, and takes its place when
its size is right. So an interrupted batch resumes at the file, a large file at the byte, and no hostile name passes through tar.
"""
import hashlib
import io
import os
import re
import shlex
import tarfile

from weatherman.cli import UserError
from weatherman.remote.far_files import CANNOT_WRITE, enter
from weatherman.remote.inventory import PARTS_DIR, printable
from weatherman.remote.watch import far_run

BATCH_BYTES = 4_000_000  # of small files in one tar; a larger file goes alone and resumes at the byte
BATCH_FILES = 500


def part_name(name, sha256):
    """Return the name of a file's part: the same only for the same name with the same content."""
    return hashlib.sha256(os.fsencode(name) + b"\0" + sha256.encode()).hexdigest()[:32]


def disk_full(far, direction, stderr):
    """Return the UserError for a disk without room at the receiving end of `direction`, None when `stderr` (text) tells of none."""
    found = re.search(r".*(No space left|[Qq]uota exceeded|Wrote only|short write).*", stderr)  # the last two: GNU's tar and busybox's
    where = f"{far.host}: the disk there" if direction == "to" else "the disk here"
    return found and UserError(f"{where} is full: {found[0].strip()}",
                               "free some space, then the same command again, it continues where it stopped")


# --- to the far side ------------------------------------------------------------------------------------------------------

def send(far, root, folder, names, sent, stall_s):
    """Send `names`, all below `folder` of the local `root`, to the same folder there. Returns "" (see transfer.move)."""
    enter_parts = f"{enter(far.host)}mkdir -p -- {_folder(folder)}/{PARTS_DIR} && cd -- {_folder(folder)} || exit {CANNOT_WRITE}\n"
    parts = {name: part_name(name, sent[name][0]) for name in names}
    there = _far_parts(far, enter_parts, stall_s)
    batch = []
    for name in names:
        if sent[name][1] > BATCH_BYTES:
            _append(far, enter_parts, root / name, parts[name], sent[name][1], there.get(parts[name], 0), stall_s)
        elif there.get(parts[name]) != sent[name][1]:
            batch.append(name)
            if len(batch) == BATCH_FILES or sum(sent[n][1] for n in batch) > BATCH_BYTES:
                _send_tar(far, enter_parts, root, batch, parts, stall_s)
                batch = []
    if batch:
        _send_tar(far, enter_parts, root, batch, parts, stall_s)
    place = "".join(_place(root / name, name.removeprefix(f"{folder}/"), parts[name], sent[name][1]) for name in names)
    _far(far, "sh -s", stall_s, [os.fsencode(f"{enter_parts}{place}rmdir {PARTS_DIR} 2>/dev/null; exit 0\n")])
    return ""


def _folder(folder):
    return shlex.quote(f"./{folder}")


def _far(far, command, stall_s, feed):
    """far_run that raises UserError unless the far command ends well; return its stdout."""
    status, output, stderr = far_run(far, command, stall_s, feed)
    if full := disk_full(far, "to", stderr):
        raise full
    if status:
        raise UserError(f"{far.host}: cannot write there (status {status}): {stderr.strip()[-400:]}",
                        "the same command again, it continues where it stopped")
    return output


def _far_parts(far, enter_parts, stall_s):
    """Return {part name: bytes} of what an interrupted transfer left there."""
    script = f'{enter_parts}for p in {PARTS_DIR}/*; do if [ -f "$p" ]; then echo "${{p##*/}} $(($(wc -c < "$p")))"; fi; done\n'
    lines = _far(far, "sh -s", stall_s, [os.fsencode(script)]).decode("ascii", "replace").splitlines()
    return {part: int(size) for part, size in (line.split() for line in lines)}


def _append(far, enter_parts, path, part, size, done, stall_s):
    """Send what is missing of one large file; a part that is longer than the file is no part of it."""
    done = done if done <= size else 0
    script = f"{enter_parts}cat {'>>' if done else '>'} {PARTS_DIR}/{part}"
    if done < size:
        _far(far, f"sh -c {shlex.quote(script)}", stall_s, _chunks(path, done))


def _chunks(path, start):
    with open(path, "rb") as handle:
        handle.seek(start)
        while chunk := handle.read(2**20):
            yield chunk


def _send_tar(far, enter_parts, root, names, parts, stall_s):
    """Send small files as one tar, each under the name of its part. -o: the files belong to the far user."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            with open(root / name, "rb") as handle:
                entry = archive.gettarinfo(arcname=parts[name], fileobj=handle)
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                archive.addfile(entry, handle)
    _far(far, f"sh -c {shlex.quote(f'{enter_parts}cd {PARTS_DIR} && tar -xof -')}", stall_s, [buffer.getbuffer()])


def _place(path, name, part, size):
    """Return the shell text that gives a whole part its name and mode, in one step of the file system."""
    mode = "755" if os.access(path, os.X_OK) else "644"
    part, target, folder = f"{PARTS_DIR}/{part}", shlex.quote(f"./{name}"), shlex.quote(os.path.dirname(f"./{name}"))
    return (f"if [ $(($(wc -c < {part}))) -eq {size} ]; then\n"
            f"  mkdir -p -- {folder} && chmod {mode} {part} && mv -f -- {part} {target} || exit {CANNOT_WRITE}\nfi\n")


# --- from the far side ----------------------------------------------------------------------------------------------------

FAR_SEND = """
give() { # name, bytes that we have, bytes in all -> a line with the bytes that follow ("-" when the file is not that long), and they
  if [ -f "$1" ] && [ $(($(wc -c < "$1"))) -ge "$3" ]; then
    echo $(($3 - $2)); tail -c +$(($2 + 1)) < "$1" | head -c $(($3 - $2))
  else echo -; fi
}
"""


def fetch(far, root, folder, names, sent, stall_s):
    """Fetch `names`, all below `folder` there, to the same folder of the local `root`. Returns "" (see transfer.move)."""
    parts_dir = root / folder / PARTS_DIR
    parts_dir.mkdir(exist_ok=True)
    wanted = []  # (name, part, bytes that are here, bytes in all)
    for name in names:
        part, size = parts_dir / part_name(name, sent[name][0]), sent[name][1]
        done = part.stat().st_size if part.exists() else 0
        wanted.append((name, part, done if done <= size else 0, size))
    asked = "".join(f"give {shlex.quote(f'./{name}')} {done} {size}\n" for name, _, done, size in wanted)
    status, _, stderr = far_run(far, "sh -s", stall_s, [os.fsencode(enter(far.host) + FAR_SEND + asked)],
                                lambda answer: _take(far, root, answer, wanted))
    if status:
        raise UserError(f"{far.host}: cannot read there (status {status}): {stderr.strip()[-400:]}",
                        "the same command again, it continues where it stopped")
    if not any(parts_dir.iterdir()):
        parts_dir.rmdir()
    return stderr.strip()


def _take(far, root, answer, wanted):
    """Read what FAR_SEND gives; each file takes its place when it is whole."""
    for name, part, done, size in wanted:
        line = answer.readline()
        if line == b"-\n":
            continue
        if line != b"%d\n" % (size - done):
            raise UserError(f"{far.host}: broke off before {printable(name)}.", "the same command again, it continues where it stopped")
        with open(part, "r+b" if done else "wb") as handle:
            handle.seek(done)
            arrived = answer.copy_to(handle, size - done)
        if arrived < size - done:
            raise UserError(f"{far.host}: broke off inside {printable(name)}, at {done + arrived:,} of {size:,} bytes.",
                            "the same command again, it continues where it stopped")
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, root / name)
