"""The corpus report: exact figures by source, a gate that fires, counts that must add up, and a page a browser can show."""
import json
import os
import random
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paths import REPO_DIR, SCRIPTS_DIR
from weatherman.cli import GateError, UserError
from weatherman.corpus.clusters import LONG_RUN_WORDS, Stretch, compare, find_clusters
from weatherman.corpus.survey import EXAMPLES, UNKNOWN, Reason, survey
from weatherman.files import read_jsonl, to_json_line, write_bytes
from weatherman.manifest import manifest_path, read_manifest
from weatherman.records import Passage, check
from weatherman.step import Step, rejects_path

SUBREDDITS = {"TheOnion": {"source": "reddit-theonion"}, "nottheonion": {"source": "reddit-nottheonion"}}
NO_LIMITS = [part for name in ("gutenberg", "reddit-theonion", "reddit-nottheonion") for part in ("--set", f"retention.{name}=0")]
HOSTILE = '<script>alert("x")</script> \u202egnp.txe & a \x1b[31m "quote"'
BOOK = ("The river rose in the night and took the lower fence with it, and old Mr. Pell said that he had expected as much, for a fence "
        "that could not swim had no business so near the water, and he would not lend it his boat again. ") * 2


def passage(id, source, text, **changes):
    record = {"id": id, "source": source, "text": text, "title": text[:30], "author": "", "persona": "neutral", "year": 2018, "url": "",
              "license": "CC0 1.0", "document_sha256": "0" * 64, "start": 0, "end": 1, "word_count": len(text.split()),
              "matched_keywords": [], **changes}
    check(Passage, record)
    return record


def page_of(book, number, text, **changes):
    return passage(f"gutenberg:{book}#{number:06d}", "gutenberg", text, title=f"Book {book}", author="Ann Pell", year=1880, **changes)


