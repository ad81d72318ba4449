"""Each filter with a text it must stop and a neighbour it must let through."""
from types import SimpleNamespace

import pytest

from corpus_texts import prose
from weatherman.corpus import filters

SIZES = SimpleNamespace(min_words=20, max_words=120, headline_min_words=4, headline_max_words=12, min_word_share=0.8, max_capital_share=0.5,
                        max_repeated_share=0.18, language="en", language_min_words=6)
GOOD = ("The river rose in the night and took the lower fence with it. Old Mr. Pell said that he had expected as much, and that nothing "
        "which could not swim had any business so near to moving water.")


@pytest.mark.parametrize("text, reason", [
    (GOOD, None),
    ("Too short by far.", "too_short"),
    (prose(150), "too_long"),
    (GOOD + " <|im_start|>", "control_tokens"), (GOOD + " [INST] go [/INST]", "control_tokens"), (GOOD + " </s>", "control_tokens"),
    (GOOD + " a < b and [Instead] and <small>", None),
    (GOOD + "\n\nProduced by David Widger", "boilerplate"), (GOOD + "\n\nThe sound was produced by David.", None),
    (GOOD + " See www.example.org for more.", "boilerplate"),
    (GOOD + " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "symbol_heavy"),
    (GOOD.upper(), "mostly_capitals"),
    ("He said it was so. " * 8, "repetitive"),
    ("Der Fluss stieg in der Nacht und nahm den unteren Zaun mit. Der alte Herr Pell sagte, dass er nichts anderes erwartet habe, "
     "und dass ein Zaun am Wasser nichts zu suchen habe.", "not_english"),
    (GOOD + " Damn it, he said, and the devil take it, by George.", None)])
def test_passages(text, reason):
    assert filters.reject_reason(text, SIZES, 42) == reason


@pytest.mark.parametrize("word, stopped", [("nigger", True), ("Niggers", True), ("darkies", True), ("faggot", True), ("niggardly", False),
                                           ("dark", False), ("negro", False), ("retarding", False), ("japan", False), ("snigger", False)])
def test_slurs_as_whole_words(word, stopped):
    assert filters.unfit(f"He said {word} twice.") == ("slur" if stopped else None)


@pytest.mark.parametrize("title, reason", [
    ("Area River Rises Again Out Of Spite", None), ("", "empty_title"),
    ("[deleted]", "removed_post"), ("[ removed by reddit ]", "removed_post"),
    ("Report Mixed", "too_short"), ("word " * 13, "too_long"), ("A B - / | : = + ~", "symbol_heavy"),
    ("The Week In Pictures – Week Of August 20, 2018", None), ("Nation Trusts www.example.org Again", "boilerplate"),
    ("Khashoggi Netanyahu Corsi Mueller Duterte Grindr", "not_english"),
    ("Der Fluss stieg in der Nacht sehr hoch", "not_english"), ("EPA To Drop 'E,' 'P' From Name", None)])
def test_headlines(title, reason):
    assert filters.headline_reject_reason(title, SIZES, 42) == reason


def test_repeated_share_by_hand():
    assert filters.repeated_share("ab cd ef ab cd ef".split()) == 1.0
    assert filters.repeated_share("a b c d e".split()) == 0.0 == filters.repeated_share([])


def test_keywords_by_stem():
    keywords = {"weather": ["storm", "rain", "snow", "weather"], "humor": ["laugh", "funny"]}
    assert filters.matched_keywords("It was raining; two Storms laughed.", keywords) == ["laugh", "rain", "storm"]
    assert filters.matched_keywords("Snowden had a brainstorm about trains. Whether?", keywords) == []
