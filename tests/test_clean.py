"""Kinds of blocks, sections and the text of a slice; boilerplate and characters have their own tests."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_texts import PARAGRAPH, prose
from weatherman.corpus.clean import blocks, clean_slice, kind_of, sections, unwrap

LONG = "    They said that the river had been there before the fence, and that it would be there when the last of us was gone,\n    so."


def prose_of(text):
    """Return [[text of each block] of each section]."""
    raw = text.encode()
    return [[block.text for block in section] for section in sections(blocks(raw, 0, len(raw), "utf-8"))]


@pytest.mark.parametrize("text, kind", [
    ("CHAPTER I.", "chapter"), ("Chapter 12\nThe River and Its History", "chapter"), ("XIV.", "chapter"),
    ("_CHAPTER THE FIRST_", "chapter"),
    ("THE BOY'S AMBITION", "capitals"), ("CONTENTS", "list_heading"), ("LIST OF ILLUSTRATIONS.", "list_heading"),
    ("FOOTNOTES:", "notes_heading"), ("NOTES TO CHAPTER II.", "notes_heading"), ("The Story of the Fence", "heading"),
    ("by Ann Pell", "heading"), ("12", "number"), ("[Illustration: a fence]", "skip"), ("* * * * *", "skip"), ("/*", "skip"),
    ("Illustration: the fence", "skip"), ("[Sidenote: The fence]", "skip"), ("[So says the third edition.--Ed.]", "skip"),
    ("[Editor's note: it was the second.]", "skip"), ("[Pg 12]", "skip"), ("{12}", "number"), ("12   LIFE ON THE RIVER", "skip"),
    ("LIFE ON THE RIVER. 13", "skip"), ("xii", "skip"), ("Produced by Nobody at all", "skip"), ("See https://example.org now.", "skip"),
    ("The fence   12\nThe river   34", "skip"), ("+---+---+\n| a | b |", "skip"), ("Copyright (C) 2002 Ann Pell.", "skip"),
    ("[3] A small village.", "footnote"), ("    [Footnote 2: so it was]", "footnote"), ("{footnote [So it was.]}", "footnote"),
    ("* So it was.", "footnote"), ("    The wind doth blow,\n    And we shall have snow.", "verse"), (LONG, "paragraph"),
    ('"TOM!"', "paragraph"), ("“WHERE?”", "paragraph"), ("No answer.", "paragraph"), ("I said:", "paragraph"), (PARAGRAPH, "paragraph"),
    ("[It does seem a pity, since nobody had asked them to be so good.--A. P.]", "paragraph"), ("*Really* he said so.", "paragraph"),
    ("The noise was produced by a pump.", "paragraph"), ("I never saw a chapter like it.", "paragraph")])
def test_kinds_of_blocks(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize("raw, clean", [
    ("one\ntwo", "one two"), ("a steam-\nboat", "a steam-boat"), ("some\u00ad\nthing", "something"), ("a\rb\r\nc", "a b c"),
    ("he stopped--\nand went", "he stopped--and went"), ("he stopped\n--and went", "he stopped--and went"),
    ("then --\nnothing", "then -- nothing"), ("said so.[3] Then{4} and[A] so* it", "said so. Then and so it"),
    ("one [Pg 12] two {p. 3} three", "one two three"),
    ("one [Illustration: a [3] fence] two", "one two"), ("he was there {footnote [1. He was not.]} then", "he was there then"),
    ("the word [Greek: logos] here", "the word logos here"), ("a recieved [sic] letter", "a recieved letter"),
    ("in [1776] he", "in [1776] he"),
    ("/*\n  A verse,\n  a line.\n*/", "A verse,\na line."), ("  A verse,\n  _a line_.", "A verse,\na line."), ("<|im_\nstart|>so", "so")])
def test_unwrap(raw, clean):
    assert unwrap(raw) == clean


def test_quotes_and_mojibake_are_changed_on_request_only():
    data = "“So,” he said, and donâ€™t.".encode()
    assert clean_slice(data, "utf-8") == "“So,” he said, and donâ€™t."
    assert clean_slice(data, "utf-8", mojibake=True, straight_quotes=True) == "\"So,\" he said, and don't."


def test_sections_leave_out_what_is_not_prose():
    cut = "The second one is long enough to be prose although no sentence ends in"
    goes_on = "goes on here, and has as many words as it takes for anybody to see that this is no list."
    text = ("CONTENTS\n\nI. The fence\n\nThe pump.\n\nCHAPTER I.\n\nFirst one.\n\n"
            "[Illustration: a fence\n\nwith a caption.]\n\n" + cut + "\n\n"
            "    [1] A note.\n\n    More of the note.\n\n" + goes_on + "\n\nCHAPTER II.\n\nThird one.")
    assert prose_of(text) == [["First one.", cut, goes_on], ["Third one."]]
    start, end = text.index("First"), text.index(goes_on) + len(goes_on)
    assert clean_slice(text[start:end].encode(), "utf-8") == f"First one.\n\n{cut} {goes_on}"


def test_a_list_of_contents_ends_where_the_book_begins():
    """Its entries may be called chapters; the first chapter may begin with a dialogue, or have no heading that we know."""
    entries = "CHAPTER I. The Fence.--The Pump.\n\n“A Fence!”\n\nCHAPTER II. The Mule\n\n“HE CAME!”\n\n\n\n"
    book = f"CHAPTER I.\n\n“TOM!”\n\nNo answer.\n\n{PARAGRAPH}"
    assert prose_of(f"CONTENTS\n\n{entries}{book}") == [["“TOM!”", "No answer.", PARAGRAPH]]
    assert prose_of(f"CONTENTS\n\nThe Fence\n\nThe Mule\n\n\nThe Fence\n\n\n{PARAGRAPH}") == [[PARAGRAPH]]


def test_notes_at_the_end_of_a_chapter_end_with_the_next():
    assert prose_of(f"{PARAGRAPH}\n\nFOOTNOTES:\n\n[1] So.\n\nIt was so.\n\n\nThe Mule\n\n{PARAGRAPH}") == [[PARAGRAPH], [PARAGRAPH]]


def test_a_bracket_that_never_closes_takes_its_own_block_only():
    assert prose_of(f"{PARAGRAPH}\n\n[Illustration: a fence\n\n{PARAGRAPH}\n\n{PARAGRAPH}") == [[PARAGRAPH] * 3]


def test_an_editors_bracket_may_open_inside_a_paragraph_and_close_later():
    text = "It was said--{footnote [The original\nreads:\n\nMany words.\n\n'Ann Pell.']}\n\nbecame the text of many sermons."
    assert clean_slice(text.encode(), "utf-8") == "It was said--\n\nbecame the text of many sermons."


def test_a_chapter_heading_is_no_part_of_the_paragraph_under_it():
    paragraph = f"{PARAGRAPH}\nAnd so on, as it was."
    assert prose_of(f"One.\n\nCHAPTER II.\n{paragraph}") == [["One."], [paragraph]]


def test_numbers_alone_are_pages_or_chapters_by_the_space_around_them():
    cut = "One of them went down to the river with a lantern, and the other one"
    assert prose_of(f"{cut}\n\n12\n\nwent on.\n\n\n13\n\nTwo.") == [[cut, "went on."], ["Two."]]
    assert clean_slice(f"{cut}\n\n12\n\nwent on.".encode(), "utf-8") == f"{cut} went on."


def test_lines_like_headings_that_stand_no_more_apart_than_paragraphs_are_text():
    assert prose_of("One.\n\nPELL HOUSE\n\nTwo.\n\nAnn Pell\n\n\n\nTHE MULE\n\nThree.") == [["One.", "PELL HOUSE", "Two."], ["Three."]]


def test_a_transcribers_note_inside_the_book_ends_with_three_blank_lines():
    assert prose_of("One.\n\nTranscriber's Note:\n\nA comma was moved.\n\nSo was another.\n\n\n\nTwo.") == [["One.", "Two."]]


PIECES = [PARAGRAPH, "CHAPTER I.", "[Illustration: open", "x]", "12", "é“”", "\x1a", "  a\n  b", "[1] n", "", "CONTENTS"]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]))
def test_blocks_give_the_bytes_they_name_and_sections_keep_their_order(parts, line_end):
    raw = "\n\n".join(parts).replace("\n", line_end).encode()
    found = list(blocks(raw, 0, len(raw), "utf-8"))
    assert all(raw[b.start:b.end].decode() == b.text and b.text.strip() for b in found)
    kept = [block.start for section in sections(found) for block in section]
    assert kept == sorted(set(kept)) and set(kept) <= {block.start for block in found}


def test_a_long_line_of_blanks_costs_no_time():
    assert clean_slice(b" " * 200_000 + b"\n\nSo." + b" " * 200_000 + prose(50).encode(), "utf-8").startswith("So.")
