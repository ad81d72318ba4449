"""Cut a book into passages of whole paragraphs, each with the byte range it came from."""
import re
from dataclasses import dataclass
from functools import cache

from weatherman.cli import UserError
from weatherman.corpus.clean import Block, blocks, body_span, clean_slice, ends_sentence, sections, unwrap

ABBREVIATIONS = {"mr", "mrs", "ms", "dr", "st", "messrs", "gen", "col", "capt", "lieut", "maj", "rev", "hon", "prof", "esq", "jr", "sr",
                 "gov", "sen", "vol", "no", "p", "pp", "viz", "etc", "i.e", "e.g", "vs", "co", "u.s", "b.c", "a.d", "a.m", "p.m", "per"}


@dataclass
class Candidate:
    """A passage before the filters: its byte range in the raw file and its clean text."""

    start: int
    end: int
    text: str


@cache
def sentence_splitter():
    """Return nltk's punkt splitter with our abbreviations; nothing is downloaded."""
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    parameters = PunktParameters()
    parameters.abbrev_types = set(ABBREVIATIONS)
    return PunktSentenceTokenizer(parameters)


def candidates(raw, encoding, sizes, begins=None, ends=None):
    """Yield the Candidates of a book in order. sizes: the configuration's `cleaning` (words).

    begins, ends: the words where the author's own text begins, and where an editor's goes on. Raises UserError when
    they are not in the book.
    """
    start, end = body_span(raw)
    start = find_phrase(raw, start, end, begins, encoding) if begins else start
    end = find_phrase(raw, start, end, ends, encoding) if ends else end
    for section in sections(blocks(raw, start, end, encoding)):
        pieces = [piece for block in section for piece in split_long(block, encoding, sizes.max_words)]
        for group in pack(pieces, sizes):
            text = clean_slice(raw[group[0].start:group[-1].end], encoding)
            if text:
                yield Candidate(group[0].start, group[-1].end, text)


def find_phrase(raw, start, end, phrase, encoding):
    """Return the byte offset of the first place in a range where the words of `phrase` stand, over line ends too."""
    pattern = rb"\s+".join(re.escape(word.encode(encoding)) for word in phrase.split())
    match = re.compile(pattern, re.I).search(raw, start, end)
    if match is None:
        raise UserError(f'"{phrase}" (begins or ends under gutenberg.books) is not in the text.', "correct it in configs/data_config.yaml")
    return match.start()


def count_words(block):
    """Return how many words a block has once it is clean."""
    return len(unwrap(block.text).split())


def split_long(block, encoding, max_words):
    """Return the block, or pieces of it cut at sentence ends when it alone exceeds `max_words`.

    A single sentence over the limit stays whole: the filters reject it, nothing is cut inside a sentence.
    """
    if count_words(block) <= max_words:
        return [block]
    spans, pieces = list(sentence_splitter().span_tokenize(block.text)), []
    parts = -(-count_words(block) // max_words)
    goal = count_words(block) / parts  # even pieces, so that no crumb is left at the end
    first, words = 0, 0
    for number, (begin, stop) in enumerate(spans):
        size = len(block.text[begin:stop].split())
        if words and (words + size > max_words or words >= goal):
            pieces.append(_part(block, encoding, spans[first][0], spans[number - 1][1]))
            first, words = number, 0
        words += size
    return [*pieces, _part(block, encoding, spans[first][0], spans[-1][1])]


def _part(block, encoding, begin, stop):
    """Return the Block of the characters `begin` to `stop` of a block."""
    start = block.start + len(block.text[:begin].encode(encoding))
    text = block.text[begin:stop]
    return Block(start, start + len(text.encode(encoding)), text)


def pack(pieces, sizes):
    """Return the pieces of one section in groups of about `target_words`, at most `max_words`.

    A group closes only behind a sentence's end, and never in front of the second half of a cut paragraph. A short rest
    joins the group before it where that has room; otherwise it stays alone, for the filters to reject.
    """
    groups, group, words = [], [], 0
    for number, piece in enumerate(pieces):
        size = count_words(piece)
        if group and words + size > sizes.max_words:
            close = _last_good_end([*group, piece])
            groups.append(group[:close])
            group = group[close:]
            words = sum(map(count_words, group))
        group.append(piece)
        words += size
        following = pieces[number + 1] if number + 1 < len(pieces) else None
        if words >= sizes.target_words and (following is None or _may_cut(piece, following)):
            groups.append(group)
            group, words = [], 0
    if group:
        groups.append(group)
    if len(groups) > 1 and words and words < sizes.min_words:
        before = sum(map(count_words, groups[-2]))
        if before + words <= sizes.max_words:
            groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _last_good_end(pieces):
    """Return how many pieces a full group keeps, the last of `pieces` not among them: up to the last place to cut, else all."""
    good = [n for n in range(1, len(pieces)) if _may_cut(pieces[n - 1], pieces[n])]
    return good[-1] if good else len(pieces) - 1


def _may_cut(piece, following):
    return ends_sentence(unwrap(piece.text)) and not unwrap(following.text)[:1].islower()
