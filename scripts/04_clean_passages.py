"""Clean what was collected: strip boilerplate, cut texts into passages, filter, and keep a reason for each text left out.

Reads data/raw/gutenberg/*.txt and data/raw/web/*.txt with their sidecars, and data/raw/reddit/*.jsonl. Writes
data/processed/passages.jsonl (records of the kind Passage, `start` and `end` being byte offsets into the raw file). Machine: the Mac.
    python scripts/04_clean_passages.py
    python scripts/04_clean_passages.py --set cleaning.min_words=150 --force
"""
import os
import sys
from functools import partial
from pathlib import Path

from paths import CONFIGS_DIR, folder, show
from weatherman.cli import GateError, UserError, add_data_flags, log, parser, progress, run
from weatherman.files import sha256_by_name
from weatherman.step import Step

COLLECTORS = {"gutenberg": "01_collect_gutenberg.py", "web": "03_collect_web.py"}


def main(argv=None):
    """Write the passages of every book, headline and page that pass the filters."""
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FOLDER", help="the collected files (default: data/raw)")
    add_data_flags(flags, workers=True)
    args = flags.parse_args(argv)
    from weatherman.schemas import data_config
    config = data_config(args)
    raw = Path(args.input) if args.input else folder("raw")
    found = collected(raw)
    texts = [path.with_suffix(".txt") for kind in COLLECTORS for path in found[kind]]
    step = Step(__file__, rooms=["corpus"], inputs=[*found["gutenberg"], *found["reddit"], *found["web"], *texts],
                outputs=[Path(args.output) if args.output else folder("processed") / "passages.jsonl"],
                config={**{key: config.plain[key] for key in ("gutenberg", "reddit", "cleaning")},
                        "words": sha256_by_name((CONFIGS_DIR / "corpus").glob("*.yaml"))}, seed=config.values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        seen_ids = set()
        for kind, paths in found.items():
            clean(step, kind, paths, config.values, args.workers or os.cpu_count(), seen_ids)
            if paths and not step.notes[kind]:
                raise GateError(f"{show(raw / kind)}: none of its texts was kept; a source must not vanish in silence.",
                                f"look at the files there, or at `cleaning` in the configuration ({show(paths[0])} was the first read)")
    return step.finish(args)


def collected(raw):
    """Return {kind: files in order}: the sidecars of books and pages, and dumps. Raises UserError when there is nothing at all."""
    found = {kind: sorted(path for path in (raw / kind).glob(pattern) if not path.name.endswith((".rejects.jsonl", ".manifest.json")))
             for kind, pattern in (("gutenberg", "*.json"), ("reddit", "*.jsonl"), ("web", "*.json"))}
    found["gutenberg"].sort(key=lambda path: (len(path.stem), path.stem))
    if not any(found.values()):
        raise UserError(f"{show(raw)}: no books, headlines or pages are collected.", "python scripts/01_collect_gutenberg.py")
    for kind in [kind for kind, paths in found.items() if not paths]:
        log(f"{show(raw / kind)}: nothing collected there, so this source is left out")
    for kind, collector in COLLECTORS.items():
        for path in sorted({path.with_suffix(".json") for path in (raw / kind).glob("*.txt")} - set(found[kind])):
            log(f"{show(path)}: missing, so {path.stem}.txt is left out; python scripts/{collector} completes it")
    return found


def clean(step, kind, paths, config, workers, seen_ids):
    """File the texts of one source; step.notes[kind] counts those that are kept."""
    from weatherman.corpus.documents import pieces, rows_of
    from weatherman.parallel import ordered_map
    hashes = {entry["path"]: entry["sha256"] for entry in step.identity["inputs"]}
    before, work = step.counts["out"], [piece for path in paths for piece in pieces(kind, path, hashes[show(path)])]
    results = ordered_map(partial(rows_of, config=config), work, min(workers, len(work)) or 1)
    for piece, rows in zip(work, progress(results, kind, len(work), "pieces")):
        file = piece.path.with_suffix(".txt") if kind in COLLECTORS else piece.path
        for row in rows:
            step.seen()
            reason, excerpt = row.reason, row.excerpt
            if row.passage and row.id in seen_ids:
                reason, excerpt = "duplicate_id", row.passage["text"]
            seen_ids.add(row.id)
            if reason:
                step.reject(reason, file=file, line=row.line, id=row.id, excerpt=excerpt)
            else:
                step.keep(row.passage)
    step.notes[kind] = step.counts["out"] - before


if __name__ == "__main__":
    sys.exit(run(main))
