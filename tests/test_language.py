"""Which language: sentences of each kind, mixtures, dialect, names, and other languages of the shared corpora by length."""
import random
import zipfile

import pytest

from paths import REPO_DIR
from weatherman.corpus.language import FOREIGN_SHARE, common_words, is_language, second_opinion

LANGID = REPO_DIR.parent / "shared" / "corpora" / "langid"
ENGLISH = ("The river rose in the night and took the lower fence with it, as everybody had expected, and nobody but the mule was sorry, "
           "since the mule had slept there and had liked the view. ")
GERMAN = ("Der Fluss stieg in der Nacht und nahm den unteren Zaun mit, wie alle es erwartet hatten, und niemand ausser dem Maultier war "
          "traurig, denn es hatte dort geschlafen und die Aussicht gemocht. ")


@pytest.mark.parametrize("text, english", [
    (ENGLISH, True), (GERMAN, False),
    ("Well, den, dis is de way I look at it; you hain't got no call to blame me, nohow.", True),
    ("I reckon he warn't ever a-going to see that raft agin, and I says so.", True),
    ("Och aye, I dinna ken what the auld wife wad say tae that, but it's a braw nicht.", True),
    ("La rivière monta pendant la nuit et emporta la clôture, comme tout le monde s'y attendait.", False),
    ("El río creció durante la noche y se llevó la cerca, como todos lo esperaban.", False),
    ("El rio crecio durante la noche", False), ("Der Fluss stieg in der Nacht", False), ("Der Fluss Stieg In Der Nacht", False),
    ("Река поднялась ночью и унесла забор", False), ("Sông dâng lên trong đêm và cuốn trôi hàng rào", False), ("川は夜に増水した", False),
    ("Bernie Sanders unveils Stop Walmart Act", True), ("Gorilla Sales Skyrocket After Latest Gorilla Attack", True),
    ("Netanyahu: Saudi Arabia deserves a pass for Khashoggi murder", True), ("12 34 56 !!!", False), ("", False)])
def test_is_english(text, english):
    assert is_language(text, "en", 42) is english


def test_a_text_that_changes_its_language_goes_and_a_quotation_stays():
    assert FOREIGN_SHARE == 0.25
    assert not is_language(ENGLISH * 2 + GERMAN * 2, "en", 42)
    assert not is_language(GERMAN + ENGLISH * 2, "en", 42)
    assert is_language(ENGLISH * 5 + GERMAN, "en", 42)


def test_another_language_can_be_asked_for_without_its_common_words():
    assert common_words("de") == frozenset()
    assert is_language(GERMAN, "de", 42) and not is_language(ENGLISH, "de", 42)


def test_the_second_opinion_is_seeded_and_may_abstain():
    assert second_opinion("12345 !!!", 42) is None
    assert len({second_opinion("Big Tuna Finds a Scapegoat", 42) for _ in range(5)}) == 1


@pytest.mark.skipif(not LANGID.is_dir(), reason="../shared/corpora/langid is absent")
@pytest.mark.parametrize("words", [6, 9, 12, 25])
def test_other_languages_of_the_shared_corpora_go(words):
    rng, texts = random.Random(words), []
    with zipfile.ZipFile(LANGID / "nltk_udhr.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.endswith("-Latin1") and "English" not in name:
                found = archive.read(name).decode("latin-1").split()
                start = rng.randrange(max(1, len(found) - words))
                texts.append(" ".join(found[start:start + words]))
    assert len(texts) > 150
    kept = [text for text in texts if is_language(text, "en", 42) or is_language(text.title(), "en", 42)]
    assert len(kept) <= 0.02 * len(texts), kept
