"""A folder of anybody's .txt files as chunks of whole sentences, each sentence with the byte range it came from."""
import re
from dataclasses import dataclass
from pathlib import Path

from paths import show
from weatherman.cli import UserError
from weatherman.corpus.boilerplate import body_span
from weatherman.corpus.charset import guess
from weatherman.corpus.clean import CHAPTER, blocks, ends_sentence, is_verse, kind_of, unwrap
from weatherman.corpus.passages import ABBREVIATIONS
from weatherman.files import is_utf8, sha256_bytes

BOM = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
HEADING_CHARS, HEADING_WORDS, QUESTION_WORDS = 60, 12, 25
SHORT_LINE_CHARS = 45     # lines that all stay below are verse or an address, not a wrapped paragraph
ENTRY_SHARE = 0.7         # of a block's lines that must read "term: explanation"
ABBREVIATION_CHARS = 12   # looked at in front of a full stop
ITEM = re.compile(r"\s*(?:[-*•–—]|\(?(?:\d{1,2}|[a-z])[.)])\s+(?=\S)")
ENTRY = re.compile(r"\s*([^\W\d_][^:\n.!?]{1,40}):\s+(?=\S)")
MARKED_HEADING = re.compile(r"#{1,6}\s+(?=\S)")
UNDERLINE = re.compile(r"[=~-]{3,}\s*")
ASKED = re.compile(r"\s*(?:Q|Question|Frage|F)\s*\d*\s*[:.]\s+(?=\S)")
ANSWERED = re.compile(r"\s*(?:A|Answer|Antwort)\s*\d*\s*[:.]\s+(?=\S)")
# A sentence's end: punctuation, what closes behind it, white space; in Chinese and Japanese nothing need follow.
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s+[\"'“‘„«(\[¿¡]*[^\W_])|[。！？]+[」』”]?")
# Longer abbreviations of languages whose nouns have a capital.
FOREIGN_ABBREVIATIONS = {"bzw", "ca", "evtl", "ggf", "inkl", "nr", "sog", "tel", "usw", "vgl", "fig", "al", "cf", "approx", "dept", "est",
                         "inc", "ltd", "mme", "av", "ed", "eds", "ch", "sec", "mt", "ft"}


@dataclass(frozen=True)
class Text:
    """One file: its path, and that below the folder as its name; its bytes and their hash; `start` and `end` enclose the body."""

    path: Path
    name: str
    raw: bytes
    sha256: str
    start: int
    end: int


@dataclass(frozen=True)
class Piece:
    """A sentence, an item of a list, a "term: explanation" entry, a heading or a question that the text itself asks.

    start, end: bytes of the file. paragraph: its number in the file. text: word for word, white space and marks of markup aside.
    """

    kind: str
    text: str
    start: int
    end: int
    paragraph: int


@dataclass(frozen=True)
class Chunk:
    """Consecutive Pieces of one Text that hold at most so many tokens."""

    source: Text
    number: int
    pieces: tuple

    @property
    def id(self):
        return f"{self.source.name}#{self.number}"


# --- files --------------------------------------------------------------------------------------------------------------

def read_folder(path, max_bytes):
    """Return [Text] of the .txt files at or below `path`, in the order of their names; a file that repeats another is left out.

    Raises UserError that names every file which cannot be used: too large, not UTF-8 (with a guess at what it is), empty.
    """
    root = Path(path)
    if not root.exists():
        raise UserError(f"{path}: no such file or folder.", "--data with a folder of .txt files")
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix.lower() == ".txt" and p.is_file())
    if not files or files[0].suffix.lower() != ".txt":
        raise UserError(f"{path}: no .txt file {'here' if root.is_dir() else 'itself'}; only plain text can be read.",
                        "save your documents as UTF-8 text (.txt) in this folder")
    problems = [(file, *problem) for file in files if (problem := find_problem(file, max_bytes))]
    if problems:
        raise UserError("\n".join(f"{show(file)}: {message}" for file, message, _ in problems), problems[0][2])
    found = {}
    for file in files:
        text = read_text(file, root)
        found.setdefault(text.sha256, text)
    return list(found.values())


