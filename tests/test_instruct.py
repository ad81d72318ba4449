"""Chat records from passages: the prompt is about the passage, the answer is the passage."""
import random
import re
from collections import Counter

import pytest

from dialogue_records import STORM, headline, passage
from weatherman.dialogue.instruct import (
    DESKS,
    KINDS,
    PHRASES,
    Plan,
    Setting,
    Unsuitable,
    cut_at_sentence,
    document_key,
    in_halves,
    join,
    make_records,
    missing_subjects,
    to_record,
)
from weatherman.dialogue.phrases import ask, load_phrases, system_prompt
from weatherman.dialogue.topics import learn_words
from weatherman.records import ChatRecord, check
from weatherman.text_schemas import ChatPhrases

CHAT = {"max_answer_words": 400, "min_answer_words": 30, "opening_words": 20, "max_turns": 10,
        "tellings": {"whole": 1.0, "halves": 0.0, "go_on": 0.0}}
_, GRAMMAR = load_phrases(PHRASES, ChatPhrases)
TALK = ("“Is the creek up, Asa?”\n\n"
        "“It has been up since the preacher crossed it, and up it will stay until he crosses back,” said Asa.\n\n"
        "“Then we shall not have the mail.”\n\n“We shall have it wet, and a day late, and the almanac will say that it was so expected.”")
WORDS = learn_words([STORM, TALK, "Local Barometer Resigns After Disappointing Forecast", "The barometer and the forecast fell, said Asa."])


def make(row, kind, **chat):
    """Return the valid records of one kind."""
    setting = Setting(GRAMMAR, {**CHAT, **chat}, ["storm", "rain"], WORDS, 42)
    records = make_records(row, kind, setting)
    for record in records:
        check(ChatRecord, record)
    return records


def said(record):
    return [message["content"] for message in record["messages"]]


def test_describe_asks_for_what_the_passage_speaks_of():
    for number in range(1, 9):
        record, = make(passage(number), "describe")
        _, prompt, answer = said(record)
        assert "the river" in prompt.lower() and "the captain" in prompt.lower() and answer == STORM
    assert record["id"] == "chat:gutenberg:9001#000008:describe"
    assert record["provenance"] == {
        "documents": [{"id": "gutenberg:9001", "sha256": "a" * 64, "start": 72_000, "end": 72_499, "license": "CC0"}],
        "generator": "06_format_chat/describe", "seed": 42, "split_group": "a humorist: river"}
    assert record["tags"].items() >= {"persona": "twain", "domain": "weather", "source": "gutenberg"}.items()  # tone: test_tags.py


def test_a_passage_is_told_in_two_records_of_half_each():
    first, second = make(passage(), "describe", tellings={"whole": 0.0, "halves": 1.0, "go_on": 0.0})
    assert [record["id"].split(":")[-2:] for record in (first, second)] == [["describe", "1"], ["describe", "2"]]
    assert f"{said(first)[2]} {said(second)[2]}" == STORM


def test_a_passage_is_told_in_two_turns():
    record, = make(passage(), "describe", tellings={"whole": 0.0, "halves": 0.0, "go_on": 1.0})
    _, prompt, first, go_on, second = said(record)
    assert f"{first} {second}" == STORM and len(go_on.split()) <= 9
    assert "the captain" in prompt.lower() and "the captain" in first


def test_continue_gives_whole_opening_sentences_and_the_rest_is_the_answer():
    record, = make(passage(), "continue")
    _, prompt, answer = said(record)
    opening = prompt.split("\n\n")[1]
    assert opening == "The storm came down on the river before supper." and f"{opening} {answer}" == STORM


def test_an_exchange_gives_each_speaker_his_words():
    record, = make(passage(text=TALK), "exchange")
    system, *turns = said(record)
    assert "Asa" in system and turns[0] == "Is the creek up, Asa?" and turns[3].startswith("We shall have it wet")
    assert [message["role"] for message in record["messages"][1:]] == ["user", "assistant"] * 2 and record["id"].endswith(":exchange:1")


def test_an_aphorism_is_asked_for_by_its_subject():
    text = STORM + " Nobody is as calm as a captain at supper."
    record, = make(passage(text=text), "aphorism")
    assert said(record)[2] == "Nobody is as calm as a captain at supper." and "a captain" in said(record)[1].lower()


def test_a_headline_is_asked_for_by_what_it_is_about():
    record, = make(headline(), "headline")
    system, prompt, answer = said(record)
    assert '"Barometer"' in prompt and answer == "Local Barometer Resigns After Disappointing Forecast"
    assert record["tags"]["tone"] == "satirical" and record["provenance"]["split_group"] == "reddit:1"
    odd, = make(headline(source="reddit-nottheonion"), "headline")
    assert said(odd)[0] != system and odd["tags"]["tone"] == "ironic"


def test_a_web_passage_is_answered_without_a_persona():
    record, = make(passage(id="web:page#000001", source="web", persona="neutral", title="Storms"), "describe")
    assert "Twain" not in " ".join(said(record)[:2]) and record["provenance"]["split_group"] == "web:page"


