"""Print how well the main text of web pages is found, beside trafilatura's own modes. Not a test: a figure to choose by.

Gold: article-extraction-benchmark (its measure: precision, recall and F1 of word 4-grams, averaged over pages) and trafilatura's
evaluation data (segments that must and must not be in the text), both in ../shared/corpora/html_extraction.
    python tests/measure_extraction.py
"""
import gzip
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from paths import REPO_DIR  # noqa: E402
from weatherman.cli import table  # noqa: E402

GOLD = REPO_DIR.parent / "shared/corpora/html_extraction"
SHINGLE_WORDS = 4


def articles():
    """Return [(bytes of a page, address, gold text)]."""
    gold = json.loads((GOLD / "aeb_ground_truth_dev.json").read_text())
    return [(gzip.decompress((GOLD / "aeb_html" / f"{name}.html.gz").read_bytes()), entry["url"], entry["articleBody"])
            for name, entry in gold.items()]


def segments():
    """Return [(bytes of a page, address, segments of its text, segments of everything else)]."""
    gold = json.loads((GOLD / "trafilatura_evaldata_dev.json").read_text())
    return [((GOLD / "trafilatura_html" / entry["file"]).read_bytes(), url, entry["with"], entry["without"]) for url, entry in gold.items()]


def ours(data, url):
    """Return the main text as 03 finds it, also of pages that it would refuse as being behind a paywall."""
    from weatherman.corpus.charset import decode
    from weatherman.corpus.main_text import find_main_text
    from weatherman.corpus.page import parse
    return "\n\n".join(find_main_text(parse(decode(data)[0]), url)[1])


def theirs(**options):
    """Return a function that gives trafilatura's text with these options."""
    def extract(data, url):
        import trafilatura
        return trafilatura.extract(data, url=url, include_comments=False, **options) or ""
    return extract


def shares(gold, found):
    """Return (true positives, false positives, false negatives) among the word 4-grams of two texts, together 1."""
    def shingles(text):
        words = re.findall(r"\w+", text)
        return Counter(tuple(words[i:i + SHINGLE_WORDS]) for i in range(max(1, len(words) - SHINGLE_WORDS + 1)))

    a, b = shingles(gold), shingles(found)
    both, total = (a & b).total(), (a | b).total()
    return both / total, (b - a).total() / total, (a - b).total() / total


def measure(extract):
    """Return [precision, recall, F1, wanted segments found, unwanted ones found, seconds]."""
    started = time.perf_counter()
    scores = [shares(gold, extract(data, url)) for data, url, gold in articles()]
    precision = sum(tp / (tp + fp) for tp, fp, _ in scores if tp + fp) / len(scores)
    recall = sum(tp / (tp + fn) for tp, _, fn in scores if tp + fn) / len(scores)
    good = bad = goods = bads = 0
    for data, url, wanted, unwanted in segments():
        text = " ".join(extract(data, url).split())
        good, goods = good + sum(" ".join(segment.split()) in text for segment in wanted), goods + len(wanted)
        bad, bads = bad + sum(" ".join(segment.split()) in text for segment in unwanted), bads + len(unwanted)
    f1 = 2 * precision * recall / (precision + recall)
    return [f"{precision:.4f}", f"{recall:.4f}", f"{f1:.4f}", f"{good}/{goods}", f"{bad}/{bads}", round(time.perf_counter() - started, 1)]


def main():
    if not GOLD.is_dir():
        print("../shared/corpora/html_extraction is not here")
        return 0
    import logging
    logging.disable(logging.ERROR)
    ways = {"trafilatura": theirs(), "  favour precision": theirs(favor_precision=True), "  favour recall": theirs(favor_recall=True),
            "  fast": theirs(fast=True), "  no tables": theirs(include_tables=False), "ours": ours}
    print(table([[name, *measure(extract)] for name, extract in ways.items()],
                ["", "precision", "recall", "F1", "wanted", "unwanted", "s"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