def find_problem(file, max_bytes):
    """Return (what is wrong with a file, what to type), None when it can be read."""
    size = file.stat().st_size
    if size > max_bytes:
        return (f"{size / 1e6:,.1f} MB; a file may have {max_bytes / 1e6:g} MB.",
                f"split -C {max_bytes} --additional-suffix=.txt '{file}' part-, and take the large file out of the folder")
    raw = file.read_bytes()
    if raw[:2] in UTF16_MARKS:
        return ("UTF-16, not UTF-8.", to_utf8(file, "utf-16"))
    if b"\0" in raw:
        return ("not text: it holds NUL bytes.", f"file '{file}'; save it as UTF-8 text, or take it out of the folder")
    if not is_utf8(raw):
        at = first_bad_byte(raw)
        found = guess(raw)
        return (f"not UTF-8: byte {at:,} (line {raw.count(10, 0, at) + 1:,}) is 0x{raw[at]:02x}; it is probably {found}.",
                to_utf8(file, found))
    if not raw.removeprefix(BOM).strip():
        return ("the file is empty.", f"rm '{file}'")
    return None


def first_bad_byte(raw):
    """Return the offset of the first byte that is not UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    raise ValueError("every byte is UTF-8")


def to_utf8(file, encoding):
    """Return the command that rewrites a file as UTF-8."""
    return f"iconv -f {encoding} -t utf-8 '{file}' > tmp && mv tmp '{file}'"


def read_text(file, root):
    """Return the Text of a checked file. A byte order mark, and a header of Project Gutenberg, are outside its body."""
    raw = file.read_bytes()
    start, end = body_span(raw)
    name = file.name if root == file else file.relative_to(root).as_posix()
    return Text(file, name, raw, sha256_bytes(raw), max(start, len(BOM) if raw.startswith(BOM) else 0), end)


# --- pieces -------------------------------------------------------------------------------------------------------------

def pieces_of(text):
    """Return the Pieces of a Text in order; what holds no letter is left out."""
    found = []
    for number, block in enumerate(blocks(text.raw, text.start, text.end, "utf-8")):
        for kind, start, end, part in with_bytes(block.start, block.text, parts_of(block.text)):
            if any(c.isalnum() for c in part):
                found.append(Piece(kind, part, start, end, number))
    return answers_marked(found)


def with_bytes(start, text, parts):
    """Yield (kind, first byte, byte behind, clean text) for parts (kind, first character, character behind) in order."""
    at, byte = 0, start
    for kind, first, stop in parts:
        byte += len(text[at:first].encode())
        size = len(text[first:stop].encode())
        yield kind, byte, byte + size, cleaned(kind, text[first:stop])
        at, byte = stop, byte + size


def cleaned(kind, part):
    """Return a part as it is said: one line (verse keeps its lines), without the marks of lists, headings and markup."""
    if kind == "heading":
        part = MARKED_HEADING.sub("", part.strip()).rstrip("#: ")
        part = UNDERLINE.sub("", part) if "\n" in part else part
    if kind == "item":
        part = ITEM.sub("", part, count=1)
    return "\n".join(unwrap(line.strip()) for line in part.strip().split("\n")) if kind == "verse" else unwrap(part.strip("\n"))


def parts_of(text):
    """Return [(kind, first character, character behind)] of a block."""
    lines = [(match.start(), match.end()) for match in re.finditer(r"[^\n]+", text)]
    first = text[:lines[0][1]].strip()
    if ASKED.match(first) or ANSWERED.match(first):
        return dialogue_parts(text, lines)
    if is_heading(text, lines):
        size = lines[min(len(lines), 2) - 1][1] if len(lines) > 1 and UNDERLINE.fullmatch(text[slice(*lines[1])].strip()) else lines[0][1]
        return [("heading", 0, size), *([] if size >= len(text.rstrip()) else shifted(text, size))]
    if is_question(first) and (len(lines) == 1 or len(first) < HEADING_CHARS):
        return [("question", 0, lines[0][1]), *([] if len(lines) == 1 else shifted(text, lines[0][1]))]
    if sum(bool(ITEM.match(text, a)) for a, _ in lines) > 1 or ITEM.match(text):
        return starting_with(ITEM, "item", text, lines)
    if len(lines) > 1 and sum(bool(ENTRY.match(text, a)) for a, _ in lines) >= ENTRY_SHARE * len(lines):
        return starting_with(ENTRY, "entry", text, lines)
    if is_verse(text) or (len(lines) > 1 and max(b - a for a, b in lines) <= SHORT_LINE_CHARS and not ends_sentence(first)):
        return [("verse", 0, len(text))]
    return [("sentence", *span) for span in sentence_spans(text)]


def shifted(text, by):
    """Return the parts of what stands behind character `by` of a block, counted from the block's beginning."""
    by += len(text[by:]) - len(text[by:].lstrip("\r\n"))
    return [(kind, first + by, stop + by) for kind, first, stop in parts_of(text[by:])]


