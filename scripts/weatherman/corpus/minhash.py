"""The compiled kernel of deduplication: from UTF-8 bytes to band keys in one pass, and the exact similarity of candidates.

Of a text nothing is kept but its band keys, its digest and its size; a candidate is shingled again when it is verified. All
functions are compiled by numba, release the interpreter lock, and give the same result on any number of threads.
Sources: MinHash, Broder 1997; banding, Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, chapter 3.
"""
from functools import cache
from typing import NamedTuple

import numba
import numpy as np

MAX_CODE_POINT = 0x32400          # no letter or digit lies at or behind it (Unicode 16)
SEPARATOR, DROPPED, WIDE = 0, 1, 2  # what is no character of a word; WIDE: a byte of 0x80 and above
OWN, OTHER = 1, 2                 # whose shingle lies in a slot of the table; 0: nobody's, 3: both texts'

U32, U64 = np.uint32, np.uint64
WORD_SEED, WORD_PRIME = U64(0xCBF29CE484222325), U64(0x100000001B3)  # FNV-1a, 64 bits
MIX_A, MIX_B = U64(0xFF51AFD7ED558CCD), U64(0xC4CEB9FE1A85EC53)      # Murmur3's finaliser
GRAM_PRIME = U64(0x9E3779B97F4A7C15)
CHARACTER_MARK = U64(0xD6E8FEB86659FD93)  # keeps shingles of characters apart from shingles of words

jit = numba.njit(nogil=True, cache=True, error_model="numpy")


class Texts(NamedTuple):
    """All texts in UTF-8 behind each other, and how they are compared."""

    data: np.ndarray        # uint8
    starts: np.ndarray      # int64 (texts,): where each text begins in `data`
    ends: np.ndarray        # int64 (texts,)
    fold: np.ndarray        # fold_tables()
    folded: np.ndarray
    ascii: np.ndarray
    word_shingle: int
    character_shingle: int
    short_words: int        # texts of fewer words are compared by characters


@cache
def fold_tables():
    """Return (fold, folded, ascii): what each code point becomes when texts are compared, the rule of dedup.normalise.

    fold: int32 (MAX_CODE_POINT,), a place in `folded`, uint32: the characters that a code point becomes (one to three), or
    SEPARATOR, then DROPPED. ascii: uint8 (256,), the same for one byte; WIDE where a byte is part of a longer character.
    """
    fold, folded = np.empty(MAX_CODE_POINT, np.int32), []
    for point in range(MAX_CODE_POINT):
        fold[point] = len(folded)
        if chr(point) not in "'’":
            folded += [ord(char) if char.isalnum() or char == "_" else SEPARATOR for char in chr(point).casefold()]
        folded.append(DROPPED)
    folded = np.array(folded, np.uint32)
    ascii = np.full(256, WIDE, np.uint8)
    ascii[:128] = folded[fold[:128]]
    return fold, folded, ascii


@jit
def mix(value):
    """Return the 64 bits of `value` well mixed (a bijection)."""
    value = (value ^ (value >> U64(33))) * MIX_A
    value = (value ^ (value >> U64(33))) * MIX_B
    return value ^ (value >> U64(33))


@jit
def decode(texts, at):
    """Return (place in texts.folded, next position) of the UTF-8 character at `at`."""
    lead = U32(texts.data[at])
    if lead < 0x80:
        return texts.fold[lead], at + 1
    size = 2 + (lead >= 0xE0) + (lead >= 0xF0)
    point = lead & U32(0x7F >> size)
    for n in range(1, size):
        point = point << U32(6) | U32(texts.data[at + n]) & U32(0x3F)
    return texts.fold[point] if point < MAX_CODE_POINT else texts.fold[32], at + size


@jit
def scratch(texts):
    """Return (words, chars, shingles), work space for the longest text."""
    size = (texts.ends - texts.starts).max() + 2
    return np.empty(size, np.uint64), np.empty(size, np.uint32), np.empty(size, np.uint64)


@jit
def read_words(texts, number, words):
    """Return the number of words of one text, normalised; `words` holds a 64-bit hash of each."""
    at, end = texts.starts[number], texts.ends[number]
    count, in_word, value = 0, 0, WORD_SEED
    while at < end:
        code = texts.ascii[texts.data[at]]
        if code > WIDE:
            value, in_word, at = (value ^ U64(code)) * WORD_PRIME, 1, at + 1
        elif code == SEPARATOR:
            words[count] = value
            count, in_word, value, at = count + in_word, 0, WORD_SEED, at + 1
        elif code == DROPPED:
            at += 1
        else:
            place, at = decode(texts, at)
            while texts.folded[place] != DROPPED:
                if texts.folded[place] != SEPARATOR:
                    value, in_word = (value ^ U64(texts.folded[place])) * WORD_PRIME, 1
                else:
                    words[count] = value
                    count, in_word, value = count + in_word, 0, WORD_SEED
                place += 1
    words[count] = value
    count += in_word
    for n in range(count):
        words[n] = mix(words[n])
    return count


