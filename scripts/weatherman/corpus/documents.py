"""From a collected file to its passages: each text comes out with the reason it is kept out, or as a Passage record."""
from dataclasses import dataclass
from pathlib import Path

from paths import show
from weatherman.cli import UserError
from weatherman.corpus import filters, keywords, reddit
from weatherman.corpus.passages import book_span, candidates
from weatherman.files import MAX_LINE_BYTES, next_line, parse_json_line, sha256_bytes

CHUNK_BYTES = 2**20  # of a dump, for one process at a time


@dataclass
class Piece:
    """A book, a page, or some lines of a dump: what one process works on. `sha256` is the whole file's, `line` the first one."""

    kind: str  # gutenberg, reddit or web: the folder under data/raw
    path: Path
    sha256: str
    start: int = 0
    end: int = 0
    line: int = 1


@dataclass
class Row:
    """What became of one text. `reason`: why it is kept out; None: `passage` is a whole record."""

    line: int | None
    id: str | None
    reason: str | None
    excerpt: str = ""
    passage: dict | None = None


def pieces(kind, path, sha256):
    """Yield the Pieces of a collected file: a book or page is one, a dump one for each CHUNK_BYTES, cut between lines."""
    if kind != "reddit":
        yield Piece(kind, path, sha256)
        return
    line, start, size = 1, 0, path.stat().st_size
    with open(path, "rb") as handle:
        while start < size:
            count = 0
            while handle.tell() < min(size, start + CHUNK_BYTES):
                next_line(handle)
                count += 1
            yield Piece(kind, path, sha256, start, handle.tell(), line)
            start, line = handle.tell(), line + count


def rows_of(piece, config):
    """Return the Rows of a piece. config: the data configuration. Raises UserError for a damaged file."""
    return list({"gutenberg": book_rows, "web": page_rows, "reddit": dump_rows}[piece.kind](piece, config))


def book_rows(piece, config):
    """Yield a Row for each passage of a book."""
    from weatherman.records import Sidecar
    sidecar, raw = read_collected(piece, Sidecar, "01_collect_gutenberg.py")
    book = next((book for book in config.gutenberg.books if f"gutenberg:{book.id}" == sidecar.id), None)
    if book is None:
        yield Row(None, sidecar.id, "not_configured", sidecar.title)
        return
    span = book_span(raw, sidecar.encoding, book.begins, book.ends)
    about = {"source": "gutenberg", "title": book.title, "author": book.author, "persona": book.persona, "year": book.year}
    yield from text_rows(raw, span, sidecar, about, config, mojibake=book.mojibake)


def page_rows(piece, config):
    """Yield a Row for each passage of a web page's main text."""
    from weatherman.records import PageSidecar
    sidecar, raw = read_collected(piece, PageSidecar, "03_collect_web.py")
    about = {"source": "web", "title": sidecar.title, "author": sidecar.author, "persona": "neutral",
             "year": int(sidecar.date[:4]) if sidecar.date else None}
    yield from text_rows(raw, (0, len(raw)), sidecar, about, config, mojibake=False)


def read_collected(piece, kind, collector):
    """Return (sidecar, bytes of the text). Raises UserError when they do not fit each other."""
    import orjson

    from weatherman.records import check
    text_path = piece.path.with_suffix(".txt")
    try:
        sidecar = check(kind, orjson.loads(piece.path.read_bytes()))
    except (orjson.JSONDecodeError, ValueError) as error:
        raise UserError(f"{show(piece.path)}: not a sidecar: {error}.", f"rm '{piece.path}', then python scripts/{collector}") from None
    raw = text_path.read_bytes()
    if sha256_bytes(raw) != sidecar.sha256:
        raise UserError(f"{show(text_path)}: its bytes do not fit the sha256 in {piece.path.name}: damaged or edited.",
                        f"rm '{text_path}', then python scripts/{collector}")
    return sidecar, raw


def text_rows(raw, span, sidecar, about, config, mojibake):
    """Yield a Row for each passage of a byte range."""
    line, at = 1, 0
    found = candidates(raw, *span, sidecar.encoding, config.cleaning, mojibake=mojibake, straight_quotes=config.cleaning.straight_quotes)
    for number, candidate in enumerate(found):
        line, at = line + raw.count(b"\n", at, candidate.start), candidate.start
        yield row_of(line, filters.reject_reason(candidate.text, config.cleaning, config.seed), {
            "id": f"{sidecar.id}#{number:06d}", **about, "text": candidate.text, "url": sidecar.url, "license": sidecar.rights,
            "document_sha256": sidecar.sha256, "start": candidate.start, "end": candidate.end})


def dump_rows(piece, config):
    """Yield a Row for each headline in some lines of a dump; start and end are the offsets of its line."""
    with open(piece.path, "rb") as handle:
        handle.seek(piece.start)
        number = piece.line
        while (start := handle.tell()) < piece.end:
            line = next_line(handle)
            if line is None:
                yield Row(number, None, "line_too_long", f"more than {MAX_LINE_BYTES:,} bytes")
            elif line.strip():
                yield headline_row(number, line.rstrip(b"\r\n"), start, piece, config)
            number += 1


def headline_row(number, line, start, piece, config):
    """Return the Row of one line of a dump."""
    post, reason = parse_json_line(line)
    if reason:
        return Row(number, None, reason, line[:80].decode("utf-8", "backslashreplace"))
    if not is_post(post, config.reddit.subreddits):
        return Row(number, str(post.get("id")), "not_a_post", str(post)[:160])
    subreddit, title = config.reddit.subreddits[post["subreddit"]], reddit.clean_title(post["title"])
    return row_of(number, filters.headline_reject_reason(title, config.cleaning, config.seed), {
        "id": f"reddit:{post['id']}", "source": subreddit.source, "title": title, "author": "", "persona": "neutral",
        "year": reddit.year_of(post["created_utc"]), "text": title, "url": post["url"] or "", "license": subreddit.license,
        "document_sha256": piece.sha256, "start": start, "end": start + len(line)})


def is_post(row, subreddits):
    """True when a row has what 02 writes; url and created_utc are null where the dump did not say."""
    return (all(isinstance(row.get(key), str) for key in ("id", "title", "subreddit"))
            and all(isinstance(row.get(key, 0), str | None) for key in ("url", "created_utc"))
            and row["subreddit"] in subreddits and (row["created_utc"] is None or reddit.is_time(row["created_utc"])))


def row_of(line, reason, passage):
    """Return the Row of a text that the filters have judged."""
    if reason:
        return Row(line, passage["id"], reason, passage["text"][:200])
    from weatherman.records import Passage, check
    passage = {**passage, "word_count": len(passage["text"].split()), "matched_keywords": keywords.matched_keywords(passage["text"])}
    check(Passage, passage)
    return Row(line, passage["id"], None, passage=passage)
