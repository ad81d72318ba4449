"""Leakage checks: each kind of leak is planted across splits and found, and honest splits pass."""
import random

import pytest

from chat_sets import dialogues, headlines, passages, style, tools, words
from dialogue_records import STORM, conversation, record
from weatherman.cli import GateError
from weatherman.dialogue.leakage import (
    character_shingles,
    check_leakage,
    find_leaks,
    material,
    similarity,
    skeleton,
    templates,
    word_shingles,
)
from weatherman.dialogue.splits import split_records

WORKS = {"gutenberg:148": "benjamin franklin autobiography", "gutenberg:20203": "benjamin franklin autobiography"}


def test_skeleton_masks_names_numbers_and_quotations():
    assert skeleton('In New York it is 12.5 °C, said Mr Brown: "cold".') == 'C it is N °C, said C: "".'
    assert skeleton("In Rome it is 3 °C, said Tom: “hot”.") == 'C it is N °C, said C: "".'


def test_templates_are_the_sentences_of_tool_dialogues_without_facts_and_quoted_results():
    told = record(source="synthetic", persona="neutral")
    told["messages"] = conversation("What would the sky be like in Rome?", {"reason": "Please try it again some other day."},
                                    "Please try it again some other day. I make it 3 °C with a light rain and so on. Yes.")
    assert templates(told) == {"C would the sky be like in C?", "C make it N °C with C and so on."}
    assert templates(record(user="Carry on from here, in your own voice.")) == set()  # all of one grammar: no leak


def test_material_is_what_the_user_brings():
    assert material(record(user="Carry on from here.\n\nIt was a dark night.")) == "It was a dark night."
    assert material(record(source="synthetic", user="How cold is it in Rome?")) == "How cold is it in Rome?"


def test_similarity_by_hand():
    assert word_shingles("A b c, d e F!") == {("a", "b", "c", "d", "e"), ("b", "c", "d", "e", "f")}
    assert word_shingles("only four words here") == set() and character_shingles("Hi, you!") == {"hi yo", "i you"}
    assert similarity(10, 10, 30) == pytest.approx(1 / 3)  # too short to be asked whether one holds the other
    assert similarity(50, 50, 150) == 1.0


@pytest.fixture(scope="module")
def splits():
    return split_records(style() + tools(), {"validation": 0.1, "test": 0.05}, 42)


def test_honest_splits_pass(splits):
    assert set(check_leakage(splits, WORKS).values()) == {0}


def planted(splits, kind, change, place):
    """Return the splits in which one training record and one held-out record of a kind were changed by the same function."""
    def one(split):
        row = next(r for r in splits[split] if r["tags"]["source"].startswith(kind))
        copy = {**row, "messages": [dict(m) for m in row["messages"]], "provenance": {**row["provenance"]}}
        change(copy, split)
        return [copy if r is row else r for r in splits[split]]

    return {**splits, "train": one("train"), place: one(place)}


def same_conversation(row, split):
    row["messages"][0]["content"], row["messages"][-1]["content"] = "What is  the River?", "A river."


def same_document(row, split):
    row["provenance"]["documents"] = [{**row["provenance"]["documents"][0], "id": "gutenberg:1"}]


def other_edition(row, split):
    row["provenance"]["documents"] = [{**row["provenance"]["documents"][0], "id": f"gutenberg:{148 if split == 'train' else 20203}"}]


def same_template(row, split):
    row["messages"][-1]["content"] = f"I should take a coat along to {'Rome' if split == 'train' else 'Oslo'}, with 12.4 °C."


def same_question(row, split):
    row["messages"][0]["content"] = f"pray what sort of weather have they got down in {'Rome' if split == 'train' else 'Oslo'}"


def nearly_same_answer(row, split):
    row["messages"][-1]["content"] = " ".join([*STORM.split()[:60], "x" if split == "train" else "y", *STORM.split()[60:]])


def answer_holds_the_other(row, split):
    row["messages"][-1]["content"] = STORM if split != "train" else f"{STORM} {words(random.Random(5), 200)}"


def nearly_same_opening(row, split):
    row["messages"][0]["content"] = f"Go on {split}.\n\n{' '.join(STORM.split()[:40])} {split}"


def nearly_same_headline(row, split):
    row["messages"][-1]["content"] = f"Local Barometer Resigns After {'Its' if split == 'train' else 'Third'} Disappointing Forecast"


FAULTS = [("gutenberg", same_conversation, "the same conversation"), ("gutenberg", same_document, "the same source document"),
          ("gutenberg", other_edition, "the same work"), ("synthetic", same_template, "the same sentence template"),
          ("synthetic", same_question, "the same sentence template"), ("gutenberg", nearly_same_answer, "nearly the same answer"),
          ("synthetic", nearly_same_answer, "nearly the same answer"), ("gutenberg", answer_holds_the_other, "nearly the same answer"),
          ("gutenberg", nearly_same_opening, "nearly the same user turns"), ("reddit", nearly_same_headline, "nearly the same headline")]


@pytest.mark.parametrize("place", ["validation", "test"])
@pytest.mark.parametrize("kind, change, what", FAULTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_planted_leak_is_found(splits, kind, change, what, place):
    with pytest.raises(GateError, match=f"{what} is in two splits, 1 times") as error:
        check_leakage(planted(splits, kind, change, place), WORKS)
    assert "(train)" in str(error.value) and f"({place})" in str(error.value) and error.value.status == 3


def test_validation_and_test_are_held_apart_too(splits):
    found = {**splits, "train": []}
    for split in ("validation", "test"):
        found[split] = [*splits[split], {**passages(1, "twain", 1, split)[0], "id": split}]
    leaks = find_leaks(found, {})
    assert len(leaks["the same source document"]) == len(leaks["nearly the same answer"]) == 1


def test_two_answers_that_only_share_a_sentence_pass(splits):
    def share(row, split):
        row["messages"][-1]["content"] += " and it was a long day for everybody there"

    check_leakage(planted(splits, "gutenberg", share, "test"), WORKS)


def test_nearly_equal_user_turns_of_two_voices_are_found():
    asked = "good morning to you dear machine can you find out how warm it is at 38.72, -9.14 {} please and thank you"
    rows = {split: dialogues(split, "neutral", 1) for split in ("train", "test")}
    for split, turn in (("train", asked.format("today")), ("test", asked.format("now"))):
        rows[split][0]["messages"][0]["content"] = f"{turn} {split}"
    assert find_leaks({**rows, "validation": []}, {})["nearly the same user turns"] == []  # 0.6 alike
    rows["test"][0]["messages"][0]["content"] = asked.format("today")
    assert len(find_leaks({**rows, "validation": []}, {})["nearly the same user turns"]) == 1


def test_headlines_are_compared_by_characters():
    rows = {"train": headlines("reddit-theonion", 1), "validation": [], "test": headlines("reddit-nottheonion", 1)}
    rows["train"][0]["messages"][-1]["content"] = "Georgia Woman Jailed After Cops Mistake Candy Floss For Meth, Lawsuit Claims"
    rows["test"][0]["messages"][-1]["content"] = "Georgia woman jailed after cops mistake candy floss for meth"
    assert len(find_leaks(rows, {})["nearly the same headline"]) == 1  # the longer one holds the other
    rows["test"][0]["messages"][-1]["content"] = "Georgia man released after cops mistake flour for snow"
    assert find_leaks(rows, {})["nearly the same headline"] == []
