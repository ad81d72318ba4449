"""From the bytes of a book to clean paragraphs. Every step works on byte ranges, so that text can be traced back exactly:
`clean_slice(raw[start:end])` is the one function that makes a passage's text, here and when someone checks it."""
import re
import unicodedata
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"
HEADER_LINES = 600          # a header is shorter than this: 1993's small print ends near line 260
LAST_THIRD = 2 / 3          # a transcriber's note behind this share of the body closes it

# The markers of every generation since 1992. A line that opens one may wrap over the next ones.
START = re.compile(rb"^\W*START OF (?:THE|THIS) (?:PROJECT GUTEN\w*|SAMPLE)\b", re.I)
END = re.compile(rb"^\W*(?:\*\s*END OF|END OF) (?:THE |THIS )?(?:WIRETAP/)?(?:PROJECT GUTEN\w*|SAMPLE E-?(?:BOOK|TEXT)\b)"
                 rb"|^\W*START: FULL LICEN[SC]E|^THE FULL PROJECT GUTENBERG LICEN[SC]E"
                 rb"|^Project Gutenberg e(?:Book|text)s are (?:often|usually) created from"
                 rb"|^\W*This file should be named \S+\.(?:txt|zip)", re.I)
SMALL_PRINT_END = re.compile(rb"^\*(?:END\W+THE )?SMALL PRINT!.*\*END\*", re.I)
TRANSCRIBER = re.compile(rb"^\W*TRANSCRIBER\W{0,3}S?\W{0,2} (?:END)?NOTES?\W*$", re.I)

# A block with one of these is the work of producers and lawyers, never of the author.
BOILERPLATE = re.compile(
    r"gutenberg|\be-?texts?\b|distributed proofread|\bpgdp\b|electronic (?:edition|version)|internet wiretap|small print!"
    r"|https?://|www\.|\w@\w+\.|^\W*copyright\b"
    r"|^\W*(?:this (?:updated )?(?:e-?book|edition|file) (?:was |is )?|html version |text |file )?(?:produced|prepared|transcribed|scanned"
    r"|digitized|proofed|proofread) (?:by|from)\b"
    r"|^\W*(?:credits|transcriber\W{0,3}s? (?:end)?notes?|character set encoding|release date|last updated|posting date|title|author"
    r"|language):", re.I)
CHAPTER = re.compile(r"^(?:CHAPTER|PART|BOOK|VOLUME|STAVE|ACT|SCENE|CANTO|APPENDIX|SECTION)\b\.?\s*(?:THE\s+)?"
                     r"(?:[IVXLC]+|\d+|[A-Z]|FIRST|SECOND|THIRD|FOURTH|FIFTH|ONE|TWO|THREE|FOUR|FIVE|LAST)\b(?:[.:—-]|\s*$|\s*\n)", re.I)
LIST_HEADING = re.compile(r"^\W*(?:TABLE OF )?(?:CONTENTS|(?:LIST OF )?ILLUSTRATIONS|INDEX|BIBLIOGRAPHY|NAVIGATION|(?:FOOT|END)NOTES)\W*$",
                          re.I)
NUMERAL = re.compile(r"^\W*(?:[IVXLC]+|\d+)\W*$")
FOOTNOTE = re.compile(r"^\s*(?:\[(?:\d{1,3}|[A-Z*†])\]\s|\[\s*footnote|\{\s*footnote|\*\s\w)", re.I)
NOTE_MARK = re.compile(r"\[(?:\d{1,3}|\*|†)\]|\{\d{1,3}\}")
CLOSING = "\"'”’»)]}_*"  # what may stand behind the punctuation that ends a sentence
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNDERSCORE = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")  # not the one inside snake_case
VERSE_LINE_CHARS = 62  # indented lines that stay below this are verse; longer ones are a block quotation


@dataclass
class Block:
    """A run of non-blank lines: its byte range in the file and its decoded text, line ends as they are."""

    start: int
    end: int
    text: str


def body_span(raw):
    """Return (start, end): the byte range of a book without the header and footer of Project Gutenberg.

    Knows every generation since 1992: START/END markers (wrapped, doubled, misspelt), the small print in front or
    behind, a missing END, and texts that are stripped already (the whole file).
    """
    lines = list(_lines(raw))
    first = next((n for n, (_, line) in enumerate(lines[:HEADER_LINES]) if START.match(line) or SMALL_PRINT_END.match(line)), -1)
    last = next((n for n, (_, line) in enumerate(lines) if n > first and END.match(line)), len(lines))
    opening = [n for n, (_, line) in enumerate(lines[:min(last, HEADER_LINES)]) if START.match(line) or SMALL_PRINT_END.match(line)]
    begin = _after_marker(lines, opening[-1]) if opening else 0
    notes = begin + int((last - begin) * LAST_THIRD)
    last = next((n for n in range(notes, last) if TRANSCRIBER.match(lines[n][1])), last)
    start = lines[begin][0] if begin < len(lines) else len(raw)
    if start == 0 and raw.startswith(BOM):
        start = len(BOM)
    return start, max(start, lines[last][0] if last < len(lines) else len(raw))