@jit
def read_chars(texts, number, chars):
    """Return the number of characters of one text, normalised, one space between two words; `chars` holds them."""
    at, end, used = texts.starts[number], texts.ends[number], 0
    while at < end:
        place, at = decode(texts, at)
        while texts.folded[place] != DROPPED:
            code = texts.folded[place] or U32(32)
            if code != 32 or (used and chars[used - 1] != 32):
                chars[used] = code
                used += 1
            place += 1
    return used - (used > 0 and chars[used - 1] == 32)


@jit
def read_shingles(texts, number, space):
    """Return (shingles, words, digest, digest) of one text, the numbers of them; space[2] holds the shingles' 64-bit hashes,
    with repetitions.

    The two 64-bit digests are of the normalised words in their order.
    """
    words, chars, shingles = space
    count = read_words(texts, number, words)
    one, two = U64(count), CHARACTER_MARK
    for n in range(count):
        one = (one ^ words[n]) * GRAM_PRIME
        two = (two + words[n]) * MIX_A
    total, size = count, texts.word_shingle
    if count < texts.short_words:
        total, size = read_chars(texts, number, chars), texts.character_shingle
        for n in range(total):
            words[n] = U64(chars[n]) ^ CHARACTER_MARK
    made = max(1, total - size + 1)
    size = min(size, total)
    shingles[:made] = U64(size)
    for k in range(size):  # this way round both loops are vectorised
        for n in range(made):
            shingles[n] = (shingles[n] + words[n + k]) * GRAM_PRIME
    for n in range(made):
        shingles[n] = mix(shingles[n])
    return made, count, mix(one), mix(two)


@jit
def sign(shingles, lows, multipliers, offsets, signature):
    """Fill `signature`, uint32 (permutations,): for each permutation of 32-bit numbers its minimum over the shingles.

    lows: uint32, work space for as many numbers as there are shingles.
    """
    for n in range(shingles.size):
        lows[n] = U32(shingles[n])
    for k in range(signature.size):
        offset, multiplier, least = offsets[k], multipliers[k], U32(0xFFFFFFFF)
        for n in range(shingles.size):
            least = min(least, U32((lows[n] ^ offset) * multiplier))
        signature[k] = least


@jit
def band_keys(texts, first, last, multipliers, offsets, id_bits, keys, digests):
    """Fill keys[:, text] and digests[text] of the texts `first` to `last`.

    keys: uint64 (bands, texts): a band's hash above `id_bits` bits that hold the text's number, so that sorting a row brings
    equal hashes together, in the order of the texts. digests: uint64 (texts, 2). multipliers, offsets: uint32 (permutations,),
    the multipliers odd.
    """
    space, signature, rows = scratch(texts), np.empty(multipliers.size, np.uint32), multipliers.size // keys.shape[0]
    for text in range(first, last):
        made, _, digests[text, 0], digests[text, 1] = read_shingles(texts, text, space)
        sign(space[2][:made], space[1], multipliers, offsets, signature)
        for band in range(keys.shape[0]):
            value = U64(0)
            for minimum in signature[band * rows:(band + 1) * rows]:
                value = (value + U64(minimum)) * GRAM_PRIME
            keys[band, text] = mix(value) << U64(id_bits) | U64(text)


@jit
def count_members(keys, id_bits, counts):
    """Add to counts, int64 (texts,), how many of its keys each text shares with others. keys: rows sorted."""
    mask = (U64(1) << U64(id_bits)) - U64(1)
    for row in keys:
        for n in range(1, row.size):
            if (row[n] ^ row[n - 1]) <= mask:
                counts[row[n] & mask] += 1
                counts[row[n - 1] & mask] += n == 1 or (row[n - 1] ^ row[n - 2]) > mask


@jit
def list_groups(keys, id_bits, places, groups, parents):
    """Return how many keys are shared; groups[places[text]], and on, are the numbers of those that a text shares.

    places: int64 (texts,), moved on. groups: int32. parents: int32 (texts,), each text its own; afterwards a forest, whose roots
    stand for components: texts of two components share no key, not even through others.
    """
    mask, group = (U64(1) << U64(id_bits)) - U64(1), -1
    for row in keys:
        for n in range(1, row.size):
            if (row[n] ^ row[n - 1]) > mask:
                continue
            before, text = np.int32(row[n - 1] & mask), np.int32(row[n] & mask)
            if n == 1 or (row[n - 1] ^ row[n - 2]) > mask:
                group += 1
                groups[places[before]] = group
                places[before] += 1
            groups[places[text]] = group
            places[text] += 1
            one, other = find_root(parents, before), find_root(parents, text)
            parents[max(one, other)] = min(one, other)
    for text in range(parents.size):
        parents[text] = find_root(parents, text)
    return group + 1


@jit
def find_root(parents, text):
    """Return the first text of a component, shortening the way to it."""
    while parents[text] != text:
        parents[text] = parents[parents[text]]
        text = parents[text]
    return text


@jit
def slot_of(table, owners, value):
    """Return the slot of an open hash table where `value` lies, or the free one where it belongs."""
    mask = U64(table.size - 1)
    slot = value & mask
    while owners[slot] and table[slot] != value:
        slot = (slot + U64(1)) & mask
    return slot


