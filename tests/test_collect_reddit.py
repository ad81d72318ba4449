"""02_collect_reddit.py: files of every kind, what stops it, and --praw against a local server that speaks Reddit's listings."""
import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from paths import REPO_DIR, SCRIPTS_DIR
from weatherman.cli import GateError, UserError
from weatherman.corpus.reddit import title_id
from weatherman.records import Passage, Reject, check

REDUCED = REPO_DIR.parent / "shared/corpora/reddit/cleaned_subreddits.csv"
HAS_PRAW = importlib.util.find_spec("praw") is not None


def script(name):
    path = next(SCRIPTS_DIR.glob(f"{name}_*.py"))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    return tmp_path


def collect(place, content, *flags, name="dump"):
    """Run 02 on a file with this content and return (posts, rejects)."""
    path = place / f"{name}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    script("02")(["--input", str(path), *flags])
    return rows(place / f"data/raw/reddit/{name}.jsonl"), rows(place / f"data/raw/reddit/{name}.rejects.jsonl")


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("content, flags", [
    ("title;score\nArea River Rises Again;5\n", []), ("title\tscore\nArea River Rises Again\t5", []),
    ("Score,Title\r5,Area River Rises Again\r", []), ("title\nArea River Rises Again".encode("utf-16"), []),
    (b"title\nArea River Rises Again", ["--encoding", "cp1252"])])
def test_a_table_with_a_title_becomes_posts(place, content, flags):
    posts, rejects = collect(place, content, "--subreddit", "TheOnion", *flags)
    title = "Area River Rises Again"
    assert rejects == [] and posts == [{"id": title_id("TheOnion", title), "title": title, "subreddit": "TheOnion", "url": None,
                                        "created_utc": None, "line": 2}]


def test_ids_survive_another_order_and_04_makes_records_of_them(place):
    titles = ["Area River Rises Again", "Nation Agrees Fence Had It Coming", "Area River Rises Again", "No"]
    once, _ = collect(place, "\n".join(["title", *titles]), "--subreddit", "TheOnion")
    other = "\n".join(["n,title", *(f"{n},{title}" for n, title in enumerate(reversed(titles)))])
    again, _ = collect(place, other, "--subreddit", "TheOnion")
    assert sorted(post["id"] for post in once) == sorted(post["id"] for post in again)
    script("04")(["--json"])
    found = rows(place / "data/processed/passages.jsonl")
    assert all(check(Passage, passage) for passage in found)
    assert [(p["text"], p["year"], p["url"]) for p in found] == [(titles[0], None, ""), (titles[1], None, "")]
    rejects = rows(place / "data/processed/passages.rejects.jsonl")
    assert [(r["line"], r["reason"]) for r in rejects] == [(1, "too_short"), (4, "duplicate_id")]


def test_every_row_is_counted_and_no_user_name_is_written(place):
    content = ("author,title,subreddit\nsomebody,Area River Rises,TheOnion\nsomebody,Thanks to u/somebody,TheOnion\nsomebody,Rises\n"
               'somebody,"Fence\nFalls",TheOnion\nsomebody,Rain,funny\n')
    posts, rejects = collect(place, content)
    assert [(post["line"], post["title"]) for post in posts] == [(2, "Area River Rises"), (5, "Fence\nFalls")]
    assert [(r["line"], r["reason"], r["excerpt"]) for r in rejects] == [
        (3, "user_name", "Thanks to u/…"), (4, "wrong_field_count", ""), (7, "unknown_subreddit", "Rain")]
    assert all(check(Reject, reject) for reject in rejects)
    assert not any(b"somebody" in path.read_bytes() for path in (place / "data").rglob("*.json*"))


@pytest.mark.parametrize("content, message", [
    ("title,subreddit\n", "none of its 0 rows is a post we can use .*the header is all there is"),
    ("title,subreddit\nRain,funny\n1\n", r"none of its 2 rows is a post we can use \(unknown_subreddit 1\)"),
    (",clean_title,is_onion\n0,area river rises,1\n1,fence falls,0\n", "2 of its 2 titles have no capital letter")])
def test_files_that_would_give_nothing_good_are_refused_and_the_older_output_stays(place, content, message):
    collect(place, "title,subreddit\nArea River Rises,TheOnion\n")
    before = (place / "data/raw/reddit/dump.jsonl").read_bytes()
    with pytest.raises(GateError, match=message):
        collect(place, content)
    assert (place / "data/raw/reddit/dump.jsonl").read_bytes() == before


def test_reduced_titles_on_purpose(place):
    posts, _ = collect(place, ",clean_title,is_onion\n0,area river rises,1\n", "--set", "reddit.max_lower_case_share=1.0")
    assert posts[0]["subreddit"] == "TheOnion" and posts[0]["id"] == title_id("TheOnion", "area river rises")


@pytest.mark.skipif(not REDUCED.exists(), reason="../shared/corpora/reddit is not here")
def test_the_real_reduced_file_is_refused(place):
    with pytest.raises(GateError, match="19,988 of its 19,988 titles have no capital letter"):
        collect(place, REDUCED.read_bytes())


@pytest.mark.parametrize("flags, error, message", [
    (["--input", "x.csv", "--subreddit", "funny"], UserError, "funny is not configured; there are: TheOnion, nottheonion"),
    (["--praw", "funny"], UserError, "funny is not configured"), (["--praw", "TheOnion", "TheOnion"], UserError, "the same name"),
    (["--praw", "TheOnion", "--encoding", "cp1252"], SystemExit, "2"), (["--input", "x.csv", "--listing", "top"], SystemExit, "2"),
    ([], SystemExit, "2")])
