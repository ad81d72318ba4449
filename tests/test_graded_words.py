"""Graded words: what drops a text in every disguise, what must not. The dropped ones stand here in ROT13, as in the configuration."""
import codecs

import pytest

from weatherman.corpus import graded_words
from weatherman.corpus.graded_words import bad_grade

SLUR, SECOND, OATH = (codecs.encode(word, "rot13") for word in ("avttre", "snttbg", "shpx"))


@pytest.mark.parametrize("text", [SLUR, SLUR.upper(), SLUR + "s", SLUR + "ish", SECOND + "s", f"“{SLUR},” he said", f"half {SLUR}'s worth",
                                  f"the old {SLUR}-work", SLUR.replace("i", "1"), SLUR.replace("i", "!"), SLUR.replace("e", "3"),
                                  SLUR[0] + "****" + SLUR[-1], SLUR[0] + "----" + SLUR[-1], " ".join(SLUR), ".".join(SLUR),
                                  SLUR.replace("gg", "gggg"), SLUR.replace("gg", "99"), SECOND.replace("a", "@"), SECOND.replace("o", "0")])
def test_slurs_in_every_disguise(text):
    assert bad_grade(f"He said {text} twice.") == "slur"


@pytest.mark.parametrize("text", [OATH, OATH + "ing", OATH[0] + "**" + OATH[-1], OATH[0] + "*" + OATH[2:], OATH[0] + "--" + OATH[-1],
                                  OATH.replace("u", "uuuu"), ".".join(OATH), "mother" + OATH + "er"])
def test_strong_oaths_in_every_disguise(text):
    assert bad_grade(f"Well {text} that.") == "obscene"


@pytest.mark.parametrize("text, grade", [
    ("a pbba qbt", None), ("mvc pbba", "slur"), ("bhe Vawha Wbr", None), ("na Vawha pnzc", "slur"), ("n puvax va gur jnyy", None),
    ("qnzarq puvax", "slur"), ("gur qlxr nybat gur evire", None), ("ohyy qlxr", "slur"), ("fcvp naq fcna", None), ("n fcvp", "slur"),
    ("n snt-raq", None), ("n snt", "slur"), ("ergneqrq ol zhq", None), ("lbh ergneq", "slur"), ("zragnyyl ergneqrq", "slur"),
    ("zhq ergneqf gur pbyhza", None)])
def test_words_with_two_senses(text, grade):
    assert bad_grade(codecs.encode(text, "rot13")) == grade


@pytest.mark.parametrize("text, grade", [
    ("puvyq cbea evat oebxra", "sexual_minor"), ("grnpure unq frk jvgu 15-lrne-byq", "sexual_minor"),
    ("zna, 40, unf frk jvgu 40-lrne-byq", None), ("frk rqhpngvba sbe puvyqera", None), ("gur frk bs gur onol", None),
    ("gur puvyqera tebcrq gurve jnl", None), ("fpubbyobl zbyrfgrq", "sexual_minor"), ("cnegl ryrpgf cnrqbcuvyr", "sexual_minor")])
def test_children(text, grade):
    assert bad_grade(codecs.encode(text, "rot13")) == grade


@pytest.mark.parametrize("text", [
    "Damn it to hell, you bloody ass, the devil take it, by George!", "A niggardly man from Scunthorpe sniggered at the Nigerian",
    "fire retardant", "a spook, a cracker and a queer fish", "class assassin, cocktail, Essex, cumulus, shiitake", "Dick Van Dyke",
    "the negro, the Indian and the mulatto", "d--n and h-ll and d----d", "well--said--and done", "a-going, a-setting, co-op, T-shirt",
    "x****y", "****", "Whoooo! Zzzzz. Aaaah!", "B-52, I-80, COVID-19, 3-1", "a b c d e f g", "J. R. R. T. said", "$5 @ 3% #1", "", "Sh!"])
def test_harmless(text):
    assert bad_grade(text) is None


def test_every_dropped_form_is_found_and_none_is_mild():
    known, mild = graded_words.graded().words, graded_words.load().values.mild
    assert len(known) > 150 and not set(known) & set(mild)
    for form, grade in known.items():
        assert bad_grade(f"so {form}, then") == grade and bad_grade(f"so x{form}x, then") is None, codecs.encode(form, "rot13")
    assert all(bad_grade(f"the {word} of it") is None for word in mild)


def test_every_phrase_has_its_cue():
    for grade, cues, phrase in graded_words.graded().phrases:
        assert cues and phrase.pattern, grade


def test_rot13_keeps_escapes():
    assert graded_words.rot13(r"\bab\w+") == r"\bno\w+"