def _lines(raw):
    """Yield (byte offset, line without its end)."""
    offset = 0
    for line in raw.split(b"\n"):
        yield offset, line.rstrip(b"\r")
        offset += len(line) + 1


def _after_marker(lines, number):
    """Return the number of the line after the marker at `number`: a marker wraps until its closing asterisks."""
    for end in range(number, min(number + 4, len(lines))):
        if lines[end][1].rstrip().endswith(b"*"):
            return end + 1
    return number + 1


def blocks(raw, start, end, encoding):
    """Yield the Blocks in a byte range: lines between blank ones."""
    for match in re.finditer(rb"[^\n]*[^\s][^\n]*(?:\n[^\n]*[^\s][^\n]*)*", raw[start:end]):
        yield Block(start + match.start(), start + match.end(), match[0].decode(encoding))


def kind_of(text):
    """Return what a block is, judged by itself: paragraph, verse, chapter, list_heading, heading, footnote or skip."""
    plain = text.strip()
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if not any(c.isalpha() for c in plain) or BOILERPLATE.search(plain) or plain.startswith(("[Illustration", "[Picture")):
        return "skip"
    if LIST_HEADING.match(plain):
        return "list_heading"
    if FOOTNOTE.match(text):
        return "footnote"
    if CHAPTER.match(plain):
        return "chapter"
    quoted = plain[0] in "\"'“‘`("
    if (plain == plain.upper() and not quoted and len(plain.split()) <= 25) or NUMERAL.match(plain):
        return "chapter"
    if len(lines) == 1 and len(plain.split()) <= 12 and not quoted and not ends_sentence(plain) and plain[-1] not in ",;:-":
        return "heading"
    if len(lines) > 1 and sum(line.strip()[-1].isdigit() for line in lines) >= 0.6 * len(lines):
        return "skip"  # a list with page numbers
    if len(lines) > 1 and sum("|" in line or "--+" in line for line in lines) >= 0.5 * len(lines):
        return "skip"  # a drawn table
    return "verse" if is_verse(text) else "paragraph"


def is_verse(text):
    """True for two or more lines that are all indented and short."""
    lines = [line for line in text.split("\n") if line.strip()]
    return len(lines) > 1 and all(line[:2].isspace() and len(line.rstrip()) <= VERSE_LINE_CHARS for line in lines)


def sections(found):
    """Yield lists of the Blocks that hold prose, one list per chapter or part; no passage crosses from one to the next.

    Dropped on the way: headings, lists of contents and illustrations, captions, footnotes, boilerplate.
    """
    section, in_list, in_caption, in_footnote = [], False, False, False
    for block in found:
        plain = block.text.strip()
        kind = "skip" if in_caption else kind_of(block.text)
        opens = plain.startswith("[") and plain.count("[") > plain.count("]")
        if in_caption or opens:  # a bracket that closes in a later block: an illustration's caption, a long note
            in_caption = not plain.endswith("]") if in_caption else True
            continue
        indented = all(line[:2].isspace() for line in block.text.split("\n") if line.strip())
        in_footnote = kind == "footnote" or (in_footnote and indented)
        if kind == "chapter":
            in_list = False
        elif kind == "list_heading":
            in_list = True
        if kind in ("chapter", "list_heading", "heading"):
            if section:
                yield section
            section = []
        elif kind in ("paragraph", "verse") and not in_list and not in_footnote:
            section.append(block)
    if section:
        yield section


def clean_slice(data, encoding):
    """Return the text of a byte range that begins and ends inside one section: paragraphs of one line each, a blank line
    between them. A paragraph that a picture or a footnote had cut in two is one again."""
    texts = []
    for section in sections(blocks(data, 0, len(data), encoding)):
        for block in section:
            text = unwrap(block.text)
            if texts and text[:1].islower() and not ends_sentence(texts[-1]):
                texts[-1] += " " + text
            elif text:
                texts.append(text)
    return "\n\n".join(texts)


def unwrap(text):
    """Return one block of prose as clean text: one line, or one line per verse."""
    lines = [clean_line(NOTE_MARK.sub("", line)) for line in text.split("\n")]
    lines = [line for line in lines if line]
    if is_verse(text):
        return clean_text("\n".join(lines))
    whole = ""
    for line in lines:
        hyphen = whole.endswith(("-", "—")) and not whole.endswith((" -", " --", " —"))
        whole += line if not whole or hyphen else " " + line
    return clean_text(whole)


def clean_line(line):
    """Return a line without invisible characters and with single spaces."""
    return " ".join(CONTROL.sub(" ", INVISIBLE.sub("", line)).split())


def clean_text(text):
    """Return text in NFC with _italics_ unwrapped."""
    return unicodedata.normalize("NFC", UNDERSCORE.sub("", text))


def ends_sentence(text):
    """True when the text closes with punctuation that ends a sentence or breaks one off."""
    return text.rstrip().rstrip(CLOSING).endswith((".", "!", "?", "…", "--", "—"))
