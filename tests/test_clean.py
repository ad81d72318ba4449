"""Stripping and cleaning: every header generation by hand, and over the real files where they are there."""
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_texts import HEADER, LICENSE, PARAGRAPH, book, prose
from paths import REPO_DIR
from weatherman.corpus.clean import BOM, blocks, body_span, clean_slice, kind_of, sections, unwrap

MIRROR = REPO_DIR.parent / "shared" / "corpora" / "gutenberg" / "mirror"
SMALL_PRINT = """***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***
Why is this "Small Print!" statement here?  You know: lawyers.
*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*
"""
BODY = "A RIVER YEAR\n\n" + PARAGRAPH
GENERATIONS = {
    "2008": f"{HEADER}*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\n*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n{LICENSE}",
    "2023": f"{HEADER}*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n{LICENSE}",
    "number": f"*** START OF THE PROJECT GUTENBERG EBOOK 1 ***\n{BODY}\n\n*** END OF THE PROJECT GUTENBERG EBOOK 1 ***\n",
    "wrapped": f"{HEADER}*** START OF THIS PROJECT GUTENBERG EBOOK A RIVER\nYEAR ***\n{BODY}\n\n"
               "*** END OF THIS PROJECT GUTENBERG EBOOK A\nRIVER YEAR ***\n",
    "doubled": f"{HEADER}*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\nTitle: X\n\n"
               f"*** START OF THIS PROJECT GUTENBERG EBOOK Y\nZ ***\n{BODY}\n\n"
               "*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n",
    "misspelt": f"***START OF THE PROJECT GUTENBURG EBOOK X***\n{BODY}\n\n***END OF THE PROJECT GUTENBURG EBOOK X***\n{LICENSE}",
    "1993": f"*These Etexts Prepared By Hundreds of Volunteers*\n\n{SMALL_PRINT}\n{BODY}\n\nEnd of The Project Gutenberg Etext of X\n",
    "1993 without an end": f"{SMALL_PRINT}\n{BODY}\n",
    "small print behind": f"*** START OF THE PROJECT GUTENBERG EBOOK, X ***\n{BODY}\n\n"
                          f"*** END OF THE PROJECT GUTENBERG EBOOK, X ***\n\n{SMALL_PRINT}",
    "only the licence behind": f"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\n{LICENSE}",
    "old footer": f"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{BODY}\n\nEnd of Project Gutenberg's X, by Y\n",
    "stripped already": BODY,
    "sample": f"Weatherman-LoRA sample text: X\n\n*** START OF THIS SAMPLE EBOOK X ***\n{BODY}\n\n*** END OF THIS SAMPLE EBOOK X ***\n",
}
EXPECTED = unwrap(PARAGRAPH)


@pytest.mark.parametrize("name", GENERATIONS)
@pytest.mark.parametrize("line_end, mark", [("\n", b""), ("\r\n", BOM)])
def test_every_header_generation(name, line_end, mark):
    raw = mark + GENERATIONS[name].replace("\n", line_end).encode()
    start, end = body_span(raw)
    assert raw[start:end].decode().replace("\r", "").strip().startswith("A RIVER YEAR")
    text = clean_slice(raw[start:end], "utf-8")
    assert text == EXPECTED


def test_a_book_that_speaks_of_the_end_of_a_project_is_not_cut():
    raw = b"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nIt was the end of the project.\n\nEnd of the project at last, he said.\n"
    assert clean_slice(raw[slice(*body_span(raw))], "utf-8").endswith("End of the project at last, he said.")


@pytest.mark.parametrize("text, kind", [
    ("CHAPTER I.", "chapter"), ("Chapter 12\nThe River and Its History", "chapter"), ("XIV.", "chapter"), ("THE BOY'S AMBITION", "chapter"),
    ("CONTENTS", "list_heading"), ("LIST OF ILLUSTRATIONS.", "list_heading"),
    ("The Story of the Fence", "heading"), ("by Ann Pell", "heading"),
    ("[Illustration: a fence]", "skip"), ("* * * * *", "skip"),
    ("Produced by Nobody at all", "skip"), ("See https://example.org now.", "skip"),
    ("The fence   12\nThe river   34", "skip"), ("+---+---+\n| a | b |", "skip"), ("Copyright (C) 2002 Ann Pell.", "skip"),
    ("[3] A small village.", "footnote"), ("    [Footnote 2: so it was]", "footnote"),
    ("    The wind doth blow,\n    And we shall have snow.", "verse"),
    ('"TOM!"', "paragraph"), ("“WHERE?”", "paragraph"), ("No answer.", "paragraph"), ("I said:", "paragraph"), (PARAGRAPH, "paragraph"),
    ("The noise was produced by a pump.", "paragraph"), ("I never saw a chapter like it.", "paragraph")])
