"""Where a book of Project Gutenberg begins and ends in its file, and which paragraphs are the work of producers and lawyers."""
import re

BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\f\v\x1a" + BOM  # what a blank line may hold; DOS closed its files with \x1a
HEADER_LINES = 600           # a header is shorter than this: 1993's small print ends near line 260
FOOTER_BYTES = 30_000        # and the longest footer than this: the licence of 2023 has 19 kB, a page of donations 8 kB
NOTES_SHARE, NOTES_BYTES = 0.1, 20_000  # of the body: a transcriber's notes at its end are shorter than both
NOTES_GAP = 3                # blank lines that close a transcriber's notes: the proofreaders put four in front of a chapter
WRAPPED_LINES = 4            # a marker with a long title runs over as many lines
OPENING_BLOCKS = 6           # the name of a header's etext stands in the first of its blocks
STRAY_WORDS = 40             # between two blocks of a header lie no more words that do not say what they belong to

# A header in front of or behind the START marker names its etext, then goes on in words that books rarely use.
HEADER_OPENING = re.compile(r"^\W*(?:the\s+|a\s+)?project\s+gutenberg(?:'s|’s)?\b.{0,200}$|^\W*(?:title|author):"
                            r"|gutenberg(?:\s+of\s+australia)?\s+e-?(?:text|book)|^\W*this\s+e(?:book|text)\s+is\s+for\s+the\s+use"
                            r"|^\W*welcome\s+to\s+the\s+world\s+of\s+free\s+plain", re.I | re.S)
HEADER_WORD = re.compile(r"gutenberg|\be-?(?:text|book)s?\b|small print|public domain|carnegie|benedictine|donation|\bftp\b|liabilit"
                         r"|refund|proprietary|hypertext|trademark|disclaim|indemn|royalt|warrant(?:y|ies)\b|this header|electronic path"
                         r"|\w@\w|www\.|https?:|^\W*(?:title|author|editor|translator|illustrator|language|credits|original publication"
                         r"|(?:release|posting|first posted|last updated|most recently updated|date first posted).{0,20}"
                         r"|character set.{0,12}):|^\W*(?:produced|prepared|scanned|transcribed|typed)\s+by\b", re.I)
NOTE_HEADING = re.compile(r"^[\W_]*(?:(?:transcriber|transcriptionist|typist|proofreader|producer)\W{0,4}s?\W{0,4}\s*"
                          r"(?:(?:end)?notes?|corrections|comments?|errata)|notes?\s+(?:by|from|of)\s+the\s+transcriber"
                          r"|note\s+on\s+the\s+e-?text)\b", re.I)

# Words that only producers and lawyers use, wherever they stand.
_NAMES = (r"gutenberg(?:-?tm\b|™|(?:['’]s)?\s+(?:e-?(?:book|text)s?|licen[sc]e|literary|association|volunteers?|editions?|header|blurb)\b"
          r"|\.(?:org|net)|\s+(?:also\s+has|note\b))|distributed\s+proofread|\bpgdp\b|internet\s+wiretap|small\s+print!"
          r"|electronic\s+(?:edition|version)\s+(?:by|of)\b|(?:this|your\s+copy\s+of\s+this|free\s+plain\s+vanilla\s+electronic)\s+e-?texts?\b"
          r"|public\s+domain\s+e-?(?:text|book)s?\b|almost\s+no\s+restrictions\s+whatsoever|hundreds\s+of\s+volunteers\s+and\s+donations"
          r"|[<\[(]\w[\w.-]*@\w[\w.-]*\.\w+[>\])]")
