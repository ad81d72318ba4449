"""The parts of our HTML pages: what strangers wrote stays text, and histograms count everything once."""
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from weatherman.html import CHART_HEIGHT, CHART_WIDTH, MAX_BARS, Bar, Markup, bars, escape, histogram, join, page, table, tag

HOSTILE = '<script>alert("x")</script> & \'quotes\''


def shown(markup):
    """Return (tags, text) as a browser reads them."""
    tags, texts = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda name, attributes: tags.append((name, dict(attributes)))
    parser.handle_data = texts.append
    parser.feed(markup)
    parser.close()
    return tags, "".join(texts)


def test_a_text_stays_text_wherever_it_stands():
    tags, text = shown(tag("p", HOSTILE, title=HOSTILE))
    assert tags == [("p", {"title": HOSTILE})] and text == HOSTILE
    assert shown(table([[HOSTILE, 1]], [HOSTILE, "n"]))[1] == f"{HOSTILE}n{HOSTILE}1"
    assert "<script" not in page(HOSTILE, tag("p", HOSTILE))


@given(st.text())
def test_escape_can_be_undone_but_for_invisible_characters(text):
    tags, back = shown(escape(text))
    assert tags == [] and re.sub(r"\[U\+([0-9A-F]{4,6})\]", lambda m: chr(int(m[1], 16)), back) == \
        re.sub(r"\[U\+([0-9A-F]{4,6})\]", lambda m: chr(int(m[1], 16)), text)


def test_invisible_characters_are_shown():
    assert escape("a\u202eb\x00c\u200bd\ufeffe\x1b[0m\n") == "a[U+202E]b[U+0000]c[U+200B]d[U+FEFF]e[U+001B][0m\n"
    assert escape("נחש é 🌧") == "נחש é 🌧"


def test_elements_nest_and_attributes_are_named_as_in_html():
    made = tag("div", tag("b", 12345), " < ", class_="x", aria_label="y", id=None)
    assert made == '<div class="x" aria-label="y"><b>12,345</b> &lt; </div>'
    assert join(["<", Markup("<br>")], " & ") == "&lt; &amp; <br>"
    assert isinstance(tag("p"), Markup) and isinstance(escape("x"), Markup)


def test_numbers_stand_to_the_right_behind_the_texts():
    rows = table([["rain", "wet", 1000, "5.0 %"]], ["name", "kind", "texts", "share"], texts=2)
    assert rows.count('<td class="number">') == 2 and '<td class="number">1,000</td>' in rows and "<td>wet</td>" in rows


def test_a_page_names_its_language_and_title_and_forbids_everything_from_outside():
    text = page("A <title>", tag("p", "x"), style="p { margin: 0; }", nav=tag("nav", "n"))
    assert '<html lang="en">' in text and "<title>A &lt;title&gt;</title>" in text and "p { margin: 0; }" in text
    assert "default-src 'none'" in text and text.index("<nav>") < text.index("<main>")


def test_bars_have_one_round_width():
    assert bars({100: 1, 137: 2, 600: 1}, {137: 1})[:3] == [Bar(100, 119, 1, 0), Bar(120, 139, 2, 1), Bar(140, 159, 0, 0)]
    assert bars({2018: 5}, {}) == [Bar(2018, 2018, 5, 0)]


@given(st.dictionaries(st.integers(-5000, 10**6), st.integers(1, 1000), min_size=1))
def test_bars_count_everything_once(counts):
    slots = bars(counts, counts)
    assert len(slots) <= MAX_BARS and slots[0].low <= min(counts) and slots[-1].high >= max(counts)
    assert sum(bar.count for bar in slots) == sum(bar.of_them for bar in slots) == sum(counts.values())
    assert all(a.high + 1 == b.low for a, b in zip(slots, slots[1:]))


@given(st.dictionaries(st.integers(0, 3000), st.integers(1, 10**6), min_size=1))
def test_a_histogram_stays_inside_its_frame(counts):
    tags, text = shown(histogram(bars(counts, counts), "texts", "words", "kept"))
    rects = [attributes for name, attributes in tags if name == "rect"]
    for box in rects:
        x, y, width, height = (float(box[key]) for key in ("x", "y", "width", "height"))
        assert 0 <= x and x + width <= CHART_WIDTH and 0 <= y and y + height <= CHART_HEIGHT
    assert len(rects) == 2 * len(bars(counts, counts)) and text.startswith("texts") and "words" in text


def test_a_histogram_says_what_it_shows():
    svg = histogram(bars({2016: 1200, 2018: 3}, {2016: 1000}), "texts", "year", "kept", thousands=False)
    assert 'role="img" aria-label="texts by year, from 2016 to 2018"' in svg
    assert "<title>2016 year: 1,200 texts, 1,000 of them kept</title>" in svg
    heights = [float(h) for h in re.findall(r'<rect class="all"[^>]*height="([\d.]+)"', svg)]
    assert len(heights) == 3 and heights[1] == 0 and heights[0] > 100 * heights[2] > 0
