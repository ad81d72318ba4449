"""Script 03 as a command, against a web server on loopback and on saved pages; all pages written here."""
import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from corpus_texts import prose
from in_process import run_here, run_process
from misbehaving import ETAG, serving
from paths import CONFIGS_DIR, SCRIPTS_DIR
from weatherman.corpus.page import read_page
from weatherman.files import sha256_bytes
from weatherman.records import PageSidecar, Reject, check

pytestmark = pytest.mark.timeout(60)
HTML = {"Content-Type": "text/html; charset=utf-8"}
GERMAN = "<p>Der Fluss stieg in der Nacht und nahm den unteren Zaun mit, und niemand wunderte sich.</p>" * 12


def page(first, head=""):
    """Return the bytes of an article of about 200 words; `first` makes it differ from others."""
    body = "".join(f"<p>{text}</p>" for text in prose(200, first).split("\n\n"))
    return f"<html><head><title>{first} of the river</title>{head}</head><body><article>{body}</article></body></html>".encode()


class Place:
    """A base folder, a list of addresses, a configuration that lets loopback in, and a web server."""

    def __init__(self, folder, server):
        self.base, self.server, self.urls, self.config = folder, server, folder / "urls.txt", folder / "config.yaml"
        self.raw = folder / "data/raw/web"
        server.pages |= {"/robots.txt": (200, b"User-agent: *\nDisallow: /private/", {}),
                         "/tale": (200, page("Tale"), {**HTML, "ETag": ETAG}), "/essay": (200, page("Essay"), HTML)}
        self.configure()
        self.list("/tale", "/essay")

    def configure(self, **web):
        settings = {"wait_s": 0.0, "timeout_s": 1.0, "deadline_s": 3.0, "retries": 0, "max_bytes": 100_000, "public_only": False}
        self.config.write_text(yaml.safe_dump({"extends": str(CONFIGS_DIR / "data_config.yaml"), "web": {**settings, **web}}))

    def list(self, *paths):
        self.urls.write_text("# what to read\n" + "\n".join(path if ":" in path else self.server.address + path for path in paths))

    def arguments(self, *args):
        return ["--config", self.config, *([] if "--input" in args else ["--urls", self.urls]), *args]

    def run(self, *args, status=0):
        """Run 03; return ([what became of each page], [paths asked for meanwhile])."""
        self.server.log.clear()
        done = run_here("03_collect_web.py", self.base, *self.arguments("--json", *args))
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
        results = json.loads(done.stdout)["pages"] if done.stdout else []
        return [result["reason"] or result["status"] for result in results], [path for _, path, _ in self.server.log]

    def files(self, suffix):
        return sorted(self.raw.glob(f"*{suffix}"))

    def rejects(self, name="urls"):
        rows = [json.loads(line) for line in (self.raw / f"{name}.rejects.jsonl").read_text().splitlines()]
        assert all(check(Reject, row) for row in rows)
        return [(row["line"], row["reason"]) for row in rows]


@pytest.fixture
def place(tmp_path):
    with serving() as server:
        yield Place(tmp_path, server)


def test_pages_are_fetched_once(place):
    assert place.run() == (["fetched", "fetched"], ["/robots.txt", "/tale", "/essay"])
    assert place.run() == (["cached", "cached"], []) and place.rejects() == []
    assert len(place.files(".html")) == len(place.files(".txt")) == len(place.files(".json")) == 2
    for path in place.files(".json"):
        sidecar = json.loads(path.read_text())
        check(PageSidecar, sidecar)
        raw, text = path.with_suffix(".html").read_bytes(), path.with_suffix(".txt").read_bytes()
        assert sidecar["id"] == f"web:{path.stem}" and sidecar["sha256"] == sha256_bytes(text)
        assert sidecar["url"].startswith(place.server.address) and sidecar["title"].endswith("of the river")
        assert text.decode() == read_page(raw, sidecar["url"]).text + "\n" and text.count(b"\n\n") >= 3


def test_every_refusal_has_its_line_and_reason(place):
    place.server.pages |= {
        "/private/x": (200, page("Private"), HTML), "/copy": (200, page("Tale"), HTML), "/deutsch": (200, GERMAN.encode(), HTML),
        "/named": (200, page("Named", f"<link rel=canonical href='{place.server.address}/essay'>"), HTML),
        "/short": (200, b"<html><p>Nothing much happened at the landing.</p>", HTML), "/big": (200, b"<p>" + b"a" * 200_000, HTML),
        "/letter.pdf": (200, b"%PDF-1.4", {"Content-Type": "application/pdf"}), "/moved": (301, b"", {"Location": "/essay"}),
        "/tagged": (200, page("Tagged"), {**HTML, "X-Robots-Tag": "otherbot: noindex, *: noai"}),
        "/empty": (200, b"<html><body></body></html>", HTML), "/reserved": (200, page("Reserved"), {**HTML, "TDM-Reservation": "1"}),
        "/wall": (200, b"<p>Please enable JavaScript to go on here.</p>", HTML)}
    place.list("/tale", "/private/x", "/copy", "/essay", "/named", "/deutsch", "/short", "/big", "/letter.pdf", "/moved", "/tagged",
               "/empty", "/reserved", "/wall", "/gone", "/forbidden", "ftp://example.org/", "/tale#again", "/loop")
    place.run(status=1)
    assert place.rejects() == [
        (3, "robots"), (4, "duplicate_page"), (6, "duplicate_page"), (7, "other_language"), (8, "too_short"), (9, "too_large"),
        (10, "not_html"), (11, "duplicate_page"), (12, "robots_meta"), (13, "no_main_text"), (14, "robots_meta"), (15, "robot_check"),
        (16, "not_found"), (17, "unavailable"), (18, "bad_url"), (19, "duplicate_page"), (20, "bad_redirect")]
    assert len(place.files(".txt")) == 2
    rejects = (place.raw / "urls.rejects.jsonl").read_bytes()
    place.run(status=1)
    assert (place.raw / "urls.rejects.jsonl").read_bytes() == rejects


