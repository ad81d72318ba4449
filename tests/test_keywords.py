"""Weather and humour words: the labelled lines, each sense with its neighbour, and the file of senses itself."""
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure_keywords import DOMAINS, labelled, outcomes, precision_recall
from weatherman.corpus import keywords
from weatherman.corpus.keywords import matched_keywords

MIN_PRECISION, MIN_RECALL = 0.95, 0.93


def test_the_labelled_file_is_large_and_mixed():
    rows = labelled()
    assert len(rows) >= 500 and len({row["text"] for row in rows}) == len(rows)
    for part in ("development", "held-out"):
        for domain in DOMAINS:
            share = sum(row[domain] for row in rows if row["part"] == part) / sum(row["part"] == part for row in rows)
            assert 0.2 <= share <= 0.5


@pytest.mark.parametrize("part", ["development", "held-out"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_precision_and_recall(part, domain):
    precision, recall = precision_recall(outcomes([row for row in labelled() if row["part"] == part], domain))
    assert precision >= MIN_PRECISION and recall >= MIN_RECALL


def test_precision_and_recall_by_hand():
    judged = [(None, True, True), (None, True, False), (None, False, True), (None, True, True), (None, False, False)]
    assert precision_recall(judged) == (2 / 3, 2 / 3)


@pytest.mark.parametrize("text, found", [
    ("Storms all week", ["storm"]), ("It was raining.", ["rain"]), ("Snowfall and windy weather", ["snow", "weather", "wind"]),
    ("Forecasters shrug", ["forecast"]), ("HEAVY RAIN", ["rain"]), ("the storm’s end", ["storm"]),
    ("the heat of noon", ["heat"]), ("the heat of the day", ["heat"]), ("the intense heat of noon", ["heat"]), ("Miami Heat", []),
    ("Stocks fall", []), ("brainstorm", []), ("Snowden", []), ("ICE agents", []), ("ICE detains three", []),
    ("The ice on the pond broke up", ["ice"]), ("cold case", []), ("a cold wind blew", ["cold", "wind"]), ("hail Mary", []),
    ("Rain Man", []), ("", []), ("12 %", []), ("El Niño returns", ["climate"]), ("He was in good humour", []),
    ("the humor of it", ["humor"]),
    ("rhubarb fool", []), ("an old fool", ["fool"]), ("They fool experts", []), ("Judge laughs at lawyer", ["laugh"]),
    ("The milk smelled funny", []), ("No laughing matter", ["laugh"]), ("The river was choked with ice", ["ice"])])
def test_stems_and_senses(text, found):
    assert matched_keywords(text) == found


def test_a_sure_word_vouches_for_an_unsure_one_in_its_sentence_only():
    assert matched_keywords("Rain, then cold.") == ["cold", "rain"]
    assert matched_keywords("Rain. The soup was cold.") == ["rain"]
    assert matched_keywords("Rain " + "and the long, long road " * 6 + "cold.") == ["rain"]


def test_a_wrong_sense_vouches_for_nothing():
    assert matched_keywords("Jon Snow was cold.") == []


def test_names_of_the_domains():
    assert {"storm", "rain", "barometer"} <= set(keywords.keyword_names("weather"))
    assert {"laugh", "joke"} <= set(keywords.keyword_names("humor"))


def test_every_pattern_names_its_word_and_no_form_stands_in_two_lists_of_one_keyword():
    rules = keywords.load().values
    for domain in DOMAINS:
        for name, rule in getattr(rules, domain).items():
            for source in [*rule.when, *rule.never]:
                assert re.search(r"<[^<>]*>", source), f"{name}: {source}"
            sure, unsure = ({form for item in items for form in keywords.forms(item)} for items in (rule.sure, rule.unsure))
            assert not sure & unsure, name
            assert all(re.fullmatch(r"[^\W\d_]+", form) and form.islower() for form in sure | unsure), name
            assert not rule.when or rule.unsure, f"{name}: `when` is for unsure words"


@given(st.text(alphabet=string.ascii_letters + " .,'<>\0\nİß’—", max_size=200))
def test_any_text_is_answered_with_known_names(text):
    assert set(matched_keywords(text)) <= {name for domain in DOMAINS for name in keywords.keyword_names(domain)}