# What opens the statement of a producer.
_OPENINGS = (r"^[\W_]*(?:(?:this\s+)?(?:(?:updated|corrected|revised|html|text)\s+)?(?:e-?(?:book|text)|edition|file|version|text)?\s*"
             r"(?:\d+\s+)?(?:was\s+|is\s+)?(?:originally\s+|subsequently\s+)?(?:produced|prepared|transcribed|scanned|digiti[sz]ed|proofed|proofread"
             r"|reformatted|typed|keyed|converted|updated)(?:,?\s+and\s+\w+|\s+for\s+\w+\s+\w+)?,?\s+(?-i:(?:by|from)\s+(?:the\s+)?(?:[<A-Z]))"
             r"|released\s+to\s+the\s+public\b|end\s+of\s+(?:the\s+|this\s+)?project\s+gutenberg|credits:\s|character\s+set\s+encoding:"
             r"|(?:release|posting)\s+date:\s|html\s+version\s+by\s|copyright\b[^.]{0,30}\b(?:1[5-9]|20)\d\d\b|all\s+rights\s+reserved\b)")
# What makes a short paragraph theirs, while a long one may speak of it.
_HINTS = r"\bproject\s+gutenberg\b|\be-?texts?\b|electronic\s+(?:edition|version)|https?://|www\.|\w@\w+\."
_SHORT = r"\A(?!\W*[\"“‘])(?=(?:\s*\S+(?=\s|\Z)){1,45}\s*\Z)"  # and nothing that somebody says
BOILERPLATE = re.compile(rf"{_NAMES}|{NOTE_HEADING.pattern}|{_SHORT}(?:{_OPENINGS}|[\s\S]*?(?:{_HINTS}))", re.I)
CUES = ("gutenberg", "proofre", "pgdp", "wiretap", "small print", "electronic", "text", "ebook", "e-book", "no restrictions", "donations",
        "produced", "prepared", "transcri", "scanned", "digiti", "proofed", "reformatted", "typ", "keyed", "converted", "updated",
        "released", "credits:", "character set", "date:", "html", "copyright", "all rights", "://", "www.", "@")

# Markers, letters only: the misspelt ones ("GUTENBURG", "STRAT OF") are those within MISSPELT edits.
STARTS = (b"STARTOFTHEPROJECTGUTENBERG", b"STARTOFTHISPROJECTGUTENBERG", b"STARTOFPROJECTGUTENBERG")
ENDS = (b"ENDOFTHEPROJECTGUTENBERG", b"ENDOFTHISPROJECTGUTENBERG", b"ENDOFPROJECTGUTENBERG", b"THEENDOFTHEPROJECTGUTENBERG")
SMALL_PRINT_ENDS = (b"ENDTHESMALLPRINT", b"ENDOFTHESMALLPRINT")
MISSPELT = 3
MAY_BE_MARKER = re.compile(rb"^[\s\xef\xbb\xbf]*(?:[*=#_\-]|STA?RA?T|END|THE END)", re.I)
SAMPLE = re.compile(rb"^\W*(START|END) OF THIS SAMPLE E-?(?:BOOK|TEXT)\b", re.I)
SMALL_PRINT = re.compile(rb"^\W*(?:START\W+)?THE SMALL PRINT!")
LICENCE = re.compile(rb"^\W*START: FULL LICEN[SC]E|^\W*THE FULL PROJECT GUTENBERG LICEN[SC]E"
                     rb"|^Project Gutenberg e(?:Book|text)s are (?:often|usually) created from"
                     rb"|^(?:Updated|Corrected) editions (?:of our e\w+s )?(?:will replace|get a new)"
                     rb"|^Creating the works from (?:public domain )?print editions|^Section 1\. +General Terms of Use and Redistributing"
                     rb"|^\W*This file should be named \S+\.(?:txt|zip|htm)", re.I)
PLAIN_END = re.compile(rb"^\W*(?:this\s+is\s+|here\s+)?(?:the\s+)?end[es]?\s+(?:of|dieses|du|de)\s+(?:(?:the|this|ce|cet)\s+)?(?:\w+/)?"
                       rb"(?:proje[ck]t\s+guten\w+|e-?text\s+of\b)", re.I)
FOOTER_WORD = re.compile(rb"gutenberg|\be-?texts?\b|\bebook|small print|^\W*\*\*\*", re.I)


