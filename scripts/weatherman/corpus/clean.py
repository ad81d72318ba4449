"""From the bytes of a book to clean paragraphs. Every step works on byte ranges, so that text can be traced back exactly:
`clean_slice(raw[start:end])` is the one function that makes a passage's text, here and when someone checks it."""
import re
from dataclasses import dataclass
from functools import lru_cache

from weatherman.corpus.boilerplate import NOTE_HEADING, NOTES_GAP, is_boilerplate, runs, split_lines
from weatherman.corpus.hygiene import clean_text, repair_mojibake

CHAPTER = re.compile(r"^[\W_]*(?:CHAPTER|PART|BOOK|VOLUME|STAVE|ACT|SCENE|CANTO|APPENDIX|SECTION|LETTER)\b\.?\s*(?:THE\s+)?"
                     r"(?:[IVXLC]+|\d+|[A-Z]|FIRST|SECOND|THIRD|FOURTH|FIFTH|ONE|TWO|THREE|FOUR|FIVE|LAST)(?![^\W_])"
                     r"(?:[.:—_-]|\s*$|\s*\n)", re.I)
LIST_HEADING = re.compile(r"^\W*(?:TABLE OF )?(?:CONTENTS|(?:LIST OF )?(?:ILLUSTRATIONS|PLATES|MAPS)|(?:GENERAL )?INDEX|BIBLIOGRAPHY"
                          r"|NAVIGATION)\W*$", re.I)
NOTES_HEADING = re.compile(r"^\W*(?:NOTES?(?: TO (?:CHAPTER|PART|BOOK|VOLUME|THE)\b.{0,40})?|(?:FOOT|END)\W?NOTES?\b.{0,40})\W*$", re.I)
NUMERAL = re.compile(r"^\W*(?:[IVXLC]+|\d{1,3})\W*$")
PAGE_NUMBER = re.compile(r"^\W*(?:(?:[Pp]g|[Pp]age|p)\.? ?)?(?:\d{1,4}|[ivxlc]+)\W*$|^\W*\d{1,4}\s+[A-Z][A-Z .,'’&-]+$"
                         r"|^[A-Z][A-Z .,'’&-]+\s+\d{1,4}\W*$")
# What producers and editors put between brackets. A block that opens one may close it many blocks later.
EDITOR = (r"(?:illustrations?|illus|picture|image|frontispiece|map|plate|decoration|ornament|music|sidenote|side-note|foot-?note|end-?note"
          r"|transcriber\W{0,3}s?|tr(?:ans)?\.? note|editor\W{0,3}s?|ed\. note|printer\W{0,3}s|proofreader\W{0,3}s|blank page|page image)")
EDITED = re.compile(rf"^\s*[\[{{]\s*\W*{EDITOR}\b|^\s*[\[{{](?:\d{{1,3}}|[A-Z*†‡§])(?:[\]}}]|\.? )", re.I)
FOOTNOTE = re.compile(r"^\s*(?:\[(?:\d{1,3}|[A-Za-z]|[*†‡§])\]|\{\d{1,3}\}\s|[\[{]\s*foot-?note|footnote \d*:"
                      r"|[*†‡]{1,2}\s?\w(?!\w*\*))", re.I)
CAPTION = re.compile(r"^\s*(?:illustration|frontispiece|fig(?:ure)?\. ?\d+|plate [ivxlc\d]+)\b[.:]", re.I)
SIGNED_BY_EDITOR = re.compile(r"^\s*\[[^\[\]]*(?:—|--|\s)\(?(?:Ed|Eds|Editor|Tr|Trans|Translator|Transcriber)s?\.?\)?\.?\s*\]\s*$")
NOTE_MARK = re.compile(r"\[(?:\d{1,3}|[*†‡§])\]|(?<=[^\s\[])\[[A-Za-z]\]|\{\d{1,4}\}|\s?\[(?:pg|page|p)\.? ?(?:\d+|[ivxlc]+)\]"
                       r"|\s?\{(?:pg|page|p)\.? ?\d+\}|(?<=[\w.,;:!?\"'”’])[*†‡](?=\s|$)|\s\[sic\.?\]", re.I)
INLINE_EDITOR = re.compile(rf"\s?\[\s*{EDITOR}\b(?:[^\[\]]|\[[^\[\]]*\])*\]|\s?\{{\s*{EDITOR}\b[^{{}}]*\}}", re.I)
EDITED_INSIDE = re.compile(rf"(?<=\S)\s*[\[{{]\s*{EDITOR}\b", re.I)
TRANSLITERATED = re.compile(r"\[(?:greek|hebrew|latin|arabic): ?([^\[\]]+)\]", re.I)
BRACKETS = re.compile(r"[\[{*†‡]")
POETRY_MARK = re.compile(r"^\s*(?:/[*#$PXRCFL](?:\[[\d.,]+\])?|[*#$PXRCFL]/)\s*$")
LINE_END = re.compile(r"\r*\n|\r")
DASHED = re.compile(r"(?:--|—)\w")
CLOSING = "\"'”’»)]}_*=+~"  # what may stand behind the punctuation that ends a sentence
VERSE_LINE_CHARS = 62       # indented lines that stay below this are verse; longer ones are a block quotation
PROSE_WORDS, PROSE_LOWER_SHARE = 30, 0.6  # from here a block in a list of contents is the book itself: it ends a sentence, in small letters
HEADINGS = ("chapter", "capitals", "heading", "list_heading", "notes_heading")
OPENING_BLOCKS = 40         # a chapter that begins with a dialogue has a longer paragraph within as many blocks
BRACKET_BLOCKS = 30         # an editor's bracket that is not closed within as many blocks was never meant to be
HEADING_WORDS, CAPITALS_WORDS = 12, 25


