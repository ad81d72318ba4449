"""Posts of Reddit: read from CSV dumps, checked, without the names of users; and found again in the collected files."""
import hashlib
import html
import re
import unicodedata
from datetime import datetime, timezone

from weatherman.cli import UserError
from weatherman.corpus.csv_rows import open_table, read_rows

FIELDS = ("id", "title", "subreddit", "url", "created_utc")  # what is kept of a row; a file need only have the title
# The reduced format, github.com/dawngraham/reddit-theonion, cleaned_subreddits.csv: other names, and a number for the subreddit.
REDUCED = {"title": "clean_title", "subreddit": "is_onion"}
IS_ONION = {"1": "TheOnion", "0": "nottheonion"}
# Columns that hold no user name. A malformed row is quoted in its reject only where the file has no others.
NAMELESS = {*FIELDS, *REDUCED.values(), "", "num_comments", "timestamp", "score", "over_18"}
MAX_TITLE_CHARS = 1000  # Reddit ends a title at 300; entities make it longer
USER_NAME = re.compile(r"(?:(?<!\w)/?u|/user)/[\w-]{3,}", re.I)  # names have 3 characters or more; "u/s 377" is a term of law
USER_PAGE = re.compile(r"/(?:u|user)/|/r/u_", re.I)
SECONDS = re.compile(r"(\d{1,10})(?:\.\d*)?", re.A)
UTC_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.\d+)?)?(?:Z|\+00:00)?", re.A)


def read_posts(path, on_bad, encoding=None, subreddit=None):
    """Yield (line number, {field: text, None where the file has no such column}) for each row of a dump.

    Bad rows go to `on_bad(line number, reason, excerpt)`. encoding: of the file, detected when None. subreddit: of all rows,
    for a file without that column. Raises UserError when the file as a whole is no table with titles.
    """
    table = open_table(path, ("title", REDUCED["title"]), encoding)
    places = column_places(table)
    if not subreddit and "subreddit" not in places:
        raise UserError(f"{path}: has no column subreddit.", "--subreddit NAME, one of those in the configuration, says where it is from")
    if subreddit and "subreddit" in places:
        raise UserError(f"{path}: has a column subreddit; --subreddit is for files without.", "the same command without --subreddit")
    title, quotable = places["title"], NAMELESS.issuperset(table.names)
    for row in read_rows(table, lambda fields: len(fields[title]) <= MAX_TITLE_CHARS):
        if row.reason:
            on_bad(row.line, row.reason, mask(row.value.rstrip("\r\n")) if quotable else "")
        else:
            post = {field: row.value[places[field]] if field in places else None for field in FIELDS}
            yield row.line, {**post, "subreddit": subreddit or IS_ONION.get(post["subreddit"], post["subreddit"])}


def column_places(table):
    """Return {field: position} of the FIELDS a Table has. Raises UserError when one of them is there twice."""
    names = {field: REDUCED.get(field, field) if "title" not in table.names else field for field in FIELDS}
    found = {field: table.names.index(name) for field, name in names.items() if name in table.names}
    if twice := [names[field] for field in found if table.names.count(names[field]) > 1]:
        raise UserError(f"{table.path}:{table.header_line}: two columns are called {twice[0]}.", "rename one of them")
    if "created_utc" not in found:
        found.pop("id", None)  # no export of Reddit: a row number, which another file has as well
    return found


def to_post(row, subreddits):
    """Return (post, None), or (None, reason) for a row that is no post we can use. subreddits: {lower-case name: name as configured}.

    A post has the FIELDS as text; url and created_utc (seconds since 1970) are None where the row does not say.
    """
    title, url, created = row["title"], row["url"] or "", row["created_utc"]
    subreddit = subreddits.get(row["subreddit"].lower())
    seconds = parse_time(created) if created else None
    if not title.strip():
        return None, "empty_title"
    if len(title) > MAX_TITLE_CHARS:
        return None, "title_too_long"
    if "/" in title and USER_NAME.search(title):
        return None, "user_name"
    if subreddit is None:
        return None, "unknown_subreddit"
    if created and seconds is None:
        return None, "bad_created_utc"
    name = title_id(subreddit, title) if row["id"] is None else row["id"].removeprefix("t3_")
    if not (name.isascii() and name.isalnum()):
        return None, "bad_id"
    url = url if url.startswith(("http://", "https://")) and not USER_PAGE.search(url) else None
    return {"id": name, "title": title, "subreddit": subreddit, "url": url, "created_utc": seconds}, None


def mask(text):
    """Return text for a reject: without user names, and without half characters, which JSON cannot hold."""
    return USER_NAME.sub("u/…", text).encode("utf-8", "backslashreplace").decode()


def is_time(text):
    """True for seconds since 1970 as 02 writes them (up to the year 2286)."""
    return text.isascii() and text.isdecimal() and len(text) <= 10


def year_of(seconds):
    """Return the year in UTC of seconds since 1970 as text, None for None."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), timezone.utc).year


def parse_time(text):
    """Return seconds since 1970 as text, None unless `text` is that (decimals are cut) or an ISO date in UTC."""
    if match := SECONDS.fullmatch(text.strip()):
        return match[1]
    if match := UTC_DATE.fullmatch(text.strip()):
        try:
            seconds = str(int(datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00:00'}+00:00").timestamp()))
        except ValueError:
            return None
        return seconds if is_time(seconds) else None
    return None


def title_id(subreddit, title):
    """Return the id of a post whose file gives none: 16 hex digits that name its words.

    The same headline has the same id in every export, whatever its row; a second copy of it shares the id.
    """
    words = " ".join(unicodedata.normalize("NFC", html.unescape(title)).split())
    return hashlib.sha256(f"{subreddit}\0{words}".encode()).hexdigest()[:16]


def clean_title(title):
    """Return a headline as people read it: entities as characters, one line, no invisible characters."""
    from weatherman.corpus.hygiene import clean_text
    return clean_text(" ".join(html.unescape(title).split()))
