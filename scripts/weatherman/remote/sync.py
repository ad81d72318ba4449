"""Move an allow-list of files between this machine and another, or a cloud store, and compare every file by sha256.

  to:    code, configuration, locks (repository) and data/processed, data/synthetic (WEATHERMAN_BASE_DIR) -> the other side
  from:  adapters/ with metrics, logs and reports -> WEATHERMAN_BASE_DIR

HOST is a name in configs/hosts.yaml, or REMOTE:path as rclone knows it. Run on the machine that has configs/hosts.yaml, by its launchers:
    scripts/sync_to_remote.sh HOST --dry-run
    scripts/sync_to_remote.sh HOST
    scripts/sync_to_remote.sh HOST --also adapters/my-run
    scripts/sync_from_remote.sh HOST
    scripts/sync_from_remote.sh HOST --delete
Both sides are hashed first, only files that differ move, and those are hashed again afterwards. Nothing is deleted without --delete.
"""
import contextlib
import fcntl
import glob
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from paths import REPO_DIR, base_dir
from weatherman.cli import DONE, MENDABLE, UserError, log, parser, print_error, run, table
from weatherman.remote import cloud, surplus
from weatherman.remote.hosts import find_host
from weatherman.remote.inventory import CODE, DATA, PRIVATE_KEY, RESULTS, UNREADABLE, list_local, local_manifest, printable
from weatherman.remote.ssh import connected
from weatherman.remote.transfer import Box

ROUNDS = 3  # a file that is written while it is copied gets so many tries


@dataclass(frozen=True)
class Moved:
    """What a transfer did.

    names: what arrived and is equal by sha256. vanished: gone from the sender meanwhile. changing: still written to, so not comparable.
    damaged: what arrived is not what was sent. said: what the program that moved them said of files that did not move.
    """

    names: list[str]
    bytes: int
    seconds: float
    vanished: list[str]
    changing: list[str]
    damaged: list[str]
    said: str = ""


# --- for other modules --------------------------------------------------------------------------------------------------

def push(far, extra=()):
    """Send code, configuration and data, and `extra` (files or folders below adapters/); return Moved.

    Raises UserError when bytes differ after the transfer.
    """
    with one_at_a_time(Box(far)) as box:
        roots, _ = plan(box, "to", extra)
        return _checked(box, Sync(box, "to", roots).move())


def pull(far, entries):
    """Fetch `entries` (files or folders below adapters/); return Moved. Raises UserError when bytes differ after the transfer."""
    with one_at_a_time(Box(far)) as box:
        names, _ = box.list(_below_results(entries))
        return _checked(box, Sync(box, "from", {name: base_dir() for name in names}).move())


def _checked(side, moved):
    if moved.damaged:
        raise UserError(f"{side}: {len(moved.damaged)} of {len(moved.names) + len(moved.damaged)} files are not the sender's after the "
                        f"transfer, e.g. {printable(moved.damaged[0])}. {moved.said}".strip(), "the same command again")
    return moved


def _below_results(entries):
    """Return `entries` without trailing slashes and the like. Raises UserError for one outside RESULTS."""
    paths = [PurePosixPath(entry) for entry in entries]
    for path in paths:
        if ".." in path.parts or path.parts[:1] != RESULTS:
            raise UserError(f"{printable(path)}: only what lies below {RESULTS[0]}/ can travel on request.", "--also adapters/NAME")
    return [str(path) for path in paths]


# --- one direction --------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def one_at_a_time(side):
    """Give `side` while no other sync with it runs; wait for one that does. The lock ends with the process, however that ends."""
    path = Path(tempfile.gettempdir()) / f"weatherman-sync-{os.getuid()}-{side.lock_name}.lock"
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"{side}: another sync with it is at work (process {handle.read().strip() or 'unknown'}): waiting for it to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        handle.truncate()
        print(os.getpid(), file=handle, flush=True)
        yield side