def test_bad_arguments(place, flags, error, message):
    with pytest.raises(error, match=message):
        script("02")(flags)


# --- --praw -----------------------------------------------------------------------------------------------------------

class Reddit(http.server.BaseHTTPRequestHandler):
    """Answers for a token and for listings of `posts` in pages of 100; `fault` says what is wrong with it."""

    posts, fault, seen = [], None, []

    def do_POST(self):
        self.seen.append((self.path, self.headers["User-Agent"], self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if self.fault == "401":
            return self.answer(401, {"message": "Unauthorized", "error": 401})
        self.answer(200, {"access_token": "t", "token_type": "bearer", "expires_in": 3600, "scope": "*"})

    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        self.seen.append((url.path, self.headers["User-Agent"], self.headers["Authorization"]))
        if self.fault in ("429", "404", "403", "302"):
            return self.answer(int(self.fault), {}, {"Retry-After": "77", "Location": "/subreddits/search"})
        first = int(query.get("after", ["t3_0"])[0][3:])
        page = self.posts[first:first + min(100, int(query["limit"][0]))]
        after = f"t3_{first + len(page)}" if first + len(page) < len(self.posts) else None
        children = [{"kind": "t3", "data": post} for post in page]
        self.answer(200, {"kind": "Listing", "data": {"after": after, "before": None, "children": children}})

    def answer(self, status, body, headers=()):
        data = json.dumps(body).encode()
        data = data[:-40] if self.fault == "cut" and status == 200 and self.command == "GET" else data
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def post(number, **changes):
    return {"id": f"p{number}", "name": f"t3_p{number}", "title": f"Area River Rises {number} Times", "subreddit": "TheOnion",
            "permalink": f"/r/TheOnion/comments/p{number}/area_river/", "created_utc": 1545089481.0 + number, "author": "somebody",
            "author_fullname": "t2_somebody", **changes}


@pytest.fixture
def server(place):
    """A server class with its settings, at an address that the user's own praw.ini names, as praw wants it."""
    kind = type("Server", (Reddit,), {"posts": [post(n) for n in range(250)], "seen": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_address[1]}"
        (place / "praw.ini").write_text(f"[DEFAULT]\noauth_url={address}\nreddit_url={address}\nusername=me\npassword=secret\n")
        yield kind
        running.shutdown()


def live(place, *flags, status=0, **environment):
    settings = {"REDDIT_CLIENT_ID": "id", "REDDIT_CLIENT_SECRET": "secret", "XDG_CONFIG_HOME": str(place), "NO_PROXY": "*"}
    done = subprocess.run([sys.executable, str(SCRIPTS_DIR / "02_collect_reddit.py"), "--praw", "TheOnion", *flags], capture_output=True,
                          text=True, env={**os.environ, **settings, **environment})
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.skipif(HAS_PRAW, reason="praw is installed here")
def test_praw_absent(place):
    assert "./setup_local.sh --add praw" in live(place, status=1).stderr


needs_praw = pytest.mark.skipif(not HAS_PRAW, reason="praw is not installed: ./setup_local.sh --add praw")


@needs_praw
def test_a_live_listing_over_several_pages(place, server):
    server.posts[120] = post(119)  # a page that moved
    server.posts[7] = post(7, title="Thanks to u/somebody")
    done = live(place, "--listing", "top", "--json")
    name = f"data/raw/reddit/TheOnion_top_{time.strftime('%y%m%d', time.gmtime())}"
    posts, rejects = rows(place / f"{name}.jsonl"), rows(place / f"{name}.rejects.jsonl")
    assert [p["id"] for p in posts] == [f"p{n}" for n in range(250) if n not in (7, 120)]
    assert posts[0] == {"id": "p0", "title": "Area River Rises 0 Times", "subreddit": "TheOnion", "line": None, "created_utc": "1545089481",
                        "url": "https://www.reddit.com/r/TheOnion/comments/p0/area_river/"}
    assert [(r["file"], r["line"], r["reason"]) for r in rejects] == [("r/TheOnion/top", None, "user_name")]
    assert json.loads(done.stdout)["counts"] == {"in": 249, "out": 248, "rejected": {"user_name": 1}}
    assert not any(b"somebody" in path.read_bytes() for path in (place / "data").rglob("*.json*"))
    assert {path for path, _, _ in server.seen} == {"/api/v1/access_token", "/r/TheOnion/top"}
    assert all(agent.startswith("python:weatherman-lora:1 (") for _, agent, _ in server.seen)
    assert "client_credentials" in server.seen[0][2] and "password" not in server.seen[0][2]
    server.posts = server.posts[:3]
    assert json.loads(live(place, "--listing", "top", "--json").stdout)["counts"]["out"] == 3  # asked anew, nothing is skipped


@needs_praw
@pytest.mark.parametrize("fault, message", [
    ("401", "the id and secret of the app"), ("429", "the same command in 77 s"), ("cut", "r/TheOnion: BadJSON"),
    ("404", "may be private, banned"), ("403", "may be private, banned"), ("302", "may be private, banned")])
def test_what_goes_wrong_live_is_named_and_leaves_nothing(place, server, fault, message):
    server.fault = fault
    assert message in live(place, status=1).stderr
    assert not list((place / "data").rglob("*.jsonl*"))


@needs_praw
def test_limit_empty_listing_and_missing_credentials(place, server):
    assert json.loads(live(place, "--set", "reddit.limit=5", "--json").stdout)["counts"]["out"] == 5
    server.posts = []
    assert "none of its 0 rows" in live(place, status=3).stderr
    assert "--praw needs REDDIT_CLIENT_SECRET in the environment" in live(place, status=1, REDDIT_CLIENT_SECRET="").stderr
