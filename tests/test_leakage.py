"""Leakage checks: each kind of leak is planted across splits and found, and honest splits pass."""
import pytest

from dialogue_records import STORM, conversation, current_result, record
from weatherman.cli import GateError
from weatherman.dialogue.leakage import check_leakage, skeleton, templates

WORDS = STORM.split()


def test_skeleton_masks_names_numbers_and_quotations():
    assert skeleton('In New York it is 12.5 °C, said Mr Brown: "cold".') == 'C it is N °C, said C: "".'
    assert skeleton("In Rome it is 3 °C, said Tom: “hot”.") == 'C it is N °C, said C: "".'


def test_templates_are_instructions_and_synthetic_answers_without_quoted_results():
    book = record(user="Carry on from here, in your own voice.\n\nIt was a dark night on the river.", answer="And so it stayed for long.")
    assert templates(book) == {"C on from here, in your own voice."}
    told = record(source="synthetic", persona="neutral", user="Rome?")
    told["messages"] = conversation("Rome?", {"reason": "Please try it again some other day."},
                                    "Please try it again some other day. I am sorry about that.")
    assert templates(told) == {"C am sorry about that."}


def unlike(number, split):
    """Return a record that shares nothing with any other: instruction, answer, document."""
    text = " ".join(f"{split}{number}w{i}" for i in range(30))
    return record(number, group=f"{split}:{number}", user=f"ask {text}", answer=f"say {text}")


def honest():
    return {split: [unlike(n, split) for n in range(3)] for split in ("train", "validation", "test")}


def test_splits_that_share_nothing_pass():
    check_leakage(honest())


def planted(change, place="test"):
    """Return honest splits in which one training record and one held-out record were changed by the same function."""
    found = honest()
    change(found["train"][0])
    change(found[place][0])
    return found


def same_conversation(row):
    row["messages"][0]["content"], row["messages"][1]["content"] = "What is  the River?", "A river."


def same_document(row):
    row["provenance"]["documents"][0]["id"] = "gutenberg:76"


def same_template(row):
    row["messages"][0]["content"] = f"Tell me the tale of {'Tom' if row['id'] == 'r:0' else 'Huck'} as you had it."


def nearly_same_answer(row):
    middle = "x" if row["provenance"]["split_group"].startswith("train") else "y"
    row["messages"][1]["content"] = " ".join([*WORDS[:60], middle, *WORDS[60:]])


@pytest.mark.parametrize("place", ["validation", "test"])
@pytest.mark.parametrize("change, what", [(same_conversation, "the same conversation"), (same_document, "the same source document"),
                                          (same_template, "the same sentence template"), (nearly_same_answer, "nearly the same answer")])
def test_each_planted_leak_is_found(change, what, place):
    with pytest.raises(GateError, match=what) as error:
        check_leakage(planted(change, place))
    assert "r:0 (train)" in str(error.value) and error.value.status == 3


def test_an_answer_that_holds_a_held_out_one_is_found():
    found = honest()
    found["train"][0]["messages"][1]["content"] = STORM + " " + " ".join(f"more{i}" for i in range(200))
    found["validation"][0]["messages"][1]["content"] = STORM
    with pytest.raises(GateError, match="nearly the same answer"):
        check_leakage(found)


def test_validation_and_test_are_held_apart_too():
    found = honest()
    for split in ("validation", "test"):
        found[split][1]["messages"][1]["content"] = STORM
    with pytest.raises(GateError, match=r"\(validation\), r:1 \(test\)"):
        check_leakage(found)


def test_two_answers_that_only_share_a_sentence_pass():
    found = honest()
    for split in found:
        found[split][2]["messages"][1]["content"] += " and it was a long day for everybody there"
    check_leakage(found)


def test_a_tool_answer_is_compared_as_a_whole():
    found = honest()
    for split in ("train", "test"):
        found[split][0]["messages"] = conversation("Is it wet there?", current_result(), "It is wet there and will be all of the day.")
        found[split][0]["tags"]["source"] = "synthetic"
    with pytest.raises(GateError, match="the same conversation"):
        check_leakage(found)
