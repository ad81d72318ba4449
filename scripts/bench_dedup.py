"""Measure deduplication: our engine and its peers in turns on one planted corpus, against the exact truth.

Reads nothing. Writes data/processed/bench/dedup.json and dedup.svg. Rates are texts a second on one thread, from Python strings to
the decision; the slow peers get a tenth of the texts. Either machine; the peers come with ./setup_local.sh --add bench
    make bench
    python scripts/bench_dedup.py --texts 20000 --rounds 1 --largest 50000
"""
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from paths import folder, show
from weatherman.cli import UserError, log, parser, positive_int, progress, run, table
from weatherman.files import write_json

SEED, COPIES, SLOW = 42, 0.15, 0.1
SIZES = (20_000, 50_000, 100_000, 200_000, 500_000)  # texts, for the curve


def main(argv=None):
    """Print how we compare and how we scale; write both, and the plot."""
    args = parse_args(argv)
    from weatherman.schemas import data_config
    settings = data_config(args).values.dedup
    if args.measure:
        return measure(settings, *args.measure)
    os.environ["RAYON_NUM_THREADS"] = "1"  # read by the peers written in Rust when they are first used
    sizes = [size for size in SIZES if size <= args.largest]
    # The curve first: a child's highest memory, as Linux counts it, is never below its parent's.
    curve = [measure_apart(size, threads) for size in progress(sizes, "curve", len(sizes), "sizes") for threads in (1, 2)]
    result = {"texts": args.texts, "rounds": args.rounds, "engines": compare(settings, args.texts, args.rounds), "curve": curve}
    target = Path(args.output) if args.output else folder("processed") / "bench"
    write_json(target / "dedup.json", result)
    plot(result, target / "dedup.svg")
    report(result)
    log(f"wrote {show(target / 'dedup.json')}, {show(target / 'dedup.svg')}")
    return 0


def parse_args(argv):
    flags = parser(__doc__)
    flags.add_argument("--texts", type=positive_int, default=100_000, help="for the comparison (default: 100000)")
    flags.add_argument("--rounds", type=positive_int, default=3, help="turns of every engine; the best counts (default: 3)")
    flags.add_argument("--largest", type=positive_int, default=SIZES[-1], help="for the curve (default: 500000)")
    flags.add_argument("--output", metavar="FOLDER", help="instead of data/processed/bench")
    flags.add_argument("--measure", metavar=("TEXTS", "THREADS"), type=int, nargs=2, help="one point of the curve, as JSON")
    flags.set_defaults(config=None, overrides=[], seed=None)
    return flags.parse_args(argv)


def compare(settings, count, rounds):
    """Return [{engine, texts, rate, seconds, precision, recall}], ours first."""
    from weatherman.corpus import truth
    log(f"making {count:,} texts and their exact truth ...")
    numbers = list(truth.planted(count, COPIES, SEED))
    texts = list(map(truth.spell, numbers))
    expected, engines = truth.repeats(numbers, settings.threshold), peers(settings)
    sizes = {name: max(1, round(count * (SLOW if name.startswith("datasketch") else 1))) for name in engines}
    times, found = {name: [] for name in engines}, {}
    engines["ours"](texts[:100])  # compiles, or loads what was compiled
    for _ in progress(range(rounds), "rounds", rounds, "rounds"):
        for name, engine in engines.items():
            started = time.perf_counter()
            found[name] = engine(texts[:sizes[name]])
            times[name].append(time.perf_counter() - started)
    return [describe(name, sizes[name], times[name], found[name], {n for n in expected if n < sizes[name]}) for name in engines]


def describe(name, size, times, found, expected):
    right = len(found & expected)
    return {"engine": name, "texts": size, "rate": size / min(times), "seconds": times,
            "precision": right / max(1, len(found)), "recall": right / max(1, len(expected))}


def peers(settings):
    """Return {name: function from texts to the set of those it would remove}, each used as its documentation does."""
    try:
        import gaoya
        import rensa
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here.", "./setup_local.sh --add bench") from None
    from datasketch import MinHash, MinHashLSH

    from weatherman.corpus import dedup
    threshold, size = settings.threshold, settings.word_shingle

    def shingles(text):
        words = text.split()
        return [" ".join(words[n:n + size]) for n in range(max(1, len(words) - size + 1))]

    def ours(texts):
        collection = dedup.Collection()
        for number, text in enumerate(texts):
            collection.add(number, text)
        return {n for n, duplicate in enumerate(dedup.find_duplicates(collection, settings, SEED)) if duplicate}

    def with_gaoya(texts):
        index = gaoya.minhash.MinHashStringIndex(32, threshold, 20, 5, None, "word", True, (size, size), "smallvec")
        return query_or_insert(texts, index.query, index.insert_document)

    def with_rensa(texts):
        signatures = rensa.RMinHash.from_token_sets([shingles(text) for text in texts], 100, SEED)
        kept = rensa.RMinHashDeduplicator(threshold, 100, True, 20, SEED)
        return {n for n, new in enumerate(kept.add_pairs([(str(n), each) for n, each in enumerate(signatures)])) if not new}

    def datasketch_loop(texts):
        def sign(text):
            signature = MinHash(num_perm=128)
            for shingle in shingles(text):
                signature.update(shingle.encode())
            return signature

        index = MinHashLSH(threshold=threshold, num_perm=128)
        return query_or_insert(map(sign, texts), index.query, index.insert)

    def datasketch_bulk(texts):
        index = MinHashLSH(threshold=threshold, num_perm=128)
        signatures = MinHash.bulk(([s.encode() for s in shingles(text)] for text in texts), num_perm=128)
        return query_or_insert(signatures, index.query, index.insert)

    return {"ours": ours, "gaoya": with_gaoya, "rensa": with_rensa,
            "datasketch, bulk": datasketch_bulk, "datasketch, loop": datasketch_loop}


