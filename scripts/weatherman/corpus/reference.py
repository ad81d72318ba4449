"""Deduplication by datasketch, slow and plain: what the compiled engine is compared with (05_deduplicate.py --engine datasketch)."""
import hashlib
import zlib
from functools import lru_cache

from weatherman.corpus.dedup import Duplicate, document_of, normalise


def shingles(text, settings):
    """Return the set of a text's shingles: runs of words, or of characters for a short text."""
    words = normalise(text)
    if len(words) < settings.short_text_words:
        plain, size = " ".join(words), settings.character_shingle
        return {plain[i:i + size] for i in range(max(1, len(plain) - size + 1))}
    size = settings.word_shingle
    return {" ".join(words[i:i + size]) for i in range(max(1, len(words) - size + 1))}


def jaccard(a, b):
    """Return |a & b| / |a | b|, 1.0 for two empty sets."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0


def find_duplicates(collection, settings, seed, workers=1):
    """Return what dedup.find_duplicates returns. `workers` changes nothing here."""
    found = find_editions(collection, settings)
    near = Near(settings, seed)
    for number, name in enumerate(collection.names):
        found[number] = found[number] or near.check(name, collection.text(number))
    return found


def find_editions(collection, settings):
    """Return the Duplicate of each text that another document of its author covers, None for the others."""
    found = [None] * len(collection.names)
    for numbers in collection.by_author.values():
        known = {}  # document -> shingles of its texts that stay
        for number in numbers:
            text, document = collection.text(number), document_of(collection.names[number])
            own = shingles(text, settings)
            held = known.setdefault(document, set())
            if len(normalise(text)) < settings.short_text_words:
                continue
            shares = [(len(own & other) / len(own), name) for name, other in known.items() if name != document]
            share, name = max(shares, key=lambda pair: pair[0], default=(0.0, None))
            if share >= settings.coverage:
                found[number] = Duplicate("duplicate_edition", name, share)
            else:
                held |= own
    return found


class Near:
    """`check` returns the Duplicate that a text is, or None and remembers the text as kept."""

    def __init__(self, settings, seed):
        from datasketch import MinHash, MinHashLSH
        self.settings = settings
        self._lsh = MinHashLSH(num_perm=settings.permutations, params=(settings.bands, settings.permutations // settings.bands))
        self._empty = MinHash(num_perm=settings.permutations, seed=seed, hashfunc=zlib.crc32)
        self._kept = []   # (id, text); the position is the key in _lsh
        self._exact = {}  # hash of the words -> id
        self._shingles_of = lru_cache(maxsize=2000)(lambda number: shingles(self._kept[number][1], settings))

    def check(self, name, text):
        digest = hashlib.blake2b(" ".join(normalise(text)).encode(), digest_size=16).digest()
        if digest in self._exact:
            return Duplicate("duplicate_exact", self._exact[digest], 1.0)
        own = shingles(text, self.settings)
        signature = self._empty.copy()
        signature.update_batch([shingle.encode() for shingle in own])
        scored = [(jaccard(own, self._shingles_of(number)), -number) for number in self._lsh.query(signature)]
        similarity, number = max(scored, default=(0.0, 0))
        if similarity >= self.settings.threshold:
            return Duplicate("duplicate_near", self._kept[-number][0], similarity)
        self._exact[digest] = name
        self._lsh.insert(len(self._kept), signature)
        self._kept.append((name, text))
        return None
