"""Script 01 against folders and against a web server that behaves and misbehaves; books written here."""
import importlib
import json
import signal
import subprocess
import sys
import time

import pytest
import yaml

from corpus_texts import RDF, book, prose
from misbehaving import ETAG, serving
from paths import CONFIGS_DIR
from weatherman.cli import UserError

pytestmark = pytest.mark.timeout(60)
SCRIPT = importlib.import_module("01_collect_gutenberg")
TEXT, PATH, RECORD = book(prose(1500)).encode(), "/0/7/7-0.txt", "/cache/epub/7/pg7.rdf"
ENTRY = {"id": 7, "title": "A River Year", "authors": [{"name": "Pell, Ann"}], "languages": ["en"], "copyright": False,
         "media_type": "Text"}
OLD = ("**The Project Gutenberg Etext of A River Year**\n\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n"
       + prose(900)).encode()  # names no author


class Place:
    """A base folder, a configuration with one book, and a web server that is a mirror and a Gutendex."""

    def __init__(self, folder, server, capsys):
        self.config, self.server, self.capsys = folder / "config.yaml", server, capsys
        self.raw = folder / "data/raw/gutenberg"
        books = [{"id": 7, "title": "A River Year", "author": "Ann Pell", "persona": "twain", "year": 1880}]
        self.config.write_text(yaml.safe_dump({"extends": str(CONFIGS_DIR / "data_config.yaml"), "gutenberg": {
            "books": books, "mirror": server.address, "gutendex": f"{server.address}/api", "wait_s": 0.01, "timeout_s": 0.5,
            "deadline_s": 2.0, "retries": 1}}))

    def run(self, *args, status=0):
        """Run 01 in this process; return (what became of the book, the paths asked for meanwhile)."""
        self.server.log.clear()
        assert SCRIPT.main(["--config", str(self.config), "--json", *args]) == status
        return json.loads(self.capsys.readouterr().out)["books"][0], [path for _, path, _ in self.server.log]

    @property
    def files(self):
        return sorted(path.name for path in self.raw.glob("*"))


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    with serving() as server:
        yield Place(tmp_path, server, capsys)


def test_a_book_is_fetched_once_and_a_refresh_costs_one_request(place):
    place.server.pages[PATH] = (200, TEXT, {"ETag": ETAG})
    assert place.run()[0]["status"] == "fetched" and (place.raw / "7.txt").read_bytes() == TEXT
    assert json.loads((place.raw / "7.json").read_text())["etag"] == ETAG
    before = (place.raw / "7.json").read_bytes()
    assert place.run() == ({"id": "gutenberg:7", "title": "A River Year", "status": "cached", "note": "data/raw/gutenberg/7.txt"}, [])
    found, asked = place.run("--refresh")
    assert (found["status"], asked) == ("unchanged", ["/robots.txt", PATH]) and (place.raw / "7.json").read_bytes() == before
    assert place.server.log[-1][2]["If-None-Match"] == ETAG
    place.server.pages[PATH] = (200, TEXT, {"ETag": '"same bytes, other name"'})
    assert place.run("--refresh")[0]["status"] == "unchanged"
    place.server.pages[PATH] = (200, TEXT.replace(b"Sentence number 1 ", b"Sentence number one "), {"ETag": '"two"'})
    assert place.run("--refresh")[0]["status"] == "fetched" and b"number one" in (place.raw / "7.txt").read_bytes()


def test_a_refresh_that_brings_something_worse_keeps_the_old_copy(place):
    place.server.pages[PATH] = (200, TEXT, {"ETag": ETAG})
    place.run()
    for page in ((200, TEXT[:5000], {}), (200, b"<html>moved</html>", {}), "truncated", (404, b"", {})):
        place.server.pages[PATH] = page
        assert place.run("--refresh", status=1)[0]["status"] == "refused"
        assert (place.raw / "7.txt").read_bytes() == TEXT and place.files == ["7.json", "7.txt"]


def test_candidates_are_tried_in_order_of_quality(place):
    place.server.pages |= {"/0/7/7-8.txt": (200, TEXT, {}), "/cache/epub/7/pg7.txt": (200, b"worse", {})}
    found, asked = place.run()
    assert found["note"].endswith("from 0/7/7-8.txt")
    assert asked == ["/robots.txt", PATH, "/0/7/7.txt", "/0/7/7-8.txt", RECORD]


