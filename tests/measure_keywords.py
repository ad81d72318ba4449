"""Print precision and recall of the weather and humour keywords on the labelled lines.

Reads tests/labelled/keywords.tsv and configs/corpus/keywords.yaml. Machine: the Mac.
    python tests/measure_keywords.py
    python tests/measure_keywords.py --errors development
"""
import argparse
import sys
from collections import Counter
from pathlib import Path

TESTS_DIR = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS_DIR.parent / "scripts"))
from weatherman.cli import table  # noqa: E402
from weatherman.corpus.keywords import keyword_names, matched_keywords  # noqa: E402

DOMAINS = ("weather", "humor")


def labelled():
    """Return [{part, weather, humor, text}]; weather and humor are True or False."""
    lines = [line for line in (TESTS_DIR / "labelled" / "keywords.tsv").read_text(encoding="utf-8").split("\n")
             if line and not line.startswith("#")]
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    return [{**row, **{domain: {"yes": True, "no": False}[row[domain]] for domain in DOMAINS}} for row in rows]


def outcomes(rows, domain):
    """Return [(row, label, answer)] of one domain."""
    names = set(keyword_names(domain))
    return [(row, row[domain], bool(names & set(matched_keywords(row["text"])))) for row in rows]


def precision_recall(judged):
    """Return (precision, recall) of the answers against the labels."""
    counts = Counter((label, answer) for _, label, answer in judged)
    hits = counts[True, True]
    return hits / max(1, hits + counts[False, True]), hits / max(1, hits + counts[True, False])


def main(argv=None):
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--errors", metavar="PART", help="also print the lines of this part that were judged wrongly")
    args = flags.parse_args(argv)
    rows, shown = labelled(), []
    for part in ("development", "held-out"):
        for domain in DOMAINS:
            judged = outcomes([row for row in rows if row["part"] == part], domain)
            precision, recall = precision_recall(judged)
            shown.append([part, domain, len(judged), sum(label for _, label, _ in judged), f"{precision:.3f}", f"{recall:.3f}"])
            if part == args.errors:
                for row, label, answer in judged:
                    if label != answer:
                        print(f"{domain}: {'missed' if label else 'false'}: {row['text']}  {matched_keywords(row['text'])}")
    print(table(shown, ["part", "domain", "lines", "positive", "precision", "recall"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
