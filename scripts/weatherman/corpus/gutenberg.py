"""What a Project Gutenberg file says of itself, and whether it is the book that was asked for."""
import re
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from weatherman.corpus.boilerplate import BOM, body_span
from weatherman.corpus.clean import blocks, kind_of, unwrap
from weatherman.corpus.language import is_language

PUBLIC_DOMAIN, COPYRIGHTED = "Public domain in the USA.", "Copyrighted."  # the words of the catalogue (dcterms:rights)
LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "nl": "dutch", "pt": "portuguese",
             "fi": "finnish", "sv": "swedish", "la": "latin"}  # what a header writes for the code of the configuration
MIN_PROSE_SHARE = 0.5   # measured: books and plays 0.95-1.00, a link index 0.28, an FTP listing 0.00
MIN_BODY_WORDS = 100    # the shortest books, single speeches and poems, have more
SAMPLES, SAMPLE_WORDS = 9, 120  # the passages, spread over a text, whose language is found out; most of them must agree
NAMESPACES = {"dcterms": "http://purl.org/dc/terms/", "pgterms": "http://www.gutenberg.org/2009/pgterms/",
              "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}
FIELD = re.compile(r"^(Title|Author|Language|Character set encoding):\s*(.*)$", re.I)
ANY_FIELD = re.compile(r"^[A-Z][\w ]{2,30}:|^\[|^\*")
# The first line of the headers of the 1990s, which have no fields: "*The Project Gutenberg Etext of TITLE, by AUTHOR*"
ANNOUNCED = re.compile(r"^\W*(?:The )?Project Gutenberg(?:'s)? E-?(?:text|book) of (.+?)(?:\W+(?:\d+ in our series )?by (.+?))?\W*$",
                       re.I | re.M)
PUNCTUATED = re.compile(r"\w[,.;!?:][\"'”’]*(?:\s|$)")
FREE_TO_USE = re.compile(r"at\s+no\s+cost\s+and\s+with\s+almost\s+no\s+restrictions|PUBLIC\s+DOMAIN\s+E-?(?:TEXT|BOOK)S")
IN_COPYRIGHT = re.compile(r"COPYRIGHTED\s+Project\s+Gutenberg|COPYRIGHT\s+PROTECTED\s+E-?(?:TEXT|BOOK)S"
                          r"|one\s+of\s+the\s+few\s+(?:copyrighted\s+)?individual\s+works", re.I)
START_MARKER = re.compile(rb"^\W*START OF TH(?:E|IS) PROJECT GUTENBERG", re.I | re.M)
CLOSED = re.compile(r"(?:[.!?…][\"'”’»)\]}_*\s]*|\b(?:THE END|END|FINIS)\b\W*)$", re.I)
PAGE = re.compile(rb"\s*(?:<!doctype|<html|<\?xml|<head|<rdf|<!--)", re.I)
FORMATS = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip file", b"%PDF": "a PDF", b"\xff\xfe": "UTF-16 text",
           b"\xfe\xff": "UTF-16 text", b"{\\rtf": "an RTF document"}

HINTS = {  # what to do about each refusal; {id} and {language} are the configured ones
    "absent": "another --mirror; or look whether https://www.gutenberg.org/ebooks/{id} is the book and has a plain text",
    "disallowed": "a mirror that allows it, or a folder (https://www.gutenberg.org/help/mirroring.html): --mirror FOLDER",
    "unavailable": "the same command later, or another --mirror",
    "empty": "the same command later, or another --mirror: this copy of book {id} is empty",
    "not_text": "the plain text in its place in the mirror folder (unpacked, UTF-8), or another --mirror",
    "web_page": "another --mirror: this one answers with a page where the text belongs; open the address to see what it says",
    "damaged": "another --mirror: this copy is damaged",
    "cut_short": "fetch it again, or another --mirror: a whole copy ends with \"*** END OF\" and the licence",
    "title": "correct the title or the id under gutenberg.books; https://www.gutenberg.org/ebooks/{id} shows which book {id} is",
    "author": "correct the author or the id under gutenberg.books; https://www.gutenberg.org/ebooks/{id} shows whose book {id} is",
    "language": "the id of an edition in \"{language}\" under gutenberg.books, or set cleaning.language",
    "copyrighted": "another edition or translation that is in the public domain, or remove book {id} from gutenberg.books",
    "no_book": "the id of the work itself under gutenberg.books: {id} is a list",
    "not_a_text": "the id of the text under gutenberg.books: {id} is a recording, a film or data",
    "bad_record": "another --mirror, or remove the record from the mirror folder: a text with a full header needs none",
    "unstated": "put its catalogue record at cache/epub/{id}/pg{id}.rdf in the mirror folder, or add --metadata gutendex",
    "no_gutendex": "name the books (--books {id}: then a person asks, not a crawler), or your own server: --set gutenberg.gutendex=URL",
}


