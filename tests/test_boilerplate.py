"""Stripping: every header and footer generation by hand, invented ones with hypothesis, and the real files against lines read by eye."""
import random
import re
import textwrap
from collections import Counter
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus_texts import HEADER, LICENSE, PARAGRAPH, book, prose
from paths import REPO_DIR
from weatherman.corpus.boilerplate import BOM, body_span, distance, is_boilerplate, split_lines
from weatherman.corpus.clean import clean_slice, unwrap
from weatherman.corpus.gutenberg import find_encoding

GUTENBERG = REPO_DIR.parent / "shared" / "corpora" / "gutenberg"
SMALL_PRINT = """***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
Why is this "Small Print!" statement here?  You know: lawyers.

They might be sued over your copy of this etext.

*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*
"""
OLD_HEADER = f"""**The Project Gutenberg Etext of A River Year, by Ann Pell**

Please take a look at the information in this header.

**Welcome To The World of Free Plain Vanilla Electronic Texts**

*******This file should be named river10.txt or river10.zip******

We need your donations more than ever, payable to "Carnegie Mellon University".

{SMALL_PRINT}"""
BODY = "A RIVER YEAR\n\n" + PARAGRAPH
GENERATIONS = {
    "2008": f"{HEADER}*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\n*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n{LICENSE}",
    "2023": f"{HEADER}*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n{LICENSE}",
    "number": f"*** START OF THE PROJECT GUTENBERG EBOOK 1 ***\n{BODY}\n\n*** END OF THE PROJECT GUTENBERG EBOOK 1 ***\n",
    "number over a header of 1993": f"*** START OF THE PROJECT GUTENBERG EBOOK 1 ***\n\n{OLD_HEADER}\n{BODY}\n\n"
                                    "*** END OF THE PROJECT GUTENBERG EBOOK 1 ***\n",
    "wrapped": f"{HEADER}*** START OF THIS PROJECT GUTENBERG EBOOK A RIVER\nYEAR ***\n{BODY}\n\n"
               "*** END OF THIS PROJECT GUTENBERG EBOOK A\nRIVER YEAR ***\n",
    "doubled": f"{HEADER}*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\nTitle: X\n\n"
               f"*** START OF THIS PROJECT GUTENBERG EBOOK Y\nZ ***\n{BODY}\n\n"
               "*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n",
    "misspelt": f"***START OF THE PROJECT GUTENBURG EBOOK X***\n{BODY}\n\n***END OF THE PROJECT GUTENBURG EBOOK X***\n{LICENSE}",
    "worse misspelt": f"*** STRAT OF THE PROJET GUTENBERG EBOOK X ***\n{BODY}\n\n*** END OFF THE PROJECT GUTENBEG EBOOK X ***\n{LICENSE}",
    "1993": f"{OLD_HEADER}\n{BODY}\n\nEnd of The Project Gutenberg Etext of X\n",
    "1993, its small print not closed": OLD_HEADER.replace("*END*THE", "*OVER*THE") + f"\n{BODY}\n",
    "1993 without an end": f"{SMALL_PRINT}\n{BODY}\n",
    "no marker in front": f"{HEADER}\n{BODY}\n\n*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n{LICENSE}",
    "credits and notes": "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nE-text prepared by Ann Pell\nand the Project Gutenberg Online "
                         "Distributed Proofreading Team\n\n\n\nTranscriber's Note:\n\nOne comma was moved.\n\n    The accents were not."
                         f"\n\n\n\n\n{BODY}\n\n\n\nTranscriber’s notes\n\nPage 3: a comma was moved.\n\n\n\n\nSo was another.\n\n"
                         "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n",
    "small print behind": f"*** START OF THE PROJECT GUTENBERG EBOOK, X ***\n{BODY}\n\n"
                          f"*** END OF THE PROJECT GUTENBERG EBOOK, X ***\n\n{SMALL_PRINT}",
    "small print behind and nothing else": f"{BODY}\n\n\n{SMALL_PRINT}",
    "only the licence behind": f"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\n{LICENSE}",
    "old footer": f"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\nEnd of Project Gutenberg's X, by Y\n",
    "wiretap": f"{SMALL_PRINT}\n  The INTERNET WIRETAP First Electronic Edition of\n\n{BODY}\n\n"
               "End of the Wiretap/Project Gutenberg Etext of X\n",
    "stripped already": BODY,
    "sample": f"Weatherman-LoRA sample text: X\n\n*** START OF THIS SAMPLE EBOOK X ***\n{BODY}\n\n*** END OF THIS SAMPLE EBOOK X ***\n",
}


