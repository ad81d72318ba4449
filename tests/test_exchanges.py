"""Dialogues in passages: turns that alternate, who speaks, and what is no dialogue of two."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherman.dialogue.exchanges import Exchange, exchanges, runs, turn_of

NAMES = {"Asa", "Ruth", "Eli"}
TALK = ["“Is the creek up, Asa?”",
        "“It has been up since the preacher crossed it, and it will stay up until he crosses back,” said Asa.",
        "“Then we shall not have the mail.”",
        "“We shall have it,” said Asa, “but we shall have it wet, and a day late, and the almanac will say that it was expected.”"]


def text(*paragraphs):
    return "\n\n".join(paragraphs)


def test_two_who_speak_in_turn_are_an_exchange():
    found = exchanges(text("They met on the porch.", *TALK, "Nobody laughed."), NAMES, 10)
    assert found == [Exchange((
        "Is the creek up, Asa?", "It has been up since the preacher crossed it, and it will stay up until he crosses back,",
        "Then we shall not have the mail.",
        "We shall have it, but we shall have it wet, and a day late, and the almanac will say that it was expected."), "Asa", None)]


def test_a_speaker_is_known_by_what_the_other_calls_him():
    lines = [*TALK[:3], TALK[3].replace("wet,", "wet, Ruth,")]
    assert [(talk.mine, talk.theirs) for talk in exchanges(text(*lines), NAMES, 10)] == [("Asa", "Ruth")]


@pytest.mark.parametrize("who, mine", [
    ("said the judge", ["the judge"]), ("said the old gentleman", []), ("said the other", []), ("Presently Asa said", ["Asa"]),
    ("said Mr. Bixby", [])])
def test_a_speaker_has_a_whole_name_or_none(who, mine):
    lines = [TALK[0].replace(", Asa", ""), TALK[1].replace("said Asa", who), TALK[2], TALK[3].replace("said Asa", "he said")]
    assert [talk.mine for talk in exchanges(text(*lines), NAMES, 10)] == mine


def test_a_place_is_no_speaker():
    lines = [TALK[0].replace("Asa", "Eli"), *(line.replace("said Asa", "he said") for line in TALK[1:])]
    assert [talk.mine for talk in exchanges(text(*lines), NAMES, 10)] == ["Eli"]
    assert exchanges(text("They lived in Eli.", *lines), NAMES, 10) == []


def test_words_that_introduce_a_turn_belong_to_it():
    assert len(runs(text(TALK[0], "Asa said:", TALK[1], *TALK[2:]))[0]) == 4


@pytest.mark.parametrize("fault", [
    text(*TALK[:3]),                                                    # three turns
    text(TALK[0], TALK[1], "A dog came up the road and lay down.", *TALK[2:]),  # a story between them
    text(*(line.replace(", Asa", "").replace(" said Asa", " he said").replace("said Asa", "he said") for line in TALK)),  # nobody is named
    text(TALK[0], TALK[1], "“Then we shall not have the mail,” said Asa.", TALK[3]),  # one speaks twice
    text(TALK[0], TALK[1], "“Then, Eli, we shall not have the mail, Ruth.”", TALK[3]),  # a third is there
    text(*(line.split(",")[0] + "”" for line in TALK)),                 # hardly a word said
    text(*TALK[:3], "“We shall have it, and then some, and it will be wet"),  # a speech that goes on in the next paragraph
])
def test_what_is_no_exchange_of_two(fault):
    assert exchanges(fault, NAMES, 10) == []


def test_long_talks_are_cut_and_even():
    found = exchanges(text(*TALK, *TALK, TALK[0]), NAMES, 4)
    assert [len(talk.turns) for talk in found] == [4, 4]


@pytest.mark.parametrize("paragraph, turn", [
    ("“Go,” she said.", ("Go,", "she said.")), ("“Go.”", ("Go.", "")), ("She said “Go.”", None), ("“Go,” and she shut the door.", None),
    ("“Go,” said Ruth, who had waited a long time for a chance to say it.", None)])
def test_a_turn_is_speech_with_attribution_at_most(paragraph, turn):
    assert turn_of(paragraph) == turn


@given(st.text(alphabet="ab,.“”\n I", max_size=60))
def test_any_text_gives_even_turns_that_stand_in_it(random_text):
    for talk in exchanges(random_text, NAMES, 10):
        assert len(talk.turns) % 2 == 0
