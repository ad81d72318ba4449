"""The main text of web pages, the character set of their bytes, and what makes a page unfit; all pages written here."""
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paths import REPO_DIR
from weatherman.corpus.charset import decode
from weatherman.corpus.page import Refused, read_page, refuse_directives

pytestmark = pytest.mark.timeout(60)
RIVER = "The river rose in the night and took the lower fence with it, and nobody at the landing was much surprised by that."
FENCE = "Old Mr. Pell said that he had expected as much, and that a fence which could not swim had no business so near the water."
FERRY = "The ferryman painted his new barometer before the storm came up, for want of better weather, and his aunt forgave him."
URL = "https://example.org/river/"


def html(body, head="<title>A River Year</title>"):
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"


def article(*paragraphs):
    return html("<article><h1>A River Year</h1>" + "".join(f"<p>{text}</p>" for text in paragraphs) + "</article>")


def blocks(page):
    """Return the blocks of the main text of a page."""
    return read_page(page.encode() if isinstance(page, str) else page, URL).text.split("\n\n")


def refusal(page, **options):
    with pytest.raises(Refused) as refused:
        read_page(page.encode() if isinstance(page, str) else page, URL, **options)
    return refused.value.reason


# --- main text --------------------------------------------------------------------------------------------------------------

def test_the_samples_give_exactly_their_prose():
    folder = REPO_DIR / "data/samples/web"
    almanack = read_page((folder / "almanack-of-small-weather.html").read_bytes(), "")
    letter = read_page((folder / "letter-on-keeping-dry.htm").read_bytes(), "")
    paragraphs = almanack.text.split("\n\n")
    assert [text[:9] for text in paragraphs] == ["A man who", "His metho", "Of fog", "Fog, acco", "Boats do ", "Of the ba", "We own a "]
    assert paragraphs[1].startswith("His method is entirely his own. He walks out")  # a link in <span class="link"> left a hole here
    assert "“I never yet saw a fog" in almanack.text and almanack.text.endswith("right by supper.")
    assert (almanack.title, almanack.author, almanack.date) == ("The Almanack of Small Weather", "Silas Tarbox", "2026-03-01")
    assert almanack.licence == letter.licence == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert [text[:9] for text in letter.text.split("\n\n")] == ["Sir, you ", "I have ob", "As to the", "Take this"]
    assert "nine shillings — I have the receipt — and" in letter.text and "neighbour’s pig" in letter.text
    assert letter.text.endswith("your dry and obedient servant,\nPrudence Ashworth") and letter.charset == "cp1252"


def test_paragraphs_made_of_line_breaks():
    assert blocks(html(f"<div>{RIVER}<br/>\n <br>{FENCE}<br>{FERRY}<br><br><br></div>")) == [RIVER, f"{FENCE}\n{FERRY}"]
    assert blocks(html(f"<article><p>{RIVER}<br><br>{FENCE} <b>{FERRY}</b></p></article>")) == [RIVER, f"{FENCE} {FERRY}"]


def test_text_beside_paragraphs_is_not_lost():
    page = html(f"<article><p>{RIVER}</p><h2>Of fences</h2>{FENCE} <i>{FENCE}</i><p>{FERRY}</p>{RIVER} {FENCE}</article>")
    assert blocks(page) == [RIVER, "Of fences", f"{FENCE} {FENCE}", FERRY, f"{RIVER} {FENCE}"]


def test_lists_quotations_tables_and_code():
    page = html(f"<article><p>{RIVER}</p><ul><li>A thing that <b>happened</b>.</li><li>One<br>more.</li></ul><blockquote><p>{FENCE}</p>"
                f"<p>{FERRY}</p></blockquote><table><tr><th>day</th><th>rain</th></tr><tr><td>1</td><td>2 mm</td></tr></table>"
                f"<p>{FENCE} {RIVER}</p></article>")
    assert blocks(page) == [RIVER, "A thing that happened.", "One\nmore.", FENCE, FERRY, "day | rain", "1 | 2 mm", f"{FENCE} {RIVER}"]