@pytest.mark.parametrize("name", GENERATIONS)
@pytest.mark.parametrize("line_end, mark", [("\n", b""), ("\r\n", BOM), ("\r", b""), ("\r\r\n", BOM)])
def test_every_header_generation(name, line_end, mark):
    raw = mark + GENERATIONS[name].replace("\n", line_end).encode()
    start, end = body_span(raw)
    assert raw[start:end].decode().replace("\r", "").strip().startswith("A RIVER YEAR")
    assert clean_slice(raw[start:end], "utf-8") == unwrap(PARAGRAPH)


# What a book may say: none of it is a marker, a header or a producer's word.
AUTHORS = [
    "I have read of the Project Gutenberg and of its founder, who sat at a terminal in the summer of 1971 and copied a declaration, letter "
    "by letter, because he could think of no better use for the machine; and whenever my aunt hears of it she asks what he was paid.",
    "Copyright is a matter on which I have spoken to two parliaments, and neither of them was awake when I had finished.",
    "Produced by the rain of that spring, the flood took the bridge, the mill, and the miller's opinion of the weather.",
    "Language: that was the one thing the mate had brought aboard in any quantity, and he gave it away to all of us.",
    "*** The stars in the ledger meant that a man had paid, and there were three of them in all the forty pages.",
    "Start of the project or end of the project, said the engineer, it makes no difference to a river of this size.",
    "The end of the story is that Gutenberg, who printed the Bible, was ruined by his partner, and so was I by mine.",
    "Title: none. Author: nobody. That is how my uncle signed every book he borrowed, and he returned none of them.",
    '"Look in Project Gutenberg for it," said the boy, who had the whole library in his pocket and had read none.',
]


def test_a_book_may_speak_of_what_producers_speak_of():
    for text in AUTHORS:
        assert not is_boilerplate(text), text
    sign = "*** END OF THE PROJECT was what the sign said, and under it sat the engineer, asleep."
    raw = "\n\n".join([AUTHORS[0], *AUTHORS, sign]).encode()
    assert body_span(raw) == (0, len(raw))
    assert all(text in clean_slice(raw, "utf-8") for text in AUTHORS[:4])


def test_a_quoted_marker_does_not_end_the_book():
    quoted = f"{prose(200)}\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\n{prose(9000)}"
    raw = f"*** START OF THE PROJECT GUTENBERG EBOOK Y ***\n\n{quoted}\n\n*** END OF THE PROJECT GUTENBERG EBOOK Y ***\n{LICENSE}".encode()
    start, end = body_span(raw)
    assert raw[start:end].decode().strip() == quoted


def test_of_two_books_in_one_file_the_first_is_kept_and_no_licence():
    one = f"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{prose(9000)}\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n{LICENSE}\n"
    start, end = body_span((one + one).encode())
    assert (one + one)[start:end].strip() == prose(9000)


@pytest.mark.parametrize("text", [
    "Produced by Ann Pell and David Widger", "This etext was prepared by Ann Pell <pell@example.org>", "E-text prepared by Ann Pell",
    "[Transcriber's Note: A comma was moved.]", "TRANSCRIBER’S NOTES:", "HTML version by Ann Pell.", "Copyright (C) 2002 by Ann Pell.",
    "Note: Project Gutenberg also has an HTML version of this file which includes the pictures.", "Credits: Ann Pell",
    "Released to the public June 1993", "Electronic Edition by Ann Pell", "Release Date: May, 1994 [EBook #7]",
    "You can get your copy of this etext from a library, if it is open, and whatever else the lawyers may have thought of besides " * 4])