def query_or_insert(items, query, insert):
    """Return the numbers of the items for which an index of those before them has an answer; the others go into it."""
    removed = set()
    for number, item in enumerate(items):
        if query(item):
            removed.add(number)
        else:
            insert(number, item)
    return removed


def measure_apart(size, threads):
    """Return a point of the curve, measured in a process of its own: memory is that process's."""
    done = subprocess.run([sys.executable, __file__, "--measure", str(size), str(threads)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def measure(settings, size, threads):
    """Print {texts, threads, rate, bytes_per_text}: the rate of finding the duplicates of collected texts, and what the process takes
    beyond the UTF-8 of the texts."""
    from weatherman.corpus import dedup, truth
    small = dedup.Collection()
    small.add("0", "rain")
    dedup.find_duplicates(small, settings, SEED, threads)  # compiles, or loads what was compiled
    collection, times, before = dedup.Collection(), [], memory_now()
    for number, text in enumerate(truth.planted(size, COPIES, SEED)):
        collection.add(str(number), truth.spell(text))
    for _ in range(5):
        started = time.perf_counter()
        dedup.find_duplicates(collection, settings, SEED, threads)
        times.append(time.perf_counter() - started)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of a unit of ru_maxrss
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before - len(collection.data)
    print(json.dumps({"texts": size, "threads": threads, "rate": size / min(times), "bytes_per_text": taken / size}))
    return 0


def memory_now():
    """Return the bytes of memory that this process holds."""
    return 1024 * int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())]))


def exponent(curve):
    """Return b of time ~ texts ** b, by least squares on the logarithms."""
    import numpy as np
    return float(np.polyfit(np.log([point["texts"] for point in curve]), np.log([point["texts"] / point["rate"] for point in curve]), 1)[0])


def report(result):
    """Print the two tables and the exponent."""
    ours = result["engines"][0]["rate"]
    log(table([[e["engine"], e["texts"], round(e["rate"]), f"{ours / e['rate']:.1f}", f"{e['precision']:.4f}", f"{e['recall']:.4f}"]
               for e in result["engines"]], ["engine", "texts", "texts/s", "ours : it", "precision", "recall"]))
    one = [point for point in result["curve"] if point["threads"] == 1]
    two = [point for point in result["curve"] if point["threads"] == 2]
    log(table([[a["texts"], round(a["rate"]), round(b["rate"]), f"{b['rate'] / a['rate']:.2f}"] for a, b in zip(one, two)],
              ["texts", "1 thread, texts/s", "2 threads", "2 : 1"]))
    log(f"{one[-1]['bytes_per_text']:,.0f} bytes a text beyond its UTF-8, at the largest size")
    if len(one) > 1:
        log(f"time grows as texts ** {exponent(one):.2f}")


def plot(result, path):
    """Draw the engines' rates and the time over the number of texts."""
    import io

    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "dedup"})
    from matplotlib import pyplot

    from weatherman.files import write_bytes
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    engines = result["engines"][::-1]
    names = [f"{e['engine']}\nprecision {e['precision']:.3f}, recall {e['recall']:.3f}" for e in engines]
    bars = left.barh(names, [e["rate"] for e in engines], color=["#7a8793"] * (len(engines) - 1) + ["#1f5f8b"])
    left.bar_label(bars, [f" {e['rate']:,.0f}" for e in engines])
    left.set(xscale="log", xlabel="texts a second, one thread (logarithmic)", xlim=(100, 10 * engines[-1]["rate"]))
    for threads, mark in ((1, "o"), (2, "s")):
        points = [point for point in result["curve"] if point["threads"] == threads]
        seconds = [point["texts"] / point["rate"] for point in points]
        right.plot([point["texts"] for point in points], seconds, marker=mark, label=f"ours, {threads} thread{'s' * (threads > 1)}")
    right.set(xscale="log", yscale="log", xlabel="texts", ylabel="seconds to find the duplicates")
    right.set_xticks([point["texts"] for point in points], [f"{point['texts'] // 1000}k" for point in points], minor=False)
    right.minorticks_off()
    right.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    write_bytes(path, drawn.getvalue())


if __name__ == "__main__":
    sys.exit(run(main))