def body_span(raw):
    """Return (start, end): the byte range of a book without the header and footer of Project Gutenberg.

    Knows every generation since 1991: START/END markers (wrapped, doubled, misspelt, with a number for a title), the small
    print in front or behind, a missing START or END, and texts that are stripped already (the whole file).
    """
    lines = list(split_lines(raw))
    begin = _behind_markers(lines)
    begin = _behind_header(lines, begin)
    last = _footer(lines, begin)
    last = _closing_notes(lines, begin, last, len(raw))
    start = lines[begin][0] if begin < len(lines) else len(raw)
    if start == 0 and raw.startswith(BOM):
        start = len(BOM)
    return start, max(start, _offset(lines, last, len(raw)))


def is_boilerplate(text):
    """True for a paragraph that producers or lawyers wrote: a licence, credits, a transcriber's note. A paragraph of an author who
    speaks of such things in more than a few words is none."""
    low = text.lower()
    return any(cue in low for cue in CUES) and BOILERPLATE.search(text) is not None


def split_lines(raw):
    r"""Yield (byte offset, line without its end). Ends are \n, \r\n, \r\r\n and the lone \r of old Macintosh files."""
    at = 0
    if raw.count(b"\r") == raw.count(b"\r\n"):  # the usual case, four times faster
        for line in raw.split(b"\n"):
            yield at, line.rstrip(b"\r")
            at += len(line) + 1
        return
    for match in re.finditer(rb"\r*\n|\r", raw):
        yield at, raw[at:match.start()]
        at = match.end()
    yield at, raw[at:]


def _offset(lines, number, size):
    return lines[number][0] if number < len(lines) else size


def _marker(lines, number):
    """Return "start", "end", "small print" or None: which marker opens on a line."""
    line = lines[number][1]
    if not MAY_BE_MARKER.match(line):
        return None
    if sample := SAMPLE.match(line):
        return sample[1].decode().lower()
    follows = b" ".join(text for _, text in lines[number:number + 2])
    letters = re.sub(rb"[^A-Z]", b"", follows.upper())[:40]
    if len(letters) < len(SMALL_PRINT_ENDS[0]) - MISSPELT:
        return None
    starred = line.lstrip(b" \t" + BOM).startswith(b"*") or line.upper() == line
    for kind, patterns in (("start", STARTS), ("end", ENDS), ("small print", SMALL_PRINT_ENDS)):
        if starred and any(distance(pattern, letters) <= MISSPELT - (kind == "small print") for pattern in patterns):
            return kind
    return None


def distance(pattern, text):
    """Return the least number of edits that turn `pattern` into some beginning of `text` (Sellers 1980)."""
    row = list(range(len(pattern) + 1))
    best = row[-1]
    for column, letter in enumerate(text, 1):
        before, row[0] = row[0], column
        for n, wanted in enumerate(pattern, 1):
            before, row[n] = row[n], min(before + (letter != wanted), row[n] + 1, row[n - 1] + 1)
        best = min(best, row[-1])
    return best


def _behind_markers(lines):
    """Return the number of the line behind the last START or small print that stands in front of the book, 0 when there is none."""
    begin = 0
    for number in range(min(len(lines), HEADER_LINES)):
        kind = _marker(lines, number)
        if kind == "end" or (kind == "small print" and not begin and not _is_header(lines, number)):
            break
        if kind:
            begin = _behind(lines, number)
    return begin


def _is_header(lines, number):
    """True when a header, or nothing, stands before the small print that ends on a line; else that stands behind the book."""
    opening = next((n for n in range(number) if SMALL_PRINT.match(lines[n][1])), 0)
    front = [text for _, (_, _, text, _) in zip(range(OPENING_BLOCKS), _paragraphs(lines, 0, opening))]
    return not front or any(HEADER_OPENING.search(text) or HEADER_WORD.search(text) for text in front)


def _behind(lines, number):
    """Return the number of the line after the marker at `number`: a marker wraps until its closing asterisks."""
    for end in range(number, min(number + WRAPPED_LINES, len(lines))):
        text = lines[end][1].strip()
        if text.endswith(b"*"):
            return end + 1
        if not text:
            return end
    return number + 1


