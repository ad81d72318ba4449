"""A cloud store as one side of a sync: whatever rclone reaches (S3, Google Drive, ...), named REMOTE:path as rclone does.

Beside the files lies MANIFEST.sha256, as sha256sum writes and checks it. A store that keeps no sha256 of its own (S3 keeps MD5) is read
back whole to be compared.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from weatherman.cli import UserError, log
from weatherman.files import sha256_file
from weatherman.remote.inventory import PARTS_DIR, printable, sort_listed
from weatherman.remote.watch import STALL_S, terminal

MANIFEST = "MANIFEST.sha256"
NOT_FOUND = 3  # rclone's exit status for a folder that is not there: https://rclone.org/docs/#exit-code


class Store:
    """`remote` as rclone writes it; `work`: a temporary folder here. The same methods as transfer.Box."""

    def __init__(self, remote, work):
        if not shutil.which("rclone"):
            raise UserError("rclone, which reaches cloud stores, is not installed here.",
                            "brew install rclone, or sudo apt-get install -y rclone")
        self.name, self.remote, self.work = remote, remote.rstrip("/"), work
        self.sizes, self._recorded, self._features = {}, None, None

    def __str__(self):
        return self.name

    @property
    def lock_name(self):
        """A file name that tells this store from others."""
        return "store-" + hashlib.sha256(self.remote.encode()).hexdigest()[:16]

    def prepare(self):
        """Nothing to make: rclone makes folders where a store has any."""

    def list(self, entries):
        """Return (names, withheld) of what is there below `entries`."""
        sizes = self._sizes(*(f"--include=/{pattern}" for entry in entries for pattern in (entry, f"{entry}/**")))
        self.sizes.update(sizes)
        return sort_listed(list(sizes), entries, self)

    def _sizes(self, *rules):
        """Return {name: bytes} of the files that rclone's filter rules let through."""
        said = self._rclone("lsjson", "-R", "--files-only", "--no-modtime", "--no-mimetype", *rules, self.remote, missing="[]")
        return {file["Path"]: file["Size"] for file in json.loads(said)}

    def promised(self, names):
        """Return the manifest that was uploaded with the files. Raises UserError when it does not know all of them."""
        recorded = self._read_manifest()
        unknown = [name for name in names if name not in recorded]
        if unknown:
            raise UserError(f"{self}: {MANIFEST} does not know {printable(unknown[0])} (and {len(unknown) - 1} more): "
                            "put there by another program, so it cannot be verified.",
                            f"rclone copy {self.remote}/{printable(unknown[0])} .   # then look at it yourself")
        return {name: (recorded[name], self.sizes[name]) for name in names if name in self.sizes}

    def manifest(self, names):
        """Return the manifest of what is there, from the store's own sha256, else by reading it back."""
        names = list(names)
        if not names:
            return {}
        chosen = self._names_file(names)
        sizes = self._sizes(chosen)
        if sizes and not self._keeps_sha256():
            log(f"{self}: keeps no sha256, so {sum(sizes.values()) / 1e6:,.3f} MB are read back to be compared")
        how = [] if self._keeps_sha256() else ["--download"]
        said = self._rclone("hashsum", "sha256", *how, chosen, self.remote, missing=b"")
        hashes = {os.fsdecode(line[66:]): line[:64].decode() for line in said.split(b"\n") if re.match(rb"[0-9a-f]{64}  .", line)}
        return {name: (hashes[name], sizes[name]) for name in names if name in hashes and name in sizes}

    def damaged(self, sent):
        """Return the names whose bytes in the store are not what `sent` promises."""
        there = self.manifest(sent)
        return [name for name in sent if there.get(name) != sent[name]]

    def move(self, direction, root, folder, names, sent):
        """Copy `names`, all below `folder` of the local `root`, to or from the same folder there. Returns "" (see transfer.Box)."""
        chosen = self._names_file([name.removeprefix(f"{folder}/") for name in names])
        local, there = Path(root, folder), f"{self.remote}/{folder}".rstrip("/")
        copy = ["copy", "--no-traverse", f"--timeout={STALL_S}s", chosen]
        if direction == "to":  # --ignore-times: they differ, although times and sizes may agree
            self._rclone(*copy, "--ignore-times", str(local), there, shown=True)
            return ""
        arriving = local / PARTS_DIR  # what an interrupted copy left here is not fetched again
        arriving.mkdir(parents=True, exist_ok=True)
        self._rclone(*copy, there, str(arriving), shown=True)
        for name in names:
            path = arriving / name.removeprefix(f"{folder}/")
            if path.is_file() and sha256_file(path) == sent[name][0]:  # a damaged one does not replace a good one
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, root / name)
        shutil.rmtree(arriving)
        return ""

    def finish(self, direction, sent):
        """Write the manifest of what is there now beside the files, and read it back."""
        if direction == "from":
            return
        recorded = {**self._read_manifest(), **{name: sha256 for name, (sha256, _) in sent.items()}}
        if recorded != self._read_manifest():
            self._write_manifest(recorded)

    def delete(self, names):
        """Delete files there, and their entries in the manifest."""
        self._rclone("delete", self._names_file(names), self.remote)
        self._write_manifest({name: sha256 for name, sha256 in self._read_manifest().items() if name not in set(names)})

    def speed(self, direction):
        """None: measuring would leave a file in the store."""

    # --- rclone -----------------------------------------------------------------------------------------------------------

    def _rclone(self, *arguments, missing=None, shown=False, feed=b""):
        """Run rclone and return its stdout; `missing` instead where there is no such folder. shown: progress on a terminal."""
        command = ["rclone", *arguments, *(["--progress"] if shown and sys.stderr.isatty() else [])]
        done = subprocess.run(command, input=feed, stdout=terminal() if shown else subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode == NOT_FOUND and missing is not None:
            return missing
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise UserError(f"{self}: rclone {arguments[0]} ended with status {done.returncode}: {said[-600:]}",
                            f"rclone lsd {self.remote.partition(':')[0]}:   # then the same command again, it continues where it stopped")
        return done.stdout

    def _names_file(self, names):
        """Return the option that limits rclone to `names`. Raises UserError for a line end or a tab in one."""
        for name in names:
            if any(ord(character) < 32 for character in name):
                raise UserError(f"{printable(name)}: rclone's lists of files cannot hold a name with a line end or a tab.", "rename it")
        with tempfile.NamedTemporaryFile(dir=self.work, prefix="names-", delete=False) as handle:
            handle.write(b"".join(os.fsencode(name) + b"\n" for name in names))
        return f"--files-from-raw={handle.name}"

    def _keeps_sha256(self):
        if self._features is None:
            self._features = json.loads(self._rclone("backend", "features", self.remote))
        return "sha256" in self._features["Hashes"]

    # --- MANIFEST.sha256 --------------------------------------------------------------------------------------------------

    def _read_manifest(self):
        if self._recorded is None:
            self._recorded = parse_sums(self._rclone("cat", f"{self.remote}/{MANIFEST}", missing=b""), self)
        return self._recorded

    def _write_manifest(self, recorded):
        data = format_sums(recorded)
        self._rclone("rcat", f"{self.remote}/{MANIFEST}", feed=data)
        if self._rclone("cat", f"{self.remote}/{MANIFEST}") != data:
            raise UserError(f"{self}: {MANIFEST} is not what was written.", "the same command again")
        self._recorded = recorded


def format_sums(recorded):
    r"""Return {name: sha256} as sha256sum writes it: names sorted; a line whose name holds a "\" begins with one, and doubles it."""
    lines = []
    for name, sha256 in sorted(recorded.items()):
        escaped = name.replace("\\", "\\\\")
        lines.append(f"{chr(92) if escaped != name else ''}{sha256}  {escaped}\n")
    return os.fsencode("".join(lines))


def parse_sums(data, whose):
    """Return {name: sha256} of what format_sums wrote. Raises UserError for anything else."""
    recorded = {}
    for number, line in enumerate(filter(None, data.split(b"\n")), 1):
        found = re.fullmatch(rb"(\\?)([0-9a-f]{64})  (.+)", line)
        if not found:
            raise UserError(f"{whose}/{MANIFEST}:{number}: expected a sha256 and a name, found {line[:60]!r}.",
                            "scripts/sync_to_remote.sh from the machine that has the files, after removing it")
        name = os.fsdecode(found[3])
        recorded[name.replace("\\\\", "\\") if found[1] else name] = found[2].decode()
    return recorded
