"""Find texts that are the same: exactly, nearly, or spread over another edition of an author's book.

First editions: a passage goes when an earlier document of its author holds `coverage` of its shingles; two editions are cut at
different places, so no passage need be like another one. Then single texts: MinHash banding proposes pairs, the exact Jaccard
similarity decides. A text is only compared with texts that stay, and the first in the order of the input stays.
"""
import re
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

BLOCK_TEXTS = 4096  # texts a thread takes at a time
WORD = re.compile(r"\w+")


@dataclass
class Duplicate:
    reason: str      # duplicate_exact, duplicate_near, duplicate_edition
    of: str          # id of the text that stays, or of the other document
    similarity: float


def normalise(text):
    """Return the words of a text, casefolded, without punctuation: what counts when two texts are compared."""
    return WORD.findall(text.casefold().replace("'", "").replace("’", ""))


def document_of(name):
    """gutenberg:76#000123 -> gutenberg:76"""
    return name.split("#")[0]


class Collection:
    """Texts to compare, added one by one, kept as UTF-8 behind each other."""

    def __init__(self):
        self.data, self.starts, self.names = bytearray(), array("q"), []
        self.by_author = {}  # author -> numbers of the texts, for named authors

    def add(self, name, text, author=""):
        if author:
            self.by_author.setdefault(author, array("q")).append(len(self.names))
        self.starts.append(len(self.data))
        self.names.append(name)
        self.data += text.encode()

    def text(self, number):
        end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.data)
        return self.data[self.starts[number]:end].decode()


def find_duplicates(collection, settings, seed, workers=1):
    """Return a list over the texts: the Duplicate it is, or None when it stays. settings: the configuration's `dedup`.

    The result depends on the texts, their order, settings and seed alone, never on the number of workers (threads).
    """
    import numpy as np
    found, names = [None] * len(collection.names), collection.names
    if not found:
        return found
    texts = texts_of(collection, settings)
    rest = find_editions(texts, collection, settings.coverage, found)
    of, similarities, exact = find_near(texts._replace(starts=texts.starts[rest], ends=texts.ends[rest]), settings, seed, workers)
    removed = np.flatnonzero(of >= 0)
    columns = (rest[removed], rest[of[removed]], similarities[removed], exact[removed])
    for number, kept, similarity, is_exact in zip(*(column.tolist() for column in columns)):
        found[number] = Duplicate("duplicate_exact" if is_exact else "duplicate_near", names[kept], similarity)
    return found


def texts_of(collection, settings):
    """Return the collection as the kernel reads it, a minhash.Texts."""
    import numpy as np

    from weatherman.corpus import minhash
    data, starts = np.frombuffer(collection.data, np.uint8), np.frombuffer(collection.starts, np.int64)
    return minhash.Texts(data, starts, np.append(starts[1:], data.size), *minhash.fold_tables(), settings.word_shingle,
                         settings.character_shingle, settings.short_text_words)


def find_editions(texts, collection, coverage, found):
    """Enter into `found` each text that another document of its author covers; return the numbers of the others, int64."""
    import numpy as np

    from weatherman.corpus import minhash
    stays = np.ones(len(found), bool)
    for numbers in collection.by_author.values():
        order = np.frombuffer(numbers, np.int64)
        names = [document_of(collection.names[number]) for number in order]
        rank = {name: n for n, name in enumerate(dict.fromkeys(names))}
        if len(rank) < 2:
            continue
        of, shares = np.full(order.size, -1, np.int32), np.zeros(order.size)
        minhash.cover(texts, order, np.array([rank[name] for name in names], np.int32), coverage, of, shares)
        documents = list(rank)
        for n in np.flatnonzero(of >= 0):
            found[order[n]] = Duplicate("duplicate_edition", documents[of[n]], float(shares[n]))
            stays[order[n]] = False
    return np.flatnonzero(stays)


def find_near(texts, settings, seed, workers):
    """Return (of, similarities, exact), arrays over the texts: the number of the kept text that one repeats (-1: it is kept
    itself), their Jaccard similarity, and whether their words are the same."""
    import numpy as np

    from weatherman.corpus import minhash
    count = texts.starts.size
    id_bits, random = max(1, (count - 1).bit_length()), np.random.Generator(np.random.PCG64(seed))
    multipliers, offsets = random.integers(0, 2**32, (2, settings.permutations), np.uint32)
    keys, digests = np.empty((settings.bands, count), np.uint64), np.empty((count, 2), np.uint64)
    of, similarities, marks = np.full(count, -1, np.int32), np.zeros(count), np.full(count, -1, np.int32)

    def sign(first, last):
        minhash.band_keys(texts, first, last, multipliers | 1, offsets, id_bits, keys, digests)

    def decide(first, last):
        minhash.decide(texts, order, first, last, places, groups, settings.threshold, digests, heads, nexts, holders, marks,
                       of, similarities)

    with ThreadPoolExecutor(workers) as pool:
        edges = [*range(0, count, BLOCK_TEXTS), count]
        list(pool.map(sign, edges, edges[1:]))
        list(pool.map(np.ndarray.sort, keys))
        places, groups, shared, order, edges = candidates(keys, id_bits)
        heads, nexts, holders = np.full(shared, -1, np.int32), np.empty_like(groups), np.empty_like(groups)
        list(pool.map(decide, edges, edges[1:]))
    return of, similarities, (digests == digests[of]).all(axis=1)


def candidates(keys, id_bits):
    """Return (places, groups, shared, order, edges) of the sorted band keys, for minhash.decide.

    shared: how many keys two texts or more share. order: the texts that share one, int64, one component behind the other.
    edges: places in `order` where components end, about BLOCK_TEXTS apart.
    """
    import numpy as np

    from weatherman.corpus import minhash
    places, parents = np.zeros(keys.shape[1] + 1, np.int64), np.arange(keys.shape[1], dtype=np.int32)
    minhash.count_members(keys, id_bits, places[1:])
    np.cumsum(places, out=places)
    groups = np.empty(places[-1], np.int32)
    shared = minhash.list_groups(keys, id_bits, places[:-1].copy(), groups, parents)
    order = np.flatnonzero(np.diff(places))
    order = order[np.argsort(parents[order], kind="stable")]
    begins = np.flatnonzero(np.diff(parents[order], prepend=-1))
    edges = begins[np.unique(begins // BLOCK_TEXTS, return_index=True)[1]]
    return places, groups, shared, order, [*edges.tolist(), order.size]