def plan(side, direction, extra=()):
    """Return ({name: local folder it is relative to}, withheld names) of everything that may move in this direction."""
    if direction == "from":
        names, withheld = side.list(RESULTS)
        return {name: base_dir() for name in names}, withheld
    extra = _below_results(extra)
    for entry in extra:
        if not (base_dir() / entry).exists():
            raise UserError(f"{printable(entry)}: no such file or folder below {base_dir()}.", f"ls '{base_dir() / RESULTS[0]}'")
    code, code_withheld = list_local(REPO_DIR, CODE)
    data, data_withheld = list_local(base_dir(), [*DATA, *map(glob.escape, extra)])
    return {**{name: REPO_DIR for name in code}, **{name: base_dir() for name in data}}, code_withheld + data_withheld


class Sync:
    """One direction between here and `side`: what may move (`roots`, as plan gives it), the sender's manifest, and what differs."""

    def __init__(self, side, direction, roots):
        self.side, self.direction, self.roots = side, direction, roots
        self.sent = self.sender(roots)
        self.keys = [name for name in roots if self.sent.get(name, ("",))[0] == PRIVATE_KEY]
        for name in self.keys:
            log(f"withheld, it holds a private key: {printable(name)}")
            del self.roots[name], self.sent[name]
        unreadable = [name for name in roots if self.sent.get(name, ("",))[0] == UNREADABLE]
        if unreadable:
            raise UserError(f"{side}: {printable(unreadable[0])} cannot be read there (and {len(unreadable) - 1} more).",
                            'the "user" in configs/hosts.yaml that wrote it, or chmod it there')
        before = self.receiver(self.sent)
        self.different = [name for name in self.sent if before.get(name) != self.sent[name]]
        self.new = {name for name in self.different if name not in before}

    def sender(self, names):
        """Return the manifest of `names` where they come from."""
        return self._here(names) if self.direction == "to" else self.side.promised(names)

    def receiver(self, names):
        """Return the manifest of `names` where they go to."""
        return self._here(names) if self.direction == "from" else self.side.manifest(names)

    def _here(self, names):
        return local_manifest({name: self.roots[name] for name in names})

    def move(self):
        """Move what differs and compare again; return Moved. A file that changes meanwhile gets ROUNDS tries."""
        began, said = time.monotonic(), ""
        vanished, changing, damaged = {name for name in self.roots if name not in self.sent}, self.different, []
        if self.different and self.direction == "to":
            self.side.prepare()
        for _ in range(ROUNDS):
            if not changing:
                break
            said = self._transfer(changing)
            after = self.receiver(changing)
            wrong = [name for name in changing if after.get(name) != self.sent[name]]
            now = self.sender(wrong)
            vanished.update(name for name in wrong if name not in now)
            damaged += [name for name in wrong if now.get(name) == self.sent[name]]
            changing = [name for name in wrong if name in now and now[name] not in (self.sent[name], after.get(name))]
            self.sent.update(now)
        for name in vanished & self.sent.keys():
            del self.sent[name]
        arrived = [name for name in self.different if name in self.sent and name not in changing + damaged]
        self.side.finish(self.direction, {name: self.sent[name] for name in self.sent if name not in changing + damaged})
        return Moved(arrived, self.bytes(arrived), time.monotonic() - began, sorted(vanished), changing, damaged, said)

    def _transfer(self, names):
        """Transfer, one program a folder: people link DATA and RESULTS to other disks, and rsync 3.5 follows a link only where it is
        the destination itself. Returns what the programs said."""
        groups, said = {}, []
        for name in names:
            folder = next((folder for folder in DATA + RESULTS if name.startswith(f"{folder}/")), "")
            groups.setdefault((self.roots[name], folder), []).append(name)
        for (root, folder), below in groups.items():
            said.append(self.side.move(self.direction, root, folder, below, self.sent))
        return "\n".join(filter(None, said))[-600:]

    def bytes(self, names):
        """Return the size of `names` at the sender."""
        return sum(self.sent[name][1] for name in names)


# --- the command ------------------------------------------------------------------------------------------------------------

