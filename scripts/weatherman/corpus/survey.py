"""Count what each source brought in, lost and kept, from the files of steps 01-05, with examples of what was lost.

Everything is read as a stream. What is remembered of a single text is one byte, its source, so memory does not grow with the texts.
"""
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from paths import base_dir, show
from weatherman.cli import GateError, UserError
from weatherman.files import read_jsonl
from weatherman.manifest import manifest_path, read_manifest
from weatherman.step import rejects_path

EXAMPLES = 3  # rejects shown of each reason
UNKNOWN = "unknown"  # the source of a rejected row whose file is gone


@dataclass
class Reason:
    """How many texts were kept out for one reason, and EXAMPLES of their reject rows, drawn evenly."""

    draw: random.Random
    count: int = 0
    examples: list = field(default_factory=list)

    def add(self, reject):
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(reject)
        elif (place := self.draw.randrange(self.count)) < EXAMPLES:  # reservoir sampling: Vitter 1985, algorithm R
            self.examples[place] = reject


class Reasons(dict):
    """{reason: Reason}. Equal seeds and names draw equal examples."""

    def __init__(self, seed, name):
        super().__init__()
        self._seed = f"{seed}/{name}"

    def add(self, reject):
        name = reject["reason"]
        if name not in self:
            self[name] = Reason(random.Random(f"{self._seed}/{name}"))
        self[name].add(reject)

    def counts(self):
        return {name: reason.count for name, reason in sorted(self.items())}


@dataclass
class Tally:
    """What was counted of a set of texts; `lengths` in words, `years` and `keywords`: {value: texts}."""

    texts: int = 0
    words: int = 0
    without_year: int = 0
    with_keywords: int = 0
    lengths: Counter = field(default_factory=Counter)
    years: Counter = field(default_factory=Counter)
    keywords: Counter = field(default_factory=Counter)

    def add(self, record):
        self.texts += 1
        self.words += record["word_count"]
        self.lengths[record["word_count"]] += 1
        self.with_keywords += bool(record["matched_keywords"])
        self.keywords.update(record["matched_keywords"])
        if record["year"] is None:
            self.without_year += 1
        else:
            self.years[record["year"]] += 1


@dataclass
class Source:
    """One source, or one book of it: what 04 kept (`cleaned`), what 05 kept of that (`kept`), and why 04 and 05 rejected the rest."""

    name: str
    seed: int
    title: str = ""
    cleaned: Tally = field(default_factory=Tally)
    kept: Tally = field(default_factory=Tally)
    books: dict = field(default_factory=dict)  # id: Source

    def __post_init__(self):
        self.lost_cleaning, self.lost_deduplication = (Reasons(self.seed, f"{step}/{self.name}") for step in ("04", "05"))

    @property
    def came(self):
        """The texts that came into 04."""
        return self.cleaned.texts + sum(self.lost_cleaning.counts().values())

    @property
    def retention(self):
        """The share of the texts that came into 04 which is still there after 05."""
        return self.kept.texts / self.came if self.came else 1.0

    def lost(self):
        """Return {reason: texts} over both steps, the reason that took most first."""
        return dict((Counter(self.lost_cleaning.counts()) + Counter(self.lost_deduplication.counts())).most_common())

    def parts(self, id):
        """Return the Sources that a text with this id counts for: this one and, for gutenberg:76#000123, its book."""
        book, mark, _ = (id or "").partition("#")
        return [self, self.books.setdefault(book, Source(book, self.seed))] if mark and self.name == "gutenberg" else [self]


@dataclass
class Run:
    """One run of a script: its first output, its manifest (03 writes none), and what was counted in its files."""

    output: Path
    manifest: dict | None
    lost: Reasons
    kept: int | None = None  # None: the output was not read

    def check(self):
        """Raise GateError unless the rows in the files are those the manifest counts."""
        if self.manifest is None:
            return
        counts, found = self.manifest["counts"], self.lost.counts()
        again = f"python scripts/{self.manifest['script']} again, with --force and what it was run with"
        if self.kept not in (None, counts["out"]):
            raise GateError(f"{show(self.output)}: holds {self.kept:,} records, but its manifest counts {counts['out']:,}.", again)
        if found != counts["rejected"]:
            raise GateError(f"{show(rejects_path(self.output))}: holds {_listed(found)}, but the manifest counts "
                            f"{_listed(counts['rejected'])}.", again)
        if counts["in"] != counts["out"] + sum(found.values()):
            raise GateError(f"{show(manifest_path(self.output))}: {counts['in']:,} rows came in, but {counts['out']:,} kept and "
                            f"{sum(found.values()):,} rejected do not add up to that.", again)


def _listed(counts):
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items())) or "no rejects"


@dataclass
class Survey:
    """All that was found: the Runs of 02 and 03, of 04 and 05 (None: it has not run), the Sources by name.

    `files`: {"gutenberg": books, "web": pages} that are collected. `lines`: the LineSources of passages.jsonl.
    """

    files: dict
    collecting: list
    cleaning: Run
    deduplication: Run | None
    sources: dict
    lines: object = None

    def source(self, name, seed):
        return self.sources.setdefault(name, Source(name, seed))