def runs(lines, begin, end):
    """Yield (first line, line behind, blank lines in front) of each run of lines that are not blank."""
    first, blank = None, 0
    for number in range(begin, end + 1):
        filled = number < end and lines[number][1].strip(BLANKS)
        if filled and first is None:
            first = number
        elif not filled and first is not None:
            yield first, number, blank
            first, blank = None, 1
        elif not filled:
            blank += 1


def _paragraphs(lines, begin, end):
    """Yield (first line, line behind, text, blank lines in front) of each paragraph."""
    for first, behind, blank in runs(lines, begin, end):
        yield first, behind, b"\n".join(line for _, line in lines[first:behind]).decode("utf-8", "replace"), blank


def _behind_header(lines, begin):
    """Return the number of the line where the author's matter begins: behind a header that no marker closes, behind credits and notes.

    A header that names its etext ends with its last block that speaks of etexts, donations and the like; credits and notes end
    with the first block that is neither.
    """
    stop = min(len(lines), begin + HEADER_LINES)
    stop = next((n for n in range(begin, stop) if _marker(lines, n) == "end" or _is_plain_end(lines, n)), stop)
    front = list(_paragraphs(lines, begin, stop))
    opening = [HEADER_OPENING.search(text) is not None and len(text.split()) <= 60 for _, _, text, _ in front[:OPENING_BLOCKS]]
    in_header = any(opening) and sum(HEADER_WORD.search(text) is not None for _, _, text, _ in front[:OPENING_BLOCKS + 2]) >= 2
    stray, in_note = 0, False
    for _, behind, text, blank in front:
        in_note = NOTE_HEADING.search(text) is not None or (in_note and blank < NOTES_GAP)
        if is_boilerplate(text) or in_note or (in_header and HEADER_WORD.search(text)):
            begin, stray = behind, 0
        elif any(c.isalpha() for c in text):
            stray += len(text.split())
            if not in_header or stray > STRAY_WORDS:
                break
    return begin


def _footer(lines, begin):
    """Return the number of the line where the footer begins, the number of lines when there is none.

    That is the first marker or sentence of a footer that is near the end of the file or has another book's START behind it: a marker
    that the author quotes is neither.
    """
    markers = {n: kind for n in range(begin, len(lines)) if (kind := _marker(lines, n))}
    found = [n for n in range(begin, len(lines)) if markers.get(n) == "end" or LICENCE.match(lines[n][1]) or SMALL_PRINT.match(lines[n][1])
             or _is_plain_end(lines, n)]
    starts = [n for n, kind in markers.items() if kind == "start"]
    size = lines[-1][0] + len(lines[-1][1])
    near = (n for n in found if size - lines[n][0] <= FOOTER_BYTES or any(start > n for start in starts))
    return next(near, found[0] if found else len(lines))


def _is_plain_end(lines, number):
    """True for "End of Project Gutenberg's X, by Y" without asterisks: a block of its own with nothing but a footer behind."""
    if not PLAIN_END.match(lines[number][1]) or (number and lines[number - 1][1].strip()):
        return False
    _, behind, text, _ = next(_paragraphs(lines, number, len(lines)))
    rest = [line for _, line in lines[behind:behind + 60] if line.strip()]
    return len(text.split()) <= 40 and (len(rest) < 3 or any(FOOTER_WORD.search(line) for line in rest[:25]))


def _closing_notes(lines, begin, last, size):
    """Return `last`, or the number of the line where a transcriber's notes begin that run to the end of the body."""
    end = _offset(lines, last, size)
    allowed = min(NOTES_BYTES, max(3000, NOTES_SHARE * (end - _offset(lines, begin, size))))
    tail = next((n for n in range(begin, last) if end - lines[n][0] <= allowed), last)
    for first, _, text, _ in _paragraphs(lines, tail, last):
        enclosed = text.lstrip().startswith("[") and text.rstrip().endswith("]")
        if NOTE_HEADING.search(text) and not enclosed:
            return first
    return last
