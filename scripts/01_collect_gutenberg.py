"""Collect books of Project Gutenberg from a mirror, keep their original bytes, refuse whatever is not the book asked for.

Reads a mirror (folder or address) and the books of configs/data_config.yaml. Writes data/raw/gutenberg/ID.txt and, last,
the sidecar ID.json. A book that is there whole is not fetched again. Machine: the Mac.
    python scripts/01_collect_gutenberg.py --dry-run
    python scripts/01_collect_gutenberg.py --books 76,3177
    python scripts/01_collect_gutenberg.py --mirror data/samples/mirror --config configs/demo_data.yaml
"""
import sys
from pathlib import Path

from paths import folder, show
from weatherman.cli import DONE, MENDABLE, UserError, log, parser, progress, run, table
from weatherman.corpus import gutenberg
from weatherman.corpus.fetch import Mirror, Unavailable
from weatherman.files import atomic_writes, sha256_bytes, sha256_file, to_json, to_json_line
from weatherman.manifest import now


def main(argv=None):
    """Collect every wanted book; exit status 1 when one was refused or could not be had."""
    args = parse_args(argv)
    from weatherman.schemas import data_config
    config = data_config(args).values
    settings = config.gutenberg
    mirror = Mirror(args.mirror or settings.mirror, settings.wait_s, settings.timeout_s, settings.retries)
    books = wanted_books(settings.books, args.books)
    target = Path(args.output) if args.output else folder("raw") / "gutenberg"
    if args.dry_run:
        for book in books:
            log(f"would read {mirror.where(gutenberg.candidates(book.id)[0])} and write {show(target / f'{book.id}.txt')}")
        return DONE
    results = [collect(book, mirror, target, config.cleaning.language) for book in progress(books, "books", len(books), "books")]
    report(results, args.json)
    return MENDABLE if any(result["status"] == "refused" for result in results) else DONE


def parse_args(argv):
    flags = parser(__doc__)
    flags.add_argument("--mirror", metavar="FOLDER|URL", help="a folder or http(s) address laid out like Project Gutenberg's")
    flags.add_argument("--books", metavar="ID,...", help="only these of the configured books")
    flags.add_argument("--config", metavar="FILE", help="data configuration (default: configs/data_config.yaml)")
    flags.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides", help="override one value")
    flags.add_argument("--output", metavar="FOLDER", help="write here instead of data/raw/gutenberg")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    flags.add_argument("--dry-run", action="store_true", help="say what would be read and written; fetch nothing")
    flags.set_defaults(seed=None)
    return flags.parse_args(argv)


def wanted_books(configured, text):
    """Return the configured books that "76,3177" names, all of them for None. Raises UserError for any other id."""
    if text is None:
        return configured
    known = {str(book.id): book for book in configured}
    ids = list(dict.fromkeys(part.strip() for part in text.split(",")))
    unknown = [number for number in ids if number not in known]
    if unknown:
        raise UserError(f"--books: {', '.join(map(repr, unknown))} is not configured; there are: {', '.join(known)}.",
                        "add it under gutenberg.books in configs/data_config.yaml, with its title and author")
    return [known[number] for number in ids]


def collect(book, mirror, target, language):
    """Return {id, title, status, note} for one book: cached, fetched, or refused with the reason as note."""
    text, sidecar = target / f"{book.id}.txt", target / f"{book.id}.json"
    result = {"id": f"gutenberg:{book.id}", "title": book.title}
    if is_cached(book, text, sidecar):
        return {**result, "status": "cached", "note": show(text)}
    try:
        path, raw = first_found(book, mirror)
        catalogue = mirror.read(gutenberg.catalogue_path(book.id))
        described = gutenberg.verify(book, raw, catalogue, language)
    except (gutenberg.Refused, Unavailable) as reason:
        return {**result, "status": "refused", "note": str(reason)}
    about = {"id": result["id"], **described, "url": mirror.where(path), "sha256": sha256_bytes(raw), "fetched_at": now()}
    with atomic_writes([text, sidecar]) as (text_part, sidecar_part):
        text_part.write(raw)
        sidecar_part.write(to_json(about))
    return {**result, "status": "fetched", "note": f"{len(raw):,} bytes from {path}"}


def is_cached(book, text, sidecar):
    """True when file and sidecar are there, fit each other, and are the book that the configuration names."""
    import orjson

    from weatherman.records import Sidecar, check
    try:
        known = check(Sidecar, orjson.loads(sidecar.read_bytes()))
        return (sha256_file(text) == known.sha256 and gutenberg.same_title(book.title, known.title)
                and gutenberg.same_author(book.author, known.author))
    except (FileNotFoundError, orjson.JSONDecodeError, ValueError):
        return False  # half a pair, or an older shape: it is fetched again


def first_found(book, mirror):
    """Return (path, bytes) of the best text the mirror has. Raises Unavailable."""
    for path in gutenberg.candidates(book.id):
        raw = mirror.read(path)
        if raw is not None:
            return path, raw
    raise Unavailable(f"the mirror has none of {', '.join(gutenberg.candidates(book.id))}")


def report(results, as_json):
    """Print one JSON object to stdout, or a table and a line for each refused book to stderr."""
    if as_json:
        sys.stdout.write(to_json_line({"script": "01_collect_gutenberg.py", "books": results}).decode())
        return
    log(table([[r["id"], r["status"], r["title"]] for r in results], ["book", "status", "title"]))
    for r in results:
        if r["status"] == "refused":
            log(f"{r['id']} was refused: {r['note']}.\n  Try: correct or remove it under gutenberg.books, or another --mirror")


if __name__ == "__main__":
    sys.exit(run(main))
