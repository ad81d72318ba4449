"""The files of the other side, over ssh: list, hash, make the folder, delete.

Needs there a POSIX sh, and one of python3, sha256sum, shasum.
"""
import os
import re
import shlex

from weatherman.cli import UserError
from weatherman.remote.inventory import CODE, DATA, KEY_HEAD_BYTES, KEY_PATTERN, PRIVATE_KEY, UNREADABLE, printable, sort_listed
from weatherman.remote.watch import STALL_S, far_run

NO_FOLDER, NO_HASH, CANNOT_WRITE = 66, 69, 73  # exit statuses of our far scripts, numbered as sysexits.h does
ABSENT = "-"
NAMES_A_CALL = 500  # arguments of one far program; with names of 4,096 bytes that is 2 MB, what Linux takes
LIST_TRIES = 3      # a folder that goes while find reads it (a rotated checkpoint) makes find fail



class NoFolder(UserError):
    """The work folder is not there."""


# Both print a line a file: its sha256, or one of the words above, and its size. Lines of one dot are signs of life.
FAR_PYTHON = f'''
import hashlib, os, re, sys, time
spoke = time.time()
def beat():
    global spoke
    if time.time() - spoke > 5:
        spoke = time.time()
        print(".", flush=True)
for name in sys.argv[1:]:
    answer, size = "{ABSENT}", 0
    try:
        if os.path.isfile(name):
            digest = hashlib.sha256()
            with open(name, "rb") as handle:
                block = handle.read({KEY_HEAD_BYTES})
                secret = re.search({KEY_PATTERN.encode()!r}, block, re.M)
                while block:
                    digest.update(block)
                    size += len(block)
                    beat()
                    block = handle.read(1 << 20)
            answer = "{PRIVATE_KEY.replace(" ", "-")}" if secret else digest.hexdigest()
    except FileNotFoundError:
        pass
    except OSError:
        answer = "{UNREADABLE}"
    print(answer, size)
    beat()
'''
FAR_HASH = f"""
export LC_ALL=C
python={shlex.quote(FAR_PYTHON)}
if python3 -c 'import hashlib' >/dev/null 2>&1; then
  show_all() {{ python3 -c "$python" "$@"; }}
else
  if command -v sha256sum >/dev/null 2>&1; then digest() {{ sha256sum; }}
  elif command -v shasum >/dev/null 2>&1; then digest() {{ shasum -a 256; }}
  else exit {NO_HASH}; fi
  (while sleep 5 >/dev/null 2>&1; do echo .; done) & beat=$!
  trap 'kill $beat' EXIT
  show_all() {{ for name; do show "$name"; done; }}
  show() {{
    if ! [ -f "$1" ]; then echo '{ABSENT} 0'
    elif ! [ -r "$1" ]; then echo '{UNREADABLE} 0'
    elif head -c {KEY_HEAD_BYTES} < "$1" | grep -E -q -e {shlex.quote(KEY_PATTERN)}; then echo '{PRIVATE_KEY.replace(" ", "-")} 0'
    elif h=$(digest < "$1"); then echo "${{h%% *}} $(($(wc -c < "$1")))"
    else echo '{UNREADABLE} 0'; fi
  }}
fi
"""


def enter(host):
    """Return the shell text that goes into the far folder, or ends with NO_FOLDER."""
    return f"CDPATH= cd -- {shlex.quote(host.folder)} 2>/dev/null || exit {NO_FOLDER}\n"


def far_script(far, script, stall_s=STALL_S):
    """Run a POSIX shell script in the far folder; return (exit status, stdout bytes, stderr text) as far_run does."""
    return far_run(far, "sh -s", stall_s, [os.fsencode(enter(far.host) + script)])


def list_far(far, entries, stall_s=STALL_S):
    """Return (names, withheld) of the regular files below `entries` (files, folders, or globs of CODE) on the far side.

    Raises NoFolder, or UserError when they cannot be listed.
    """
    tops = " ".join(entry if entry in CODE else shlex.quote(entry) for entry in entries)
    script = f"for f in {tops}; do if [ -e \"$f\" ]; then find -H \"$f\" -type f -print0 || exit 1; fi; done\n"
    for _ in range(LIST_TRIES):
        status, output, stderr = far_script(far, script, stall_s)
        if status == NO_FOLDER:
            raise NoFolder(f"{far.host}: there is no folder {far.host.folder}.", f"scripts/sync_to_remote.sh {far.host.alias}")
        if not status:
            return sort_listed([os.fsdecode(name) for name in output.split(b"\0") if name], entries, far.host)
    raise UserError(f"{far.host}: cannot list {' '.join(entries)}: {stderr.strip()[-400:]}",
                    f'the "user" in configs/hosts.yaml who may read {far.host.folder} there')


def far_manifest(far, names, stall_s=STALL_S):
    """Return the manifest of `names` below the far folder; PRIVATE_KEY or UNREADABLE may stand where a sha256 would."""
    if not names:
        return {}
    calls = [names[start:start + NAMES_A_CALL] for start in range(0, len(names), NAMES_A_CALL)]
    script = FAR_HASH + "".join(f"show_all {' '.join(map(_argument, call))}\n" for call in calls)
    status, output, stderr = far_script(far, script, stall_s)
    if status == NO_FOLDER:
        return {}
    if status == NO_HASH:
        raise UserError(f"{far.host}: has neither python3 nor sha256sum nor shasum to verify files with.",
                        "apt-get update && apt-get install -y coreutils   # there")
    lines = [line for line in output.decode("ascii", "replace").splitlines() if line != "."]
    answer = re.compile(rf"([0-9a-f]{{64}}|{ABSENT}|{UNREADABLE}|{PRIVATE_KEY.replace(' ', '-')}) \d+")
    if status or len(lines) != len(names) or not all(map(answer.fullmatch, lines)):
        raise UserError(f"{far.host}: its answer is not {len(names)} checksums (status {status}): "
                        f"{(lines or [''])[0][:80]} {stderr.strip()[-200:]}", f"python scripts/check_host.py {far.host.alias}")
    found = {name: line.split() for name, line in zip(names, lines)}
    return {name: (sha256.replace("-", " "), int(size)) for name, (sha256, size) in found.items() if sha256 != ABSENT}


def _argument(name):
    """Quote a relative name so that no program takes it for an option."""
    return shlex.quote(f"./{name}")


def make_far_folder(far, stall_s=STALL_S):
    """Make the far folder and the data folders in it; raises UserError when they cannot be made or written."""
    folder = shlex.quote(far.host.folder)
    script = f"mkdir -p -- {folder} && CDPATH= cd -- {folder} && mkdir -p {' '.join(DATA)} && test -w . || exit {CANNOT_WRITE}\n"
    status, _, stderr = far_run(far, "sh -s", stall_s, [os.fsencode(script)])
    if status:
        raise UserError(f"{far.host}: the folder {far.host.folder} cannot be made or written: {stderr.strip() or 'no permission'}",
                        f'another "folder" for {far.host.alias} in configs/hosts.yaml')


def delete_far(far, names, stall_s=STALL_S):
    """Delete files of the far folder, and the folders that this leaves empty."""
    script = "".join(f"rm -f -- {_argument(name)} && rmdir -p -- {_argument(os.path.dirname(name))} 2>/dev/null\n" for name in names)
    status, _, stderr = far_script(far, script + "exit 0\n", stall_s)
    if status or "rm:" in stderr:
        raise UserError(f"{far.host}: cannot delete there: {stderr.strip()[-400:]}", f"ls -la {printable(far.host.folder)}   # there")