class Corpus:
    """A base folder with the files of 02, 04 and 05, written by their own Step."""

    def __init__(self, base):
        self.raw, self.processed = base / "data/raw", base / "data/processed"
        self.passages, self.unique = self.processed / "passages.jsonl", self.processed / "unique.jsonl"
        self.base, self.dump = base, self.raw / "reddit/mixed.jsonl"

    def write(self, script, inputs, output, kept, rejected, config=None):
        output.parent.mkdir(parents=True, exist_ok=True)
        step = Step(SCRIPTS_DIR / script, rooms=[], inputs=inputs, outputs=[output], config=config or {}, seed=42)
        with step:
            step.seen(len(kept) + len(rejected))
            for record in kept:
                step.keep(record)
            for file, line, id, reason, excerpt in rejected:
                step.reject(reason, file=file, line=line, id=id, excerpt=excerpt)

    def collect(self):
        posts = [{"id": f"t{n}", "subreddit": "TheOnion"} for n in range(4)] + [{"id": "n0", "subreddit": "nottheonion"}, {"id": "x"}]
        self.write("02_collect_reddit.py", [], self.dump, posts, [("dump.csv", 9, None, "wrong_field_count", HOSTILE)])

    def clean(self, rejected=()):
        kept = [page_of(7, 0, BOOK, matched_keywords=["rain"]), page_of(7, 1, "Nothing came of it after all."),
                page_of(8, 0, BOOK.replace("river", "brook")),
                passage("reddit:t0", "reddit-theonion", HOSTILE, matched_keywords=["rain", "wind"]),
                passage("reddit:t1", "reddit-theonion", "Area river rises again", year=2016),
                passage("reddit:n0", "reddit-nottheonion", "Area River Rises Again!", year=None)]
        rows = [(self.raw / "gutenberg/7.txt", 12, "gutenberg:7#000002", "too_short", "Brief."),
                (self.dump, 3, "reddit:t2", "slur", HOSTILE), (self.dump, 6, None, "not_a_post", "{'id': 'x'}"), *rejected]
        self.write("04_clean_passages.py", [self.dump], self.passages, kept, rows, {"reddit": {"subreddits": SUBREDDITS}})

    def deduplicate(self, near="0.93 of gutenberg:7#000000: "):
        rows = dict(enumerate((record for _, record in read_jsonl(self.passages)), 1))
        why = {3: ("duplicate_near", near), 6: ("duplicate_exact", "1.00 of reddit:t1: ")}
        rejected = [(self.passages, line, rows[line]["id"], reason, begin + rows[line]["text"]) for line, (reason, begin) in why.items()]
        kept = [row for line, row in rows.items() if line not in why]
        self.write("05_deduplicate.py", [self.passages], self.unique, kept, rejected)

    def survey(self, seed=42):
        return survey(self.raw, self.processed, seed)

    def run(self, *args, status=0):
        done = subprocess.run([sys.executable, str(SCRIPTS_DIR / "corpus_report.py"), *args], capture_output=True, text=True,
                              cwd=REPO_DIR, env={**os.environ, "WEATHERMAN_BASE_DIR": str(self.base)})
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
        return done

    def page(self):
        return (self.processed / "corpus_report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A whole corpus with its page; each test that changes something works on a copy."""
    corpus = Corpus(tmp_path_factory.mktemp("built"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEATHERMAN_BASE_DIR", str(corpus.base))
        corpus.collect()
        corpus.clean()
        corpus.deduplicate()
        corpus.run(*NO_LIMITS)
    return corpus


@pytest.fixture
def corpus(built, tmp_path, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    shutil.copytree(built.base, tmp_path, dirs_exist_ok=True)
    return Corpus(tmp_path)


@pytest.fixture
def shown(built):
    return built.page()


# --- figures --------------------------------------------------------------------------------------------------------------

def test_every_source_is_counted_exactly(corpus):
    sources = corpus.survey().sources
    figures = {name: (s.came, s.cleaned.texts, s.kept.texts, s.lost()) for name, s in sources.items()}
    assert figures == {
        "gutenberg": (4, 3, 2, {"too_short": 1, "duplicate_near": 1}),
        "reddit-nottheonion": (1, 1, 0, {"duplicate_exact": 1}),
        "reddit-theonion": (4, 2, 2, {"slur": 1, "not_a_post": 1}),
    }
    onion, books = sources["reddit-theonion"], sources["gutenberg"].books
    assert onion.retention == 0.5 and onion.kept.keywords == {"rain": 1, "wind": 1} and onion.kept.with_keywords == 1
    assert onion.kept.years == {2018: 1, 2016: 1} and sources["reddit-nottheonion"].cleaned.without_year == 1
    assert {id: (b.title, b.came, b.cleaned.texts, b.kept.texts) for id, b in books.items()} == {
        "gutenberg:7": ("Book 7", 3, 2, 2), "gutenberg:8": ("Book 8", 1, 1, 0)}


def test_a_rejected_row_counts_for_its_own_subreddit_and_an_unreadable_one_for_that_of_most_rows(corpus):
    corpus.clean([(corpus.dump, 5, "reddit:n0", "too_long", "x"), (corpus.dump, 99, None, "invalid_json", "{"),
                  (corpus.raw / "web/page.txt", 1, "web:page#000000", "not_english", "Guten Tag")])
    corpus.deduplicate()
    sources = corpus.survey().sources
    assert sources["reddit-nottheonion"].lost_cleaning.counts() == {"too_long": 1}
    assert sources["reddit-theonion"].lost_cleaning.counts() == {"invalid_json": 1, "not_a_post": 1, "slur": 1}
    assert sources["web"].lost_cleaning.counts() == {"not_english": 1} and sources["web"].retention == 0


def test_rejects_of_a_dump_that_is_gone_are_not_blamed_on_anyone(corpus):
    shutil.rmtree(corpus.raw)
    found = corpus.survey()
    assert found.sources[UNKNOWN].lost_cleaning.counts() == {"slur": 1, "not_a_post": 1} and found.collecting == []
    assert UNKNOWN in corpus.run(*NO_LIMITS).stderr and "The collected files of these rows are gone" in corpus.page()


def test_what_was_collected_and_what_was_not_is_told(corpus):
    for name in ("gutenberg/7.txt", "gutenberg/7.json", "gutenberg/8.txt", "web/a.txt", "web/a.json"):
        write_bytes(corpus.raw / name, b"{}")
    refused = {"file": "urls.txt", "line": 2, "id": "web:b", "reason": "not_found", "excerpt": "https://example.org/b HTTP 404"}
    write_bytes(corpus.raw / "web/urls.rejects.jsonl", to_json_line(refused))
    corpus.run(*NO_LIMITS)
    page = corpus.page()
    assert "Books in data/raw: 1. Web pages: 1." in page and "refused when it was last collected: 1." in page
    assert "https://example.org/b HTTP 404" in page and "7 rows came in and 6 were kept, in mixed.jsonl." in page
    assert "Configured, but nothing of them is here: The Adventures of Tom Sawyer (74)" in page


def test_examples_are_drawn_evenly_and_by_the_seed():
    drawn = [Reason(random.Random(f"{seed}")) for seed in range(300)]
    for reason in drawn:
        for number in range(20):
            reason.add(number)
    assert all(reason.count == 20 and len(set(reason.examples)) == EXAMPLES for reason in drawn)
    often = [sum(number in reason.examples for reason in drawn) for number in range(20)]
    assert 20 < min(often) and max(often) < 80  # 45 on average
    again = Reason(random.Random("0"))
    for number in range(20):
        again.add(number)
    assert again.examples == drawn[0].examples


def test_the_same_files_give_the_same_page(corpus):
    first = corpus.page()
    corpus.run(*NO_LIMITS)
    assert corpus.page() == first


# --- the gate ---------------------------------------------------------------------------------------------------------------

def test_a_source_below_its_share_fails_behind_the_page(corpus):
    (corpus.processed / "corpus_report.html").unlink()
    done = corpus.run("--json", *NO_LIMITS, "--set", "retention.gutenberg=0.5", "--set", "retention.reddit-theonion=0.51", status=3)
    assert "reddit-theonion: 50.0% of its 4 texts are kept; expected at least 51.0%. Most went to 1 not_a_post, 1 slur." in done.stderr
    assert "gutenberg:" not in done.stderr and "lower retention.reddit-theonion" in done.stderr
    assert "Failed: a source lost more than it may." in corpus.page()
    assert json.loads(done.stdout)["sources"]["reddit-theonion"] == {
        "came": 4, "cleaned": 2, "kept": 2, "words": 10, "retention": 0.5, "limit": 0.51, "lost": {"slur": 1, "not_a_post": 1}}


def test_at_its_share_a_source_passes(corpus):
    done = corpus.run(*NO_LIMITS, "--set", "retention.gutenberg=0.5", "--set", "retention.reddit-theonion=0.5")
    assert "Passed." in corpus.page() and re.search(r"reddit-theonion +4 +2 +2 +50.0% +50.0%", done.stderr)


# --- what is missing, damaged or stale ----------------------------------------------------------------------------------------

def test_without_05_the_page_says_so(corpus):
    corpus.unique.unlink()
    done = corpus.run("--set", "retention.reddit-theonion=0.5")
    assert "05 has not been run" in done.stderr and "05 has not been run" in corpus.page()
    assert corpus.survey().sources["gutenberg"].retention == 0.75


@pytest.mark.parametrize("gone", ["passages.jsonl", "passages.manifest.json"])
def test_without_04_it_names_the_next_command(corpus, gone):
    (corpus.processed / gone).unlink()
    assert "Try: python scripts/04_clean_passages.py" in corpus.run(status=1).stderr


def test_duplicates_of_other_passages_are_refused(corpus):
    corpus.clean([(corpus.dump, 2, "reddit:t9", "slur", "x")])
    write_bytes(corpus.passages, corpus.passages.read_bytes() + b"\n")
    manifest = read_manifest(corpus.passages)
    manifest["outputs"][0]["sha256"] = "f" * 64
    write_bytes(manifest_path(corpus.passages), to_json_line(manifest))
    with pytest.raises(UserError, match="unique.jsonl: made from other passages"):
        corpus.survey()


def drop_line(path):
    write_bytes(path, b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("name", ["raw/reddit/mixed.rejects.jsonl", "processed/passages.jsonl", "processed/passages.rejects.jsonl",
                                  "processed/unique.jsonl", "processed/unique.rejects.jsonl"])
def test_a_lost_row_is_noticed_and_the_file_named(corpus, name):
    drop_line(corpus.base / "data" / name)
    with pytest.raises(GateError, match=f"{name}: holds"):
        corpus.survey()


def test_lost_rejects_are_noticed(corpus):
    rejects_path(corpus.passages).unlink()
    with pytest.raises(GateError, match="passages.rejects.jsonl: missing, but the manifest counts"):
        corpus.survey()


def test_a_manifest_that_does_not_add_up_is_noticed(corpus):
    manifest = read_manifest(corpus.unique)
    manifest["counts"]["in"] += 1
    write_bytes(manifest_path(corpus.unique), to_json_line(manifest))
    with pytest.raises(GateError, match="unique.manifest.json: 7 rows came in"):
        corpus.survey()


def test_a_text_that_changed_its_source_is_noticed(corpus):
    write_bytes(corpus.unique, corpus.unique.read_bytes().replace(b'"source":"reddit-theonion"', b'"source":"gutenberg"', 1))
    with pytest.raises(GateError, match="of 3 texts of gutenberg, 3 are kept and 1 rejected"):
        corpus.survey()


def test_a_reject_that_points_nowhere_is_noticed(corpus):
    path = rejects_path(corpus.unique)
    write_bytes(path, path.read_bytes().replace(b'"line":3', b'"line":30'))
    with pytest.raises(GateError, match="passages.jsonl: its line 30 is not gutenberg:8#000000"):
        find_clusters(corpus.survey(), 42)


# --- duplicates ---------------------------------------------------------------------------------------------------------------

def test_both_texts_of_a_duplicate_are_found(corpus):
    near, exact = sorted(find_clusters(corpus.survey(), 42), key=lambda cluster: cluster.source)
    copy, = near.copies
    assert (near.reason, near.of, near.size, copy.similarity) == ("duplicate_near", "gutenberg:7#000000", 1, 0.93)
    assert [record["id"] for record in near.kept] == ["gutenberg:7#000000"] and copy.record["id"] == "gutenberg:8#000000"
    assert exact.source == "reddit-nottheonion" and exact.kept[0]["text"] == "Area river rises again"


@pytest.mark.parametrize("excerpt,shown", [("0.93 of gutenberg:9#000000: ", "gutenberg:9#000000"), ("", "the reject names none")])
def test_a_duplicate_whose_kept_text_is_missing_is_shown_as_such(corpus, excerpt, shown):
    corpus.deduplicate(near=excerpt)
    corpus.run(*NO_LIMITS)
    assert f"Not among the kept texts: </b>{shown}" in corpus.page()


def test_a_passage_of_another_edition_is_shown_beside_the_places_that_hold_it(corpus):
    words = [f"word{n}" for n in range(60)]
    kept = [page_of(7, n, " ".join(words[20 * n:20 * n + 20])) for n in range(3)]
    removed = page_of(8, 0, " ".join(words[10:35]))
    corpus.write("04_clean_passages.py", [], corpus.passages, [*kept, removed], [], {"reddit": {"subreddits": SUBREDDITS}})
    corpus.write("05_deduplicate.py", [corpus.passages], corpus.unique, kept,
                 [(corpus.passages, 4, removed["id"], "duplicate_edition", f"0.80 of gutenberg:7: {removed['text']}")])
    cluster, = find_clusters(corpus.survey(), 42)
    assert [record["id"] for record in cluster.kept] == ["gutenberg:7#000000", "gutenberg:7#000001"]


def test_differing_words_are_marked_and_long_runs_shortened():
    same = " ".join(f"w{n}" for n in range(LONG_RUN_WORDS + 1))
    left, right = compare(f"big {same} end", f"small {same}")
    run = Stretch(False, same[:same.index(" w12")], LONG_RUN_WORDS + 1 - 24, same[same.index("w29"):])
    assert left == [Stretch(True, "big"), run, Stretch(True, "end")] and right == [Stretch(True, "small"), run]


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30))
def test_stretches_make_up_both_texts_and_the_unmarked_ones_are_alike(a, b):
    left, right = compare(" ".join(a), " ".join(b))
    assert [w for s in left for w in s.begin.split()] == a and [w for s in right for w in s.begin.split()] == b
    assert [s.begin for s in left if not s.differs] == [s.begin for s in right if not s.differs]


# --- the page -------------------------------------------------------------------------------------------------------------------

def test_the_page_has_every_part_and_each_link_leads_somewhere(shown):
    ids = re.findall(r'id="([^"]+)"', shown)
    assert ids == ["overview", "gutenberg", "reddit-nottheonion", "reddit-theonion", "duplicates", "collected", "runs"]
    assert set(re.findall(r'href="([^"]*)"', shown)) == {f"#{name}" for name in ids}
    assert '<html lang="en">' in shown and "<title>Corpus report</title>" in shown and shown.count("<svg") == 5


def test_every_reject_reason_is_shown_with_its_examples(shown):
    for reason in ("too_short", "slur", "not_a_post", "duplicate_near", "duplicate_exact", "wrong_field_count"):
        assert f"<code>{reason}</code>" in shown
    assert "mixed.jsonl:3 · reddit:t2" in shown and "7.txt:12 · gutenberg:7#000002" in shown


def test_differences_are_marked_without_colour_alone(shown):
    assert "<mark>brook</mark>" in shown and "<mark>river</mark>" in shown
    assert re.search(r"mark \{[^}]*font-weight: 600; text-decoration: underline", shown)


def test_texts_of_strangers_stay_texts(shown):
    assert "<script" not in shown and "&lt;script&gt;" in shown
    assert "\u202e" not in shown and "\x1b" not in shown and "[U+202E]gnp.txe" in shown and "[U+001B][31m" in shown
    assert not re.search(r'src\s*=|url\(|@import|href="[^#]', shown)


def test_tags_are_balanced(shown):
    stack = []
    parser = HTMLParser()
    parser.handle_starttag = lambda name, _: stack.append(name) if name != "meta" else None
    parser.handle_endtag = lambda name: stack.pop() if stack and stack[-1] == name else pytest.fail(f"</{name}> closes {stack[-1:]}")
    parser.feed(shown)
    assert stack == []


def browse(path, *flags):
    """Return (stdout, the lines of the console) of a headless browser that opens a file. A blocked request or script is such a line."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium here; apt-get install chromium")
    done = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path.parent / 'profile'}",
                           "--enable-logging=stderr", *flags, f"file://{path}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.machine
def test_a_browser_shows_it_without_complaint_or_request(corpus, shown, tmp_path):
    dom, console = browse(corpus.processed / "corpus_report.html", "--dump-dom")
    assert console == []
    assert all(f'<h2 id="{name}">' in dom for name in ("overview", "gutenberg", "reddit-theonion", "duplicates", "collected", "runs"))
    assert "alert(" in dom and "<script" not in dom
    bad = tmp_path / "bad.html"
    bad.write_text(shown.replace("<main>", '<main><img src="http://127.0.0.1:9/x.png"><script>1</script>'))
    assert len(browse(bad, "--dump-dom")[1]) == 2