def test_loopback_is_refused_unless_allowed(place):
    place.configure(public_only=True)
    assert place.run(status=1) == (["private_address"] * 2, [])
    assert place.files(".txt") == []


def test_a_page_that_cannot_be_reached_does_not_stop_the_others(place):
    place.list("http://127.0.0.1:9/x", "http://no-such-host.invalid/", "/drip", "/truncated", "/tale")
    assert place.run(status=1)[0] == ["unavailable"] * 4 + ["fetched"]


def test_refresh_asks_again_and_keeps_what_still_holds(place):
    place.run()
    before = {path.name: path.read_bytes() for path in place.files(".txt")}
    place.server.pages["/essay"] = (200, page("Another essay"), HTML)
    assert place.run("--refresh") == (["fetched", "fetched"], ["/robots.txt", "/tale", "/essay"])
    assert [headers["If-None-Match"] for _, path, headers in place.server.log] == [None, ETAG, None]
    after = {path.name: path.read_bytes() for path in place.files(".txt")}
    assert [name for name in before if before[name] != after[name]] == [name for name in before if "essay" in name]
    place.server.pages["/essay"] = (410, b"", {})
    assert place.run("--refresh", status=1)[0] == ["fetched", "not_found"]
    assert {path.name: path.read_bytes() for path in place.files(".txt")} == after  # the older copy stays


def test_a_page_that_is_not_whole_is_fetched_again(place):
    place.list("/tale")
    place.run()
    whole = content(place)
    for damage in (lambda: place.files(".html")[0].unlink(), lambda: place.files(".txt")[0].write_text("edited"),
                   lambda: place.files(".json")[0].write_text("{}")):
        damage()
        assert place.run()[0] == ["fetched"] and content(place) == whole


def test_saved_pages(place):
    saved = place.base / "saved"
    saved.mkdir()
    (saved / "Tale & more.htm").write_bytes(page("Tale", "<link rel=canonical href='https://example.org/tale'>"))
    (saved / "essay.html.gz").write_bytes(gzip.compress(page("Essay")))
    (saved / "essay-copy.html").write_bytes(page("Essay") + b"<!-- saved later -->")
    (saved / "broken.html.gz").write_bytes(b"no gzip")
    assert place.run("--input", saved, status=1) == (["not_html", "fetched", "fetched", "duplicate_page"], [])
    assert sorted(json.loads(path.read_text())["url"] for path in place.files(".json")) == ["", "https://example.org/tale"]
    assert any(path.name.startswith("tale-more-") for path in place.files(".txt"))
    assert place.run("--input", saved, status=1)[0].count("cached") == 2
    assert [reason for _, reason in place.rejects("saved")] == ["not_html", "duplicate_page"]


def test_dry_run_asks_for_nothing(place):
    assert place.run("--dry-run") == ([], []) and not place.raw.exists()


def test_a_missing_list_is_an_error(place):
    place.urls.unlink()
    done = run_here("03_collect_web.py", place.base, *place.arguments())
    assert done.returncode == 1 and "no such file" in done.stderr and "Traceback" not in done.stderr


def content(place):
    """Return {name: bytes} of all that was written, the time of fetching left out."""
    found = {path.name: path.read_bytes() for path in place.raw.glob("*") if not path.name.endswith(".part")}
    return {name: {**json.loads(data), "fetched_at": ""} if name.endswith(".json") else data for name, data in found.items()}


@pytest.mark.machine
def test_killed_at_any_moment_the_same_command_completes_it(place):
    names = [f"/story-{n}" for n in range(4)]
    place.server.pages |= {name: (200, page(f"Story {name[-1]}"), HTML) for name in names}
    place.list(*names)
    started = time.monotonic()
    run_process("03_collect_web.py", place.base, *place.arguments())
    whole, duration_s = content(place), time.monotonic() - started
    for part in (1, 3, 5):
        for path in place.raw.glob("*"):
            path.unlink()
        command = [sys.executable, SCRIPTS_DIR / "03_collect_web.py", *place.arguments()]
        running = subprocess.Popen(command, env={**os.environ, "WEATHERMAN_BASE_DIR": str(place.base)}, stderr=subprocess.DEVNULL)
        time.sleep(duration_s * (0.5 + part / 10))
        running.send_signal(signal.SIGKILL)
        running.wait()
        for path in place.files(".json"):
            assert path.with_suffix(".txt").exists() and path.with_suffix(".html").exists()
        place.run()
        assert content(place) == whole


def test_a_saved_page_that_was_refused_is_read_again_only_when_something_changed(tmp_path):
    """Not by time, which says little on a busy machine: the library that reads pages is not even imported."""
    page = tmp_path / "short.html"
    page.write_text("<html lang=en><body><article><p>Three words only.</p></article></body></html>")
    command = [sys.executable, "-X", "importtime", str(SCRIPTS_DIR / "03_collect_web.py"), "--input", str(page), "--json"]

    def run(*extra):
        done = subprocess.run([*command, *extra], capture_output=True, text=True, env={**os.environ, "WEATHERMAN_BASE_DIR": str(tmp_path)})
        return json.loads(done.stdout)["pages"][0]["reason"], "trafilatura" in done.stderr

    assert run() == ("too_short", True) and run() == ("too_short", False)
    assert run("--set", "cleaning.min_words=50", "--set", "cleaning.target_words=50") == ("too_short", True)
    page.write_text(page.read_text().replace("Three", "Only three"))
    assert run() == ("too_short", True)