def is_heading(text, lines):
    """True when a block begins with a heading: marked or underlined as one, or alone, or a short line right above running text."""
    first = text[:lines[0][1]].strip()
    if MARKED_HEADING.match(first) or (len(lines) > 1 and UNDERLINE.fullmatch(text[slice(*lines[1])].strip())):
        return True
    if ITEM.match(first) and not re.match(r"\d", first) or first[-1:] in ",;:?" or len(first.split()) > HEADING_WORDS:
        return False
    if len(lines) == 1:
        return (first.isupper() or kind_of(first) in ("chapter", "capitals", "heading")) and not ENTRY.match(first)
    below = text[slice(*lines[1])].strip()
    return (len(first) < SHORT_LINE_CHARS < len(below) and (first[0].isupper() or first[0].isdigit()) and not ends_sentence(first)
            and not ENTRY.match(first) and not below[0].islower() and not ITEM.match(below)) or CHAPTER.match(first) is not None


def is_question(line):
    return line.endswith("?") and len(line.split()) <= QUESTION_WORDS and len(sentence_spans(line)) == 1 and line[0] not in "\"'“‘„«-—("


def dialogue_parts(text, lines):
    """Return the parts of a block of "Q: …" and "A: …" lines; a line without either goes on with the one before."""
    found = []
    for first, stop in lines:
        asked, answered = ASKED.match(text, first), ANSWERED.match(text, first)
        if asked or answered:
            found.append(["question" if asked else "sentence", (asked or answered).end(), stop])
        else:
            found[-1][2] = stop
    return [part for kind, first, stop in found for part in
            ([(kind, first, stop)] if kind == "question" else
             [("sentence", first + a, first + b) for a, b in sentence_spans(text[first:stop])])]


def starting_with(pattern, kind, text, lines):
    """Return parts of `kind`, each from a line where the pattern matches to the next such line; what stands in front is sentences."""
    starts = [first for first, _ in lines if pattern.match(text, first)]
    before = [("sentence", a, b) for a, b in sentence_spans(text[:starts[0]])]
    return before + [(kind, first, stop) for first, stop in zip(starts, [*starts[1:], len(text)])]


def sentence_spans(text):
    """Return [(first character, character behind)] of the sentences of a text, in any language that ends them with . ! ? or 。"""
    spans, first = [], 0
    for match in SENTENCE_END.finditer(text):
        if is_end(text, first, match):
            spans.append((first, match.end()))
            first = skip_space(text, match.end())
    return [*spans, (first, len(text.rstrip()))] if text[first:].strip() else spans


