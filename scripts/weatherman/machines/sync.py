"""Move an allow-list of files between this machine and a host of configs/hosts.yaml, and compare every file by sha256.

  to:    code, configuration, locks (repository) and data/processed, data/synthetic (WEATHERMAN_BASE_DIR) -> the host's folder
  from:  adapters/ with metrics, logs and reports -> WEATHERMAN_BASE_DIR

Run on the machine that has configs/hosts.yaml, by its launchers:
    scripts/sync_to_remote.sh HOST --dry-run
    scripts/sync_to_remote.sh HOST
    scripts/sync_from_remote.sh HOST
Nothing is ever deleted. Both sides are hashed first, only files that differ move, and those are hashed again afterwards.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from paths import REPO_DIR, base_dir
from weatherman.cli import DONE, MENDABLE, UserError, log, parser, print_error, run, table
from weatherman.files import sha256_file
from weatherman.machines.hosts import find_host
from weatherman.machines.ssh import SSH_FAILED, connected, far_sh, ssh_error

CODE = ("scripts", "configs", "requirements-*.txt", "environment-remote.yml", "setup_remote.sh", "Makefile", "pyproject.toml", "README.md")
DATA = ("data/processed", "data/synthetic")
RESULTS = ("adapters",)
PARTIAL_DIR = ".rsync-partial"
# Withheld wherever they lie, in both directions; compared with every part of the path, in lower case.
SECRETS = (".env*", "hosts.yaml*", ".netrc", ".npmrc", ".pypirc", ".ssh", ".aws", ".cache", ".huggingface", "*.pem", "*.key", "*.ppk",
           "*.p12", "*.pfx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "known_hosts*", "authorized_keys*", "rclone.conf")
WORK_FILES = (".git", ".venv*", "venv", "__pycache__", "*.pyc", "*.part", PARTIAL_DIR, ".ds_store", "._*")
STALL_TIMEOUT_S = 120  # rsync gives up after so long without a byte; the same command then resumes
NO_FOLDER, NO_HASH, CANNOT_WRITE = 66, 69, 73  # exit statuses of our far scripts, numbered as sysexits.h does

FAR_HASH = f"""
if command -v sha256sum >/dev/null 2>&1; then digest() {{ sha256sum; }}
elif command -v shasum >/dev/null 2>&1; then digest() {{ shasum -a 256; }}
elif command -v python3 >/dev/null 2>&1; then digest() {{ python3 -c '
import hashlib, sys
h = hashlib.sha256()
for block in iter(lambda: sys.stdin.buffer.read(1 << 20), b""): h.update(block)
print(h.hexdigest())'; }}
else exit {NO_HASH}; fi
show() {{
  if [ -f "$1" ] && h=$(digest < "$1"); then echo "${{h%% *}} $(($(wc -c < "$1")))"; else echo "- 0"; fi
}}
"""


# --- what may move ----------------------------------------------------------------------------------------------------

def is_withheld(name):
    """True when a part of the relative path names a secret or a work file."""
    return any(fnmatchcase(part.lower(), pattern) for part in PurePosixPath(name).parts for pattern in SECRETS + WORK_FILES)


def is_private_key(path):
    """True when the file starts as a private key does (PEM, OpenSSH, PuTTY), whatever its name."""
    with open(path, "rb") as handle:
        head = handle.read(64)
    return b"PRIVATE KEY-----" in head or head.startswith(b"PuTTY-User-Key-File")


def list_local(root, entries):
    """Return (names, withheld): the regular files below `entries` (names or globs under `root`) as sorted paths relative to it.

    A link as an entry is followed (data on another disk); links below are withheld: they may lead anywhere.
    """
    names, withheld = [], []
    for top in sorted(path for entry in entries for path in Path(root).glob(entry)):
        found = [top]
        if top.is_dir():
            found = []
            for folder, folders, files in os.walk(top):
                below = Path(folder)
                closed = [d for d in folders if (below / d).is_symlink() or is_withheld((below / d).relative_to(root).as_posix())]
                folders[:] = [d for d in folders if d not in closed]
                found += [below / file for file in closed + files]
        for path in found:
            name = path.relative_to(root).as_posix()
            movable = not is_withheld(name) and path.is_file() and not path.is_symlink() and not is_private_key(path)
            (names if movable else withheld).append(name)
    return sorted(names), sorted(withheld)


def list_far(far, entries):
    """Return (names, withheld) of the regular files below the folders `entries` on the far side."""
    folders = " ".join(map(shlex.quote, entries))
    script = f"{_enter(far.host)}for f in {folders}; do if [ -d \"$f\" ]; then find -H \"$f\" -type f -print0 || exit 1; fi; done\n"
    status, output, stderr = far_sh(far, script)
    if status == NO_FOLDER:
        raise UserError(f"{far.host}: there is no folder {far.host.folder}.", f"scripts/sync_to_remote.sh {far.host.alias}")
    if status:
        raise UserError(f"{far.host}: cannot list {folders}: {stderr.strip()}")
    found = [os.fsdecode(name) for name in output.split(b"\0") if name]
    for name in found:  # the far side is not trusted with where files land here
        if ".." in PurePosixPath(name).parts or not name.startswith(tuple(f"{entry}/" for entry in entries)):
            raise UserError(f"{far.host}: named a file outside {folders}: {printable(name)}")
    return sorted(n for n in found if not is_withheld(n)), sorted(n for n in found if is_withheld(n))


# --- manifests: {name: (sha256, bytes)}, absent files left out ----------------------------------------------------------

def local_manifest(roots):
    """Return the manifest of `roots`, {name: local folder it is relative to}."""
    paths = {name: root / name for name, root in roots.items()}
    return {name: (sha256_file(path), path.stat().st_size) for name, path in paths.items() if path.is_file()}


def far_manifest(far, names):
    """Return the manifest of `names` below the far folder. Needs there: a POSIX sh and sha256sum, shasum or python3."""
    if not names:
        return {}
    status, output, stderr = far_sh(far, _enter(far.host) + FAR_HASH + "".join(f"show {shlex.quote(name)}\n" for name in names))
    if status == NO_FOLDER:
        return {}
    if status == NO_HASH:
        raise UserError(f"{far.host}: has neither sha256sum nor shasum nor python3 to verify files with.",
                        "apt-get install coreutils there")
    lines = output.decode("ascii", "replace").splitlines()
    if status or len(lines) != len(names) or not all(re.fullmatch(r"([0-9a-f]{64}|-) \d+", line) for line in lines):
        raise UserError(f"{far.host}: its answer is not {len(names)} checksums (status {status}): "
                        f"{(lines or [''])[0][:80]} {stderr.strip()}",
                        f"ssh {far.host.user}@{far.host.host} -p {far.host.port} true   # must print nothing")
    found = {name: line.split() for name, line in zip(names, lines, strict=True)}
    return {name: (sha256, int(size)) for name, (sha256, size) in found.items() if sha256 != "-"}


# --- the far side -----------------------------------------------------------------------------------------------------

def _enter(host):
    return f"CDPATH= cd -- {shlex.quote(host.folder)} 2>/dev/null || exit {NO_FOLDER}\n"


def make_far_folder(far):
    """Make the far folder and the data folders in it; raises UserError when they cannot be made or written."""
    folder = shlex.quote(far.host.folder)
    script = f"mkdir -p -- {folder} && CDPATH= cd -- {folder} && mkdir -p {' '.join(DATA)} && test -w . || exit {CANNOT_WRITE}\n"
    status, _, stderr = far_sh(far, script)
    if status:
        raise UserError(f"{far.host}: the folder {far.host.folder} cannot be made or written: {stderr.strip() or 'no permission'}",
                        f'another "folder" for {far.host.alias} in configs/hosts.yaml')


def rsync_accepts(option):
    """True when the installed rsync knows `option`; works on every rsync and openrsync, which end at --version."""
    return subprocess.run(["rsync", option, "--version"], capture_output=True).returncode == 0


def transfer(far, direction, root, folder, names):
    """Copy `names`, all below `folder` of the local `root`, to or from the same folder there, whatever times and sizes say."""
    # "./": rsync takes a name that starts with # or ; for a comment.
    below = ["./" + name.removeprefix(f"{folder}/") for name in names]
    (far.work / "names").write_bytes(b"".join(os.fsencode(name) + b"\0" for name in below))
    os.makedirs(os.path.join(root, folder), exist_ok=True)
    # Only options that rsync 2.6.9 and macOS's openrsync have too. -I: they differ, although times and sizes may agree.
    # No -l: links do not travel. --no-implied-dirs: no link to a folder is replaced.
    command = ["rsync", "-Ipt", "-0", "--files-from=names", "--no-implied-dirs", f"--timeout={STALL_TIMEOUT_S}", "-e", "ssh -F ssh_config"]
    if rsync_accepts(f"--partial-dir={PARTIAL_DIR}"):
        command.append(f"--partial-dir={PARTIAL_DIR}")
    else:
        log("this rsync cannot keep partial files: an interrupted file starts again (brew install rsync)")
    if sys.stderr.isatty():
        command.append("--info=progress2" if rsync_accepts("--info=progress2") else "--progress")
    ends = [os.path.join(root, folder, ""), f"{far.host.alias}:{os.path.join(far.host.folder, folder, '')}"]
    process = subprocess.Popen([*command, *(ends if direction == "to" else reversed(ends))], cwd=far.work, stdout=sys.stderr.fileno(),
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        stderr = process.communicate()[1].decode("utf-8", "replace").strip()
    except BaseException:
        process.terminate()  # not kill: rsync then keeps what has arrived
        process.wait()
        raise
    if process.returncode:
        raise _rsync_error(far, process.returncode, stderr)


def _rsync_error(far, status, stderr):
    if status == SSH_FAILED:
        return ssh_error(far.host, stderr)
    if re.search(r"rsync: (command )?not found", stderr):
        return UserError(f"{far.host}: rsync is not installed there.", "apt-get update && apt-get install -y rsync   # on that machine")
    return UserError(f"{far.host}: rsync stopped (status {status}): {stderr[-600:]}",
                     "the same command again, it continues where it stopped")


# --- the whole --------------------------------------------------------------------------------------------------------

def plan(far, direction):
    """Return ({name: local folder it is relative to}, withheld names) of everything that may move in this direction."""
    if direction == "from":
        names, withheld = list_far(far, RESULTS)
        return {name: base_dir() for name in names}, withheld
    code, code_withheld = list_local(REPO_DIR, CODE)
    data, data_withheld = list_local(base_dir(), DATA)
    return {**{name: REPO_DIR for name in code}, **{name: base_dir() for name in data}}, code_withheld + data_withheld


def synchronise(far, direction, dry_run, verify_only):
    """Compare both sides, move what differs, compare again. Returns the exit status: 1 when a file differs in the end."""
    roots, withheld = plan(far, direction)
    if not roots:
        raise UserError(f"{far.host}: nothing to move; no file lies in {', '.join(RESULTS if direction == 'from' else CODE + DATA)}.")
    if direction == "to" and not (dry_run or verify_only):
        make_far_folder(far)

    def here(names):
        return local_manifest({name: roots[name] for name in names})

    def there(names):
        return far_manifest(far, list(names))

    log(f"{far.host}: comparing {len(roots):,} files")
    sender, receiver = (here, there) if direction == "to" else (there, here)
    sent, before = sender(roots), receiver(roots)
    unreadable = [name for name in roots if name not in sent]
    if unreadable:
        raise UserError(f"{printable(unreadable[0])}: cannot be read on the sending side (and {len(unreadable) - 1} more).")
    different = [name for name in roots if before.get(name) != sent[name]]
    if dry_run:
        _show_plan(different, sent, before, withheld)
    elif different and not verify_only:
        _move(far, direction, {name: roots[name] for name in different})
        after = receiver(different)
        moved, different = different, [name for name in different if after.get(name) != sent[name]]
        log(f"moved {_total(moved, sent)}")
    log(table([["same on both sides", *_count([n for n in roots if n not in different], sent)],
               ["would move" if dry_run else "different or missing", *_count(different, sent)],
               ["withheld (secrets, work files, links)", len(withheld), "-"]], [f"{direction} {far.host.alias}", "files", "MB"]))
    if dry_run or not different:
        return DONE
    for name in different:
        print_error(f"{printable(name)}: sha256 on the receiving side is not the sender's.")
    launcher = f"scripts/sync_{direction}_remote.sh {far.host.alias}"
    print_error(f"{far.host}: {len(different)} of {len(roots)} files differ.", f"{launcher}   # moves the files that differ")
    return MENDABLE


def printable(name):
    """Return a file name with what a terminal would act on (line ends, escapes, broken UTF-8) as backslash escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in os.fspath(name))


def _move(far, direction, roots):
    """Transfer {name: local root}, one rsync a folder: people link DATA and RESULTS to other disks, and rsync 3.5 follows a link only
    where it is the destination itself."""
    groups = {}
    for name, root in roots.items():
        folder = next((folder for folder in DATA + RESULTS if name.startswith(f"{folder}/")), "")
        groups.setdefault((root, folder), []).append(name)
    for (root, folder), names in groups.items():
        transfer(far, direction, root, folder, names)


def _count(names, manifest):
    return [len(names), f"{sum(manifest[name][1] for name in names) / 1e6:,.3f}"]


def _total(names, manifest):
    files, megabytes = _count(names, manifest)
    return f"{files:,} files, {megabytes} MB"


def _show_plan(names, sent, before, withheld):
    for name in names:
        print(f"{'changed' if name in before else 'new':<8}  {sent[name][1]:>13,}  {printable(name)}")
    for name in withheld:
        print(f"{'withheld':<8}  {'-':>13}  {printable(name)}")


def main(argv=None):
    """Run one direction: `to HOST` or `from HOST`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    direction = arguments.pop(0) if arguments[:1] in (["to"], ["from"]) else "to"
    flags = parser(__doc__, prog=f"sync_{direction}_remote.sh")
    flags.add_argument("host", help="a name of configs/hosts.yaml")
    flags.add_argument("--dry-run", action="store_true", help="print what would move, with bytes; change nothing")
    flags.add_argument("--verify-only", action="store_true", help="compare both sides, move nothing; status 1 when a file differs")
    args = flags.parse_args(arguments)
    host = find_host(args.host)
    for program in ("ssh", "rsync"):
        if not shutil.which(program):
            raise UserError(f"{program} is not installed here.", "sudo apt-get install -y rsync openssh-client, or brew install rsync")
    with connected(host) as far:
        return synchronise(far, direction, args.dry_run, args.verify_only)


if __name__ == "__main__":
    sys.exit(run(main))