class Refused(Exception):
    """The file is not the book asked for, or not one that may be used: the text says why, `reason` is its key in HINTS."""

    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason


@dataclass
class Description:
    """What a header or a catalogue record states; absent fields are empty."""

    title: str = ""
    authors: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    rights: str = ""
    encoding: str = ""
    kind: str = ""


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


def read_header(raw, body):
    """Return the Description in a text's own header. body: its (start, end)."""
    start, end = body
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
    values = {key: "\n".join(lines).strip() for key, lines in found.items()}
    whole = header + raw[end:].decode("latin-1")
    rights = COPYRIGHTED if IN_COPYRIGHT.search(whole) else PUBLIC_DOMAIN if FREE_TO_USE.search(whole) else ""
    languages = [name for name in re.split(r"\s*(?:[,;/&\n]|\band\b)\s*", values.get("language", "")) if name]
    return Description(values.get("title", ""), [values["author"]] if values.get("author") else [], languages, rights,
                       values.get("character set encoding", ""))


def read_announcement(raw):
    """Return the Description in the first line of an old header, empty without one. It is loose: "Tom Sawyer, by Twain/Clemens"."""
    match = ANNOUNCED.search(raw[:4000].decode("latin-1").replace("\r", ""))
    return Description(match[1], [match[2]] if match[2] else []) if match else Description()


def read_catalogue(data):
    """Return the Description in a pgID.rdf. Raises Refused when it is no such record."""
    try:
        book = ET.fromstring(data).find("pgterms:ebook", NAMESPACES)
    except ET.ParseError as error:
        raise Refused("bad_record", f"its catalogue record (rdf) is not XML: {error}") from None
    if book is None:
        raise Refused("bad_record", "its catalogue record (rdf) describes no ebook")

    def texts(path):
        return [element.text.strip() for element in book.findall(path, NAMESPACES) if element.text]

    def first(path):
        return next(iter(texts(path)), "")

    return Description(first("dcterms:title"), texts("dcterms:creator//pgterms:name"), texts("dcterms:language//rdf:value"),
                       first("dcterms:rights"), kind=first("dcterms:type//rdf:value"))


