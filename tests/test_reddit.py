"""The CSV dumps: quoting, line numbers, and each malformed row reported."""
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherman.cli import UserError
from weatherman.corpus import reddit

HEADER = ",".join(reddit.COLUMNS)


def row(number=1, title="Area River Rises", subreddit="TheOnion"):
    return f"1545089481,https://example.org/{number},a{number},0,{title},{subreddit},2018-12-17 18:31:21"


def read(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    bad = []
    posts = list(reddit.read_posts(path, lambda line, reason, excerpt: bad.append((line, reason))))
    return [(line, post["title"]) for line, post in posts], bad


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dump.csv"


def test_quotes_entities_and_embedded_line_ends(path):
    text = "\n".join([HEADER, row(1, '"One, ""two"" and three"'), row(2, '"Over\ntwo lines"'), "", row(3, "NA"), row(4, "")])
    assert read(path, text) == ([(2, 'One, "two" and three'), (3, "Over\ntwo lines"), (6, "NA"), (7, "")], [])


@pytest.mark.parametrize("data", [f"{HEADER}\r\n{row()}\r\n".encode(),
                                  b"\xef\xbb\xbf" + f"{HEADER}\n{row()}".encode()], ids=["crlf", "bom"])
def test_line_ends_and_bom(path, data):
    assert read(path, data) == ([(2, "Area River Rises")], [])


@pytest.mark.parametrize("bad_row, reason", [
    (row(9, "one, two, three and more, and more"), "wrong_field_count"), ("a,b", "wrong_field_count"),
    (row(9, 'He said "no'), "unbalanced_quotes"),
    (row(9, "a\0b"), "nul_byte"), (row(9, "x" * 70_000), "row_too_long"), (row(9, "caf").encode() + b"\xe9", "invalid_utf8")])
def test_a_bad_row_costs_itself_alone(path, bad_row, reason):
    bad_row = bad_row if isinstance(bad_row, bytes) else bad_row.encode()
    data = b"\n".join([HEADER.encode(), row(1).encode(), bad_row, *(row(n).encode() for n in range(2, 12))])
    posts, bad = read(path, data)
    assert bad == [(3, reason)]
    assert [line for line, _ in posts] == [2, *range(4, 14)]


def test_batches_keep_their_line_numbers(path, monkeypatch):
    monkeypatch.setattr(reddit, "BATCH_ROWS", 3)
    posts, _ = read(path, "\n".join([HEADER, *(row(n, f"Title {n}") for n in range(2, 12))]))
    assert posts == [(n, f"Title {n}") for n in range(2, 12)]


def test_columns_in_any_order_and_no_user_names(path):
    path.write_text("author,title,id,subreddit,url,created_utc,num_comments,timestamp\nsomebody,T,a1,samples,u,1,0,x\n")
    ((line, post),) = reddit.read_posts(path, None)
    assert line == 2 and set(post) == set(reddit.COLUMNS)


@pytest.mark.parametrize("text, message", [(",clean_title,is_onion\n0,a b,1\n", "expected created_utc, url, id.*missing: created_utc"),
                                           ("", "the file is empty")])
def test_other_files_are_refused(path, text, message):
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        list(reddit.read_posts(path, None))


@settings(deadline=None)
@given(st.lists(st.text(st.characters(blacklist_characters="\0\r", blacklist_categories=["Cs"]), max_size=30), min_size=1, max_size=8))
def test_whatever_csv_writes_is_read_again(titles):
    import tempfile
    from pathlib import Path
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(reddit.COLUMNS)
    titles = ["\n".join(title.split("\n")[:5]) for title in titles]
    writer.writerows([["1", "u", f"a{n}", "0", title, "s", "t"] for n, title in enumerate(titles)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump.csv"
        path.write_text(out.getvalue(), encoding="utf-8", newline="")
        assert [post["title"] for _, post in reddit.read_posts(path, None)] == titles


def test_clean_title():
    assert reddit.clean_title(" Rain &amp; Wind\u200b\n &quot;Sorry&quot; ") == 'Rain & Wind "Sorry"'


@pytest.mark.parametrize("text, good", [("1545089481", True), ("", False), ("1e9", False), ("-1", False), ("²", False), ("9" * 11, False)])
def test_is_time(text, good):
    assert reddit.is_time(text) is good


def test_row_spans_are_the_bytes_of_each_row(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\r\n{"b": "\xc3\xa9"}\nlast')
    data = path.read_bytes()
    assert [(n, data[a:b]) for n, a, b in reddit.row_spans(path)] == [(1, b'{"a": 1}'), (2, b'{"b": "\xc3\xa9"}'), (3, b"last")]
