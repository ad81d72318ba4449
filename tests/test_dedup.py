"""Duplicates by hand, and MinHash candidates against the exact answer."""
import random
from types import SimpleNamespace

import pytest

from weatherman.corpus.dedup import Deduplicator, jaccard, normalise, shingles

SETTINGS = SimpleNamespace(threshold=0.8, word_shingle=5, character_shingle=5, short_text_words=20, coverage=0.8,
                           permutations=128, bands=32)


def run(texts, settings=SETTINGS, author="", ids=None):
    """Return [None or (reason, of)] for texts in order; ids default to a, b, c…"""
    engine = Deduplicator(settings, 42)
    names = ids or [chr(ord("a") + n) for n in range(len(texts))]
    found = [engine.check({"id": name, "text": text, "author": author}) for name, text in zip(names, texts)]
    return [duplicate and (duplicate.reason, duplicate.of) for duplicate in found]


def words(seed, count=100):
    choice = random.Random(seed)
    return [f"w{choice.randrange(10_000)}" for _ in range(count)]


def change(text, *places):
    return [f"new{n}" if n in places else word for n, word in enumerate(text)]


def test_shingles_and_jaccard_by_hand():
    assert shingles("Rain, rain!", SETTINGS) == {"rain ", "ain r", "in ra", "n rai", " rain"}
    long = " ".join(f"w{n}" for n in range(21))
    assert len(shingles(long, SETTINGS)) == 17 and "w0 w1 w2 w3 w4" in shingles(long, SETTINGS)
    assert shingles("", SETTINGS) == {""} and jaccard({1, 2, 3}, {2, 3, 4}) == 0.5 and jaccard(set(), set()) == 1.0
    assert normalise("It's the Fence’s END.") == ["its", "the", "fences", "end"]


def test_exact_means_the_same_words():
    assert run(["Area River Rises, Again", "area river rises again!", "Area River Falls Again"]) == [None, ("duplicate_exact", "a"), None]


def test_near_is_decided_exactly():
    a = words(1)
    # 96 shingles; a change in the middle replaces five of them: 91/101 = 0.90; three changes: 81/111 = 0.73
    assert run([" ".join(a), " ".join(change(a, 50))]) == [None, ("duplicate_near", "a")]
    assert run([" ".join(a), " ".join(change(a, 20, 50, 80))]) == [None, None]


def test_a_chain_does_not_delete_its_far_end():
    a = words(2)
    b, c = change(a, 50), change(a, 50, 20, 80)
    assert jaccard(shingles(" ".join(b), SETTINGS), shingles(" ".join(c), SETTINGS)) >= 0.8
    assert run([" ".join(a), " ".join(b), " ".join(c)]) == [None, ("duplicate_near", "a"), None]


def test_the_most_similar_kept_text_is_named():
    a = words(3)
    assert run([" ".join(a), " ".join(change(a, 20, 50, 80)), " ".join(change(a, 20, 50, 80, 2))])[2] == ("duplicate_near", "b")


def test_another_edition_cut_at_other_places():
    text = words(4, 600)
    first = [" ".join(text[n:n + 200]) for n in (0, 200, 400)]
    second = [" ".join(change(text, 150, 300)[n:n + 200]) for n in (100, 300)]
    ids = ["gutenberg:148#0", "gutenberg:148#1", "gutenberg:148#2", "gutenberg:20203#0", "gutenberg:20203#1"]
    edition = ("duplicate_edition", "gutenberg:148")
    assert run(first + second, author="Ann Pell", ids=ids) == [None, None, None, edition, edition]
    assert run(first + second, author="", ids=ids) == [None] * 5


def test_an_author_may_repeat_himself_within_a_book_and_in_part():
    text = words(5, 400)
    ids = ["gutenberg:1#0", "gutenberg:1#1", "gutenberg:2#0"]
    half_new = text[100:200] + words(6, 100)
    assert run([" ".join(text[:200]), " ".join(text[100:300]), " ".join(half_new)], author="Ann Pell", ids=ids) == [None, None, None]
    within = [f"gutenberg:1#{n}" for n in range(3)]
    assert run([" ".join(text[n:n + 200]) for n in (0, 200, 100)], author="Ann Pell", ids=within) == [None, None, None]


def test_minhash_misses_nothing_that_is_exactly_similar():
    choice, texts = random.Random(7), []
    for n in range(150):
        base = words(100 + n, choice.randrange(30, 120))
        texts += [base, change(base, choice.randrange(len(base))), change(base, *choice.sample(range(len(base)), 4))]
    choice.shuffle(texts)
    texts = [" ".join(text) for text in texts]
    kept, expected = [], []
    for text in texts:
        own = shingles(text, SETTINGS)
        similar = any(jaccard(own, other) >= 0.8 for other in kept)
        expected.append(similar)
        if not similar:
            kept.append(own)
    found = run(texts, ids=[str(n) for n in range(len(texts))])
    assert [duplicate is not None for duplicate in found] == expected and 100 < sum(expected) < 300


@pytest.mark.parametrize("threshold, duplicate", [(0.85, True), (0.95, False)])
def test_the_threshold_is_read(threshold, duplicate):
    a = words(8)
    settings = SimpleNamespace(**{**vars(SETTINGS), "threshold": threshold})
    assert (run([" ".join(a), " ".join(change(a, 50))], settings)[1] is not None) is duplicate
