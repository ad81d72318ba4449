"""Print how far the tags by rule agree with the labelled texts, and where they do not.

Reads tests/labelled/tags.tsv, configs/corpus/keywords.yaml and configs/dialogue/tones.yaml. Machine: the Mac.
    python tests/measure_tags.py
    python tests/measure_tags.py --errors tone
"""
import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path

TESTS_DIR = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS_DIR.parent / "scripts"))
from weatherman.cli import table  # noqa: E402
from weatherman.corpus.keywords import keyword_names, matched_keywords  # noqa: E402
from weatherman.dialogue.tags import tags_of  # noqa: E402

LABELLED = TESTS_DIR / "labelled" / "tags.tsv"
TAGS = ("domain", "tone")


def labelled():
    """Return [{source, persona, text, domain, tone}] of the labelled file."""
    lines = [line for line in LABELLED.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]


def outcomes(rows):
    """Return [(row, tags by rule)]."""
    weather = keyword_names("weather")
    return [(row, tags_of({**row, "matched_keywords": matched_keywords(row["text"])}, weather)) for row in rows]


def agreement(judged, tag):
    """Return the share of rows whose tag by rule is the label."""
    return sum(row[tag] == tags[tag] for row, tags in judged) / len(judged)


def by_source(judged):
    """Return [[persona or source, texts, agreement of each tag]]."""
    groups = defaultdict(list)
    for row, tags in judged:
        groups[row["source"] if row["persona"] == "neutral" else row["persona"]].append((row, tags))
    return [[name, len(group), *(f"{agreement(group, tag):.3f}" for tag in TAGS)] for name, group in sorted(groups.items())]


def main(argv=None):
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--errors", choices=TAGS, help="also print the texts whose tag differs")
    args = flags.parse_args(argv)
    judged = outcomes(labelled())
    for row, tags in judged:
        if args.errors and row[args.errors] != tags[args.errors]:
            print(f"{row['source']} {row['persona']}: labelled {row[args.errors]}, by rule {tags[args.errors]}: {row['text']}")
    for tag in TAGS:
        pairs = Counter((row[tag], tags[tag]) for row, tags in judged)
        print(table([[*pair, count] for pair, count in sorted(pairs.items())], [f"labelled {tag}", "by rule", "texts"]))
        print(f"agreement {agreement(judged, tag):.3f} of {len(judged)}\n")
    print(table(by_source(judged), ["of", "texts", *TAGS]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
