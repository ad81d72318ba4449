"""Is a file the book that was asked for? Hand-made headers and records, each refusal with its fault."""
import gzip
import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_texts import HEADER, RDF, book, prose
from weatherman.corpus import gutenberg
from weatherman.corpus.boilerplate import body_span
from weatherman.corpus.gutenberg import Refused

BOOK = SimpleNamespace(id=7, title="A River Year", author="Ann Pell")


GERMAN = ("Der alte Fischer saß am Ufer und sah dem Wasser zu, das in der Nacht gestiegen war. Er sagte, daß er es nicht anders "
          "erwartet habe, und daß ein Zaun, der nicht schwimmen könne, so nahe am Fluß nichts zu suchen habe.\n\n")
OLD = ("**Welcome To The World of Free Plain Vanilla Electronic Texts**\n\n**The Project Gutenberg Etext of A River Year, by Ann Pell**\n\n"
       "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n")
WHOLE = {"title": "A River Year; or, The Lower Fence", "author": "Ann Pell (Mrs. Pell)", "language": "en",
         "rights": "Public domain in the USA.", "encoding": "utf-8"}


def rdf(title="A River Year", author="Pell, Ann", language="en", rights="Public domain in the USA."):
    return RDF.format(title=title, author=author, language=language, rights=rights).encode()


def answer(**changes):
    """Return what Gutendex says of the book, as its README describes it."""
    record = {"id": 7, "title": "A River Year", "authors": [{"name": "Pell, Ann", "birth_year": 1840, "death_year": None}],
              "translators": [], "subjects": [], "bookshelves": [], "languages": ["en"], "copyright": False, "media_type": "Text",
              "formats": {}, "download_count": 3}
    return json.dumps({**record, **changes}).encode()


def verify(text, catalogue=None):
    raw = text if isinstance(text, bytes) else text.encode()
    return gutenberg.verify(BOOK, raw, catalogue and gutenberg.read_catalogue(catalogue), "en", 42)


def test_layout():
    assert gutenberg.folder_of(3177) == "3/1/7/3177" and gutenberg.folder_of(7) == "0/7" and gutenberg.folder_of(74) == "7/74"
    assert gutenberg.candidates(74) == ["7/74/74-0.txt", "7/74/74.txt", "7/74/74-8.txt", "cache/epub/74/pg74.txt"]
    assert gutenberg.catalogue_path(74) == "cache/epub/74/pg74.rdf"


@pytest.mark.parametrize("catalogue", [None, rdf()])
def test_a_good_book(catalogue):
    assert verify(book(), catalogue) == WHOLE


def test_rights_of_the_record_come_first():
    assert verify(book(), rdf(rights="CC0 1.0"))["rights"] == "CC0 1.0"


@pytest.mark.parametrize("raw, catalogue", [
    (OLD + prose(900) + "\n\nTHE END\n\n", None), (OLD + prose(900), None), ("\n" + prose(900) + "\n\n***\n", rdf()), (prose(900), rdf()),
    (OLD + prose(900) + "\n\nEnd of The Project Gutenberg Etext of A River Year\n", None)])
def test_texts_that_end_without_a_marker(raw, catalogue):
    assert verify(raw, catalogue)["title"] == "A River Year"


@pytest.mark.parametrize("raw, catalogue, reason, message", [
    (book(header=HEADER.replace("Title: A River Year", "Title: The Sacred Wood")), None, "title", "its title is"),
    (book(header=HEADER.replace("Ann Pell", "T. S. Eliot")), None, "author", "it is by T. S. Eliot"),
    (book(header=HEADER.replace("English", "German")), None, "language", 'its language is "German"'),
    (book(header="** This is a COPYRIGHTED Project Gutenberg eBook **\n" + HEADER), None, "copyrighted", "may not be used"),
    (book() + "This particular work is one of the few copyrighted\r\nindividual works included.", None, "copyrighted", "may not be used"),
    (book(), rdf(title="Another Book"), "title", "its title is"),
    (book(), rdf(author="Eliot, T. S."), "author", "it is by"),
    (book(), rdf(language="de"), "language", 'its language is "de"'),
    (book(), rdf(rights="Copyrighted. Read the copyright notice inside this book for details."), "copyrighted", "may not be used"),
    (book(), b"<rdf:RDF", "bad_record", "is not XML"),
    (book(), b"<a/>", "bad_record", "describes no ebook"),
    (book(body="\n\n".join(f"##  Volume {n}" for n in range(200))), None, "no_book", "an index or a listing"),
    ("total 12\n" + "-rw-rw-r--  1 1005  100  247438 Feb  4  2001 07tom10.txt\n" * 40, None, "no_book", "an index or a listing"),
    (book(body=GERMAN * 20), None, "language", 'its text is not in "en"'),
    (GERMAN * 20, rdf(language=""), "language", 'its text is not in "en"'),
    (prose(900), None, "unstated", "states its title, authors, rights"),
    (OLD.replace(", by Ann Pell", "") + prose(900), None, "unstated", "states its authors"),
    (OLD.replace("A River Year", "The River") + prose(900), None, "unstated", 'in the first line its title is "The River"'),
    (book().partition("*** END OF")[0].partition("End of the Proj")[0], None, "cut_short", "without an END marker"),
    (book()[:2500], None, "cut_short", "without an END marker"),
    ((OLD + prose(900))[:-40], None, "cut_short", "without an END marker at \""),
    (prose(900)[:-40], rdf(), "cut_short", "without an END marker"),
    (HEADER, None, "cut_short", "words besides its header"),
    ("", None, "empty", "is empty"), ("\ufeff \r\n", None, "empty", "is empty"),
    (book().replace("number", "num\0ber"), None, "not_text", "no text"),
    (book().encode("utf-16"), None, "not_text", "UTF-16"),
    (b"PK\x03\x04" + bytes(range(256)), None, "not_text", "a zip archive"),
    (gzip.compress(book().encode()), None, "not_text", "a gzip file"),
    (f"\n<!DOCTYPE html><html><title>Title: A River Year</title><body>{prose(900)}</body></html>", None, "web_page", "a web page"),
    (b"\xef\xbb\xbf<HTML>" + book().encode(), None, "web_page", "a web page"),
], ids=lambda value: value[:20] if isinstance(value, str) else "")
def test_refusals(raw, catalogue, reason, message):
    with pytest.raises(Refused, match=message) as error:
        verify(raw, catalogue)
    assert error.value.reason == reason
    assert "{" not in gutenberg.HINTS[reason].format(id=7, language="en")


