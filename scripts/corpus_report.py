"""Show the corpus as one HTML page, and fail when a source has lost more of its texts than it may.

Reads what 02-05 wrote: data/raw, data/processed/{passages,unique}.jsonl, their rejects and manifests. Writes
data/processed/corpus_report.html, then exits with status 3 when a source keeps less than `retention` asks for. Machine: the Mac.
    python scripts/corpus_report.py
    python scripts/corpus_report.py --set retention.web=0.3 --json
"""
import sys
from pathlib import Path

from paths import folder, show
from weatherman.cli import DONE, GateError, add_config_flags, log, parser, run, table
from weatherman.files import to_json_line, write_bytes


def main(argv=None):
    """Write the page, print the figures, then let the gate speak."""
    args = parse_args(argv)
    from weatherman.corpus.clusters import find_clusters
    from weatherman.corpus.report import page
    from weatherman.corpus.survey import survey
    from weatherman.schemas import data_config
    config = data_config(args).values
    output = Path(args.output) if args.output else folder("processed") / "corpus_report.html"
    found = survey(folder("raw"), folder("processed"), config.seed)
    below = [source for source in found.sources.values() if source.retention < config.retention.get(source.name, 0)]
    write_bytes(output, page(found, find_clusters(found, config.seed), config.retention, below, not_collected(found, config)).encode())
    report(found, config.retention, output, args.json)
    if below:
        raise GateError("\n".join(complaint(source, config.retention[source.name]) for source in below),
                        f"look at {show(output)}#{below[0].name}, then mend the source, `cleaning` or `dedup`; or, if it is meant to be "
                        f"so, lower retention.{below[0].name} in the configuration")
    return DONE


def parse_args(argv):
    flags = parser(__doc__)
    add_config_flags(flags)
    flags.add_argument("--seed", type=int, help="override the configured seed, which draws the examples")
    flags.add_argument("--output", metavar="FILE", help="write here instead of data/processed/corpus_report.html")
    return flags.parse_args(argv)


def not_collected(found, config):
    """Return the configured books of which cleaning has seen nothing."""
    seen = found.sources["gutenberg"].books if "gutenberg" in found.sources else {}
    return [book for book in config.gutenberg.books if f"gutenberg:{book.id}" not in seen]


def report(found, limits, output, as_json):
    """Print one JSON object to stdout, or a table to stderr."""
    if as_json:
        figures = {name: {"came": source.came, "cleaned": source.cleaned.texts, "kept": source.kept.texts, "words": source.kept.words,
                          "retention": round(source.retention, 4), "limit": limits.get(name), "lost": source.lost()}
                   for name, source in found.sources.items()}
        result = {"script": "corpus_report.py", "output": show(output), "deduplicated": found.deduplication is not None, "sources": figures}
        sys.stdout.write(to_json_line(result).decode())
        return
    log(table([[source.name, source.came, source.cleaned.texts, source.kept.texts, f"{source.retention:.1%}",
                f"{limits[source.name]:.1%}" if source.name in limits else "none"] for source in found.sources.values()],
              ["source", "came in", "after 04", "after 05", "kept", "at least"]))
    if found.deduplication is None:
        log("05 has not been run: kept is what 04 kept")
    log(f"wrote {show(output)}")


def complaint(source, limit):
    from weatherman.corpus.report import main_reasons
    return (f"{source.name}: {source.retention:.1%} of its {source.came:,} texts are kept; expected at least {limit:.1%}. "
            f"Most went to {main_reasons(source)}.")


if __name__ == "__main__":
    sys.exit(run(main))
