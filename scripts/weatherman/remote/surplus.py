"""Delete on the receiving side what the sender no longer has: only what may travel, only where the sender still has something.

Nothing goes unseen: the files are listed, and somebody has to agree.
"""
import os
import sys

from paths import base_dir
from weatherman.cli import UserError, log
from weatherman.remote.far_files import NoFolder
from weatherman.remote.inventory import CODE, DATA, RESULTS, list_local, printable

SHELVES = ("jobs", "probes")  # of adapters/: folders that hold one folder a run, as adapters/ does


def delete(sync, withheld, args):
    """Show what is surplus on the receiving side of a Sync, ask, and delete it. Raises UserError where nobody can be asked."""
    names, kept = surplus(sync, withheld)
    for name in names:
        print(f"{'delete':<8}  {'-':>13}  {printable(name)}")
    for folder in kept:
        log(f"kept, as the sender has nothing in it: {printable(folder)}")
    where = f"on {sync.side}" if sync.direction == "to" else "on this machine"
    if not names or args.dry_run:
        return log(f"{len(names):,} files {where} are not the sender's" + (" and would be deleted" if names else ": nothing to delete"))
    if not args.yes and not sys.stdin.isatty():
        raise UserError(f"Nothing was deleted: nobody can be asked here whether these {len(names):,} files {where} may go.",
                        f"scripts/sync_{sync.direction}_remote.sh {sync.side.name} --delete --yes")
    if not args.yes and input(f"Delete these {len(names):,} files {where}? [y/N] ").strip().lower() not in ("y", "yes"):
        return log("nothing was deleted")
    if sync.direction == "to":
        sync.side.delete(names)
    else:
        delete_here(names)
    log(f"deleted {len(names):,} files {where}")


def surplus(sync, withheld):
    """Return (names on the receiving side that the sender lacks, folders that are kept because the sender has nothing in them)."""
    try:
        there = sync.side.list(CODE + DATA)[0] if sync.direction == "to" else list_local(base_dir(), RESULTS)[0]
    except NoFolder:  # before the first transfer
        there = []
    sender = {*sync.sent, *withheld}  # what does not travel is not missing
    folders = {folder_of(name) for name in sync.sent}
    lacking = [name for name in there if name not in sender]
    return ([name for name in lacking if folder_of(name) in folders],
            sorted({folder_of(name) for name in lacking if folder_of(name) not in folders}))


def folder_of(name):
    """Return the folder that a name belongs to as a whole: its run below adapters/, else its entry of the allow-list ("" at the top)."""
    parts = name.split("/")
    if parts[0] in RESULTS:
        return "/".join(parts[:3 if parts[1] in SHELVES else 2])
    return next((folder for folder in DATA if name.startswith(f"{folder}/")), parts[0] if parts[1:] else "")


def delete_here(names):
    """Delete files below the base folder, and the folders that this leaves empty."""
    for name in names:
        path = base_dir() / name
        path.unlink(missing_ok=True)
        try:
            os.removedirs(path.parent)
        except OSError:  # not empty: it stays
            continue