def read_gutendex(data, book_id):
    """Return the Description in Gutendex's answer to /books/ID. Raises Refused when it is no such answer.

    Source: Gutendex's README; `copyright` is null where it is not known.
    """
    import orjson
    try:
        found = orjson.loads(data)
        if found["id"] != book_id:
            raise ValueError(f"it is about book {found['id']}")
        rights = {True: COPYRIGHTED, False: PUBLIC_DOMAIN, None: ""}[found["copyright"]]
        return Description(str(found["title"]), [str(person["name"]) for person in found["authors"]],
                           [str(code) for code in found["languages"]], rights, kind=str(found["media_type"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("unavailable", f"Gutendex's answer is not a book's record ({type(error).__name__}: {error})") from None


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
            raise Refused("damaged", f"it says it is UTF-8, but byte {error.start} is not: the copy is damaged") from None
    try:
        raw.decode("cp1252")
        return "cp1252"
    except UnicodeDecodeError:
        return "latin-1"


def prose_share(raw, body, encoding):
    """Return the share of the body's words that stand in sentences, from 0 (a list, an index) to 1."""
    total = prose = 0
    for block in blocks(raw, *body, encoding):
        text = unwrap(block.text)
        count = len(text.split())
        total += count
        prose += count if kind_of(block.text) in ("paragraph", "verse") and PUNCTUATED.search(text) else 0
    return prose / total if total else 0.0


def is_complete(raw, body):
    """Return whether a text shows its end: the END marker behind its body, or after an older or no header the end of a sentence.

    Every file with a START marker has an END marker. Some of the small-print generation (1991-2003) have none ("THE END"
    closes Huckleberry Finn of 1993), nor have texts that were stripped; of those one that stops in mid-sentence is cut.
    """
    text = raw.rstrip()
    if body[1] < len(text):
        return True
    return not START_MARKER.search(raw) and CLOSED.search(text[-200:].decode("utf-8", "replace")) is not None


def has_end_marker(raw):
    """Return whether a text that came without a length is whole: its END marker is there."""
    return body_span(raw)[1] < len(raw.rstrip())


def samples_of(text):
    """Return up to SAMPLES stretches of SAMPLE_WORDS words of a text, spread evenly."""
    words = text.split()
    step = max(SAMPLE_WORDS, len(words) // SAMPLES)
    return [" ".join(words[at:at + SAMPLE_WORDS]) for at in range(0, len(words), step)][:SAMPLES]


def check_format(raw):
    """Raise Refused for a file that is no plain text."""
    if not raw.removeprefix(BOM).strip():
        raise Refused("empty", "it is empty")
    kind = next((name for magic, name in FORMATS.items() if raw.startswith(magic)), "bytes that are no text" if b"\0" in raw else None)
    if kind:
        raise Refused("not_text", f"it is not a text file but {kind}")
    if PAGE.match(raw.removeprefix(BOM)):
        raise Refused("web_page", "it is a web page or XML, not a plain text")


def check_text(raw, body, encoding, language, seed):
    """Raise Refused unless the file holds a whole book in `language`."""
    text = raw[slice(*body)].decode(encoding)
    if (count := len(text.split())) < MIN_BODY_WORDS:
        raise Refused("cut_short", f"it holds {count} words besides its header")
    if (share := prose_share(raw, body, encoding)) < MIN_PROSE_SHARE:
        raise Refused("no_book", f"only {share:.0%} of its words stand in sentences: an index or a listing, not a book")
    if not is_complete(raw, body):
        raise Refused("cut_short", f"it stops without an END marker at \"…{' '.join(raw[-80:].decode(encoding, 'replace').split())}\"")
    samples = samples_of(text)
    if sum(is_language(sample, language, seed) for sample in samples) * 2 <= len(samples):
        raise Refused("language", f'its text is not in "{language}"')


def check_statement(book, source, language):
    """Raise Refused where a Description does not fit the configured book."""
    if source.title and not same_title(book.title, source.title):
        raise Refused("title", f'its title is "{" ".join(source.title.split())}", expected "{book.title}"')
    if source.authors and not any(same_author(book.author, name) for name in source.authors):
        raise Refused("author", f"it is by {' and '.join(source.authors)}, expected {book.author}")
    if source.languages and language in LANGUAGES and not {language, LANGUAGES[language]} & {name.lower() for name in source.languages}:
        raise Refused("language", f'its language is "{", ".join(source.languages)}", expected "{language}"')
    if "copyrighted" in source.rights.lower():
        raise Refused("copyrighted", f'its rights are "{source.rights}": it may not be used')
    if source.kind not in ("", "Text"):
        raise Refused("not_a_text", f'the catalogue calls it "{source.kind}", not a text')


def verify(book, raw, catalogue, language, seed):
    """Return {title, author, language, rights, encoding} of a text that is `book`. Raises Refused with the reason.

    book: the configured one. catalogue: the Description of its record, or None. What header and record state must both fit;
    an old header's announcement counts where nothing else names the book.
    """
    check_format(raw)
    body = body_span(raw)
    header = read_header(raw, body)
    sources = [header, *([catalogue] if catalogue else [])]
    for source in sources:
        check_statement(book, source, language)
    if not any(source.title for source in sources):
        announced = read_announcement(raw)
        try:
            check_statement(book, announced, language)
        except Refused as error:  # it may well be the book, under a shorter name
            raise Refused("unstated", f"neither its header nor a catalogue record names it, and in the first line {error}") from None
        sources.append(announced)
    encoding = find_encoding(raw, header.encoding)
    check_text(raw, body, encoding, language, seed)
    stated = {name: next((getattr(source, name) for source in order if getattr(source, name)), None)
              for name, order in (("title", sources), ("authors", sources), ("rights", sources[::-1]))}
    if missing := [name for name, value in stated.items() if not value]:
        raise Refused("unstated", f"neither its header nor a catalogue record states its {', '.join(missing)}")
    return {"title": "; ".join(stated["title"].split("\n")),  # a subtitle stands on its own line
            "author": stated["authors"][0], "language": language, "rights": stated["rights"], "encoding": encoding}
