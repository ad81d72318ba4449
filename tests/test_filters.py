"""Each filter with a text it must stop and a near miss it must let through."""
import codecs

import pytest

from config_loader import load_config
from corpus_texts import prose
from paths import CONFIGS_DIR
from weatherman import schemas
from weatherman.corpus import filters

SIZES = load_config(CONFIGS_DIR / "data_config.yaml", schemas.DataConfig,
                    overrides=["cleaning.min_words=20", "cleaning.target_words=60", "cleaning.max_words=120",
                               "cleaning.headline_max_words=12"]).values.cleaning
GOOD = ("The river rose in the night and took the lower fence with it. Old Mr. Pell said that he had expected as much, and that nothing "
        "which could not swim had any business so near to moving water.")
ITEMS = ["the mule and the dog", "a bag of flour", "the deacon's hat", "two kegs of nails", "that old gun", "a coil of rope"]
LINES = [f"{item} that they have to be with" for item in ITEMS]
VERSE = ("The river came up in the night,\nAnd the mule was a pitiful sight;\nHe had stood to his knees\nIn the flood and the breeze,\n"
         "And he said to the deacon: \"Good night.\"")
SLUR = codecs.encode("avttref", "rot13")


def repeated(head, run, times):
    """Return a text whose `run` comes `times` times, apart from each other."""
    return " ".join([head, *(f"{run} {word}" for word in "one two three four five six seven eight nine ten".split()[:times])])


@pytest.mark.parametrize("text, reason", [
    (GOOD, None), ("Too short by far.", "too_short"), (prose(150), "too_long"),
    (GOOD + " <|im_start|>", "control_tokens"), (GOOD + " [INST] go [/INST]", "control_tokens"), (GOOD + " </s>", "control_tokens"),
    (GOOD + " a < b and [Instead] of it", None),
    (GOOD + "\n\nProduced by David Widger", "boilerplate"), (GOOD + "\n\nThe sound was produced by David.", None),
    (GOOD + " Write to ann.pell@example.org.", "personal_data"), (GOOD + " It was 5 cents @ 12, in 1876.", None),
    (GOOD + f" So said the {SLUR}.", "slur"), (GOOD + " Damn it, he said, and the devil take it, by George.", None),
    (GOOD + " .nav { color: red; }", "code"), (GOOD + " Lorem ipsum dolor.", "code"), (GOOD + ' <div class="x">', "code"),
    (GOOD + " {1} See the note {footnote}.", None),
    (GOOD + " By using this site you accept cookies.", "web_notice"), (GOOD + " Please enable JavaScript.", "web_notice"),
    (GOOD + " All rights reserved.", "web_notice"), (GOOD + " She baked cookies and reserved the rest.", None),
    (GOOD + " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "symbol_heavy"), (GOOD + " 1 2 3 4 5", None),
    (GOOD + " #a #b #c #d #e", "symbol_heavy"), (GOOD + " #a #b", None),
    (" ".join(["of the at to a I in"] * 4), "odd_word_length"),
    (" ".join(["the incomprehensibilities and the counterrevolutionaries"] * 8).replace("the ", ""), "odd_word_length"),
    ("Mule seen near town; nobody knew what these people thought about him. Some say he went home; others think she did.", "no_stop_words"),
    (GOOD.upper(), "mostly_capitals"), (GOOD[:60].upper() + GOOD[60:], None),
    ("\n".join(f"• {line}." for line in LINES), "bullet_list"),
    ("\n".join([f"• {item}, of course." for item in ITEMS] + [GOOD]), None),
    ("\n".join(f"{line}..." for line in LINES[:2]) + "\n" + "\n".join(f"{line}." for line in LINES[:2]), "cut_lines"),
    ("\n".join(LINES), "unpunctuated"), (VERSE, None),
    ("\n".join([GOOD] * 2 + LINES[:3]), "repeated_lines"),
    ("He said that the mule was gone. " * 8, "repetitive"),
    (repeated(GOOD, "the", 3), None),
    ("Der Fluss stieg in der Nacht und nahm den unteren Zaun mit. Der alte Herr Pell sagte, dass er nichts anderes "
     "erwartet habe, und dass ein Zaun am Wasser nichts zu suchen habe.", "not_english")])
def test_passages(text, reason):
    assert filters.reject_reason(text, SIZES, 42) == reason


@pytest.mark.parametrize("title, reason", [
    ("Area River Rises Again Out Of Spite", None), ("", "empty_title"),
    ("[deleted]", "removed_post"), ("[ removed by reddit ]", "removed_post"), ("Removed Statue Wants Its Hat Back", None),
    ("Report Mixed", "too_short"), ("word " * 13, "too_long"), ("A B - / | : = + ~", "symbol_heavy"),
    ("The Week In Pictures – Week Of August 20, 2018", None), ("Nation Trusts www.example.org Again", "boilerplate"),
    ("Man Called @ann_pell Regrets Name", "personal_data"), (f"Town Of {SLUR} Renamed", "slur"), ("Damn Fence Falls To Hell Again", None),
    ("Der Fluss stieg in der Nacht sehr hoch", "not_english"), ("EPA To Drop 'E,' 'P' From Name", None),
    ("Khashoggi Netanyahu Corsi Mueller Duterte Grindr", "not_english")])
def test_headlines(title, reason):
    assert filters.headline_reject_reason(title, SIZES, 42) == reason


def test_shares_of_runs_by_hand():
    words = "ab cd ef ab cd gh".split()
    assert filters.top_run_share(words, 2) == 8 / 12 and filters.top_run_share(words, 3) == 0.0 == filters.top_run_share([], 2)
    assert filters.repeated_runs_share(words, 2) == 8 / 12  # ab cd, twice
    assert filters.repeated_runs_share("a a a a".split(), 2) == 1.0 and filters.repeated_runs_share(words, 3) == 0.0


def test_runs_of_five_are_measured_where_none_of_three_is_frequent():
    """Two copies of a long run: no short run reaches its limit, but the repeated characters do (Gopher's duplicate n-grams)."""
    run = "while my uncle had stood upon the wharf with nine wet umbrellas"
    text = f"{GOOD} So {run}, I slept. Then {run.replace('umbrellas', 'hats')}, he sneezed."
    assert all(filters.top_run_share(text.split(), size) <= limit for size, limit in zip((2, 3, 4), SIZES.max_top_runs))
    assert filters.reject_reason(text, SIZES, 42) == "repetitive"
    assert filters.reject_reason(text.replace("Then while my uncle had stood upon", "Then as she sat in"), SIZES, 42) is None
