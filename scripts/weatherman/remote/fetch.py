"""Bring a run home while it goes on: each finished checkpoint as soon as it is there, and in the end all of it, equal file by file."""
import shutil
from dataclasses import dataclass, field

from paths import base_dir, folder
from weatherman.checkpoints import checkpoints, is_whole, step_of
from weatherman.cli import UserError, log
from weatherman.files import write_bytes
from weatherman.remote import sync
from weatherman.remote.far_files import list_far
from weatherman.remote.inventory import list_local, printable
from weatherman.remote.job import ANSWER_TIMEOUT_S, JOBS
from weatherman.remote.ssh import far_path, far_sh

BESIDE = ("started.json", "config.resolved.yaml")  # without them, a checkpoint cannot be gone on with
GROWING = ("metrics.jsonl", "train.log")           # written to all the time: no two looks at them agree, and any will do until the end


@dataclass
class Results:
    """What is fetched of one run. `whole`: names of checkpoints that were seen whole here; bytes: all that was moved."""

    far: object
    run: str
    whole: set = field(default_factory=set)
    bytes: int = 0

    @property
    def folder(self):
        """The run folder here."""
        return folder("adapters") / self.run

    def checkpoints(self, sealed):
        """Fetch the finished checkpoints that are not here, the newest alone and first; return the names of those that arrived whole.

        sealed: the names there. Raises UserError when a transfer fails; what was fetched until then stays, and the same call goes on.
        """
        missing = [name for name in sorted(sealed, key=step_of, reverse=True) if not self.is_whole(name)]
        for names in filter(None, (missing[:1], missing[1:])):
            self._copy_growing()
            self._pull(*(f"adapters/{self.run}/{file}" for file in (*BESIDE, *(f"checkpoints/{name}" for name in names))))
        arrived = list(filter(self.is_whole, missing))  # one may have been rotated away meanwhile
        self.drop_rotated(sealed)
        return arrived

    def is_whole(self, name):
        """Return whether a checkpoint is here with the bytes its seal names, and with what it needs beside it."""
        begun = any((self.folder / file).is_file() for file in ("started.json", "run.json"))
        if name not in self.whole and begun and is_whole(self.folder / "checkpoints" / name):
            self.whole.add(name)
        return name in self.whole

    def _copy_growing(self):
        """Copy what the GROWING files hold at this moment; both are text, so a NUL parts them."""
        given = [far_path(self.far.host, "adapters", self.run, name) for name in GROWING]
        _, output, _ = far_sh(self.far, f"cat {given[0]} 2>/dev/null; printf '\\0'; cat {given[1]} 2>/dev/null\n", ANSWER_TIMEOUT_S)
        for name, data in zip(GROWING, output.split(b"\0")):
            if data:
                write_bytes(self.folder / name, data)

    def _pull(self, *entries):
        moved = sync.pull(self.far, entries)
        self.bytes += moved.bytes
        return moved

    def drop_rotated(self, sealed):
        """Remove checkpoints here that the trainer has removed there, once a newer one is whole on both sides."""
        newest = max((step_of(name) for name in self.whole & set(sealed)), default=0)
        for checkpoint in checkpoints(self.folder / "checkpoints"):
            if checkpoint.name not in sealed and step_of(checkpoint) < newest:
                shutil.rmtree(checkpoint)

    def everything(self, sealed):
        """Fetch the run folder and the job's; return (files, bytes) of the run folder, which is then the same on both sides.

        Raises UserError when a file is not, or a transfer fails; the same call goes on.
        """
        entry = f"adapters/{self.run}"
        moved = self._pull(entry, f"{JOBS}/{self.run}")  # every file was compared by sha256, those that moved once more afterwards
        if unsettled := [name for name in (*moved.vanished, *moved.changing) if name.startswith(f"{entry}/")]:
            raise UserError(f"{self.far.host}: {printable(unsettled[0])} is still written to.", "the same command again")
        self.whole.update(filter(self.is_whole, set(sealed) - self.whole))
        self.drop_rotated(sealed)
        there = set(list_far(self.far, [entry])[0])
        if f"{entry}/run.json" in there:
            (self.folder / "started.json").unlink(missing_ok=True)  # its content is part of run.json since the run is finished
        here = set(list_local(base_dir(), [entry])[0])
        for name in sorted(here - there):
            log(f"only here, and left alone: {printable(name)}")
        return len(here & there), sum((base_dir() / name).stat().st_size for name in here & there)

    def stored_bytes(self):
        """Return the size of all that is here of the run, halves of files included."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