def survey(raw, processed, seed):
    """Return the Survey of the folders data/raw and data/processed. seed: of the examples that are drawn.

    Raises UserError without the output of 04, or when 05 was run on another one; GateError when files and manifests do not add up.
    """
    cleaning, deduplication = find_run(processed / "passages.jsonl", seed), find_run(processed / "unique.jsonl", seed)
    if cleaning is None:
        raise UserError(f"{show(processed / 'passages.jsonl')}: it or its manifest is missing, so there is nothing to report on.",
                        "python scripts/04_clean_passages.py")
    files = {name: sum(path.with_suffix(".json").is_file() for path in (raw / name).glob("*.txt")) for name in ("gutenberg", "web")}
    found = Survey(files, find_collecting(raw, seed), cleaning, deduplication, {})
    found.lines = count_kept(found, cleaning, "cleaned", seed)
    count_rejects(found, cleaning, "lost_cleaning", RejectedRows(cleaning.manifest["config"]["reddit"]["subreddits"]), seed)
    if deduplication:
        check_same_passages(found)
        count_kept(found, deduplication, "kept", seed)
        count_rejects(found, deduplication, "lost_deduplication", lambda reject: found.lines.at(reject["line"]), seed)
        check_sources(found)
    else:
        for source in found.sources.values():
            for part in (source, *source.books.values()):
                part.kept = part.cleaned
    found.sources = dict(sorted(found.sources.items()))
    return found


def find_run(output, seed):
    """Return the Run that wrote `output`, None when the file or its manifest is not there."""
    manifest = read_manifest(output)
    return Run(output, manifest, Reasons(seed, output.name)) if manifest and output.is_file() else None


def find_collecting(raw, seed):
    """Return the Runs below data/raw, checked. A run's rejects lie beside the first of its outputs, and so does its manifest."""
    runs = []
    for rejects in sorted(raw.glob("*/*.rejects.jsonl")):
        output = rejects.with_name(rejects.name.replace(".rejects", ""))
        run = Run(output, read_manifest(output), Reasons(seed, output.name))
        for reject in read_rejects(run):
            run.lost.add(reject)
        run.check()
        runs.append(run)
    return runs


def read_rejects(run):
    """Yield the rejects of a Run. Raises GateError when they are not there."""
    path = rejects_path(run.output)
    if not path.is_file():
        raise GateError(f"{show(path)}: missing, but the manifest counts {_listed(run.manifest['counts']['rejected'])}.",
                        f"python scripts/{run.manifest['script']} again, with --force and what it was run with")
    if path.stat().st_size:
        yield from (reject for _, reject in read_jsonl(path))


class LineSources:
    """The source of each line of a file, one byte a line."""

    def __init__(self):
        self._names, self._codes, self._rows = [UNKNOWN], bytearray(), Counter()

    def put(self, line, name):
        if name not in self._names:
            self._names.append(name)
        self._codes.extend(bytes(line - len(self._codes)))
        self._codes[line - 1] = self._names.index(name)
        self._rows[name] += 1

    def at(self, line):
        """Return the source of a line; where a line has none of its own, the one that most lines of the file have."""
        code = self._codes[line - 1] if line is not None and line <= len(self._codes) else 0
        return self._names[code] if code else max(self._rows, key=self._rows.get, default=UNKNOWN)


def count_kept(found, run, stage, seed):
    """Add the output of a Run to the tallies called `stage` and check its number. Returns the LineSources of the file."""
    lines, total = LineSources(), 0
    for line, record in read_jsonl(run.output):
        total += 1
        lines.put(line, record["source"])
        for part in found.source(record["source"], seed).parts(record["id"]):
            getattr(part, stage).add(record)
            part.title = record["title"]
    run.kept = total
    return lines


class RejectedRows:
    """Call it with a reject of 04 and it returns the source: the folder of the file for books and web pages, the row's own subreddit
    for a dump, which may hold several. A row of a dump that cannot be read counts for the source that most of its rows have."""

    def __init__(self, subreddits):
        self._source_of = {name: settings["source"] for name, settings in subreddits.items()}
        self._dumps = {}

    def __call__(self, reject):
        path = base_dir() / reject["file"]
        if path.parent.name != "reddit":
            return path.parent.name
        if path not in self._dumps:
            self._dumps[path] = self._read(path)
        return self._dumps[path].at(reject["line"])

    def _read(self, path):
        lines = LineSources()
        if path.is_file():
            for line, post in read_jsonl(path, on_bad=lambda *_: None):
                if (name := self._source_of.get(str(post.get("subreddit")))) is not None:
                    lines.put(line, name)
        return lines


def count_rejects(found, run, stage, source_of, seed):
    """Add the rejects of a Run to those of their sources, called `stage`, and check their number."""
    for reject in read_rejects(run):
        run.lost.add(reject)
        for part in found.source(source_of(reject), seed).parts(reject["id"]):
            getattr(part, stage).add(reject)
    run.check()


def check_same_passages(found):
    """Raise UserError when 05 has read other passages than those that lie there now."""
    written, read = found.cleaning.manifest["outputs"][0], found.deduplication.manifest["inputs"][0]
    if written["sha256"] != read["sha256"]:
        raise UserError(f"{show(found.deduplication.output)}: made from other passages than those of {show(found.cleaning.output)} now.",
                        "python scripts/05_deduplicate.py")


def check_sources(found):
    """Raise GateError when a source has other texts after 05, kept and rejected, than it had before."""
    for source in found.sources.values():
        rejected = sum(source.lost_deduplication.counts().values())
        if source.cleaned.texts != source.kept.texts + rejected:
            raise GateError(f"{show(found.deduplication.output)}: of {source.cleaned.texts:,} texts of {source.name}, "
                            f"{source.kept.texts:,} are kept and {rejected:,} rejected: that does not add up.",
                            "python scripts/05_deduplicate.py --force")