@pytest.mark.parametrize("page, reason", [
    ("truncated", "unavailable"), ("reset", "unavailable"), ("drip", "unavailable"), ("half_a_header", "unavailable"),
    ((200, TEXT, {"Content-Length": str(len(TEXT) // 2)}), "cut_short"), ((200, TEXT[:9000], {"Content-Length": None}), "unavailable"),
    ((200, b"", {}), "empty"), ((200, b"<!doctype html><p>Sign in", {}), "web_page"), ((503, b"", {"Retry-After": "900"}), "unavailable"),
    ((404, b"", {}), "absent")])
def test_nothing_partial_gets_into_the_cache(place, page, reason):
    place.server.pages[PATH] = page
    found, _ = place.run(status=1)
    assert (found["status"], found["reason"], place.files) == ("refused", reason, []) and found["hint"]


def test_a_body_without_a_length_is_taken_when_its_end_marker_is_there(place):
    place.server.pages |= {PATH: (200, TEXT, {"Content-Length": None})}
    assert place.run()[0]["status"] == "fetched" and (place.raw / "7.txt").read_bytes() == TEXT


def test_robots_keep_us_out(place):
    place.server.pages |= {"/robots.txt": (200, b"User-agent: *\nDisallow: /0/", {}), PATH: (200, TEXT, {})}
    found, asked = place.run(status=1)
    assert found["reason"] == "disallowed" and "a folder" in found["hint"] and asked == ["/robots.txt"]


def test_gutendex_is_asked_on_request_only_and_for_named_books_against_its_robots(place):
    place.server.pages |= {PATH: (200, OLD, {}), "/api/books/7": (200, json.dumps(ENTRY).encode(), {}),
                           "/robots.txt": (200, b"User-agent: *\nDisallow: /api/books/", {})}
    found, asked = place.run(status=1)
    assert found["reason"] == "unstated" and "--metadata gutendex" in found["hint"] and "/api/books/7" not in asked
    found, asked = place.run("--metadata", "gutendex", status=1)
    assert found["reason"] == "no_gutendex" and "--books 7" in found["hint"] and "/api/books/7" not in asked
    found, asked = place.run("--metadata", "gutendex", "--books", "7")
    assert found["status"] == "fetched" and asked.count("/api/books/7") == 1
    assert json.loads((place.raw / "7.json").read_text())["author"] == "Pell, Ann"


@pytest.mark.parametrize("pages, reason", [
    ({"/api/books/7": (200, json.dumps({**ENTRY, "copyright": True}).encode(), {})}, "copyrighted"),
    ({"/api/books/7": (500, b"", {})}, "unavailable"), ({"/api/books/7": (200, b"<html>", {})}, "unavailable"), ({}, "unstated")])
def test_gutendex_can_refuse_a_book(place, pages, reason):
    place.server.pages |= {PATH: (200, OLD, {}), **pages}
    assert place.run("--metadata", "gutendex", status=1)[0]["reason"] == reason and place.files == []


def test_gutendex_is_not_asked_where_the_mirror_has_the_record(place):
    record = RDF.format(title="A River Year", author="Pell, Ann", language="en", rights="CC0 1.0").encode()
    place.server.pages |= {PATH: (200, OLD, {}), RECORD: (200, record, {})}
    assert place.run("--metadata", "gutendex")[1] == ["/robots.txt", PATH, RECORD]


def test_a_mirror_that_is_down_ends_the_run_at_once(place):
    with pytest.raises(UserError, match="cannot be reached") as error:
        place.run("--mirror", "http://127.0.0.1:9")
    assert error.value.hint.startswith("the same command")


def test_kill_9_leaves_no_partial_file(place):
    place.server.pages |= {PATH: (200, TEXT, {}), RECORD: "silent"}
    process = subprocess.Popen([sys.executable, SCRIPT.__file__, "--config", str(place.config)], stderr=subprocess.DEVNULL)
    while not any(path == RECORD for _, path, _ in place.server.log):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert place.files == []
    del place.server.pages[RECORD]
    assert place.run()[0]["status"] == "fetched" and place.files == ["7.json", "7.txt"]
