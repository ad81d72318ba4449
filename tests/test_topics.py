"""Subjects of texts and headlines: what a corpus teaches of words, and what is named, or left out, because of it."""
import pytest

from dialogue_records import STORM
from weatherman.dialogue.headlines import headline_topics, sentence_case, story_of
from weatherman.dialogue.topics import learn_words, passage_names, passage_place, passage_topics, passage_weather, stem, tagged

HEADLINES = [
    "Local Barometer Resigns After Disappointing Forecast", "Man Says Barometer Was Right", "A goat was elected mayor in Ohio",
    "The man saw a goat, and Kanye West saw it too", "It was raining when Kanye West came to Ohio",
    "The police said a barometer fell in Ohio",
    "The forecast in Ohio was right, and the mayor of the town said so"]
PROSE = " ".join(["The goat ate mustard, and no mustard was left.", "A goat is a judge of mustard; the cook keeps mustard for a goat."] * 5)
WORDS = learn_words([STORM, PROSE, *HEADLINES])


def test_a_corpus_teaches_nouns_names_and_places():
    assert {"storm", "captain", "river", "supper", "goat", "mustard"} <= set(WORDS.nouns)
    assert not {"came", "swore", "cold", "said"} & set(WORDS.nouns)
    assert WORDS.names == {"Natchez", "Kanye", "West", "Ohio"} and WORDS.places == {"Natchez", "Ohio"}
    assert "goat" in WORDS.counted and "mustard" not in WORDS.counted and WORDS.mass == {"mustard"}
    assert WORDS.nouns["supper"] > WORDS.nouns["barometer"] > 0


def test_the_subjects_of_a_passage_are_its_own_things_place_and_weather():
    assert passage_topics(STORM, WORDS) == ["the river", "the captain", "the storm"]
    assert passage_place(STORM, WORDS) == "Natchez"
    assert passage_weather(STORM, ["rain", "storm"], WORDS) == "the storm" and passage_weather(STORM, ["rain"], WORDS) is None


def test_a_word_is_a_subject_as_a_noun_only():
    text = "It was time to storm the fort. They storm and swear. The river rose and the river fell."
    assert passage_topics(text, learn_words([text])) == ["the river"]


def test_vague_words_are_no_subjects():
    text = "The thing was the other way. The thing on the side of the thing."
    assert passage_topics(text, learn_words([text])) == []


def test_one_form_of_a_word_is_enough():
    text = "The goat ate. The goats ate hay. The goat slept, and the goats slept."
    assert passage_topics(text, learn_words([text])) in (["the goat"], ["the goats"])


def test_a_title_favours_its_words():
    text = "The river met a tariff. The river rose. The river fell. The captain saw a tariff fall on the captain."
    words = learn_words([text])
    assert passage_topics(text, words)[0] == "the river" and "the tariff" in passage_topics(text, words, {"tariff"})


def test_people_are_named_by_their_fullest_name():
    text = ("Then Tom Sawyer came. Now Tom sat, and Tom Sawyer spoke. I saw Mr. Bixby; then Mr. Bixby saw us. "
            "The Mississippi, the Mississippi.")
    words = learn_words([text, "He met Tom on the Mississippi, and there Sawyer sat with them by the Mississippi all day."])
    assert passage_names(text, words) == ["Tom Sawyer", "Mr. Bixby"]


def test_stems_join_the_forms_of_a_word():
    assert stem("Storms") == stem("storm") == stem("storming") and stem("storm") != stem("rain")


def test_tagging_keeps_possessives_and_contractions_apart():
    assert [word for word, _ in tagged("The captain’s dog didn't bark.")] == ["The", "captain", "'s", "dog", "didn't", "bark", "."]


@pytest.mark.parametrize("text, story", [
    ("Video: At Last: Man Sleeps All Day", "Man Sleeps All Day"), ("Report: Cat Has Had Enough Of It", "Cat Has Had Enough Of It"),
    ("Goat: Mayor", "Goat: Mayor"), ("Trump: I know that was bad", "Trump: I know that was bad"), ("News: A goat", "News: A goat")])
def test_what_a_headline_begins_with_is_no_subject(text, story):
    assert story_of(text, WORDS) == story


def test_title_case_is_read_as_a_sentence():
    assert sentence_case("Local Barometer Told Kanye West It Fell", WORDS) == "local barometer told Kanye West it fell"
    assert sentence_case("Goat Saw New Ohio And Kanye Bixby", WORDS) == "goat saw New Ohio and Kanye Bixby"
    assert sentence_case("The goat ate. And Kanye saw it", WORDS) == "the goat ate. and Kanye saw it"


@pytest.mark.parametrize("text, topics", [
    ("Local Barometer Resigns After Disappointing Forecast", [("Barometer", None)]),
    ("Barometer Wins Forecast", [("Barometer", None)]),
    ("Kanye West Says That His Neighbors Have Stolen A Goat From Him", [("Kanye West", "Kanye West"), ("Goat", "a goat")]),
    ("High School Barometer Elected Mayor By Some Of Those Who Voted In Ohio", [
        ("High School Barometer", None), ("Ohio", "Ohio")]),
    ("Kanye Says Nothing Of Goat That He Has Stolen", [("Goat", "a goat")]),                          # half a name
    ("Officials Say ‘Goat Of The Town’ Has Stolen The Forecast", [("Forecast", None)]),               # half a quotation
    ("Barometer & Goat Selected By Nearly All Those Around Them", [("Barometer & Goat", None)]),
    ("Barometer And Goat Selected By Nearly All Those Around Them", []),                              # half of "rock and roll"?
    ("Barometer.goat Was Selected By Nearly All Those Around Them", []),
    ("How To Brew A Forecast From Almost Nothing At All", [("Forecast", None)]),                      # a verb behind "to"
    ("It Is What It Is", [])])
def test_a_headline_is_about_its_first_noun_and_its_rarest(text, topics):
    assert headline_topics(text, WORDS) == topics


def test_a_topic_does_not_give_a_headline_away():
    assert headline_topics("Goat mayor", WORDS) == [] and headline_topics("Kanye West", WORDS) == []


def test_a_topic_takes_its_article_where_the_corpus_tells():
    assert headline_topics("Then Goat, Mustard Were Seen Together Near The River", WORDS) == [("Goat", "a goat"), ("Mustard", "mustard")]
    assert headline_topics("Supper Was What They Wanted From Them", WORDS) == [("Supper", None)]
