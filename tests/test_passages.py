"""Cutting books into passages: sizes, sentence ends, byte offsets."""
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_texts import book, prose
from weatherman.cli import UserError
from weatherman.corpus.clean import clean_slice
from weatherman.corpus.passages import candidates, find_phrase

SIZES = SimpleNamespace(min_words=30, target_words=80, max_words=120)


def cut(body, sizes=SIZES, encoding="utf-8", **phrases):
    raw = book(body).encode(encoding)
    return raw, list(candidates(raw, encoding, sizes, **phrases))


def test_sizes_and_order():
    raw, found = cut(prose(900))
    words = [len(c.text.split()) for c in found]
    assert sum(words) == len(prose(900).split())
    assert all(30 <= count <= 120 for count in words) and all(count >= 80 for count in words[:-1])
    assert all(a.end <= b.start for a, b in zip(found, found[1:]))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_offsets_give_the_text_again(encoding):
    body = prose(500).replace("number", "“number”—café").replace("tells", "_tells_")
    raw, found = cut(body, encoding=encoding)
    assert len(found) > 3
    for c in found:
        assert clean_slice(raw[c.start:c.end], encoding) == c.text and "café" in c.text and "_" not in c.text


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_offsets_whatever_lies_between(seed):
    choice = random.Random(seed)
    parts = []
    for n in range(choice.randrange(1, 30)):
        parts.append(choice.choice([prose(choice.randrange(10, 400), f"Word{n}").replace("\n\n", " "), prose(40),
                                    "[Illustration: it\n\nwas open]", "    [1] A note.\n\n    Its second part.", "CHAPTER II.", "* * *",
                                    "    A verse,\n    a line.", "half a para"]))
    raw, found = cut("\n\n".join(parts).replace("\n", choice.choice(["\n", "\r\n"])))
    for c in found:
        assert clean_slice(raw[c.start:c.end], "utf-8") == c.text
        assert len(c.text.split()) <= SIZES.max_words and "note" not in c.text and "CHAPTER" not in c.text


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_paragraph_over_the_limit_is_cut_at_sentence_ends_only(encoding):
    sentence = "Mr. Pell, who lived at “No. 4” and knew Dr. Émile, went down to the river every morning of that year."
    _, found = cut(" ".join([sentence] * 20), encoding=encoding)
    assert len(found) == 4 and all(c.text.startswith("Mr. Pell") and c.text.endswith("that year.") for c in found)


def test_one_sentence_over_the_limit_stays_whole_for_the_filters():
    _, found = cut("word " * 200 + "end.")
    assert [len(c.text.split()) for c in found] == [201]


def test_no_passage_crosses_a_chapter():
    _, found = cut(prose(50, "One") + "\n\nCHAPTER II.\n\n" + prose(50, "Two"))
    assert [("One" in c.text, "Two" in c.text) for c in found] == [(True, False), (False, True)]


def test_a_short_rest_joins_the_passage_before_it():
    parts = [" ".join(["word"] * 84 + ["end."]), "A short rest of six words."]
    assert [len(c.text.split()) for c in cut("\n\n".join(parts))[1]] == [91]


def test_a_full_passage_closes_behind_a_sentence_not_behind_a_colon():
    parts = [" ".join(["word"] * 60 + ["end."]), "He said:", " ".join(["word"] * 70 + ["end."])]
    assert [c.text[:7] for c in cut("\n\n".join(parts))[1]] == ["word wo", "He said"]


def test_the_authors_own_text():
    body = "Preface of the editor, who says much.\n\n" + prose(200) + "\n\nNotes of the editor\nfollow here and go on."
    _, found = cut(body, begins="sentence  number 1 TELLS", ends="Notes of the editor follow")
    text = " ".join(c.text for c in found)
    assert text.startswith("Sentence number 1 tells") and "editor" not in text
    with pytest.raises(UserError, match="not there at all.*begins or ends"):
        cut(body, begins="not there at all")


def test_find_phrase_looks_only_in_its_range():
    assert find_phrase(b"one two one\r\ntwo", 3, 16, "one two", "utf-8") == 8
