"""Find texts that are the same: exactly, nearly, or spread over another edition of a book.

MinHash banding (datasketch) proposes candidates, the exact Jaccard similarity decides. A text is compared with those kept
before it, never with a duplicate, so A ~ B ~ C does not delete C when A and C differ.
"""
import hashlib
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache

WORD = re.compile(r"\w+")


@dataclass
class Duplicate:
    reason: str      # duplicate_exact, duplicate_near, duplicate_edition
    of: str          # id of the kept text, or of the other document
    similarity: float


def normalise(text):
    """Return the words of a text, casefolded, without punctuation: what counts when two texts are compared."""
    return WORD.findall(text.casefold().replace("'", "").replace("’", ""))


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


class Deduplicator:
    """`check(record)` returns the Duplicate a record is, or None and remembers the record as kept."""

    def __init__(self, settings, seed):
        from datasketch import MinHash, MinHashLSH
        self.settings = settings
        rows = settings.permutations // settings.bands
        self._lsh = MinHashLSH(num_perm=settings.permutations, params=(settings.bands, rows))
        self._empty = MinHash(num_perm=settings.permutations, seed=seed, hashfunc=zlib.crc32)
        self._kept = []       # (id, text); the position is the key in _lsh
        self._exact = {}      # hash of the words -> id
        self._documents = {}  # author -> {document id: hashes of the word shingles of its kept passages}
        self._shingles_of = lru_cache(maxsize=2000)(lambda number: shingles(self._kept[number][1], settings))

    def check(self, record):
        digest = hashlib.blake2b(" ".join(normalise(record["text"])).encode(), digest_size=16).digest()
        if digest in self._exact:
            return Duplicate("duplicate_exact", self._exact[digest], 1.0)
        own = shingles(record["text"], self.settings)
        signature = self._empty.copy()
        signature.update_batch([shingle.encode() for shingle in own])
        found = self._near(own, signature) or self._edition(record, own)
        if found is None:
            self._keep(record, digest, own, signature)
        return found

    def _near(self, own, signature):
        """Return the most similar kept text at or above the threshold, the earliest of several."""
        scored = [(jaccard(own, self._shingles_of(number)), -number) for number in self._lsh.query(signature)]
        similarity, number = max(scored, default=(0.0, 0))
        return Duplicate("duplicate_near", self._kept[-number][0], similarity) if similarity >= self.settings.threshold else None

    def _edition(self, record, own):
        """Return the other document by the same author whose kept passages hold `coverage` of this passage's shingles.

        Two editions of one book are cut at different places: no passage is like another one, yet each is in the other book.
        """
        if not record["author"] or len(normalise(record["text"])) < self.settings.short_text_words:
            return None
        hashes = _hashes(own)
        shares = [(len(hashes & known) / len(hashes), name) for name, known in self._documents.get(record["author"], {}).items()
                  if name != document_of(record)]
        share, name = max(shares, default=(0.0, None))
        return Duplicate("duplicate_edition", name, share) if share >= self.settings.coverage else None

    def _keep(self, record, digest, own, signature):
        self._exact[digest] = record["id"]
        self._lsh.insert(len(self._kept), signature)
        self._kept.append((record["id"], record["text"]))
        if record["author"]:
            self._documents.setdefault(record["author"], {}).setdefault(document_of(record), set()).update(_hashes(own))


def document_of(record):
    """gutenberg:76#000123 -> gutenberg:76"""
    return record["id"].split("#")[0]


def _hashes(own):
    """Return the shingles as 64-bit numbers: a book's worth of them takes a tenth of the memory of the texts."""
    return {int.from_bytes(hashlib.blake2b(shingle.encode(), digest_size=8).digest(), "big") for shingle in own}