@jit
def power_of_two_above(size):
    capacity = 4
    while capacity < size:
        capacity *= 2
    return capacity


@jit
def fill(table, owners, shingles, slots):
    """Return how many different shingles there are, entered as OWN into an empty table; `slots` are where."""
    different = 0
    for shingle in shingles:
        slot = slot_of(table, owners, shingle)
        if owners[slot] == 0:
            table[slot], owners[slot], slots[different] = shingle, OWN, slot
            different += 1
    return different


@jit
def similarity(table, owners, different, shingles, limit, touched):
    """Return the Jaccard similarity of `shingles` and the table's `different` ones; the table is left as it was.

    0.0 as soon as more than `limit` of them are not in the table.
    """
    shared = used = 0
    for shingle in shingles:
        slot = slot_of(table, owners, shingle)
        if owners[slot] < OTHER:
            shared += owners[slot]
            table[slot], owners[slot] = shingle, owners[slot] + OTHER
            touched[used] = slot
            used += 1
            if used - shared > limit:
                break
    for n in range(used):
        owners[touched[n]] -= OTHER
    return shared / (different + used - shared) if used - shared <= limit else 0.0


@jit
def decide(texts, order, first, last, places, groups, threshold, digests, heads, nexts, holders, marks, of, similarities):
    """Decide the texts order[first:last], whole components in the order of the texts: of[text] is the kept text that it repeats,
    -1 when it is kept itself; similarities[text] their exact Jaccard similarity.

    A text is compared with every text kept before it that shares a key with it, never with a removed one, so A ~ B ~ C does
    not remove C when A and C differ. Of several it repeats the most similar, the earliest at a tie.

    places: int64 (texts + 1,); groups[places[text]:places[text + 1]] are the keys that a text shares. heads: int32 (keys,), -1:
    the kept texts of a key, as a list through nexts and holders, int32 (groups,). marks: int32 (texts,), -1.
    """
    space = scratch(texts)
    shingles = space[2]
    slots, touched = np.empty(shingles.size, np.uint64), np.empty(shingles.size, np.uint64)
    table, owners = np.empty(0, np.uint64), np.empty(0, np.uint8)
    for text in order[first:last]:
        different = limit = 0
        best, best_of = 0.0, -1
        for group in groups[places[text]:places[text + 1]]:
            node = heads[group]
            while node >= 0:
                other, node = holders[node], nexts[node]
                if marks[other] == text:
                    continue
                marks[other] = text
                if digests[other, 0] == digests[text, 0] and digests[other, 1] == digests[text, 1]:
                    found = 1.0
                else:
                    if different == 0:
                        made = read_shingles(texts, text, space)[0]
                        limit = int(made / threshold) - made + 1  # with more of its own, the other is too different
                        capacity = power_of_two_above(4 * (made + limit))
                        if table.size < capacity:
                            table, owners = np.empty(capacity, np.uint64), np.zeros(capacity, np.uint8)
                        different = fill(table[:capacity], owners[:capacity], shingles[:made], slots)
                    made = read_shingles(texts, other, space)[0]
                    found = similarity(table[:capacity], owners[:capacity], different, shingles[:made], limit, touched)
                if found > best or (found == best and other < best_of):
                    best, best_of = found, other
        for slot in slots[:different]:
            owners[slot] = 0
        if best >= threshold:
            of[text], similarities[text] = best_of, best
        else:
            for place in range(places[text], places[text + 1]):
                holders[place], nexts[place], heads[groups[place]] = text, heads[groups[place]], place


@jit
def cover(texts, order, documents, coverage, of, shares):
    """Decide the texts `order` of one author: of[n] is the other document that covers text order[n], -1 when none does;
    shares[n] the share of its shingles which those texts of that document hold that stay. Short texts are never covered.

    order: int64, in the order of the texts. documents: int32 (order.size,), each one's document, numbered from 0.
    """
    space = scratch(texts)
    total = 0
    for text in order:
        total += read_shingles(texts, text, space)[0]
    table = np.empty(power_of_two_above(2 * total), np.uint64)
    heads = np.zeros(table.size, np.int32)  # a shingle's list of documents, through nexts; 0: not in the table
    holders, nexts = np.empty(total + 1, np.int32), np.empty(total + 1, np.int32)
    counts, used = np.zeros(documents.max() + 1, np.int32), 1
    for n in range(order.size):
        made, words, _, _ = read_shingles(texts, order[n], space)
        if words < texts.short_words:
            continue
        own = np.unique(space[2][:made])
        counts[:] = 0
        for shingle in own:
            node = heads[slot_of(table, heads, shingle)]
            while node:
                counts[holders[node]] += 1
                node = nexts[node]
        counts[documents[n]] = 0
        best = np.argmax(counts)
        share = counts[best] / own.size
        if share >= coverage:
            of[n], shares[n] = best, share
            continue
        for shingle in own:
            slot = slot_of(table, heads, shingle)
            node = heads[slot]
            while node and holders[node] != documents[n]:
                node = nexts[node]
            if node == 0:
                table[slot], holders[used], nexts[used], heads[slot] = shingle, documents[n], heads[slot], used
                used += 1
