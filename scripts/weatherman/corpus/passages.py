"""Cut a text into passages of whole paragraphs, each with the byte range it came from."""
import re
from dataclasses import dataclass
from functools import cache, lru_cache

from weatherman.cli import UserError
from weatherman.corpus.boilerplate import body_span
from weatherman.corpus.clean import Block, blocks, clean_slice, ends_sentence, sections, unwrap

ABBREVIATIONS = {"mr", "mrs", "ms", "dr", "st", "messrs", "gen", "col", "capt", "lieut", "maj", "rev", "hon", "prof", "esq", "jr", "sr",
                 "gov", "sen", "vol", "no", "p", "pp", "viz", "etc", "i.e", "e.g", "vs", "co", "u.s", "b.c", "a.d", "a.m", "p.m", "per"}
OPENS_SMALL = re.compile(r"[\s\"'“‘(_]*[a-z]")


@dataclass
class Candidate:
    """A passage before the filters: its byte range in the raw file and its clean text."""

    start: int
    end: int
    text: str


@cache
def sentence_splitter():
    """Return nltk's punkt splitter with our abbreviations; nothing is downloaded. The import takes 0.9 s (all of nltk, and scipy), so
    it waits for the first paragraph that is too long."""
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    parameters = PunktParameters()
    parameters.abbrev_types = set(ABBREVIATIONS)
    return PunktSentenceTokenizer(parameters)


def book_span(raw, encoding, begins=None, ends=None):
    """Return (start, end): the byte range of the author's own text in a book of Project Gutenberg.

    begins, ends: the words where that text begins, and where an editor's goes on behind it. Raises UserError when they are not in
    the book.
    """
    start, end = body_span(raw)
    start = find_phrase(raw, start, end, begins, encoding) if begins else start
    return start, find_phrase(raw, start, end, ends, encoding) if ends else end


def candidates(raw, start, end, encoding, sizes, **hygiene):
    """Yield the Candidates of a byte range in order; paragraphs are separated by blank lines.

    sizes: the configuration's `cleaning` (words). hygiene: straight_quotes and mojibake of `clean_slice`.
    """
    for section in sections(blocks(raw, start, end, encoding)):
        pieces = [piece for block in section for piece in split_long(block, encoding, sizes.max_words)]
        for group in pack(units(pieces, sizes.max_words), sizes):
            text = clean_slice(raw[group[0].start:group[-1].end], encoding, **hygiene)
            if text:
                yield Candidate(group[0].start, group[-1].end, text)


def find_phrase(raw, start, end, phrase, encoding):
    """Return the byte offset of the first place in a range where the words of `phrase` stand, over line ends too."""
    pattern = rb"\s+".join(re.escape(word.encode(encoding)) for word in phrase.split())
    match = re.compile(pattern, re.I).search(raw, start, end)
    if match is None:
        raise UserError(f'"{phrase}" (begins or ends under gutenberg.books) is not in the text.', "correct it in configs/data_config.yaml")
    return match.start()


def count_words(found):
    """Return how many words Blocks have once they are clean."""
    return sum(_words_in(block.text) for block in found)


@lru_cache(maxsize=4096)
def _words_in(text):
    return len(unwrap(text).split())


def split_long(block, encoding, max_words):
    """Return the block, or pieces of it cut at sentence ends when it alone exceeds `max_words`.

    A single sentence over the limit stays whole: the filters reject it, nothing is cut inside a sentence.
    """
    total = count_words([block])
    if total <= max_words:
        return [block]
    parts = -(-total // max_words)
    goal = total / parts  # even pieces, so that no crumb is left at the end
    pieces, begin, words = [], 0, 0
    for first, stop in _sentences(block.text):
        size = len(block.text[first:stop].split())
        if words and (words + size > max_words or words >= goal):
            pieces.append(_part(block, encoding, begin, first))
            begin, words = first, 0
        words += size
    return [*pieces, _part(block, encoding, begin, len(block.text))]


def _sentences(text):
    """Return (first, behind) of each sentence. What goes on in small letters (“Who?” he said.) is the same sentence."""
    found = []
    for first, stop in sentence_splitter().span_tokenize(text):
        if found and OPENS_SMALL.match(text, first):
            first = found.pop()[0]
        found.append((first, stop))
    return found


def _part(block, encoding, begin, stop):
    """Return the Block of the characters `begin` to `stop` of a block."""
    text = block.text[begin:stop].rstrip()
    start = block.start + len(block.text[:begin].encode(encoding))
    return Block(start, start + len(text.encode(encoding)), text, 0 if begin else block.gap)


def units(pieces, max_words):
    """Return the pieces of a section in lists that must stay together: where the first does not end a sentence, or the second goes
    on in small letters. A dash (He cried--) ends a sentence only where the list would exceed `max_words` otherwise."""
    found = []
    for unit in _cut(pieces, lambda before: ends_sentence(before) and not before.endswith(("-", "—"))):
        found += [unit] if count_words(unit) <= max_words else _cut(unit, ends_sentence)
    return found


def _cut(pieces, is_end):
    """Return the pieces in lists; a new one begins behind an end, and where split_long has cut (no gap)."""
    found = [pieces[:1]]
    for piece in pieces[1:]:
        if piece.gap == 0 or (is_end(unwrap(found[-1][-1].text)) and not unwrap(piece.text)[:1].islower()):
            found.append([piece])
        else:
            found[-1].append(piece)
    return found


def pack(found, sizes):
    """Return the units of one section in groups of nearly equal length, about `target_words` each and at most `max_words`.

    What fits nowhere stays alone, too short or too long, for the filters to reject.
    """
    counts = [count_words(unit) for unit in found]
    goal = sum(counts) / max(1, round(sum(counts) / sizes.target_words))
    groups, words, so_far = [], [], 0  # words: of each group
    for unit, count in zip(found, counts):
        fits = groups and words[-1] + count <= sizes.max_words
        if fits and (so_far + count / 2 < goal * len(groups) or words[-1] < sizes.min_words):
            groups[-1] += unit
            words[-1] += count
        else:
            groups.append(list(unit))
            words.append(count)
        so_far += count
    for last in range(len(groups) - 1, 0, -1):
        if words[last] < sizes.min_words and words[last - 1] + words[last] <= sizes.max_words:
            groups[last - 1:last + 1] = [groups[last - 1] + groups[last]]
            words[last - 1:last + 1] = [words[last - 1] + words[last]]
    return groups
