"""A corpus with planted duplicates, and which of its texts repeat an earlier one, exactly: what an engine is measured against.

The words are 4,096 invented ones, so that a run of five is one number of 60 bits: the truth needs no hash and no luck.
"""
import numba
import numpy as np

VOCABULARY, WORD_BITS, SHINGLE = 4096, 12, 5
SYLLABLES = [c + v for c in "bdfgklmnprstvwyz" for v in "aeio"]  # 64: two of them make each word its own
ZIPF = 0.8                 # exponent of the words' frequency
WORDS = 130, 251           # words a text, from and below: 186 shingles in the mean
COPY_CHANGES = 0, 5        # words changed in a copy, from and below: Jaccard about 0.8 and above
NEAR_MISS_CHANGES = 5, 13  # in a near miss: 0.5 to 0.8
ORIGINALS = 20_000         # texts remembered for copying


def planted(count, copies, seed):
    """Yield arrays of word numbers, int16, one a text: a share `copies` of them are copies of an earlier text, and a third as
    many are near misses."""
    random = np.random.Generator(np.random.PCG64(seed))
    weights = 1 / np.arange(1, VOCABULARY + 1) ** ZIPF
    steps = np.cumsum(weights / weights.sum())
    originals = []
    for _ in range(count):
        lot = random.random()
        if originals and lot < copies * 4 / 3:
            text = originals[random.integers(len(originals))].copy()
            places = random.integers(0, text.size, random.integers(*(COPY_CHANGES if lot < copies else NEAR_MISS_CHANGES)))
            text[places] = random.integers(0, VOCABULARY, places.size)
        else:
            text = np.searchsorted(steps, random.random(random.integers(*WORDS))).clip(max=VOCABULARY - 1).astype(np.int16)
            if len(originals) < ORIGINALS:
                originals.append(text)
            else:
                originals[random.integers(ORIGINALS)] = text
        yield text


def spell(text):
    """Return the text of an array of word numbers."""
    return " ".join([SYLLABLES[word >> 6] + SYLLABLES[word & 63] for word in text.tolist()])


def repeats(texts, threshold):
    """Return the set of the texts (by number) that have a Jaccard similarity >= threshold with a text kept before them.

    A prefix-filter join (Chaudhuri, Ganti & Kaushik 2006), exact: two sets as similar as that share one of their rarest
    shingles, so every pair which shares none of them need not be looked at.
    """
    def shingles(text):
        runs = np.lib.stride_tricks.sliding_window_view(text.astype(np.int64), SHINGLE)
        return np.unique(runs @ (1 << WORD_BITS * np.arange(SHINGLE)))

    sets = [shingles(text) for text in texts]
    ends = np.cumsum([own.size for own in sets])
    different, numbers, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    rarity = np.empty(different.size, np.int32)
    rarity[np.argsort(counts, kind="stable")] = np.arange(different.size, dtype=np.int32)
    return set(np.flatnonzero(_join(rarity[numbers], ends, threshold, np.full(different.size, -1, np.int32))).tolist())


@numba.njit(cache=True)
def _join(tokens, ends, threshold, heads):
    """Return bool (texts,): repeats. tokens: int32, each text's shingles by rarity; heads: int32, -1 for each shingle."""
    repeated, marks = np.zeros(ends.size, np.bool_), np.full(ends.size, -1, np.int32)
    holders, nexts, used = np.empty(tokens.size, np.int32), np.empty(tokens.size, np.int32), 0
    for text in range(ends.size):
        own = tokens[ends[text - 1] if text else 0:ends[text]]
        own.sort()
        prefix = own.size - int(np.ceil(threshold * own.size - 1e-9)) + 1
        for token in own[:prefix]:
            node = heads[token]
            while node >= 0 and not repeated[text]:
                other = holders[node]
                if marks[other] != text:
                    marks[other] = text
                    repeated[text] = _jaccard(own, tokens[ends[other - 1] if other else 0:ends[other]]) >= threshold
                node = nexts[node]
        if not repeated[text]:
            for token in own[:prefix]:
                holders[used], nexts[used], heads[token] = text, heads[token], used
                used += 1
    return repeated


@numba.njit(cache=True)
def _jaccard(a, b):
    """Return the similarity of two sorted arrays without repetitions."""
    shared = at = 0
    for value in a:
        while at < b.size and b[at] < value:
            at += 1
        shared += at < b.size and b[at] == value
    return shared / (a.size + b.size - shared)