def test_the_gate_refuses_a_subject_that_is_not_in_the_answer():
    setting = Setting(GRAMMAR, CHAT, [], WORDS, 42)
    plan = Plan([STORM], "describe", "prose", {"topics": "the glacier", "Topics": "The glacier"}, set(), ["the glacier"])
    refused = to_record(passage(), "describe", plan, setting)
    assert isinstance(refused, Unsuitable) and str(refused) == "subject_not_in_answer"
    assert missing_subjects(["the storms", "Natchez"], STORM) == [] and missing_subjects(["storm glaciers"], STORM) == ["glaciers"]


def test_the_gate_looks_at_the_answer_and_not_at_the_opening_that_the_prompt_gives():
    setting = Setting(GRAMMAR, CHAT, [], WORDS, 42)
    plan = Plan(["Then he went below."], "continue", opening="The storm came down.", subjects=["the storm"])
    assert isinstance(to_record(passage(), "continue", plan, setting), Unsuitable)


@pytest.mark.parametrize("text, kind, reason", [
    ("It was so. " * 3, "describe", "too_short"), ("He ran and ran and ran. " * 12, "describe", "no_topic"),
    ("The storm came down. It went away.", "continue", "too_short"), ("Word " * 60 + "end.", "continue", "too_short"),
    ("No one spoke.", "exchange", "no_exchange"), ("He ran.", "aphorism", "no_saying"), ("It Is What It Is", "headline", "no_topic")])
def test_a_passage_that_no_prompt_fits_is_rejected(text, kind, reason):
    with pytest.raises(Unsuitable, match=reason):
        make((headline if kind == "headline" else passage)(text=text), kind)


def test_an_answer_is_cut_behind_a_whole_sentence():
    assert cut_at_sentence("One two three. Four five six. Seven.", 6) == "One two three. Four five six."
    assert cut_at_sentence("One two three. Four five six. Seven.", 5) == "One two three."
    assert cut_at_sentence("One two three four.", 3) == ""
    assert cut_at_sentence("Said Mr. Brown to me. Then he left.", 6) == "Said Mr. Brown to me."


def test_halves_are_cut_between_paragraphs_else_between_sentences():
    assert in_halves("One two.\n\nThree four. Five.", 2) == ("One two.", "Three four. Five.")
    assert in_halves("One two. Three four.", 2) == ("One two.", "Three four.")
    assert in_halves("One two. Three.", 2) is None


def test_join_reads_as_english():
    assert [join(["a"]), join(["a", "b"]), join(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_editions_of_one_book_are_one_document_and_so_are_the_passages_of_a_page():
    old = passage(title="The Autobiography of Benjamin Franklin", author="Benjamin Franklin")
    new = passage(title="Autobiography of Benjamin Franklin", author="Benjamin Franklin")
    assert document_key(old) == document_key(new) != document_key(passage())
    assert document_key(headline(1)) != document_key(headline(2))
    assert document_key(passage(id="web:a#000001", source="web")) == document_key(passage(id="web:a#000002", source="web"))


def test_the_same_seed_gives_the_same_record():
    assert make(passage(), "describe") == make(passage(), "describe")


@pytest.mark.parametrize("request_, wish, tags", [("satire", "line", {"satire"}), ("odd_news", "line", {"odd_news"})])
def test_no_prompt_for_headlines_is_frequent(request_, wish, tags):
    """15,000 of 18,000 records are headlines, so a skeleton may have 0.5 % of both sorts together."""
    rng = random.Random(1)
    drawn = Counter(ask(GRAMMAR, request_, wish, rng, {"words": "X", "Words": "X"}, tags) for _ in range(8000))
    assert drawn.most_common(1)[0][1] / 8000 < 0.01 and len(drawn) > 3000


def test_every_phrase_can_be_said_with_the_facts_it_is_given():
    facts = {"topics": "the river", "Topics": "The river", "place": "Natchez", "weather": "the storm", "words": "salt", "Words": "Salt"}
    rng, wishes = random.Random(1), {"describe": "prose", "page": "prose", "continue": None}
    for request in GRAMMAR["requests"]:
        for tags in ({"twain", "long"}, {"franklin", "short", "place"}, {"web", "weather"}, {"satire"}):
            for _ in range(150):
                text = ask(GRAMMAR, request, wishes.get(request, "line"), rng, facts, tags)
                assert not re.search(r"[\[\]{}|]|\?[a-z]|  | [,.!]", text), text


@pytest.mark.parametrize("role", ["twain", "franklin", *DESKS.values()])
def test_system_prompts_carry_the_persona_and_differ(role):
    rng = random.Random(1)
    drawn = Counter(system_prompt(GRAMMAR, role, rng) for _ in range(2000))
    assert drawn.most_common(1)[0][1] / 2000 < 0.04 and len(drawn) > 400
    name = {"twain": "Twain|Clemens|Huckleberry", "franklin": "Franklin|Poor Richard"}.get(role, "")
    assert all(re.search(name, text) for text in drawn)


def test_every_source_has_its_kinds():
    assert set(KINDS) == {"gutenberg", "web", "reddit-theonion", "reddit-nottheonion"} == {"gutenberg", *DESKS}
