"""Diversity: measures worked out by hand, and a planted fault for every gate."""
import pytest

from chat_sets import dialogues, headlines, passages, style, tools
from dialogue_records import record
from weatherman.cli import GateError
from weatherman.dialogue.diversity import (
    check_diversity,
    compression,
    distinct,
    measure,
    prompt_skeleton,
    self_bleu,
    similar,
)
from weatherman.schemas import Dedup

DEDUP = Dedup(threshold=0.8, word_shingle=5, character_shingle=5, short_text_words=50, coverage=0.8, permutations=80, bands=20)
LIMITS = {"min_skeletons": 400, "max_answer_skeleton": 0.005, "max_prompt_skeleton": 0.005, "max_near_duplicates": 0.01}


def test_distinct_by_hand():
    texts = ["The rain, the rain!", "the RAIN came"]  # the rain the rain / the rain came
    assert distinct(texts, 1) == pytest.approx(3 / 7) and distinct(texts, 2) == pytest.approx(3 / 5)  # the rain, rain the, rain came
    assert distinct(texts, 3) == 1.0 and distinct([], 1) == 0.0 and distinct(["one"], 2) == 0.0


def test_self_bleu_of_copies_is_one_and_of_strangers_nearly_none():
    assert self_bleu(["the river rose in the night"] * 3, 3, 42) == pytest.approx(1.0)
    assert self_bleu(["a b c d e f", "g h i j k l", "m n o p q r"], 3, 42) < 0.05
    assert self_bleu(["alone with its words"], 3, 42) == 0.0
    assert self_bleu([str(n) * 9 for n in range(50)], 5, 42) == self_bleu([str(n) * 9 for n in range(50)], 5, 42)


def test_compression_grows_with_repetition():
    assert compression(["the river rose and fell again " * 40]) > 10 > 2 > compression(["qjxkzvbwpym"])


def test_prompt_skeleton_masks_names_quotations_and_the_subjects_of_the_answer():
    row = record(user="Tell me of the captain, of “Rome” and of Natchez, 3 times.\n\nIt was a dark night.",
                 answer="The captain went below, and that was the end of it.")
    assert prompt_skeleton(row) == 'tell me of the C, of "" and of C, N times.'
    assert prompt_skeleton(record(user="Say what the captain did.", answer="Nothing.")) == "say what the captain did."


def test_similar_finds_the_most_alike_first_and_counts_a_passage_once():
    rows = dialogues("ash", "neutral", 4)
    for copy, turn in ((2, 0), (2, -1), (3, 0), (3, -1)):
        rows[copy]["messages"][turn]["content"] = rows[copy - 2]["messages"][turn]["content"]
    rows[3]["messages"][0]["content"] += " now"
    assert [(one, other) for _, one, other in similar(rows, DEDUP, 0.8, 42)] == [("tool:ash:neutral:2", "tool:ash:neutral:0"),
                                                                                 ("tool:ash:neutral:3", "tool:ash:neutral:1")]
    assert similar(passages(74, "twain", 5), DEDUP, 0.8, 42) == []  # describe and continue hold the same text, by design


def test_measures_are_given_by_kind_and_persona():
    found = measure(style() + tools(), DEDUP, 4, 42)
    assert list(found.figures) == ["literary", "literary franklin", "literary twain", "satire", "tool_use", "hybrid", "hybrid franklin",
                                   "hybrid twain"]
    hybrid = found.figures["hybrid"]
    assert (hybrid.records, hybrid.answer_skeletons, hybrid.top_answer_skeleton) == (48, 48, pytest.approx(1 / 48))
    assert hybrid.near_duplicates == 0 and hybrid.distinct_3 > 0.7 and found.plain()["hybrid"]["records"] == 48
    assert found.offenders["satire"] == [] and found.skeletons["prompts"][0][1] == 1


def test_the_most_similar_pair_is_shown_with_both_texts():
    rows = headlines("reddit-theonion", 30)
    rows[20]["messages"][-1]["content"] = rows[3]["messages"][-1]["content"] + " again"
    (alike, one, other, text, other_text), *_ = measure(rows, DEDUP, 2, 42).offenders["satire"]
    assert (one, other, text) == ("chat:reddit-theonion:20", "chat:reddit-theonion:3", other_text + " again") and 0.8 < alike < 1


# --- gates ---

def test_varied_records_pass():
    gates = check_diversity(style() + tools(), DEDUP, LIMITS, 42)
    assert gates == [("most frequent prompt skeleton", "0.32%", "at most 0.50%"),
                     ("distinct answer skeletons of tool dialogues", "111", "at least 15"),
                     ("most frequent answer skeleton", "0.90%", "at most 0.50%"),  # one of 111: a single text may always be there
                     ("near-duplicates among tool dialogues", "0.00%", "at most 1.00%"),
                     ("near-duplicates among style records", "0.00%", "at most 1.00%")]


def same_words_but_one(rows, role):
    for number, row in enumerate(row for row in rows if row["tags"]["source"] == "synthetic"):
        if number % 2:
            turn = row["messages"][0 if role == "user" else -1]
            turn["content"] = "Is it cold now?" if role == "user" else f"In Rome it is {number} °C, I should say."


def copy_dialogues(rows):
    for number, row in enumerate(rows[-20:]):
        question, answer = (rows[-40]["messages"][turn]["content"] for turn in (0, -1))
        row["messages"][0]["content"], row["messages"][-1]["content"] = question + "s" * (number % 3), answer


def copy_passages(rows):
    for row in rows[:20]:
        row["messages"][-1]["content"] = rows[30]["messages"][-1]["content"]


@pytest.mark.parametrize("plant, message", [
    (lambda rows: same_words_but_one(rows, "user"), "most frequent prompt skeleton: 17.68%.*C it cold now"),
    (lambda rows: same_words_but_one(rows, "assistant"), "most frequent answer skeleton: 49.*C should say"),
    (copy_dialogues, "near-duplicates among tool dialogues: 1"), (copy_passages, "near-duplicates among style records: 5"),
])
def test_each_planted_fault_is_refused(plant, message):
    rows = style() + tools()
    plant(rows)
    with pytest.raises(GateError, match=message) as error:
        check_diversity(rows, DEDUP, LIMITS, 42)
    assert error.value.status == 3


def test_the_least_number_of_skeletons_is_asked_in_proportion():
    with pytest.raises(GateError, match="distinct answer skeletons of tool dialogues: 111; expected at least 148"):
        check_diversity(tools(), DEDUP, {**LIMITS, "min_skeletons": 4000}, 42)