def test_what_producers_write(text):
    assert is_boilerplate(text)


@pytest.mark.parametrize("text, edits", [(b"ENDOFX", 0), (b"EMDOFX", 1), (b"ENOFTHE", 1), (b"ENNDOF", 1), (b"", 5), (b"ZZZZZZZZ", 5)])
def test_distance_to_a_beginning(text, edits):
    assert distance(b"ENDOF", text) == edits


def test_split_lines_at_every_end_of_line():
    assert list(split_lines(b"a\nb\r\nc\r\r\nd\re")) == [(0, b"a"), (2, b"b"), (5, b"c"), (9, b"d"), (11, b"e")]


# --- invented files -------------------------------------------------------------------------------------------------------

def misspell(choice, word):
    """Return the word with one letter lost, doubled, changed or swapped."""
    at = choice.randrange(1, len(word) - 1)
    return choice.choice([word[:at] + word[at + 1:], word[:at] + word[at] + word[at:], word[:at] + "X" + word[at + 1:],
                          word[:at] + word[at + 1] + word[at] + word[at + 2:]])


def marker(choice, kind, title):
    words = ["PROJECT", "GUTENBERG"]
    if choice.random() < 0.3:
        at = choice.randrange(2)
        words[at] = misspell(choice, words[at])
    line = f"{kind} OF {choice.choice(['THE', 'THIS'])} {' '.join(words)} {choice.choice(['EBOOK', 'ETEXT', 'EBOOK,'])} {title}"
    stars, space = choice.choice(["***", "****", "*****"]), choice.choice(["", " "])
    line = choice.choice([str, str, str.title])(line)
    return "\n".join(textwrap.wrap(f"{stars}{space}{line}{space}{stars}", choice.choice([40, 60, 200])))


FRONTS = [lambda c, t: "", lambda c, t: HEADER, lambda c, t: OLD_HEADER, lambda c, t: f"{HEADER}{marker(c, 'START', t)}\n\n",
          lambda c, t: f"{marker(c, 'START', t)}\n\n{OLD_HEADER}", lambda c, t: marker(c, "START", str(c.randrange(99999))),
          lambda c, t: f"{HEADER}{marker(c, 'START', t)}\n\nProduced by Ann Pell\n\n\n",
          lambda c, t: f"{OLD_HEADER}\nPrepared by Ann Pell <pell@example.org>\n"]
BACKS = [lambda c, t: "", lambda c, t: f"{marker(c, 'END', t)}\n\n{LICENSE}", lambda c, t: f"{marker(c, 'END', t)}\n\n{SMALL_PRINT}",
         lambda c, t: f"End of Project Gutenberg's {t.title()}, by Ann Pell\n\n{marker(c, 'END', t)}\n", lambda c, t: LICENSE,
         lambda c, t: f"End of The Project Gutenberg Etext of {t.title()}\n",
         lambda c, t: f"The End of Project Gutenberg Etext {t.title()}\n\x1a",
         lambda c, t: f"\n\nTranscriber's Notes:\n\nA comma was moved.\n\n{marker(c, 'END', t)}\n",
         lambda c, t: "**** This file should be named river10.txt or river10.zip ****\n"]
TITLES = ["A RIVER YEAR", "THE LOWER FENCE, AND WHAT BECAME OF IT IN THE SPRING OF THE YEAR AFTER THE FLOOD", "X", "1984"]


def invented_paragraphs(choice):
    """Return paragraphs of prose. The first and the last do not speak of books: nobody could tell such a one from a header."""
    found = [choice.choice([prose(choice.randrange(20, 90), f"Word{n}").replace("\n\n", " "), choice.choice(AUTHORS)])
             for n in range(choice.randrange(3, 40))]
    found = [textwrap.fill(text, choice.choice([45, 60, 72])) for text in found]
    return [prose(60, "First"), *found, prose(60, "Last")]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