@pytest.mark.parametrize("talk", [
    "Read more: Seven barometers and what became of them", "DON'T MISS<br>Mule finds its way home", "Click here to get the newsletter",
    "Copyright 2026 The Gazette. All rights reserved.", "Follow us on Twitter and Facebook", "Comments", "Advertisement",
    "<a href='/b'>Rain expected wherever it falls</a>", "Image credit: The Gazette", "Reading time: 4 minutes", "Filed under: Fog, Mules",
    "Related: Possible floods at the landing", "A River Year"])
def test_what_speaks_about_the_page_goes(talk):
    assert blocks(article(RIVER, talk, FENCE, FERRY)) == [RIVER, FENCE, FERRY]


@pytest.mark.parametrize("prose", [
    "Related to this is the matter of the mule, which nobody at the landing has yet seen fit to put in writing.",
    "See more than once what a river can do to a fence, and you will build the next one farther up the hill.",
    "Posted on the church door was a notice. It said that the river would be spoken to on Sunday.",
    "Comments were made about the barometer, and the ferryman did not like a single one of them.",
    "He said <a href='/a'>as much</a> to anybody who asked him, and to a good many people who had not asked."])
def test_prose_that_begins_alike_stays(prose):
    kept = blocks(article(RIVER, FENCE, prose, FERRY))
    assert len(kept) == 4 and kept[2].startswith(prose[:7])


def test_navigation_comments_and_asides_are_left_out():
    links = "".join(f"<li><a href='/{n}'>Story number {n} of the week</a></li>" for n in range(9))
    page = html(f"<nav><ul>{links}</ul></nav><main><article><p>{RIVER}</p><p>{FENCE}</p><aside><p>{FERRY}</p></aside></article>"
                f"<div id='comments' class='comments'><p>First! {FERRY * 20}</p></div></main><footer><p>{FERRY}</p></footer>")
    assert blocks(page) == [RIVER, FENCE]


def test_an_article_cut_into_parts_is_taken_whole():
    parts = ["".join(f"<p>{RIVER} Part {n}, number {m}. {FENCE}</p>" for m in range(6)) for n in range(4)]
    cells = "".join(f"<div class='grid'><div class='article__body'>{part}</div></div>" for part in parts)
    text = "\n".join(blocks(html(f"<main><article>{cells}<aside><p>{FERRY}</p></aside></article></main>")))
    assert all(f"Part {n}, number {m}." in text for n in range(4) for m in range(6)) and FERRY not in text


# --- what a page says of itself ----------------------------------------------------------------------------------------------

def test_the_licence_is_the_pages_and_not_a_pictures():
    picture = "<figure><img src=x><figcaption><a rel=license href='https://example.org/picture'>x</a></figcaption></figure>"
    assert read_page(article(RIVER, FENCE + picture, FERRY).encode(), URL).licence == ""
    page = article(RIVER, FENCE, FERRY).replace("</article>", "</article><footer><a rel='license nofollow' href=' /cc0 '>CC0</a></footer>")
    assert read_page(page.encode(), URL).licence == "/cc0"


@pytest.mark.parametrize("link,canonical", [
    ("<link rel=canonical href='/a?b=1'>", "https://example.org/a?b=1"), ("<link rel=canonical href='https://example.org/'>", ""),
    ("<link rel=canonical href='javascript:x'>", ""), ("<link rel=canonical href='http://[x'>", ""), ("", ""),
    ("<meta property='og:url' content='https://example.org/og'>", "https://example.org/og")])
def test_canonical_address(link, canonical):
    assert read_page(article(RIVER, FENCE, FERRY).replace("<title>", f"{link}<title>").encode(), URL).canonical == canonical


@pytest.mark.parametrize("head,reason", [
    ("<meta name=ROBOTS content='NoIndex, follow'>", "robots_meta"), ("<meta name=robots content=none>", "robots_meta"),
    ("<meta name=robots content='index, noai'>", "robots_meta"), ("<meta name=weatherman-lora content=noindex>", "robots_meta"),
    ("<meta name=tdm-reservation content=1>", "robots_meta"),
    ("<script type='application/ld+json'>{\"isAccessibleForFree\": \"False\"}</script>", "paywall")])