def skip_space(text, at):
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def is_end(text, first, match):
    """True unless the stop belongs to an abbreviation, an initial or a number in front of a noun, or small letters go on."""
    at = skip_space(text, match.end())
    following = text[at:at + 4].lstrip("\"'“‘„«([")
    if following[:1].islower():
        return False
    if match[0][0] != "." or match[0].startswith(".."):
        return True
    word = re.search(r"[^\s\"'“‘„«(\[]*$", text[max(first, match.start() - ABBREVIATION_CHARS):match.start()])[0]
    bare = word.lower()
    return not (bare in ABBREVIATIONS or bare in FOREIGN_ABBREVIATIONS or re.fullmatch(r"[^\W\d_]|(?:[^\W\d_]\.)+[^\W\d_]|\d{1,2}", word))


def answers_marked(pieces):
    """Return the pieces; a question that nothing answers in the paragraph behind it becomes a sentence."""
    found = []
    for piece, after in zip(pieces, [*pieces[1:], None]):
        answered = after is not None and after.kind in ("sentence", "item") and after.paragraph <= piece.paragraph + 1
        found.append(piece if piece.kind != "question" or answered else
                     Piece("sentence", piece.text, piece.start, piece.end, piece.paragraph))
    return found


# --- chunks -------------------------------------------------------------------------------------------------------------

def chunks_of(texts, count_tokens, max_tokens, min_tokens, min_chunks):
    """Return [Chunk] of at most `max_tokens` tokens each, cut between sentences, and before a heading where one is half full.

    count_tokens(list of str) gives their tokens. Texts too short for `min_chunks` such chunks get smaller ones, of at least
    `min_tokens`, so that some can be held out. A sentence that alone has more tokens is cut between words.
    """
    files = [(text, pieces_of(text)) for text in texts]
    sizes = [count_tokens([f" {piece.text}\n" for piece in pieces]) for _, pieces in files]
    limit = max(min_tokens, min(max_tokens, sum(map(sum, sizes)) // min_chunks))
    return [Chunk(text, number, tuple(group)) for (text, pieces), counts in zip(files, sizes)
            for number, group in enumerate(packed(*fitted(pieces, counts, count_tokens, limit), limit), 1)]


def fitted(pieces, counts, count_tokens, limit):
    """Return (pieces, token counts) in which no piece has more than `limit` tokens."""
    done, sizes = [], []
    for piece, count in zip(pieces, counts):
        parts = [piece] if count <= limit else halves(piece, count_tokens, limit)
        done += parts
        sizes += [count] if count <= limit else count_tokens([f" {part.text}\n" for part in parts])
    return done, sizes


def halves(piece, count_tokens, limit):
    """Return a piece in parts of at most `limit` tokens, cut between words; a word that alone has more is left out.

    The parts share the byte range of the whole: where inside it they begin is no longer told.
    """
    words = piece.text.split()
    if count_tokens([f" {piece.text}\n"])[0] <= limit:
        return [piece]
    if len(words) < 2:
        return []
    middle = len(words) // 2
    parts = [Piece(piece.kind, " ".join(half), piece.start, piece.end, piece.paragraph) for half in (words[:middle], words[middle:])]
    return [part for half in parts for part in halves(half, count_tokens, limit)]


def packed(pieces, sizes, limit):
    """Yield lists of consecutive pieces with at most `limit` tokens; a heading and a question stay with what stands behind them."""
    group, held = [], []  # held: (piece, size) of headings and questions that wait for their text
    room = limit
    for piece, size in zip(pieces, sizes):
        if piece.kind in ("heading", "question"):
            held.append((piece, size))
            continue
        needed = sum(s for _, s in held) + size
        if needed > limit:  # so many headings in a row: a list of contents
            held, needed = [], size
        if group and (needed > room or (held and room < limit / 2)):
            yield group
            group, room = [], limit
        group += [p for p, _ in held] + [piece]
        room -= needed
        held = []
    if group:
        yield group


def count_words(chunks):
    """Return how many words Chunks have."""
    return sum(len(piece.text.split()) for chunk in chunks for piece in chunk.pieces)