@example(0)
def test_invented_generations_lose_nothing_of_the_body_and_keep_nothing_else(seed):
    choice = random.Random(seed)
    paragraphs = invented_paragraphs(choice)
    title = choice.choice(TITLES)
    text = "\n\n".join([choice.choice(FRONTS)(choice, title), *paragraphs, choice.choice(BACKS)(choice, title)])
    encoding = choice.choice(["utf-8", "cp1252"])
    raw = text.replace("\n", choice.choice(["\n", "\r\n", "\r", "\r\r\n"])).encode(encoding)
    raw = BOM + raw if encoding == "utf-8" and choice.random() < 0.3 else raw
    start, end = body_span(raw)
    assert clean_slice(raw[start:end], encoding).split() == " ".join(paragraphs).split()


PIECES = [PARAGRAPH, "CHAPTER I.", "[Illustration]", "    [1] Note.", "*** START OF THIS PROJECT GUTENBERG EBOOK X ***",
          "*** END OF THIS PROJECT GUTENBERG EBOOK X ***", "", "é“”", "\r", "***", "[Illustration: open", "x", "Title: X", "Produced by Y"]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_arrangement_breaks_the_stripper(parts):
    raw = "\n\n".join(parts).encode()
    start, end = body_span(raw)
    assert 0 <= start <= end <= len(raw)
    assert "\r" not in clean_slice(raw[start:end], "utf-8")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_range(raw):
    start, end = body_span(raw)
    assert 0 <= start <= end <= len(raw)


# --- the real files -------------------------------------------------------------------------------------------------------

# First and last line of the author's matter (title page included), read by eye; lines are numbered from 1 and end with \n.
READ = {
    "mirror/1/3/4/1342/1342-0.txt": (32, 13061), "mirror/1/3/4/1342/old/pandp10.txt": (260, 14740),
    "mirror/1/3/4/1342/old/pandp12.txt": (44, 14262), "mirror/1/4/148/148-8.txt": (33, 6195), "mirror/1/4/148/148.txt": (27, 6305),
    "mirror/1/4/148/old/bfaut10.txt": (246, 6704), "mirror/1/4/148/old/bfaut11.txt": (50, 6508),
    "mirror/1/8/3/1837/28803-h/files_1837_1837.txt": (29, 8177), "mirror/2/0/2/0/20203/20203-8.txt": (40, 8191),
    "mirror/2/0/2/0/20203/20203.txt": (40, 8191), "mirror/2/4/245/245-0.txt": (30, 14839), "mirror/2/5/4/2542/2542.txt": (31, 3960),
    "mirror/2/5/4/2542/old/dlshs10.txt": (295, 4365), "mirror/2/5/4/2542/old/dlshs11.txt": (51, 4130),
    "mirror/3/0/1/6/30165/30165-8.txt": (41, 8468), "mirror/3/1/7/3177/3177-0.txt": (30, 16576),
    "mirror/4/3/8/5/43855/43855.txt": (37, 490), "mirror/4/46/46-0.txt": (31, 3872), "mirror/4/46/46-8.txt": (30, 3871),
    "mirror/4/46/46.txt": (30, 3871), "mirror/4/46/old/carol10.txt": (233, 4022), "mirror/4/46/old/carol11.txt": (229, 4063),
    "mirror/4/46/old/carol12.txt": (229, 4060), "mirror/4/46/old/carol13.txt": (49, 3878), "mirror/4/46/old/carol14.txt": (33, 3875),
    "mirror/5/2/0/5200/5200.txt": (38, 1993), "mirror/5/2/0/5200/old/metam10.txt": (49, 2250),
    "mirror/5/7/7/9/57795/57795-0.txt": (36, 4531), "mirror/6/3/1/6312/6312.txt": (52, 5376), "mirror/7/74/74-0.txt": (29, 8860),
    "mirror/7/74/74.txt": (33, 8490), "mirror/7/74/old/sawyr10.txt": (249, 10561), "mirror/7/74/old/sawyr11.txt": (56, 8481),
    "mirror/7/76/76-0.txt": (28, 11972), "mirror/7/76/76.txt": (33, 11366), "mirror/7/76/old/2011-05-03-76.txt": (33, 11374),
    "mirror/7/76/old/hfinn10.txt": (243, 14425), "mirror/7/76/old/hfinn11.txt": (49, 11012), "mirror/7/76/old/hfinn12.txt": (53, 11347),
    "mirror/cache/epub/74/pg74.txt": (28, 8911), "variants/pg74_edited__pg74.txt": (27, 8865),
}
NO_BOOKS = {"pandp09.txt", "inspection.txt", "28803.txt"}  # a listing and two indexes: refused when they are collected
LEFTOVERS = re.compile(r"gutenberg|\be-?texts?\b|small print!|wiretap|david widger|jose menendez|martin adamson|ron burkey|proofreading"
                       r"|pgdp|https?:|www\.|\w@\w|transcriber|limited warranty|trademark|(?-i:roduced by [A-Z])|\btax deductible", re.I)