def test_pages_that_say_no(head, reason):
    assert refusal(article(RIVER, FENCE).replace("<title>", f"{head}<title>")) == reason


@pytest.mark.parametrize("head", ["<meta name=robots content='index, nofollow, noarchive'>", "<meta name=googlebot content=noindex>",
                                  "<meta name=tdm-reservation content=0>"])
def test_directives_about_something_else(head):
    assert blocks(article(RIVER, FENCE, FERRY).replace("<title>", f"{head}<title>")) == [RIVER, FENCE, FERRY]


def test_directives_name_what_was_found():
    with pytest.raises(Refused, match="X-Robots-Tag: noai, noindex"):
        refuse_directives("noindex, NOAI, nofollow", "X-Robots-Tag")


# --- not a page --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("data,kind", [
    (b"%PDF-1.7 <html>", "text/html"), (b'{"html": "x"}', ""), (b"just words", ""), (b"", "text/html"), (b"\x89PNG\r\n\x1a\n<p>", ""),
    (b"<?xml version='1.0'?><rss><channel></channel></rss>", "text/html"), (b"<html><p>x", "text/plain; charset=utf-8"),
    (b"<html><p>x", "application/pdf")])
def test_not_html(data, kind):
    assert refusal(data, content_type=kind) == "not_html"


@pytest.mark.parametrize("page", [html(""), html("<div id=root></div><script>render()</script>"), html("<nav><a href=/a>A</a></nav>")])
def test_no_main_text(page):
    assert refusal(page) == "no_main_text"


def test_lost_characters_are_refused_with_their_place():
    with pytest.raises(Refused, match="U\\+FFFD.*caf\ufffd on the landing") as refused:
        read_page(article(RIVER, f"They met in the caf\ufffd on the landing. {FENCE}", FERRY).encode(), URL)
    assert refused.value.reason == "bad_encoding"
    damaged = article(RIVER, FENCE, FERRY).replace("</article>", "</article><footer>caf\ufffd</footer>")
    assert blocks(damaged) == [RIVER, FENCE, FERRY]  # not in the main text


# --- character sets ----------------------------------------------------------------------------------------------------------

TEXT = "He paid £5 at the café — “too much”, said Mr. Pell’s aunt. " * 3
RUSSIAN = "Река поднялась ночью и унесла забор. Старик сказал, что ожидал этого. " * 3
JAPANESE = "川は夜のうちに増水し、下の柵を流してしまった。老人はそうなると思っていたと言った。" * 3


@pytest.mark.parametrize("text,written,header,meta,charset", [
    (TEXT, "utf-8", "", "", "utf-8"),
    (TEXT, "utf-8", "text/html; charset=iso-8859-1", "iso-8859-1", "utf-8"),              # wrong: it is UTF-8
    (TEXT, "cp1252", "text/html; charset=UTF-8", "utf-8", "cp1252"),                      # wrong the other way
    (TEXT, "cp1252", "text/html; charset=ISO-8859-1", "", "cp1252"),                      # as browsers take it
    (TEXT, "cp1252", "", "", "cp1252"),
    (TEXT, "cp1252", "text/html; charset=no-such-thing", "base64", "cp1252"),
    (RUSSIAN, "koi8-r", "", "koi8-r", "koi8-r"), (RUSSIAN, "cp1251", "", "", "cp1251"),
    (JAPANESE, "cp932", "", "shift_jis", "cp932"), (JAPANESE, "euc_jp", "", "", "euc_jp"),
    (JAPANESE, "iso2022_jp", "", "iso-2022-jp", "iso2022_jp"), (JAPANESE, "gb18030", "text/html;charset='gb2312'", "", "gb18030"),
    (TEXT, "utf-8-sig", "text/html; charset=windows-1252", "windows-1252", "utf-8"), (TEXT, "utf-16", "", "utf-8", "utf-16-le"),
    (TEXT, "utf-16-le", "", "", "utf_16_le"), (TEXT, "utf-8", "", "utf-16", "utf-8")])
