"""Is a file the book that was asked for? Hand-made headers and records, each refusal with its fault."""
from types import SimpleNamespace

import pytest

from corpus_texts import HEADER, RDF, book, prose
from weatherman.corpus import gutenberg
from weatherman.corpus.gutenberg import Refused

BOOK = SimpleNamespace(id=7, title="A River Year", author="Ann Pell")


def rdf(title="A River Year", author="Pell, Ann", language="en", rights="Public domain in the USA."):
    return RDF.format(title=title, author=author, language=language, rights=rights).encode()


def test_layout():
    assert gutenberg.folder_of(3177) == "3/1/7/3177" and gutenberg.folder_of(7) == "0/7" and gutenberg.folder_of(74) == "7/74"
    assert gutenberg.candidates(74) == ["7/74/74-0.txt", "7/74/74.txt", "7/74/74-8.txt", "cache/epub/74/pg74.txt"]
    assert gutenberg.catalogue_path(74) == "cache/epub/74/pg74.rdf"


@pytest.mark.parametrize("catalogue", [None, rdf()])
def test_a_good_book(catalogue):
    assert gutenberg.verify(BOOK, book().encode(), catalogue, "en") == {
        "title": "A River Year; or, The Lower Fence", "author": "Ann Pell (Mrs. Pell)", "language": "en",
        "rights": "Public domain in the USA.", "encoding": "utf-8"}


def test_rights_of_the_record_come_first():
    assert gutenberg.verify(BOOK, book().encode(), rdf(rights="CC0 1.0"), "en")["rights"] == "CC0 1.0"


@pytest.mark.parametrize("raw, catalogue, reason", [
    (book(header=HEADER.replace("Title: A River Year", "Title: The Sacred Wood")), None, "its title is"),
    (book(header=HEADER.replace("Ann Pell", "T. S. Eliot")), None, "it is by T. S. Eliot"),
    (book(header=HEADER.replace("English", "German")), None, 'its language is "German"'),
    (book(header="** This is a COPYRIGHTED Project Gutenberg eBook **\n" + HEADER), None, "may not be used"),
    (book(), rdf(title="Another Book"), "its title is"),
    (book(), rdf(author="Eliot, T. S."), "it is by"),
    (book(), rdf(language="de"), 'its language is "de"'),
    (book(), rdf(rights="Copyrighted. Read the copyright notice inside this book for details."), "may not be used"),
    (book(), b"<rdf:RDF", "is not XML"),
    (book(), b"<a/>", "describes no ebook"),
    (book(body="\n\n".join(f"##  Volume {n}" for n in range(200))), None, "an index or a listing"),
    ("total 12\n" + "-rw-rw-r--  1 1005  100  247438 Feb  4  2001 07tom10.txt\n" * 40, None, "an index or a listing"),
    (prose(900), None, "states its title, authors, language, rights"),
    (book().replace("number", "num\0ber"), None, "NUL"),
], ids=lambda value: value[:20] if isinstance(value, str) else "")
def test_refusals(raw, catalogue, reason):
    with pytest.raises(Refused, match=reason):
        gutenberg.verify(BOOK, raw.encode(), catalogue, "en")


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
