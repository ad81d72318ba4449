"""The phrase grammar: choices, conditions, slots, and brackets that do not match."""
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config_loader import ConfigError
from weatherman.dialogue.instruct import PHRASES
from weatherman.dialogue.phrases import ask, fill, load_phrases, parse, say, slots, system_prompt
from weatherman.text_schemas import ChatPhrases


def every(text, facts=None, tags=frozenset()):
    """Return all that a phrase can say, by drawing it often."""
    parts = parse(text)
    return {fill(parts, random.Random(seed), facts or {}, tags) for seed in range(60)}


def test_a_choice_gives_each_option_and_nothing_else():
    assert every("[a|b] c[ d|]") == {"a c", "b c", "a c d", "b c d"}


def test_choices_nest():
    assert every("[x [1|2]|y]") == {"x 1", "x 2", "y"}


def test_a_condition_that_holds_beats_the_unconditional_options():
    text = "[?cold coat|?wet umbrella|shirt]"
    assert every(text) == {"shirt"}
    assert every(text, tags={"cold"}) == {"coat"}
    assert every(text, tags={"cold", "wet"}) == {"coat", "umbrella"}


def test_a_choice_without_an_eligible_option_says_nothing():
    assert every("a[?cold b]") == {"a"}


def test_slots_are_filled_and_a_missing_fact_is_an_error():
    assert every("{city}: {temp}", {"city": "Rome", "temp": "3 °C"}) == {"Rome: 3 °C"}
    with pytest.raises(KeyError, match="temp"):
        fill(parse("{temp}"), random.Random(1), {})


def test_slots_lists_those_inside_choices():
    assert slots(parse("{a}[{b}|?cold c {d}]")) == {"a", "b", "d"}


def test_a_question_mark_that_ends_an_option_is_only_punctuation():
    assert every("[Where?|When?] I asked") == {"Where? I asked", "When? I asked"}


def test_say_drops_spaces_around_line_breaks():
    assert say([parse("Days:{list} end")], random.Random(1), {"list": "\n- a\n- b\n"}) == "Days:\n- a\n- b\nend"


@pytest.mark.parametrize("text", ["[a|b", "a]b", "[a|[b]", "[?cold a"])
def test_brackets_that_do_not_match_are_named(text):
    with pytest.raises(ValueError, match="bracket"):
        parse(text)


@given(st.text(alphabet=st.characters(blacklist_characters="[]{}|", blacklist_categories=["Cs"])))
def test_plain_text_comes_back_as_it_is(text):
    assert fill(parse(text), random.Random(1), {}) == text


def test_a_phrase_file_with_a_fault_names_the_file(tmp_path):
    path = tmp_path / "p.yaml"
    text = PHRASES.read_text(encoding="utf-8")
    path.write_text(text.replace('"Good [morning|evening|day]."', '"Good [morning|evening."', 1), encoding="utf-8")
    with pytest.raises(ConfigError, match="p.yaml: a bracket"):
        load_phrases(path, ChatPhrases)


SMALL = {"registers": {"plain": 0.5, "curt": 0.5}, "parts": {"opening": 0.5, "wish": 0.5, "wish_first": 0.5},
         "openings": {"plain": [parse("Hello.")], "curt": [parse("Now.")]},
         "wishes": {"line": {"plain": [parse("Thank you.")], "curt": [parse("Fast.")]}},
         "requests": {"saying": {"plain": [parse("Say {x}.")], "curt": [parse("{x}!")]}},
         "system": {"twain": {"who": [parse("W.")], "how": [parse("A."), parse("B.")]}}}


def test_a_prompt_keeps_to_one_register_and_has_every_order():
    said = {ask(SMALL, "saying", "line", random.Random(seed), {"x": "it"}, set()) for seed in range(400)}
    assert said == {"Say it.", "Hello. Say it.", "Say it. Thank you.", "Thank you. Say it.", "Hello. Say it. Thank you.",
                    "Hello. Thank you. Say it.", "it!", "Now. it!", "it! Fast.", "Fast. it!", "Now. it! Fast.", "Now. Fast. it!"}
    assert {ask(SMALL, "saying", None, random.Random(seed), {"x": "it"}, set()) for seed in range(100)} == {
        "Say it.", "Hello. Say it.", "it!", "Now. it!"}


def test_a_system_prompt_says_who_and_up_to_two_times_how():
    assert {system_prompt(SMALL, "twain", random.Random(seed)) for seed in range(100)} == {"W.", "W. A.", "W. B.", "W. A. B.", "W. B. A."}
