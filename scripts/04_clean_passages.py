"""Clean what was collected: strip boilerplate, cut books into passages, filter, and keep a reason for each text left out.

Reads data/raw/gutenberg/*.txt with their sidecars and data/raw/reddit/*.jsonl. Writes data/processed/passages.jsonl (records
of the kind Passage, `start` and `end` being byte offsets into the raw file). Machine: the Mac.
    python scripts/04_clean_passages.py
    python scripts/04_clean_passages.py --set cleaning.min_words=150 --force
"""
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from paths import folder, show
from weatherman.cli import GateError, UserError, add_data_flags, log, parser, progress, run
from weatherman.corpus import filters, reddit
from weatherman.corpus.passages import candidates
from weatherman.files import read_jsonl, sha256_bytes, sha256_file
from weatherman.step import Step


def main(argv=None):
    """Write the passages of every book and headline that pass the filters."""
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FOLDER", help="the collected files (default: data/raw)")
    add_data_flags(flags)
    args = flags.parse_args(argv)
    from weatherman.schemas import data_config
    config = data_config(args)
    raw = Path(args.input) if args.input else folder("raw")
    books, dumps = collected(raw)
    step = Step(__file__, rooms=["corpus"], inputs=[*books, *(path.with_suffix(".txt") for path in books), *dumps],
                outputs=[Path(args.output) if args.output else folder("processed") / "passages.jsonl"],
                config={key: config.plain[key] for key in ("gutenberg", "reddit", "cleaning")}, seed=config.values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        seen_ids = set()
        for name, paths, clean in (("gutenberg", books, clean_book), ("reddit", dumps, clean_dump)):
            before = Counter(step.counts["rejected"]), step.counts["out"]
            for path in progress(paths, name, len(paths), "files"):
                clean(step, path, config.values, seen_ids)
            step.notes[name] = step.counts["out"] - before[1]
            if paths and not step.notes[name]:
                raise GateError(f"{show(raw / name)}: none of its texts was kept; a source must not vanish in silence.",
                                f"look at the files there, or at `cleaning` in the configuration ({show(paths[0])} was the first read)")
    return step.finish(args)


def collected(raw):
    """Return (sidecars of books by id, dumps by name). Raises UserError when there is nothing at all."""
    books = sorted((raw / "gutenberg").glob("*.json"), key=lambda path: (len(path.stem), path.stem))
    dumps = sorted(path for path in (raw / "reddit").glob("*.jsonl") if not path.name.endswith(".rejects.jsonl"))
    if not books and not dumps:
        raise UserError(f"{show(raw)}: no books and no headlines are collected.", "python scripts/01_collect_gutenberg.py")
    for name, found in (("gutenberg", books), ("reddit", dumps)):
        if not found:
            log(f"{show(raw / name)}: nothing collected there, so this source is left out")
    for path in sorted({path.with_suffix(".json") for path in (raw / "gutenberg").glob("*.txt")} - set(books)):
        log(f"{show(path)}: missing, so {path.stem}.txt is left out; python scripts/01_collect_gutenberg.py completes it")
    return books, dumps


def clean_book(step, path, config, seen_ids):
    """Cut one book into passages and file each."""
    import orjson

    from weatherman.records import Sidecar, check
    text_path = path.with_suffix(".txt")
    try:
        sidecar = check(Sidecar, orjson.loads(path.read_bytes()))
    except (orjson.JSONDecodeError, ValueError) as error:
        raise UserError(f"{show(path)}: not a sidecar: {error}.", f"rm '{path}', then python scripts/01_collect_gutenberg.py") from None
    raw = text_path.read_bytes()
    if sha256_bytes(raw) != sidecar.sha256:
        raise UserError(f"{show(text_path)}: its bytes do not fit the sha256 in {path.name}: damaged or edited.",
                        f"rm '{text_path}', then python scripts/01_collect_gutenberg.py")
    book = next((book for book in config.gutenberg.books if f"gutenberg:{book.id}" == sidecar.id), None)
    if book is None:
        step.seen()
        step.reject("not_configured", file=text_path, id=sidecar.id, excerpt=sidecar.title)
        return
    line, at = 1, 0
    for number, found in enumerate(candidates(raw, sidecar.encoding, config.cleaning, book.begins, book.ends)):
        line, at = line + raw.count(b"\n", at, found.start), found.start
        file_text(step, config, seen_ids, file=text_path, line=line, reason=filters.reject_reason, passage={
            "id": f"{sidecar.id}#{number:06d}", "source": "gutenberg", "text": found.text, "title": book.title, "author": book.author,
            "persona": book.persona, "year": book.year, "url": sidecar.url, "license": sidecar.rights,
            "document_sha256": sidecar.sha256, "start": found.start, "end": found.end})


def clean_dump(step, path, config, seen_ids):
    """File each headline of one dump; start and end are the offsets of its row in the collected file."""
    def on_bad(line, reason, excerpt):
        step.seen()
        step.reject(reason, file=path, line=line, excerpt=excerpt)

    sha256, spans = sha256_file(path), reddit.row_spans(path)
    for line, post in read_jsonl(path, on_bad):
        start, end = next((start, end) for number, start, end in spans if number == line)
        if not is_post(post, config.reddit.subreddits):
            step.seen()
            step.reject("not_a_post", file=path, line=line, id=str(post.get("id")), excerpt=str(post)[:160])
            continue
        subreddit = config.reddit.subreddits[post["subreddit"]]
        title = reddit.clean_title(post["title"])
        file_text(step, config, seen_ids, file=path, line=line, reason=filters.headline_reject_reason, passage={
            "id": f"reddit:{post['id']}", "source": subreddit.source, "text": title, "title": title, "author": "", "persona": "neutral",
            "year": datetime.fromtimestamp(int(post["created_utc"]), timezone.utc).year, "url": post["url"],
            "license": subreddit.license, "document_sha256": sha256, "start": start, "end": end})


def is_post(row, subreddits):
    """True when a row has what 02 writes."""
    return (all(isinstance(row.get(key), str) for key in ("id", "title", "subreddit", "url", "created_utc"))
            and row["subreddit"] in subreddits and reddit.is_time(row["created_utc"]))


def file_text(step, config, seen_ids, *, file, line, reason, passage):
    """Keep a passage that its filter lets through, reject it with the reason otherwise."""
    from weatherman.records import Passage, check
    step.seen()
    text = passage["text"]
    why = "duplicate_id" if passage["id"] in seen_ids else reason(text, config.cleaning, config.seed)
    seen_ids.add(passage["id"])
    if why:
        step.reject(why, file=file, line=line, id=passage["id"], excerpt=text)
        return
    passage = {**passage, "word_count": len(text.split()), "matched_keywords": filters.matched_keywords(text, config.cleaning.keywords)}
    check(Passage, passage)
    step.keep(passage)


if __name__ == "__main__":
    sys.exit(run(main))