def synchronise(side, args):
    """Do what the command line asks for; return the exit status: 1 when a file differs in the end."""
    roots, withheld = plan(side, args.direction, args.also)
    if not roots:
        raise UserError(f"{side}: nothing to move; no file lies in {', '.join(RESULTS if args.direction == 'from' else CODE + DATA)}.")
    log(f"{side}: comparing {len(roots):,} files")
    sync = Sync(side, args.direction, roots)
    if args.dry_run:
        _show_plan(sync, withheld + sync.keys)
        different = sync.different
    elif args.verify_only:
        different = sorted(set(sync.different) | set(side.damaged(sync.sent) if args.direction == "from" else ()))
        _show_different(sync, different)
    else:
        different = _report(sync, sync.move())
    withheld += sync.keys
    log(table([["same on both sides", *_count(sync, sync.sent.keys() - different)],
               ["would move" if args.dry_run else "different or missing", *_count(sync, different)],
               ["withheld (secrets, work files, links)", len(withheld), "-"]], [f"{args.direction} {side.name}", "files", "MB"]))
    if args.delete and not args.verify_only and (args.dry_run or not different):
        surplus.delete(sync, withheld, args)
    if args.dry_run or not different:
        return DONE
    print_error(f"{side}: {len(different)} of {len(sync.sent)} files differ.",
                f"scripts/sync_{args.direction}_remote.sh {side.name}   # moves the files that differ")
    return MENDABLE


def _show_plan(sync, withheld):
    for name in sync.different:
        print(f"{'new' if name in sync.new else 'changed':<8}  {sync.sent[name][1]:>13,}  {printable(name)}")
    for name in withheld:
        print(f"{'withheld':<8}  {'-':>13}  {printable(name)}")
    if sync.different and (speed := sync.side.speed(sync.direction)):
        log(f"{sync.bytes(sync.different) / 1e6:,.3f} MB would take about {_duration(sync.bytes(sync.different) / speed)} "
            f"at {speed / 1e6:,.1f} MB/s, measured now; text goes faster, ssh compresses it")


def _duration(seconds):
    return f"{max(seconds, 1):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _show_different(sync, names):
    for name in names:
        print_error(f"{printable(name)}: sha256 on the receiving side is not the sender's.")


def _report(sync, moved):
    """Print what `moved` (Moved) did and found; return the names that are not equal now."""
    if moved.names:
        log(f"moved {len(moved.names):,} files, {moved.bytes / 1e6:,.3f} MB in {_duration(moved.seconds)}")
    for name in moved.vanished:
        log(f"gone from the sender meanwhile: {printable(name)}")
    for name in moved.changing:
        print_error(f"{printable(name)}: was written to while it was copied, {ROUNDS} times; what arrived could not be compared.")
    _show_different(sync, moved.damaged)
    if moved.said:
        print_error(moved.said)
    return moved.changing + moved.damaged


def _count(sync, names):
    return [len(names), f"{sync.bytes(names) / 1e6:,.3f}"]


def main(argv=None):
    """Run one direction: `to HOST` or `from HOST`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    direction = arguments.pop(0) if arguments[:1] in (["to"], ["from"]) else "to"
    flags = parser(__doc__, prog=f"sync_{direction}_remote.sh")
    flags.add_argument("host", metavar="HOST", help="a name of configs/hosts.yaml, or REMOTE:path for a cloud store that rclone knows")
    flags.add_argument("--dry-run", action="store_true", help="print what would move, with bytes and time; change nothing")
    flags.add_argument("--verify-only", action="store_true", help="compare both sides, move nothing; status 1 when a file differs")
    flags.add_argument("--delete", action="store_true", help="afterwards delete what the sender no longer has: shows the files and asks")
    flags.add_argument("--yes", action="store_true", help="delete without asking")
    if direction == "to":
        flags.add_argument("--also", metavar="FOLDER", action="append", default=[], help="send this below adapters/ too; may be repeated")
    flags.set_defaults(direction=direction, also=[])
    args = flags.parse_args(arguments)
    with open_side(args.host) as side, one_at_a_time(side):
        return synchronise(side, args)


@contextlib.contextmanager
def open_side(name):
    """Give the Box of a host, or the Store of a REMOTE:path."""
    if ":" in name:
        with tempfile.TemporaryDirectory(prefix="weatherman-") as work:
            yield cloud.Store(name, Path(work))
        return
    host = find_host(name)
    if not shutil.which("ssh"):
        raise UserError("ssh is not installed here.", "sudo apt-get install -y openssh-client")
    with connected(host) as far:
        yield Box(far)


if __name__ == "__main__":
    sys.exit(run(main))
