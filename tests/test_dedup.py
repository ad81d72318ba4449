"""Duplicates by hand, both engines against each other and against the exact answer."""
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherman.corpus import dedup, reference, truth
from weatherman.corpus.dedup import Collection, normalise
from weatherman.corpus.reference import jaccard, shingles

SETTINGS = SimpleNamespace(threshold=0.8, word_shingle=5, character_shingle=5, short_text_words=20, coverage=0.8,
                           permutations=80, bands=20)
ENGINES = pytest.mark.parametrize("engine", [dedup, reference], ids=["numba", "datasketch"])


def find(engine, texts, config=SETTINGS, author="", ids=None, workers=1):
    """Return what the engine says of texts in order; ids default to a, b, c…"""
    collection = Collection()
    for name, text in zip(ids or [chr(ord("a") + n) for n in range(len(texts))], texts):
        collection.add(name, text, author)
    return engine.find_duplicates(collection, config, 42, workers)


def run(engine, texts, **kwargs):
    """Return [None or (reason, of)]."""
    return [duplicate and (duplicate.reason, duplicate.of) for duplicate in find(engine, texts, **kwargs)]


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


@ENGINES
def test_exact_means_the_same_words(engine):
    assert run(engine, ["Area River Rises, Again", "area river rises again!", "Area River Falls Again"]) == [
        None, ("duplicate_exact", "a"), None]


@ENGINES
def test_near_is_decided_exactly(engine):
    a = words(1)
    # 96 shingles; a change in the middle replaces five of them: 91/101 = 0.90; three changes: 81/111 = 0.73
    found = find(engine, [" ".join(a), " ".join(change(a, 50)), " ".join(change(a, 20, 50, 80))])
    assert found == [None, dedup.Duplicate("duplicate_near", "a", 91 / 101), None]


@ENGINES
def test_the_same_words_in_another_order_are_no_exact_copy(engine):
    a = [*words(9, 10), *words(9, 10), *words(9, 10)]  # a loop: turned by one word it has the same shingles
    found = find(engine, [" ".join(a), " ".join(a[1:] + a[:1])])
    assert found == [None, dedup.Duplicate("duplicate_near", "a", 1.0)]


@ENGINES
def test_a_chain_does_not_delete_its_far_end(engine):
    a = words(2)
    b, c = change(a, 50), change(a, 50, 20, 80)
    assert jaccard(shingles(" ".join(b), SETTINGS), shingles(" ".join(c), SETTINGS)) >= 0.8
    assert run(engine, [" ".join(a), " ".join(b), " ".join(c)]) == [None, ("duplicate_near", "a"), None]


@ENGINES
def test_the_most_similar_kept_text_is_named(engine):
    a = words(3)
    assert run(engine, [" ".join(a), " ".join(change(a, 20, 50, 80)), " ".join(change(a, 20, 50, 80, 2))])[2] == ("duplicate_near", "b")


@ENGINES
def test_another_edition_cut_at_other_places(engine):
    text = words(4, 600)
    first = [" ".join(text[n:n + 200]) for n in (0, 200, 400)]
    second = [" ".join(change(text, 150, 300)[n:n + 200]) for n in (100, 300)]
    ids = ["gutenberg:148#0", "gutenberg:148#1", "gutenberg:148#2", "gutenberg:20203#0", "gutenberg:20203#1"]
    edition = ("duplicate_edition", "gutenberg:148")
    assert run(engine, first + second, author="Ann Pell", ids=ids) == [None, None, None, edition, edition]
    assert run(engine, first + second, author="", ids=ids) == [None] * 5


@ENGINES
def test_an_author_may_repeat_himself_within_a_book_and_in_part(engine):
    text = words(5, 400)
    ids = ["gutenberg:1#0", "gutenberg:1#1", "gutenberg:2#0"]
    half_new = text[100:200] + words(6, 100)
    assert run(engine, [" ".join(text[:200]), " ".join(text[100:300]), " ".join(half_new)], author="Ann Pell", ids=ids) == [None] * 3
    within = [f"gutenberg:1#{n}" for n in range(3)]
    assert run(engine, [" ".join(text[n:n + 200]) for n in (0, 200, 100)], author="Ann Pell", ids=within) == [None] * 3