@dataclass
class Block:
    """A run of non-blank lines: its byte range in the file, its decoded text, line ends as they are, and how many blank lines stand
    in front of it."""

    start: int
    end: int
    text: str
    gap: int = 0


def blocks(raw, start, end, encoding):
    """Yield the Blocks in a byte range: lines between blank ones. A chapter's heading is a Block of its own also where the first
    paragraph follows without a blank line, and so is an editor's bracket that opens inside a paragraph and closes in a later one."""
    lines = list(split_lines(raw[start:end]))
    for first, behind, gap in runs(lines, 0, len(lines)):
        begin, stop = start + lines[first][0], start + lines[behind - 1][0] + len(lines[behind - 1][1])
        text = raw[begin:stop].decode(encoding)
        if size := _heading_size(text) or _size_before_bracket(text):
            middle = begin + len(text[:size].encode(encoding))
            yield Block(begin, middle, text[:size], gap)
            begin, text, gap = middle, text[size:], 0
        yield Block(begin, stop, text, gap)


def _heading_size(text):
    """Return how many characters of a block are a chapter's heading with prose right behind it, 0 for every other block."""
    if not CHAPTER.match(text[:80]) or (end := LINE_END.search(text)) is None:
        return 0
    return end.end() if is_prose(text[end.end():]) else 0


def _size_before_bracket(text):
    """Return how many characters of a block stand before an editor's bracket that it does not close, 0 for every other block."""
    found = [match.start() for match in EDITED_INSIDE.finditer(text)] if BRACKETS.search(text) else []
    return found[-1] if found and _depth(text[found[-1]:]) > 0 else 0


def _depth(text):
    """Return how many brackets a text leaves open."""
    return sum(text.count(c) for c in "[{") - sum(text.count(c) for c in "]}")


@lru_cache(maxsize=4096)
def lines_of(text):
    """Return the lines of a block that are neither blank nor marks around poetry."""
    lines = LINE_END.split(text) if "\r" in text else text.split("\n")
    return tuple(line for line in lines if line.strip() and not ("/" in line and POETRY_MARK.match(line)))


@lru_cache(maxsize=4096)
def kind_of(text):
    """Return what a block is, judged by itself: paragraph, verse, chapter, capitals, heading, list_heading, notes_heading, footnote,
    number (of a page or a chapter) or skip."""
    lines = lines_of(text)
    plain = "\n".join(lines).strip()
    if not any(c.isalpha() for c in plain):
        return "number" if len(lines) == 1 and NUMERAL.match(plain) else "skip"
    if is_boilerplate(plain) or CAPTION.match(plain) or SIGNED_BY_EDITOR.match(plain):
        return "skip"
    if FOOTNOTE.match(text):
        return "footnote"
    if EDITED.match(plain) or (len(lines) == 1 and PAGE_NUMBER.match(plain) and not CHAPTER.match(plain)):
        return "skip"
    if LIST_HEADING.match(plain):
        return "list_heading"
    if NOTES_HEADING.match(plain):
        return "notes_heading"
    return _heading_kind(plain, lines) or _table_kind(lines) or ("verse" if is_verse(text) else "paragraph")


def _heading_kind(plain, lines):
    """Return chapter, capitals, heading or None."""
    quoted, words = plain[0] in "\"'“‘`(", len(plain.split())
    if CHAPTER.match(plain) or NUMERAL.match(plain):
        return "chapter"
    if plain == plain.upper() and not quoted and words <= CAPITALS_WORDS:
        return "capitals"
    if len(lines) == 1 and words <= HEADING_WORDS and not quoted and not ends_sentence(plain) and plain[-1] not in ",;:-":
        return "heading"
    return None


def _table_kind(lines):
    """Return skip for a list with page numbers and for a drawn table, else None."""
    if len(lines) > 1 and sum(line.strip()[-1].isdigit() for line in lines) >= 0.6 * len(lines):
        return "skip"
    return "skip" if lines and sum("|" in line or "--+" in line or "==+" in line for line in lines) >= 0.5 * len(lines) else None


def is_verse(text):
    """True for two or more lines that are all indented and short."""
    lines = lines_of(text)
    return len(lines) > 1 and all(line[:2].isspace() and len(line.rstrip()) <= VERSE_LINE_CHARS for line in lines)