def test_a_foreign_header_language_beside_the_wanted_one():
    assert verify(book(header=HEADER.replace("English", "English and Latin"))) == WHOLE


@pytest.mark.parametrize("raw, whole", [
    (book(), True), (book()[:3000], False), (OLD + prose(900), True), ((OLD + prose(900))[:-30], False), ("", False)])
def test_is_complete(raw, whole):
    assert gutenberg.is_complete(raw.encode(), body_span(raw.encode())) is whole


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(book()) - 1))
def test_a_book_cut_anywhere_before_its_end_marker_is_refused(at):
    text = book()[:at]
    if "End of the Project Gutenb" not in text:  # as much as a marker needs: the whole book lies before it
        with pytest.raises(Refused):
            verify(text)


def test_gutendex():
    found = gutenberg.read_gutendex(answer(), 7)
    assert found == gutenberg.Description("A River Year", ["Pell, Ann"], ["en"], "Public domain in the USA.", kind="Text")
    assert gutenberg.verify(BOOK, book().encode(), found, "en", 42) == WHOLE
    assert gutenberg.read_gutendex(answer(copyright=None), 7).rights == ""


@pytest.mark.parametrize("changes, reason", [({"copyright": True}, "copyrighted"), ({"title": "Another"}, "title"),
                                             ({"languages": ["de"]}, "language"), ({"authors": [{"name": "Eliot, T. S."}]}, "author"),
                                             ({"media_type": "Sound"}, "not_a_text")])
def test_what_gutendex_says_can_refuse_a_book(changes, reason):
    with pytest.raises(Refused) as error:
        gutenberg.verify(BOOK, book().encode(), gutenberg.read_gutendex(answer(**changes), 7), "en", 42)
    assert error.value.reason == reason


@pytest.mark.parametrize("data", [b"<html>", b"[]", b'{"detail": "No Book matches"}', answer(id=8), answer(authors=None),
                                  answer(copyright="no"), b'{"count":0,"next":null,"previous":null,"results":[]}', b"7", b"null"])
def test_other_answers_of_gutendex_are_refused(data):
    with pytest.raises(Refused, match="not a book's record"):
        gutenberg.read_gutendex(data, 7)


@pytest.mark.parametrize("wanted, found, same", [
    ("The Adventures of Tom Sawyer", "Adventures of Tom Sawyer, Complete", True),
    ("Life on the Mississippi", "Life On The Mississippi, Complete", True),
    ("Franklin's Way to Wealth", "Franklin’s Way to Wealth\nor, 'Poor Richard Improved'", True),
    ("Franklin's Way to Wealth; or, \"Poor Richard Improved\"", "Franklin's Way to Wealth\nor, 'Poor Richard Improved'", True),
    ("The Autobiography of Benjamin Franklin", "Autobiography of Benjamin Franklin", True),
    ("Letters to an Almanack-Maker, Answered", "Letters to an Almanack-Maker, Answered", True),
    ("Poor Richard's Almanack", "The Sacred Wood", False),
    ("Tom Sawyer", "The Adventures of Tom Sawyer", False),
    ("Tom Sawyer", "Tom Sawyer Abroad", False),
    ("Roughing It", "Roughing It, Part 2.", False),
    ("The Works of Mark Twain", "The Works Of Mark Twain\nAn Index of all Project Gutenberg Editions", False),
    ("Anything", "", False)])
def test_same_title(wanted, found, same):
    assert gutenberg.same_title(wanted, found) is same


@pytest.mark.parametrize("found, same", [("Twain, Mark", True), ("Mark Twain (Samuel Clemens)", True), ("Mark Twain, 1835-1910", True),
                                         ("Samuel Clemens", False), ("", False)])
def test_same_author(found, same):
    assert gutenberg.same_author("Mark Twain", found) is same


@pytest.mark.parametrize("raw, declared, encoding", [
    (b"plain", "", "utf-8"), ("Café".encode(), "", "utf-8"), ("“Café”".encode("cp1252"), "ISO-8859-1", "cp1252"),
    (b"\xef\xbb\xbfx", "", "utf-8"), (b"caf\xe9 \x81", "ISO-8859-1", "latin-1"), (b"caf\xe9", "ASCII", "cp1252")])
def test_encoding_is_the_real_one(raw, declared, encoding):
    assert gutenberg.find_encoding(raw, declared) == encoding


@pytest.mark.parametrize("raw, declared", [(b"caf\xe9", "UTF-8"), (b"\xef\xbb\xbfcaf\xe9", "")])
def test_damaged_utf8_is_refused(raw, declared):
    with pytest.raises(Refused, match="the copy is damaged"):
        gutenberg.find_encoding(raw, declared)