@ENGINES
def test_a_shingle_counts_once_for_a_document_that_repeats_it(engine):
    text = words(12, 100)
    texts = [text, text[50:] + words(13, 100), text[50:] + words(14, 100), text[50:] + words(15, 40)]  # half of the last is in A
    ids = ["A#0", "B#0", "A#1", "C#0"]
    assert run(engine, [" ".join(t) for t in texts], author="Ann Pell", ids=ids) == [None] * 4
    assert run(engine, [" ".join(t) for t in (*texts[:2], texts[1][5:])], author="Ann Pell", ids=ids[:2] + ["C#0"])[2] == (
        "duplicate_edition", "B")  # also where A has the shingle


@ENGINES
@pytest.mark.parametrize("threshold, duplicate", [(0.85, True), (0.95, False)])
def test_the_threshold_is_read(engine, threshold, duplicate):
    a = words(8)
    config = SimpleNamespace(**{**vars(SETTINGS), "threshold": threshold})
    assert (run(engine, [" ".join(a), " ".join(change(a, 50))], config=config)[1] is not None) is duplicate


@ENGINES
def test_texts_without_words_and_no_texts(engine):
    assert run(engine, ["...", "", "rain"]) == [None, ("duplicate_exact", "a"), None] and run(engine, []) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.one_of(st.sampled_from("abc 'ßİŉﬁΣς’-"), st.characters(exclude_categories=["Cs"])), max_size=40), min_size=1,
                max_size=8), st.randoms(use_true_random=False))
def test_the_engines_agree_on_any_text(texts, choice):
    """Copies with a word changed, dropped or spelt with other capitals are mixed in, so that there is something to find."""
    longer = [" ".join(choice.choices(texts, k=choice.randrange(1, 12))) for _ in range(6)]
    copies = [text.upper() for text in longer[:3]] + [text[:-1] for text in longer] + [f"{text} rain" for text in longer]
    config = SimpleNamespace(**{**vars(SETTINGS), "threshold": 0.5, "short_text_words": 8, "permutations": 240, "bands": 120})
    everything = texts + longer + copies
    ids = [f"d{n % 3}#{n}" for n in range(len(everything))]
    assert find(dedup, everything, config=config, author="A", ids=ids) == find(reference, everything, config=config, author="A", ids=ids)


def test_words_are_read_as_python_reads_them():
    """Every code point, between two letters: the kernel's table and normalise() must agree on all of them."""
    from weatherman.corpus import minhash
    fold, folded, _ = minhash.fold_tables()
    for point in [*range(0xD800), *range(0xE000, 0x110000, 7)]:
        place, read = fold[point] if point < minhash.MAX_CODE_POINT else fold[32], "a"
        while folded[place] != minhash.DROPPED:
            read += chr(folded[place]) if folded[place] else " "
            place += 1
        assert (read + "b").split() == normalise(f"a{chr(point)}b"), hex(point)


def test_nothing_similar_is_missed_and_nothing_else_removed():
    numbers = list(truth.planted(4000, 0.15, seed=7))
    expected = truth.repeats(numbers, 0.8)
    found = find(dedup, list(map(truth.spell, numbers)), ids=list(map(str, range(4000))))
    assert {n for n, duplicate in enumerate(found) if duplicate} == expected and 500 < len(expected) < 650


def test_the_truth_is_the_plain_comparison_of_all_pairs():
    numbers = list(truth.planted(300, 0.3, seed=8))
    kept, expected = [], set()
    for n, text in enumerate(map(truth.spell, numbers)):
        own = shingles(text, SETTINGS)
        if any(jaccard(own, other) >= 0.8 for other in kept):
            expected.add(n)
        else:
            kept.append(own)
    assert truth.repeats(numbers, 0.8) == expected and len(expected) > 50


def test_threads_change_nothing():
    texts = [truth.spell(text) for text in truth.planted(9000, 0.3, seed=9)]  # three blocks
    ids = list(map(str, range(9000)))
    assert find(dedup, texts, ids=ids) == find(dedup, texts, ids=ids, workers=3)


def test_a_thousand_variants_of_one_text_cost_little():
    """Every text shares keys with every other one, and only the first is kept."""
    base = words(11, 150)
    texts = [" ".join(change(base, n % 150)) + f" {n}" for n in range(1000)]
    found = find(dedup, texts, ids=list(map(str, range(1000))))
    assert found[0] is None and sum(duplicate is None for duplicate in found) < 5
