"""Chat records from passages: the prompt is about the passage, the answer is the passage, pools stay apart."""
import random
from collections import defaultdict

import pytest

from dialogue_records import STORM, headline, passage
from weatherman.dialogue.instruct import PHRASES, Unsuitable, assign_pools, cut_at_sentence, document_key, join, make_record
from weatherman.dialogue.leakage import skeleton
from weatherman.dialogue.phrases import load_phrases, say
from weatherman.dialogue.topics import headline_words, passage_place, passage_topics, passage_weather
from weatherman.records import ChatRecord, check
from weatherman.schemas import ChatPhrases

CHAT = {"max_answer_words": 400, "min_answer_words": 30, "opening_words": 20}
_, POOLS = load_phrases(PHRASES, ChatPhrases)


def make(row, kind, pool=("literary", 0), chat=CHAT):
    record = make_record(row, kind, pool, POOLS, chat, ["storm", "rain"], 42)
    check(ChatRecord, record)
    return record, *(m["content"] for m in record["messages"])


def test_describe_asks_for_what_the_passage_speaks_of():
    assert passage_topics(STORM) == ["the river", "the captain", "the storm"]
    assert passage_place(STORM) == "Natchez" and passage_weather(STORM, ["rain", "storm"]) == "the storm"
    for number in range(8):
        record, _, prompt, answer = make(passage(), "describe", ("literary", number))
        assert "the river" in prompt and "the captain" in prompt and answer == STORM
    assert record["provenance"]["documents"] == [{"id": "gutenberg:9001", "sha256": "a" * 64, "start": 10, "end": 20, "license": "CC0"}]
    assert record["provenance"]["split_group"] == "literary:7"
    assert record["tags"] == {"persona": "twain", "tone": "humorous", "domain": "weather", "source": "gutenberg"}


def test_carry_on_gives_whole_opening_sentences_and_the_rest_is_the_answer():
    record, _, prompt, answer = make(passage(), "carry_on")
    instruction, opening = prompt.split("\n\n")
    assert opening == "The storm came down on the river before supper."
    assert f"{opening} {answer}" == STORM


def test_an_answer_is_cut_behind_a_whole_sentence():
    assert cut_at_sentence("One two three. Four five six. Seven.", 6) == "One two three. Four five six."
    assert cut_at_sentence("One two three. Four five six. Seven.", 5) == "One two three."
    assert cut_at_sentence("One two three four.", 3) == ""
    assert cut_at_sentence("Said Mr. Brown to me. Then he left.", 6) == "Said Mr. Brown to me."
    _, _, _, answer = make(passage(), "describe", chat={**CHAT, "max_answer_words": 40})
    assert STORM.startswith(answer) and answer.endswith(".") and len(answer.split()) <= 40


@pytest.mark.parametrize("text, kind, reason", [
    ("It was so. " * 3, "describe", "too_short"), ("He ran and ran and ran. " * 12, "describe", "no_topic"),
    ("The storm came down. It went away.", "carry_on", "too_short"),
    ("Word " * 60 + "end.", "carry_on", "too_short"),  # one sentence: nothing is left to answer
])
def test_a_passage_that_no_prompt_fits_is_rejected(text, kind, reason):
    with pytest.raises(Unsuitable, match=reason):
        make(passage(text=text), kind)


def test_a_headline_is_asked_for_by_its_own_words():
    assert headline_words("Local Barometer Resigns After Disappointing Forecast") == ["Barometer", "Forecast"]
    assert headline_words("It Is What It Is") == []
    record, system, prompt, answer = make(headline(), "satire", ("headline", 3))
    assert '"Barometer" and "Forecast"' in prompt and answer == "Local Barometer Resigns After Disappointing Forecast"
    assert record["tags"]["tone"] == "satirical" and record["provenance"]["documents"][0]["id"] == "reddit:1"
    with pytest.raises(Unsuitable, match="no_topic"):
        make(headline(text="It Is What It Is"), "satire", ("headline", 3))


def test_names_are_no_nouns_and_verbs_no_topics():
    text = ("The Mississippi rose. The Mississippi fell. We saw the running of the boat. "
            "Over the boat stood Tom Sawyer; then came Tom Sawyer again.")
    assert passage_topics(text) == ["the boat", "Tom Sawyer"]


def test_join_reads_as_english():
    assert [join(["a"]), join(["a", "b"]), join(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_editions_of_one_book_are_one_document():
    old = passage(title="The Autobiography of Benjamin Franklin", author="Benjamin Franklin")
    new = passage(title="Autobiography of Benjamin Franklin", author="Benjamin Franklin")
    assert document_key(old) == document_key(new) != document_key(passage())
    assert document_key(headline(1)) != document_key(headline(2))


def test_few_books_are_dealt_to_as_many_pools_and_headlines_evenly():
    books = [passage(title=f"Book {n}", persona=persona) for persona, count in (("twain", 5), ("franklin", 3)) for n in range(count)
             for persona in [persona]]
    for number, book in enumerate(books):
        book["title"] += str(number)
    pools = assign_pools(books + [headline(n) for n in range(100)], POOLS, 42)
    assert sorted(pool for pool in pools.values() if pool[0] == "literary") == [("literary", n) for n in range(8)]
    assert {list(pools.values()).count(("headline", n)) for n in range(20)} == {5}
    assert pools == assign_pools(books[::-1] + [headline(n) for n in reversed(range(100))], POOLS, 42)
    assert pools != assign_pools(books + [headline(n) for n in range(100)], POOLS, 43)


def test_the_same_seed_gives_the_same_record():
    assert make(passage(), "describe") == make(passage(), "describe")
    assert len({make(passage(n), "describe")[2] for n in range(30)}) > 3


def test_no_phrase_stands_in_two_pools():
    facts = {"topics": "the river", "place": "Natchez", "weather": "the storm", "words": '"River"'}
    owner, said = {}, defaultdict(set)
    for family, pools in POOLS.items():
        for number, pool in enumerate(pools):
            for key, phrases in pool.items():
                for seed in range(60):
                    text = skeleton(say(phrases, random.Random(seed), facts, {"place"} if seed % 2 else {"weather"}))
                    assert owner.setdefault(text, (family, number)) == (family, number), text
                    said[key].add(text)
    assert len(POOLS["literary"]) == 8 and len(POOLS["headline"]) == 20
    assert len(said["describe"]) >= 50 and len(said["satire"]) >= 40
