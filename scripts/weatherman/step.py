"""One data step: skip what is done, stream records out, keep every reject, count, and write the manifest last."""
import contextlib
import sys
import time
from collections import Counter
from pathlib import Path

from paths import show
from weatherman.cli import log, table
from weatherman.files import atomic_writes, to_json_line
from weatherman.manifest import (
    check_input,
    code_sha256,
    config_sha256,
    describe_file,
    git_state,
    manifest_path,
    now,
    read_manifest,
    to_manifest,
    versions,
)

EXCERPT_CHARS = 160


def rejects_path(output):
    """x.jsonl -> x.rejects.jsonl"""
    output = Path(output)
    return output.with_name(output.stem + ".rejects.jsonl")


class Step:
    """Use as

        step = Step(__file__, rooms=["corpus"], inputs=[...], outputs=[path], config=plain_dict, seed=42)
        if not step.wanted(args): return step.finish(args)
        with step:
            for ...:
                step.seen()
                step.keep(record) or step.reject("too_short", file=..., line=..., id=..., excerpt=...)
        return step.finish(args)

    Every `seen` must be followed by as many `keep`/`reject`: leaving the block checks it, so no row is lost silently.
    The rejects lie beside the first output. When the block ends and all files are whole on the disk, they are renamed into place:
    outputs, rejects, and the manifests last, so that a manifest never vouches for less than everything.
    """

    def __init__(self, script, *, rooms, inputs, outputs, config, seed):
        self.script = Path(script).name
        self.inputs = [Path(p) for p in inputs]
        self.outputs = [Path(p) for p in outputs]
        self.rejects = rejects_path(self.outputs[0])
        self.identity = {
            "script": self.script, "seed": seed, "config": config, "config_sha256": config_sha256(config),
            "code_sha256": code_sha256(script, rooms), "inputs": [check_input(p) for p in self.inputs],
        }
        self.counts = {"in": 0, "out": 0, "rejected": {}}
        self.notes = {}  # further figures for the manifest and the table, e.g. {"documents": 9}
        self.skipped = False
        self._writing, self._handles, self._reasons, self._started = None, [], Counter(), None

    def is_current(self):
        """True when every output is whole and was made from these inputs, this configuration and this code."""
        for output in self.outputs:
            found = read_manifest(output)
            if found is None or any(found.get(key) != self.identity[key]
                                    for key in ("script", "seed", "config_sha256", "code_sha256", "inputs")):
                return False
            for entry, path in zip(found["outputs"], [*self.outputs, self.rejects]):
                if not path.is_file() or describe_file(path)["sha256"] != entry["sha256"]:
                    return False
        return True

    def wanted(self, args):
        """Return whether the work must be done: False for --dry-run and for work that is already current."""
        if args.dry_run:
            log(f"{self.script}: would read {', '.join(map(show, self.inputs)) or 'nothing'} "
                f"and write {', '.join(map(show, self.outputs))}")
            self.skipped = True
        elif not args.force and self.is_current():
            found = read_manifest(self.outputs[0])
            self.counts, self.notes = found["counts"], found["notes"]
            log(f"{self.script}: nothing changed, {show(self.outputs[0])} is current (--force redoes it)")
            self.skipped = True
        return not self.skipped

    def __enter__(self):
        self._started = time.monotonic()
        self._writing = self._write()
        self._writing.__enter__()
        return self

    def __exit__(self, *error):
        return self._writing.__exit__(*error)

    @contextlib.contextmanager
    def _write(self):
        """Open all files; behind the block, check that no row was lost and describe the outputs in their manifests."""
        files = [*self.outputs, self.rejects]
        with atomic_writes([*files, *map(manifest_path, self.outputs)]) as handles:
            self._handles = handles[:len(files)]
            yield
            self._check_counts()
            for handle in self._handles:
                handle.flush()
            described = [describe_file(path, handle.name) for path, handle in zip(files, self._handles)]
            manifest = to_manifest({
                **self.identity, "git": git_state(), "outputs": described, "counts": self.counts, "notes": self.notes,
                "versions": versions(), "finished_at": now(), "duration_s": round(time.monotonic() - self._started, 3)})
            for handle in handles[len(files):]:
                handle.write(manifest)

    def _check_counts(self):
        self.counts["rejected"] = dict(sorted(self._reasons.items()))
        lost = self.counts["in"] - self.counts["out"] - sum(self._reasons.values())
        if lost:
            raise RuntimeError(f"{self.script}: {lost} of {self.counts['in']} rows were neither kept nor rejected")

    def seen(self, count=1):
        """Count units that came in."""
        self.counts["in"] += count

    def keep(self, record, output=0):
        """Write one record to output number `output`. Returns True."""
        self._handles[output].write(to_json_line(record))
        self.counts["out"] += 1
        return True

    def reject(self, reason, *, file, line=None, id=None, excerpt=""):
        """Write one reject; `excerpt` is cut to 160 characters."""
        self._handles[-1].write(to_json_line({"file": show(file), "line": line, "id": id, "reason": reason,
                                                 "excerpt": str(excerpt)[:EXCERPT_CHARS]}))
        self._reasons[reason] += 1

    def finish(self, args):
        """Print the step's result: one JSON object with --json, else a small table on stderr. Returns exit status 0."""
        if args.json:
            result = {"script": self.script, "skipped": self.skipped, "outputs": [show(p) for p in self.outputs], "counts": self.counts,
                      "notes": self.notes}
            sys.stdout.write(to_json_line(result).decode())
        elif not args.dry_run:
            rows = [["in", self.counts["in"]], ["kept", self.counts["out"]]]
            rows += [[f"rejected: {reason}", count] for reason, count in self.counts["rejected"].items()]
            rows += [[key, value] for key, value in self.notes.items() if isinstance(value, (int, float, str))]
            log(table(rows, [self.script, "rows"]))
            log(f"wrote {', '.join(map(show, self.outputs))}" if not self.skipped else "")
        return 0
