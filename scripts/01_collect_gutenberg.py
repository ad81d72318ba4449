"""Collect books of Project Gutenberg from a mirror, keep their original bytes, refuse whatever is not the book asked for.

Reads a mirror (folder or address) and the books of configs/data_config.yaml. Writes data/raw/gutenberg/ID.txt and, last,
the sidecar ID.json. A book that is there whole is not asked for again, except with --refresh, which lets the server say
whether it has changed. Machine: the Mac.
    python scripts/01_collect_gutenberg.py --dry-run
    python scripts/01_collect_gutenberg.py --books 76,3177
    python scripts/01_collect_gutenberg.py --mirror data/samples/mirror --config configs/demo_data.yaml
"""
import sys
from pathlib import Path

from paths import folder, show
from weatherman.cli import DONE, MENDABLE, UserError, add_config_flags, log, parser, progress, run, table
from weatherman.corpus.fetch import Client, Disallowed, Mirror, Unavailable
from weatherman.files import atomic_writes, sha256_bytes, sha256_file, to_json, to_json_line
from weatherman.manifest import now


def main(argv=None):
    """Collect every wanted book; exit status 1 when one was refused or could not be had."""
    args = parse_args(argv)
    from weatherman.schemas import data_config
    config = data_config(args).values
    settings = config.gutenberg
    collector = Collector(args, config, Mirror(args.mirror or settings.mirror, Client.of(settings)))
    books = wanted_books(settings.books, args.books)
    if args.dry_run:
        collector.announce(books)
        return DONE
    results = [collector.collect(book) for book in progress(books, "books", len(books), "books")]
    report(results, args.json)
    return MENDABLE if any(result["status"] == "refused" for result in results) else DONE


def parse_args(argv):
    """Return the flags as typed."""
    flags = parser(__doc__)
    flags.add_argument("--mirror", metavar="FOLDER|URL", help="a folder or http(s) address laid out like Project Gutenberg's")
    flags.add_argument("--books", metavar="ID,...", help="only these of the configured books")
    flags.add_argument("--refresh", action="store_true", help="ask whether collected books have changed: one request for each that has not")
    flags.add_argument("--metadata", choices=["gutendex"], help="""where the mirror has no catalogue record (rdf), ask gutenberg.gutendex
                       for it, one request a book. Its robots.txt keeps crawlers out of /books/ and is obeyed, except for the books
                       you name yourself with --books; its authors would rather you ran your own server""")
    add_config_flags(flags)
    flags.add_argument("--output", metavar="FOLDER", help="write here instead of data/raw/gutenberg")
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


class Collector:
    """Fetches one configured book after the other into `target`."""

    def __init__(self, args, config, mirror):
        self.mirror, self.refresh, self.is_named = mirror, args.refresh, args.books is not None
        self.language, self.seed = config.cleaning.language, config.seed
        self.target = Path(args.output) if args.output else folder("raw") / "gutenberg"
        self.gutendex = Mirror(config.gutenberg.gutendex, mirror.client) if args.metadata else None

    def announce(self, books):
        """Say what `collect` would read and write."""
        from weatherman.corpus import gutenberg
        for book in books:
            log(f"would read {self.mirror.where(gutenberg.candidates(book.id)[0])} and write {show(self.target / f'{book.id}.txt')}")

    def collect(self, book):
        """Return {id, title, status, note} for one book: cached, unchanged, fetched, or refused with the reason, and what to do."""
        text, sidecar = self.target / f"{book.id}.txt", self.target / f"{book.id}.json"
        result = {"id": f"gutenberg:{book.id}", "title": book.title}
        known = read_cached(book, text, sidecar)
        if known and not self.refresh:
            return {**result, "status": "cached", "note": show(text)}
        from weatherman.corpus import gutenberg
        try:
            path, reply = self.first_found(book, known)
            if reply.status == 304 or known and known.sha256 == sha256_bytes(reply.data):
                return {**result, "status": "unchanged", "note": path}
            described = gutenberg.verify(book, reply.data, self.catalogue(book), self.language, self.seed)
        except (gutenberg.Refused, Unavailable) as error:
            reason = getattr(error, "reason", "disallowed" if isinstance(error, Disallowed) else "unavailable")
            hint = gutenberg.HINTS[reason].format(id=book.id, language=self.language)
            return {**result, "status": "refused", "reason": reason, "note": str(error), "hint": hint}
        about = {"id": result["id"], **described, "url": self.mirror.where(path), "sha256": sha256_bytes(reply.data), "fetched_at": now(),
                 "etag": reply.headers.get("ETag"), "last_modified": reply.headers.get("Last-Modified")}
        with atomic_writes([text, sidecar]) as (text_part, sidecar_part):
            text_part.write(reply.data)
            sidecar_part.write(to_json(about))
        return {**result, "status": "fetched", "note": f"{len(reply.data):,} bytes from {path}"}

    def first_found(self, book, known):
        """Return (path, Reply) of the best text the mirror has; first of all where the `known` copy came from. Raises Unavailable."""
        from weatherman.corpus.gutenberg import Refused, candidates, has_end_marker
        paths = candidates(book.id)
        for path in sorted(paths, key=lambda path: known is None or self.mirror.where(path) != known.url):
            is_known = known is not None and self.mirror.where(path) == known.url
            conditions = {"etag": known.etag, "last_modified": known.last_modified} if is_known else {}
            reply = self.mirror.read(path, complete=has_end_marker, **conditions)
            if reply is not None:
                return path, reply
        raise Refused("absent", f"the mirror has none of {', '.join(paths)}")

    def catalogue(self, book):
        """Return the Description of the book's catalogue record, None where there is none. Raises Refused, Unavailable."""
        from weatherman.corpus import gutenberg
        reply = self.mirror.read(gutenberg.catalogue_path(book.id), complete=lambda data: data.rstrip().endswith(b"</rdf:RDF>"))
        if reply is not None:
            return gutenberg.read_catalogue(reply.data)
        if self.gutendex is None:
            return None
        if self.is_named:
            log(f"asking {self.gutendex.base} for book {book.id}, once: --books names it, so its robots.txt (for crawlers) is not read")
        try:
            reply = self.gutendex.read(f"books/{book.id}", robots=not self.is_named)
        except Disallowed as error:
            raise gutenberg.Refused("no_gutendex", str(error)) from None
        return gutenberg.read_gutendex(reply.data, book.id) if reply is not None else None


def read_cached(book, text, sidecar):
    """Return the Sidecar when file and sidecar are there, fit each other, and are the book that the configuration names; or None."""
    import orjson

    from weatherman.corpus.gutenberg import same_author, same_title
    from weatherman.records import Sidecar, check
    try:
        known = check(Sidecar, orjson.loads(sidecar.read_bytes()))
        whole = sha256_file(text) == known.sha256 and same_title(book.title, known.title) and same_author(book.author, known.author)
        return known if whole else None
    except (FileNotFoundError, orjson.JSONDecodeError, ValueError):
        return None  # half a pair, or an older shape: it is fetched again


def report(results, as_json):
    """Print one JSON object to stdout, or a table and, for each refused book, why and what to do, to stderr."""
    if as_json:
        sys.stdout.write(to_json_line({"script": "01_collect_gutenberg.py", "books": results}).decode())
        return
    log(table([[r["id"], r["status"], r["title"]] for r in results], ["book", "status", "title"]))
    for r in results:
        if r["status"] == "refused":
            log(f"{r['id']} was refused: {r['note']}.\n  Try: {r['hint']}")


if __name__ == "__main__":
    sys.exit(run(main))