def is_prose(text):
    """True for a block that can only be running text: some length, small letters, a sentence's end, no dashes between headings."""
    words = text.split()
    return (len(words) >= PROSE_WORDS and ends_sentence(text) and sum(word[0].islower() for word in words) >= PROSE_LOWER_SHARE * len(words)
            and len(re.findall(r"[.?!”]--", text)) < 2)


def sections(found):
    """Yield lists of the Blocks that hold prose, one list per chapter or part; no passage crosses from one to the next.

    Dropped on the way: headings, lists of contents and illustrations, captions, footnotes, boilerplate. A line like a heading that
    stands no more apart than paragraphs do is text: an inscription, a date, a signature.
    """
    section, blocks_found = [], list(found)
    for number, kind in _without_editors(blocks_found):
        if kind in HEADINGS and not (section and kind in ("capitals", "heading") and _is_close(blocks_found, number)):
            if section:
                yield section
            section = []
        else:
            section.append(blocks_found[number])
    if section:
        yield section


def _is_close(found, number):
    """True when no more than one blank line stands in front of a block and behind it."""
    return found[number].gap < 2 and (number + 1 == len(found) or found[number + 1].gap < 2)


def _without_editors(found):
    """Yield (number, kind) of the headings and of the prose that is the author's: outside editors' brackets, lists and notes."""
    inside, closes = None, 0  # inside: list, notes, footnote or transcriber
    for number, block in enumerate(found):
        if number < closes:
            continue
        kind = kind_of(block.text)
        closes = _bracket_end(found, number) if EDITED.match(block.text) else 0
        if kind == "number":  # of a chapter when it stands apart, of a page when not
            kind = "chapter" if block.gap > 1 else "skip"
        inside = _inside(inside, found, number, kind)
        if kind in HEADINGS or (kind in ("paragraph", "verse") and inside is None and closes <= number):
            yield number, kind


def _inside(before, found, number, kind):
    """Return what kind of matter other than the author's text a block stands in, None for none."""
    block = found[number]
    if kind == "list_heading":
        return "list"
    if kind == "notes_heading":
        return "notes"
    if kind == "skip" and NOTE_HEADING.match(block.text) and not EDITED.match(block.text):
        return "transcriber"
    if before == "list":
        return None if is_prose(block.text) or (kind in HEADINGS and _opens_prose(found, number)) else before
    if kind in HEADINGS:
        return None
    if before == "transcriber":
        return None if block.gap >= NOTES_GAP else before
    if kind == "footnote":
        return before or "footnote"
    if before == "footnote" and not all(line[:2].isspace() for line in lines_of(block.text)):
        return None
    return before


def _opens_prose(found, number):
    """True when sentences come before the next heading: the heading is a chapter's own, not its entry in a list."""
    words = 0
    for block in found[number + 1:number + OPENING_BLOCKS]:
        if kind_of(block.text) in HEADINGS or words >= PROSE_WORDS:
            break
        if block.text != block.text.upper() and ends_sentence(block.text):
            words += len(block.text.split())
    return words >= PROSE_WORDS


def _bracket_end(found, number):
    """Return the number behind the block that closes the bracket which opens block `number`; `number` when it closes there or never."""
    depth = 0
    for at in range(number, min(len(found), number + BRACKET_BLOCKS)):
        depth += _depth(found[at].text)
        if depth <= 0:
            return at + 1 if at > number else number
    return number


def clean_slice(data, encoding, *, straight_quotes=False, mojibake=False):
    """Return the text of a byte range that begins and ends inside one section: paragraphs of one line each, a blank line
    between them. A paragraph that a picture or a footnote had cut in two is one again."""
    texts = []
    for section in sections(blocks(data, 0, len(data), encoding)):
        for block in section:
            text = unwrap(block.text, straight_quotes, mojibake)
            if texts and text[:1].islower() and not ends_sentence(texts[-1]):
                texts[-1] += " " + text
            elif text:
                texts.append(text)
    return "\n\n".join(texts)


@lru_cache(maxsize=4096)
def unwrap(text, straight_quotes=False, mojibake=False):
    """Return one block of prose as clean text: one line, or one line per verse. mojibake: the text is known to be damaged so."""
    lines = lines_of(repair_mojibake(text) if mojibake else text)
    whole = "\n".join(line.strip() for line in lines) if is_verse(text) else _joined(lines)
    if BRACKETS.search(whole):
        whole = NOTE_MARK.sub("", INLINE_EDITOR.sub("", TRANSLITERATED.sub(r"\1", whole)))
    return clean_text(whole, straight_quotes)


def _joined(lines):
    """Return lines as one: with a space between them, but not behind a hyphen or a dash, nor in front of a dash between words."""
    whole = ""
    for line in lines:
        line = line.strip()
        tight = whole.endswith(("-", "—", "\u00ad")) and not whole.endswith((" -", " --", " —"))
        tight = tight or DASHED.match(line) is not None
        whole += line if tight or not whole else " " + line
    return whole


def ends_sentence(text):
    """True when the text closes with punctuation that ends a sentence or breaks one off."""
    return text.rstrip().rstrip(CLOSING).endswith((".", "!", "?", "…", "--", "—", " -"))
