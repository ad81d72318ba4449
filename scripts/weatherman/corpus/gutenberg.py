"""What a Project Gutenberg file says of itself, and whether it is the book that was asked for."""
import re
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from weatherman.corpus.clean import BOM, blocks, body_span, kind_of, unwrap

PUBLIC_DOMAIN = "Public domain in the USA."  # the words of the catalogue (dcterms:rights)
LANGUAGES = {"en": "english"}                # what a header writes for the code of the configuration
MIN_PROSE_SHARE = 0.5                        # measured: books and plays 0.95-1.00, a link index 0.28, an FTP listing 0.00
NAMESPACES = {"dcterms": "http://purl.org/dc/terms/", "pgterms": "http://www.gutenberg.org/2009/pgterms/",
              "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}
FIELD = re.compile(r"^(Title|Author|Language|Character set encoding):\s*(.*)$", re.I)
ANY_FIELD = re.compile(r"^[A-Z][\w ]{2,30}:|^\[|^\*")
PUNCTUATED = re.compile(r"\w[,.;!?:][\"'”’]*(?:\s|$)")
FREE_TO_USE = re.compile(r"at\s+no\s+cost\s+and\s+with\s+almost\s+no\s+restrictions|PUBLIC\s+DOMAIN\s+(?:ETEXT|EBOOK)S")
COPYRIGHTED = re.compile(r"COPYRIGHTED\s+Project\s+Gutenberg|COPYRIGHT\s+PROTECTED\s+E(?:TEXT|BOOK)S", re.I)


class Refused(Exception):
    """The file is not the book asked for, or not one that may be used; the text says why."""


@dataclass
class Description:
    """What a header or a catalogue record states; absent fields are empty."""

    title: str = ""
    authors: list[str] = field(default_factory=list)
    language: str = ""
    rights: str = ""
    encoding: str = ""


def folder_of(book_id):
    """3177 -> 3/1/7/3177, 7 -> 0/7: the main collection's layout."""
    digits = str(book_id)
    return "/".join([*(digits[:-1] or "0"), digits])


def candidates(book_id):
    """Return the paths a text may lie at, best first: UTF-8, ASCII, 8-bit, the generated copy."""
    folder = folder_of(book_id)
    return [f"{folder}/{book_id}-0.txt", f"{folder}/{book_id}.txt", f"{folder}/{book_id}-8.txt",
            f"cache/epub/{book_id}/pg{book_id}.txt"]


def catalogue_path(book_id):
    return f"cache/epub/{book_id}/pg{book_id}.rdf"


def read_header(raw):
    """Return the Description in a text's own header."""
    start, end = body_span(raw)
    header = raw[:start].decode("latin-1") if start else raw[:4000].decode("latin-1")
    found, name = {}, None
    for line in header.replace("\r", "").split("\n"):
        match = FIELD.match(line)
        if match:
            name = match[1].lower()
            if name in found:
                name = None
            else:
                found[name] = [match[2].strip()]
        elif not line.strip() or ANY_FIELD.match(line):
            name = None
        elif name:
            found[name].append(line.strip())
    values = {key: "\n".join(lines) for key, lines in found.items()}
    whole = header + raw[end:].decode("latin-1")
    rights = "Copyrighted." if COPYRIGHTED.search(whole) else PUBLIC_DOMAIN if FREE_TO_USE.search(whole) else ""
    return Description(values.get("title", ""), [values["author"]] if "author" in values else [], values.get("language", ""), rights,
                       values.get("character set encoding", ""))


def read_catalogue(data):
    """Return the Description in a pgID.rdf. Raises Refused when it is no such record."""
    try:
        book = ET.fromstring(data).find("pgterms:ebook", NAMESPACES)
    except ET.ParseError as error:
        raise Refused(f"its catalogue record (rdf) is not XML: {error}") from None
    if book is None:
        raise Refused("its catalogue record (rdf) describes no ebook")
    return Description(book.findtext("dcterms:title", "", NAMESPACES).strip(),
                       [agent.text.strip() for agent in book.findall("dcterms:creator//pgterms:name", NAMESPACES) if agent.text],
                       book.findtext("dcterms:language//rdf:value", "", NAMESPACES).strip(),
                       book.findtext("dcterms:rights", "", NAMESPACES).strip())


def words_of(text):
    """Return the words of a title or name: lower case, no accents, apostrophes or brackets."""
    plain = unicodedata.normalize("NFKD", re.sub(r"\([^)]*\)", " ", text)).lower()
    plain = "".join(c for c in plain if not unicodedata.combining(c) and c not in "'’‘`´")
    return re.findall(r"[a-z0-9]+", plain)


def same_title(wanted, found):
    """True when `found` is `wanted`, give or take an article in front and a subtitle behind. A part is not the whole."""
    for candidate in (found, re.split(r"[\n:;,(]|\s[-–—]", found.strip(), maxsplit=1)[0]):
        rest = words_of(found)[len(words_of(candidate)):]
        if not {"part", "volume", "vol", "index", "chapters"} & set(rest) and _no_article(candidate) == _no_article(wanted) != []:
            return True
    return False


def _no_article(title):
    words = words_of(title)
    return words[1:] if words[:1] in (["the"], ["a"], ["an"]) else words


def same_author(wanted, found):
    """True when every word of the wanted name is in the found one ("Twain, Mark", "Mark Twain (Samuel Clemens)")."""
    return bool(words_of(wanted)) and set(words_of(wanted)) <= set(words_of(found))


def find_encoding(raw, declared):
    """Return "utf-8", "cp1252" or "latin-1": the encoding the bytes are really in. Raises Refused on damaged UTF-8."""
    said_utf8 = raw.startswith(BOM) or declared.lower().replace("-", "") == "utf8"
    try:
        raw.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        if said_utf8:
            raise Refused(f"it says it is UTF-8, but byte {error.start} is not: the copy is damaged") from None
    try:
        raw.decode("cp1252")
        return "cp1252"
    except UnicodeDecodeError:
        return "latin-1"


def prose_share(raw, encoding):
    """Return the share of the body's words that stand in sentences, from 0 (a list, an index) to 1."""
    start, end = body_span(raw)
    total = prose = 0
    for block in blocks(raw, start, end, encoding):
        text = unwrap(block.text)
        count = len(text.split())
        total += count
        prose += count if kind_of(block.text) in ("paragraph", "verse") and PUNCTUATED.search(text) else 0
    return prose / total if total else 0.0


def verify(book, raw, catalogue, language):
    """Return {title, author, language, rights, encoding} of a text that is `book`. Raises Refused with the reason.

    book: the configured one. catalogue: bytes of its rdf or None. What both state must both fit.
    """
    if b"\0" in raw:
        raise Refused("it is not a text file (it holds NUL bytes)")
    header = read_header(raw)
    sources = [header, *([read_catalogue(catalogue)] if catalogue else [])]
    for source in sources:
        if source.title and not same_title(book.title, source.title):
            raise Refused(f'its title is "{" ".join(source.title.split())}", expected "{book.title}"')
        if source.authors and not any(same_author(book.author, name) for name in source.authors):
            raise Refused(f'it is by {" and ".join(source.authors)}, expected {book.author}')
        if source.language and source.language.lower() not in (language, LANGUAGES.get(language)):
            raise Refused(f'its language is "{source.language}", expected "{language}"')
        if "copyrighted" in source.rights.lower():
            raise Refused(f'its rights are "{source.rights}": it may not be used')
    encoding = find_encoding(raw, header.encoding)
    if (share := prose_share(raw, encoding)) < MIN_PROSE_SHARE:
        raise Refused(f"only {share:.0%} of its words stand in sentences: an index or a listing, not a book")
    stated = {name: next((getattr(source, name) for source in order if getattr(source, name)), None)
              for name, order in (("title", sources), ("authors", sources), ("language", sources), ("rights", sources[::-1]))}
    if missing := [name for name, value in stated.items() if not value]:
        raise Refused(f"neither its header nor a catalogue record states its {', '.join(missing)}")
    return {"title": "; ".join(stated["title"].split("\n")),  # a subtitle stands on its own line
            "author": stated["authors"][0], "language": language, "rights": stated["rights"], "encoding": encoding}