needs_shared = pytest.mark.skipif(not GUTENBERG.is_dir(), reason="needs ../shared/corpora/gutenberg")


@cache
def real(name):
    """Return (bytes, start, end, clean text of the body) of a real file."""
    raw = (GUTENBERG / name).read_bytes()
    start, end = body_span(raw)
    return raw, start, end, clean_slice(raw[start:end], find_encoding(raw, ""))


@needs_shared
def test_all_real_files_are_read():
    assert {str(path.relative_to(GUTENBERG)) for path in GUTENBERG.rglob("*.txt") if path.name not in NO_BOOKS} == set(READ)


@needs_shared
@pytest.mark.parametrize("name", READ)
def test_real_files_keep_the_body_and_nothing_of_producers_and_lawyers(name):
    raw, start, end, text = real(name)
    lines, (first, last) = raw.split(b"\n"), READ[name]
    begin = len(b"\n".join(lines[:first - 1])) + 1
    behind = begin + len(b"\n".join(lines[first - 1:last]))
    assert min(end, behind) - max(start, begin) >= 0.9999 * (behind - begin), "text of the author is lost"
    assert not raw[start:begin].strip() and not raw[behind:end].strip(), "lines are kept that are not the author's"
    assert not LEFTOVERS.search(text), LEFTOVERS.search(text)
    assert len(text.split()) >= 0.9 * len(raw[start:end].split())


@needs_shared
@pytest.mark.parametrize("name", READ)
def test_real_files_whose_markers_are_lost_give_nearly_the_same_body(name):
    raw, start, end, _ = real(name)
    lines = raw.split(b"\n")
    lost = re.compile(rb"\W*(?:START|END)\b.*(?:GUTENBERG|SMALL PRINT!)", re.I)
    without = b"\n".join(b"" if lost.match(line) else line for line in lines)
    begin, stop = body_span(without)
    assert without[begin:stop].count(b"\n") == pytest.approx(raw[start:end].count(b"\n"), abs=30)


SAME_BOOK = [("4/46/46-0.txt", "4/46/46-8.txt", 0.9999), ("4/46/46.txt", "4/46/old/carol13.txt", 0.99),
             ("4/46/old/carol10.txt", "4/46/old/carol12.txt", 0.98), ("7/74/74.txt", "7/74/old/sawyr11.txt", 0.995),
             ("7/74/74-0.txt", "7/74/74.txt", 0.97), ("7/76/76.txt", "7/76/old/hfinn12.txt", 0.995),
             ("1/4/148/148.txt", "1/4/148/old/bfaut10.txt", 0.99), ("5/2/0/5200/5200.txt", "5/2/0/5200/old/metam10.txt", 0.99),
             ("2/5/4/2542/2542.txt", "2/5/4/2542/old/dlshs10.txt", 0.99)]


@needs_shared
@pytest.mark.parametrize("one, other, share", SAME_BOOK)
def test_two_generations_of_a_book_give_the_same_words(one, other, share):
    one, other = (Counter(re.findall(r"[a-z]+", real(f"mirror/{name}")[3].lower())) for name in (one, other))
    assert (one & other).total() >= share * max(one.total(), other.total())


def test_the_sweep_above_fires_on_a_planted_line():
    assert LEFTOVERS.search(book()) and LEFTOVERS.search("This eBook was produced by David Widger")
    assert not LEFTOVERS.search(prose(300))
