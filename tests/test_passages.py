"""Cutting texts into passages: sizes, sentence ends, byte offsets."""
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_texts import book, prose
from paths import REPO_DIR
from weatherman.cli import UserError
from weatherman.corpus.clean import blocks, clean_slice, ends_sentence, sections, unwrap
from weatherman.corpus.gutenberg import find_encoding
from weatherman.corpus.passages import book_span, candidates, find_phrase

SIZES = SimpleNamespace(min_words=30, target_words=80, max_words=120)
REAL_SIZES = SimpleNamespace(min_words=100, target_words=350, max_words=600)  # as in configs/data_config.yaml
GUTENBERG = REPO_DIR.parent / "shared" / "corpora" / "gutenberg"


def cut(body, sizes=SIZES, encoding="utf-8", begins=None, ends=None, **hygiene):
    raw = book(body).encode(encoding)
    return raw, list(candidates(raw, *book_span(raw, encoding, begins, ends), encoding, sizes, **hygiene))


def counts(found):
    return [len(c.text.split()) for c in found]


def test_sizes_and_order():
    raw, found = cut(prose(900))
    assert sum(counts(found)) == len(prose(900).split())
    assert all(30 <= count <= 120 for count in counts(found)) and 70 <= sum(counts(found)) / len(found) <= 90
    assert all(a.end <= b.start for a, b in zip(found, found[1:]))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_offsets_give_the_text_again(encoding):
    body = prose(500).replace("number", "“number”—café").replace("tells", "_tells_")
    raw, found = cut(body, encoding=encoding)
    assert len(found) > 3
    for c in found:
        assert clean_slice(raw[c.start:c.end], encoding) == c.text and "café" in c.text and "_" not in c.text


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_offsets_whatever_lies_between(seed):
    choice = random.Random(seed)
    parts = []
    for n in range(choice.randrange(1, 30)):
        parts.append(choice.choice([prose(choice.randrange(10, 400), f"Word{n}").replace("\n\n", " "), prose(40),
                                    "[Illustration: it\n\nwas open]", "    [1] A note.\n\n    Its second part.", "CHAPTER II.", "* * *",
                                    "    A verse,\n    a line.", "half a para", "12", "He said--{footnote [A note\n\nof two.]}",
                                    "said she."]))
    raw, found = cut("\n\n".join(parts).replace("\n", choice.choice(["\n", "\r\n", "\r", "\r\r\n"])))
    for c in found:
        assert clean_slice(raw[c.start:c.end], "utf-8") == c.text
        assert "note" not in c.text and "CHAPTER" not in c.text
        paragraphs = c.text.split("\n\n")
        assert counts([c])[0] <= SIZES.max_words or not any(ends_sentence(one) and not other[0].islower()
                                                            for one, other in zip(paragraphs, paragraphs[1:])), "it could have been cut"
    assert all(a.end <= b.start for a, b in zip(found, found[1:]))


def test_a_plain_text_is_cut_in_the_same_way():
    raw = f"{prose(300)}\n\n{prose(300, 'Other')}".encode()
    found = list(candidates(raw, 0, len(raw), "utf-8", SIZES))
    assert " ".join(c.text for c in found).split() == raw.decode().split() and all(30 <= count <= 120 for count in counts(found))
    only = raw.index(b"\n\nOther")
    assert "Other" not in " ".join(c.text for c in candidates(raw, 0, only, "utf-8", SIZES))


def test_hygiene_is_passed_on():
    _, found = cut(prose(60).replace("number", "“numbâ€™r”"), straight_quotes=True, mojibake=True)
    assert '"numb\'r"' in found[0].text


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_paragraph_over_the_limit_is_cut_at_sentence_ends_only(encoding):
    sentence = "Mr. Pell, who lived at “No. 4” and knew Dr. Émile, went down to the river every morning of that year."
    _, found = cut(" ".join([sentence] * 20), encoding=encoding)
    assert len(found) == 4 and all(c.text.startswith("Mr. Pell") and c.text.endswith("that year.") for c in found)