def test_character_sets(text, written, header, meta, charset):
    page = f"<html><head>{f'<meta charset={meta}>' if meta else ''}</head><body><p>{text}</p></body></html>"
    assert decode(page.encode(written), header) == (page, charset)


def test_windows_bytes_in_utf_8_are_mended():
    assert decode("naïve — Größe ".encode() + b"caf\xe9 \x93so\x94 \x81", "text/html; charset=utf-8") == (
        "naïve — Größe café “so” \ufffd", "utf-8, mended")


def test_characters_that_no_file_may_hold_are_dropped():
    assert decode(b"a\0b\x0b\x1b[0mc\xef\xbf\xbe")[0] == "ab[0mc"
    page = article(RIVER + " \U0001F600", FENCE, FERRY).encode().replace(b"lower", b"lo\0wer")
    assert read_page(page, URL).text.startswith(f"{RIVER} \U0001F600")


@given(st.binary(max_size=300), st.sampled_from(["", "text/html; charset=utf-8", "text/html; charset=utf-16", "charset=iso-2022-jp"]))
def test_any_bytes_decode(data, content_type):
    text, charset = decode(data, content_type)
    assert text.encode() is not None and charset


# --- hostile pages -----------------------------------------------------------------------------------------------------------

N = 3000
HOSTILE = {
    "open links": "<p><a href=x>link" * N,
    "deep boxes": "<div>" * N, "deep bold": "<p>" + "<b>" * N, "deep lists": "<ul><li>" * N, "deep tables": "<table><tr><td>" * N,
    "huge attribute": f"<p class='{'a ' * 50 * N}'>", "entities": "<p>" + "&amp;&lt;&nbsp;" * 10 * N, "open comment": "<!--" * N,
    "line breaks": "<div>" + "words<br><br>" * N, "brackets": "<" * 10 * N, "long word": "<p>" + "a" * 100 * N,
    "title": f"<title>{'t' * 100 * N}",
    "deep JSON": f"<script type='application/ld+json'>{'[' * 10 * N}</script>", "NULs": "<p>" + "\0a" * N, "frames": "<frameset>" * N,
    "spaces": "<p>" + " " * 100 * N + "x", "svg": "<svg>" * N, "templates": "<template>" * N}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pages_end_soon(body):
    started = time.monotonic()
    try:
        assert read_page(f"<html><body>{body}{RIVER}".encode(), URL, limit_s=3).text
    except Refused as refused:
        assert refused.reason in ("no_main_text", "too_slow")
    assert time.monotonic() - started < 6


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # hypothesis' garbage callback may swallow one alarm
def test_time_is_limited():
    with pytest.raises(Refused, match="took more than 0.05 s") as refused:
        read_page(html(f"<p>{RIVER}</p>" * 3000).encode(), URL, limit_s=0.05)  # a second's work
    assert refused.value.reason == "too_slow"


PIECES = st.lists(st.sampled_from([
    "<p>", "</p>", "<br>", "<br><br>", "<div>", "</div>", "<a href=x>", "</a>", "<ul><li>", "<td>", "<!--", "&#", "<h2>", "<pre>",
    "<span class=link>", "<table>", "</table>", "<article>", "<body>", "</html>", RIVER, FENCE, "\n", "\0"]), max_size=25)


@given(PIECES)
@settings(max_examples=60, deadline=None)
def test_any_soup_gives_text_or_a_reason(pieces):
    try:
        text = read_page(("<html><body>" + "".join(pieces)).encode(), URL).text
    except Refused as refused:
        assert refused.reason == "no_main_text"
    else:
        assert text == text.strip() and "\n\n\n" not in text and "\0" not in text
        assert all(line == " ".join(line.split()) for line in text.split("\n"))
