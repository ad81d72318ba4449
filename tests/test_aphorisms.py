"""Sayings: Poor Richard's in quotation marks, maxims in prose, and sentences that only look like them."""
import pytest

from weatherman.dialogue.aphorisms import is_maxim, saying_topic, sayings
from weatherman.dialogue.topics import learn_words

RICHARD = ("'It was so then, \"The roof is mended best in dry weather;\" as Poor Richard says; and again, \"Debt keeps late hours, and "
           "idleness sits up with it.\" But, as he adds, \"then pay.\" And \"How much is a penny worth?\"")
WORDS = learn_words([RICHARD, "The debt and the roof of a barn. A debt is a roof. Idleness is a debt. A goat in a barn, the goat."])


def test_poor_richards_sayings_are_what_he_says_and_nothing_else():
    assert sayings(RICHARD) == ["The roof is mended best in dry weather.", "Debt keeps late hours, and idleness sits up with it."]
    assert sayings(RICHARD.replace("Poor Richard", "somebody")) == []


@pytest.mark.parametrize("sentence, yes", [
    ("Nobody is so deaf as a debtor at noon.", False),  # "so" points to what went before
    ("Nobody is as deaf as a debtor at noon.", True), ("It is easier to forecast rain than to forgive it.", True),
    ("Men will forgive a liar before they forgive a prophet.", False), ("Men can forgive a liar before a prophet.", True),
    ("Nobody was deaf at noon.", False), ("Nobody is deaf in Boston.", False), ("The goat is in the barn.", False),
    ("It is on the left bank of the river.", False), ("Nobody is as deaf as I.", False)])
def test_a_maxim_speaks_of_everyone_and_always(sentence, yes):
    assert is_maxim(sentence) is yes


def test_a_saying_is_about_its_first_noun_with_the_article_it_has():
    assert saying_topic("Idleness keeps a barn.", WORDS) == "idleness"
    assert saying_topic("A good barn outlives a debt.", WORDS) == "a barn"
    assert saying_topic("The goat in the barn eats hay.", WORDS) == "the goat"
    assert saying_topic("So it goes.", WORDS) is None