def test_a_speech_and_who_says_it_are_one_sentence():
    sentence = "“Where have you been all this long and weary while?” he said, and the old man answered nothing to it whatever."
    _, found = cut(" ".join([sentence] * 20))
    assert len(found) == 4 and all(c.text.startswith("“Where") and c.text.endswith("whatever.") for c in found)


def test_one_sentence_over_the_limit_stays_whole_for_the_filters():
    assert counts(cut("word " * 200 + "end.")[1]) == [201]


def test_no_passage_crosses_a_chapter():
    _, found = cut(prose(50, "One") + "\n\nCHAPTER II.\n\n" + prose(50, "Two"))
    assert [("One" in c.text, "Two" in c.text) for c in found] == [(True, False), (False, True)]


def test_a_short_rest_joins_the_passage_before_it():
    assert counts(cut("\n\n".join([" ".join(["word"] * 84 + ["end."]), "A short rest of six words."]))[1]) == [91]


@pytest.mark.parametrize("introduction", ["He said:", "He cried--", "He thought of,"])
def test_a_passage_closes_behind_a_sentence_not_behind_its_introduction(introduction):
    parts = [" ".join(["Word"] * 60 + ["end."]), introduction, " ".join(["Word"] * 70 + ["end."])]
    assert [c.text[:7] for c in cut("\n\n".join(parts))[1]] == ["Word Wo", introduction[:7]]


def test_what_a_dash_would_make_too_long_is_cut_at_the_dash():
    parts = ['"' + " ".join(["Word"] * 50) + ' --"'] * 4
    assert counts(cut("\n\n".join(parts))[1]) == [51, 102, 51]


def test_the_authors_own_text():
    body = "Preface of the editor, who says much.\n\n" + prose(200) + "\n\nNotes of the editor\nfollow here and go on."
    _, found = cut(body, begins="sentence  number 1 TELLS", ends="Notes of the editor follow")
    text = " ".join(c.text for c in found)
    assert text.startswith("Sentence number 1 tells") and "editor" not in text
    with pytest.raises(UserError, match="not there at all.*begins or ends"):
        cut(body, begins="not there at all")


def test_find_phrase_looks_only_in_its_range():
    assert find_phrase(b"one two one\r\ntwo", 3, 16, "one two", "utf-8") == 8


@pytest.mark.skipif(not GUTENBERG.is_dir(), reason="needs ../shared/corpora/gutenberg")
def test_every_passage_of_the_real_files_is_found_again_at_its_offsets():
    names = ("245/245-0", "3177/3177-0", "1342/old/pandp10", "74/old/sawyr10", "20203/20203-8", "43855/43855", "46/old/carol10",
             "5200/5200", "30165/30165-8", "57795/57795-0", "2542/2542", "6312/6312", "28803-h/files_1837_1837")
    files = [path for path in sorted(GUTENBERG.rglob("*.txt")) if str(path).endswith(tuple(f"/{name}.txt" for name in names))]
    total = outside = unfinished = 0
    for path in files:
        raw = path.read_bytes()
        encoding = find_encoding(raw, "")
        span = book_span(raw, encoding)
        found = list(candidates(raw, *span, encoding, REAL_SIZES))
        assert all(clean_slice(raw[c.start:c.end], encoding) == c.text for c in found), path.name
        assert all(a.end <= b.start for a, b in zip(found, found[1:]))
        words = sum(len(unwrap(block.text).split()) for section in sections(blocks(raw, *span, encoding)) for block in section)
        assert sum(counts(found)) >= 0.999 * words, path.name  # joined paragraphs may lose a word; nothing else is lost on the way
        total += len(found)
        outside += sum(not 100 <= count <= 600 for count in counts(found))
        unfinished += sum(not ends_sentence(c.text) for c in found)
    assert len(files) == len(names) and total > 2000
    assert outside < 0.01 * total and unfinished < 0.03 * total