def test_kinds_of_blocks(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize("raw, clean", [
    ("one\ntwo", "one two"), ("a steam-\nboat", "a steam-boat"),
    ("he stopped--\nand went", "he stopped--and went"), ("then --\nnothing", "then -- nothing"),
    ("_so_ it _was_, and snake_case", "so it was, and snake_case"), ("a\u00adb\u200bc\u202ed\ufeff", "abcd"), ("cafe\u0301", "café"),
    ("said so.[3] Then{4}", "said so. Then"), ("tab\there\x0c", "tab here")])
def test_unwrap(raw, clean):
    assert unwrap(raw) == clean


def test_sections_leave_out_what_is_not_prose():
    cut = "The second one is long enough to be prose although no sentence ends in"
    text = ("CONTENTS\n\nI. The fence\n\nThe pump.\n\nCHAPTER I.\n\nFirst one.\n\n"
            "[Illustration: a fence\n\nwith a caption.]\n\n" + cut + "\n\n"
            "    [1] A note.\n\n    More of the note.\n\ngoes on here.\n\nCHAPTER II.\n\nThird one.")
    found = [[block.text for block in section] for section in sections(blocks(text.encode(), 0, len(text), "utf-8"))]
    assert found == [["First one.", cut, "goes on here."], ["Third one."]]
    start, end = text.index("First"), text.index("goes on here.") + 13
    assert clean_slice(text[start:end].encode(), "utf-8") == f"First one.\n\n{cut} goes on here."


PIECES = [PARAGRAPH, "CHAPTER I.", "[Illustration]", "    [1] Note.", "*** START OF THIS PROJECT GUTENBERG EBOOK X ***",
          "*** END OF THIS PROJECT GUTENBERG EBOOK X ***", "", "é“”", "\r", "***", "[Illustration: open", "x"]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_arrangement_breaks_the_stripper(parts):
    raw = "\n\n".join(parts).encode()
    start, end = body_span(raw)
    assert 0 <= start <= end <= len(raw)
    text = clean_slice(raw[start:end], "utf-8")
    assert "START OF" not in text and "\r" not in text


@given(st.binary(max_size=300))
def test_any_bytes_give_a_range(raw):
    start, end = body_span(raw)
    assert 0 <= start <= end <= len(raw)
    assert all(raw[b.start:b.end].decode("latin-1") == b.text for b in blocks(raw, start, end, "latin-1"))


LEFTOVERS = re.compile(r"gutenberg|\be-?texts?\b|small print!|wiretap|david widger|jose menendez|martin adamson|proofreading|pgdp"
                       r"|https?:|www\.|transcriber|limited warranty|trademark|(?-i:roduced by [A-Z])|\btax deductible", re.I)


@pytest.mark.skipif(not MIRROR.is_dir(), reason="needs ../shared/corpora/gutenberg/mirror")
def test_nothing_of_producers_and_lawyers_survives_in_the_real_files():
    files = [path for path in sorted(MIRROR.rglob("*.txt")) if path.name not in ("pandp09.txt", "inspection.txt", "28803.txt")]
    assert len(files) >= 35
    for path in files:
        raw = path.read_bytes()
        start, end = body_span(raw)
        text = clean_slice(raw[start:end], "latin-1")
        assert not LEFTOVERS.search(text), f"{path.name}: {LEFTOVERS.search(text)}"
        assert (end - start) / len(raw) > 0.45 and len(text.split()) > 0.85 * len(raw[start:end].split()), path.name


def test_the_sweep_above_fires_on_a_planted_line():
    assert LEFTOVERS.search(book()) and LEFTOVERS.search("This eBook was produced by David Widger")
    assert not LEFTOVERS.search(prose(300))
