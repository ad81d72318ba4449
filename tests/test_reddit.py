"""Posts: which columns a dump may have, what is kept of a row, ids that last, and no name of a user."""
import csv
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paths import REPO_DIR
from weatherman.cli import UserError
from weatherman.corpus import reddit

DUMPS = sorted((REPO_DIR.parent / "shared/corpora/reddit").glob("*_18*.csv"))
HEADER = "created_utc,url,id,num_comments,title,subreddit,timestamp"
POST = {"id": "a75a2d", "title": "Area River Rises", "subreddit": "TheOnion", "url": "https://example.org/1", "created_utc": "1545089481"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dump.csv"


def read(path, text, **options):
    """Return ([(line, post)], [(line, reason, excerpt)]) of a file with this text."""
    path.write_bytes(text.encode())
    bad = []
    return list(reddit.read_posts(path, lambda *found: bad.append(found), **options)), bad


def checked(**changes):
    return reddit.to_post({**POST, **changes}, {"theonion": "TheOnion", "nottheonion": "nottheonion"})


def test_a_raw_dump(path):
    posts, bad = read(path, f'{HEADER}\n1545089481,https://example.org/1,a75a2d,0,"One, ""two""\nthree",TheOnion,x\n1,2\n')
    assert posts == [(2, {**POST, "title": 'One, "two"\nthree'})] and bad == [(4, "wrong_field_count", "1,2")]


def test_the_reduced_format(path):
    posts, _ = read(path, ",clean_title,is_onion\n0,river rises,1\n1,fence falls,0\n2,gate opens,2\n")
    assert [(post["title"], post["subreddit"], post["id"]) for _, post in posts] == [
        ("river rises", "TheOnion", None), ("fence falls", "nottheonion", None), ("gate opens", "2", None)]


def test_a_table_with_titles_alone(path):
    posts, _ = read(path, "title\nArea River Rises\n", subreddit="TheOnion")
    assert posts == [(2, {"id": None, "title": "Area River Rises", "subreddit": "TheOnion", "url": None, "created_utc": None})]


def test_the_file_or_the_caller_says_where_it_is_from(path):
    with pytest.raises(UserError, match="has no column subreddit") as caught:
        read(path, "title\nArea River Rises\n")
    assert "--subreddit NAME" in caught.value.hint
    with pytest.raises(UserError, match="has a column subreddit"):
        read(path, "title,subreddit\nArea River Rises,x\n", subreddit="TheOnion")
    with pytest.raises(UserError, match=":1: two columns are called subreddit"):
        read(path, "title,subreddit,Subreddit\n")


def test_a_row_number_is_no_id(path):
    """Two files would both have a post 0; 04 keeps one of each id."""
    assert read(path, "id,title,subreddit\n0,Area River Rises,TheOnion\n")[0][0][1]["id"] is None
    assert read(path, "id,created_utc,title,subreddit\na1,1,Area River Rises,TheOnion\n")[0][0][1]["id"] == "a1"


@pytest.mark.parametrize("changes, reason", [
    ({"title": " "}, "empty_title"), ({"title": "x" * 1001}, "title_too_long"), ({"subreddit": "funny"}, "unknown_subreddit"),
    ({"created_utc": "noon"}, "bad_created_utc"), ({"id": "a/1"}, "bad_id"), ({"id": ""}, "bad_id"), ({"id": "é1"}, "bad_id"),
    ({"title": "Credit to u/some_body for this"}, "user_name"), ({"title": "/U/Some-Body writes"}, "user_name"),
    ({"title": "(u/somebody)"}, "user_name"), ({"title": "see reddit.com/user/somebody"}, "user_name")])
def test_rows_that_are_no_posts(changes, reason):
    assert checked(**changes) == (None, reason)


@pytest.mark.parametrize("changes, expected", [
    ({}, {}), ({"id": "t3_a75a2d"}, {"id": "a75a2d"}), ({"subreddit": "theonion"}, {}), ({"created_utc": ""}, {"created_utc": None}),
    ({"created_utc": "1545089481.0"}, {}), ({"created_utc": " 2018-12-17 23:31:21"}, {}), ({"created_utc": "2018-12-17T23:31:21.5Z"}, {}),
    ({"created_utc": "2018-12-17"}, {"created_utc": "1545004800"}), ({"url": ""}, {"url": None}), ({"url": "/r/x"}, {"url": None}),
    ({"url": "https://www.reddit.com/user/somebody/comments/a1"}, {"url": None}),
    ({"url": "https://www.reddit.com/r/u_somebody/"}, {"url": None}),
    ({"title": "Man charged u/s 377 and/or 12"}, {"title": "Man charged u/s 377 and/or 12"})])
def test_posts(changes, expected):
    assert checked(**changes) == ({**POST, **expected}, None)


@pytest.mark.parametrize("text", ["", "1e9", "-1", "²", "9" * 11, "nan", "2018-13-01", "12/17/2018", "2018-12-17 23:31:21+02:00",
                                  "1960-01-01"])
def test_times_that_are_none(text):
    assert reddit.parse_time(text) is None


@given(st.integers(0, 10**10 - 1))
def test_times(seconds):
    from datetime import datetime, timezone
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    assert reddit.parse_time(str(seconds)) == str(seconds) == reddit.parse_time(moment.strftime("%Y-%m-%d %H:%M:%S").zfill(19))
    assert reddit.is_time(str(seconds)) and reddit.year_of(str(seconds)) == moment.year
    assert reddit.year_of(None) is None


def test_a_date_is_in_utc_wherever_the_machine_stands(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert reddit.parse_time("2018-12-17 23:31:21") == "1545089481"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_title_as_long_as_a_page_is_an_open_quote(path):
    """The quote that opens in line 2 closes behind the 12 of line 42, and the columns fit by chance."""
    others = "".join(f"Area River Rises {n} Times,TheOnion\n" for n in range(39))
    posts, bad = read(path, f'title,subreddit\n"He said no,TheOnion\n{others}The 12",TheOnion\n')
    assert [line for line, _ in posts] == list(range(3, 43)) and bad == [(2, "bad_quotes", '"He said no,TheOnion')]


def test_an_id_names_the_words_wherever_they_stand():
    name = reddit.title_id("TheOnion", "Rain & Wind  Sorry")
    assert name == reddit.title_id("TheOnion", " Rain &amp; Wind\nSorry") == checked(id=None, title="Rain & Wind Sorry")[0]["id"]
    assert len({name, reddit.title_id("nottheonion", "Rain & Wind Sorry"), reddit.title_id("TheOnion", "Rain & Wind, Sorry")}) == 3


def test_a_rejected_line_tells_no_user_name(path):
    header = "author,title,subreddit"
    posts, bad = read(path, f"{header}\nsomebody,Area River Rises,TheOnion\nsomebody,Rises\n")
    assert "author" not in posts[0][1] and bad == [(3, "wrong_field_count", "")]
    _, bad = read(path, 'title,subreddit\nthanks to u/somebody\n"one /u/some-body')
    assert [excerpt for _, _, excerpt in bad] == ["thanks to u/…", '"one u/…']
    assert reddit.mask("caf\udce9") == "caf\\udce9"  # JSON holds no half characters


def test_clean_title():
    assert reddit.clean_title(" Rain &amp; Wind\u200b\n &quot;Sorry&quot; ") == 'Rain & Wind "Sorry"'


@pytest.mark.parametrize("text, good", [("1545089481", True), ("", False), ("1e9", False), ("-1", False), ("²", False), ("9" * 11, False)])
def test_is_time(text, good):
    assert reddit.is_time(text) is good


@pytest.mark.skipif(not DUMPS, reason="../shared/corpora/reddit is not here")
@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_real_dumps_as_the_csv_module_and_pandas_read_them(dump):
    import pandas
    ours = [post for _, post in reddit.read_posts(dump, lambda *bad: pytest.fail(str(bad)))]
    frame = pandas.read_csv(dump, dtype=str, keep_default_na=False)
    with open(dump, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(ours) == len(rows) == len(frame) == 10_000
    for field in reddit.FIELDS:
        assert [post[field] for post in ours] == [row[field] for row in rows] == frame[field].tolist()
