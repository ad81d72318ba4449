"""Scripts 01, 02, 04 and 05 as commands, on texts written here: the whole way, twice, and on bad input."""
import http.server
import json
import shutil
import threading
from functools import partial

import pytest
import yaml

from corpus_texts import HEADER, RDF, book, prose
from in_process import run_here, run_process
from paths import CONFIGS_DIR, REPO_DIR, SCRIPTS_DIR
from weatherman.corpus.clean import clean_slice
from weatherman.corpus.reddit import clean_title
from weatherman.files import sha256_file
from weatherman.records import Passage, Reject, Sidecar, check

HEADLINES = ["Area River Rises Again Out Of Spite", "Nation Agrees The Fence Had It Coming", "Area River Rises Again Out Of Spite",
             "Local Man &amp; Barometer No Longer On Speaking Terms", "Report Mixed", "[deleted]"]

DUMP_COLUMNS = "created_utc,url,id,num_comments,title,subreddit,timestamp"


class Workplace:
    """A base folder, a configuration for it, a mirror with two books and a CSV dump."""

    def __init__(self, folder):
        self.folder, self.mirror, self.dump = folder, folder / "mirror", folder / "base" / "dump.csv"
        self.config = folder / "config.yaml"
        self.base = folder / "base"
        self.base.mkdir()
        self.configure()
        self.put("0/7/7-0.txt", book(prose(1500, "Sentence")))
        self.put("0/8/8.txt", book(prose(1500, "Remark"), HEADER.replace("A River Year", "The Other Year")).replace("\n", "\r\n"))
        self.put("cache/epub/8/pg8.rdf", RDF.format(title="The Other Year", author="Pell, Ann", language="en", rights="CC0 1.0"))
        self.write_dump([f"1545089{n},https://example.org/{n},a{n},0,{title},samples,x" for n, title in enumerate(HEADLINES)])

    def configure(self, **changes):
        books = [{"id": number, "title": title, "author": "Ann Pell", "persona": "twain", "year": 1880}
                 for number, title in ((7, "A River Year"), (8, "The Other Year"))]
        settings = {"extends": str(CONFIGS_DIR / "data_config.yaml"), "gutenberg": {"books": books, "wait_s": 0.0},
                    "reddit": {"subreddits": {"samples": {"source": "reddit-theonion", "license": "CC0 1.0"}}},
                    # prose() is made of few phrases, so it repeats itself more than the filters allow
                    "cleaning": {"max_top_runs": [1.0] * 3, "max_repeated_runs": [1.0] * 6}}
        self.config.write_text(yaml.safe_dump({**settings, **changes}))

    def put(self, path, data):
        path = self.mirror / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    def write_dump(self, rows):
        self.dump.write_text("\n".join([DUMP_COLUMNS, *rows]) + "\n")

    def run(self, script, *args, status=0, start=run_here):
        """Run one script, in this process unless `start` is run_process, which several workers need, and return what it said."""
        name = next(SCRIPTS_DIR.glob(f"{script}_*.py")).name
        alone = ["--workers", 1] if start is run_here and script in ("04", "05") else []
        done = start(name, self.base, "--config", self.config, *alone, *args)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
        return done

    def whole_way(self, start=run_here):
        self.run("01", "--mirror", self.mirror, start=start)
        self.run("02", "--input", self.dump, start=start)
        self.run("04", start=start)
        return self.run("05", start=start)

    def rows(self, path):
        return [json.loads(line) for line in (self.base / "data" / path).read_text().splitlines()]


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workplace after 01, 02, 04 and 05; tests that change something copy it first."""
    made = Workplace(tmp_path_factory.mktemp("finished"))
    made.whole_way(start=run_process)
    return made


@pytest.fixture
def done(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    copy = object.__new__(Workplace)
    copy.__dict__ = {name: tmp_path / value.relative_to(finished.folder) for name, value in vars(finished).items()}
    return copy


def test_every_passage_is_a_record_and_leads_back_to_its_bytes(finished):
    passages = finished.rows("processed/passages.jsonl")
    assert {p["source"] for p in passages} == {"gutenberg", "reddit-theonion"} and len(passages) > 8
    for passage in passages:
        check(Passage, passage)
        kind, _, number = passage["id"].partition("#")[0].partition(":")
        raw = (finished.base / "data/raw" / (f"gutenberg/{number}.txt" if kind == "gutenberg" else "reddit/dump.jsonl")).read_bytes()
        piece = raw[passage["start"]:passage["end"]]
        assert passage["text"] == (clean_slice(piece, "utf-8") if kind == "gutenberg" else clean_title(json.loads(piece)["title"]))
        assert passage["word_count"] == len(passage["text"].split())
    assert {p["license"] for p in passages} == {"Public domain in the USA.", "CC0 1.0"}
    assert "Local Man & Barometer No Longer On Speaking Terms" in {p["text"] for p in passages}
    assert any("barometer" in p["matched_keywords"] for p in passages)


def test_sidecars_and_rejects_have_their_shapes(finished):
    for number in (7, 8):
        check(Sidecar, json.loads((finished.base / f"data/raw/gutenberg/{number}.json").read_text()))
    rejects = [*finished.rows("processed/passages.rejects.jsonl"), *finished.rows("processed/unique.rejects.jsonl")]
    assert all(check(Reject, reject) for reject in rejects)
    assert {(r["reason"], r["id"]) for r in rejects} == {
        ("too_short", "reddit:a4"), ("removed_post", "reddit:a5"), ("duplicate_exact", "reddit:a2")}
    assert rejects[-1]["excerpt"].startswith("1.00 of reddit:a0: Area River")
    manifest = json.loads((finished.base / "data/processed/unique.manifest.json").read_text())
    assert manifest["counts"]["in"] == manifest["counts"]["out"] + 1


def test_a_second_run_skips_and_a_forced_one_gives_the_same_bytes(done):
    names = ["processed/passages.jsonl", "processed/passages.rejects.jsonl", "processed/unique.jsonl", "raw/reddit/dump.jsonl",
             "raw/gutenberg/7.json"]
    before = [(done.base / "data" / name).read_bytes() for name in names]
    result = json.loads(done.run("01", "--mirror", done.mirror, "--json").stdout)
    assert {b["status"] for b in result["books"]} == {"cached"}
    for script, extra in (("02", ["--input", done.dump]), ("04", []), ("05", [])):
        assert json.loads(done.run(script, *extra, "--json").stdout)["skipped"] is True
        assert json.loads(done.run(script, *extra, "--json", "--force").stdout)["skipped"] is False
    assert [(done.base / "data" / name).read_bytes() for name in names] == before


@pytest.mark.parametrize("script, extra", [("01", ["--mirror", "mirror"]), ("02", ["--input", "base/dump.csv"]), ("04", []), ("05", [])])
def test_dry_run_writes_nothing(done, script, extra):
    shutil.rmtree(done.base / "data/processed" if script != "05" else done.folder / "mirror")
    before = sorted(done.base.rglob("*"))
    done.run(script, "--dry-run", *[done.folder / value if not value.startswith("--") else value for value in extra])
    assert sorted(done.base.rglob("*")) == before


def test_01_through_a_web_server_gives_the_same_bytes(place):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place.mirror))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        place.run("01", "--mirror", address)
        server.shutdown()
    raw = place.base / "data/raw/gutenberg"
    assert (raw / "8.txt").read_bytes() == (place.mirror / "0/8/8.txt").read_bytes()
    assert json.loads((raw / "8.json").read_text())["url"] == f"{address}/0/8/8.txt"
    place.run("01", "--mirror", place.mirror)  # cached for ever, wherever it came from
    assert json.loads((raw / "8.json").read_text())["url"].startswith("http")


def test_01_refuses_one_book_and_collects_the_other(place):
    place.put("0/7/7-0.txt", book(header=HEADER.replace("A River Year", "The Sacred Wood")))
    done = place.run("01", "--mirror", place.mirror, status=1)
    assert 'gutenberg:7 was refused: its title is "The Sacred Wood or, The Lower Fence", expected "A River Year"' in done.stderr
    assert sorted(p.name for p in (place.base / "data/raw/gutenberg").iterdir()) == ["8.json", "8.txt"]


@pytest.mark.parametrize("harm", [lambda raw: (raw / "7.txt").write_bytes(b"cut"), lambda raw: (raw / "7.json").write_text("{"),
                                  lambda raw: (raw / "7.json").unlink()], ids=["text cut", "sidecar cut", "sidecar gone"])
def test_01_fetches_a_damaged_pair_again(done, harm):
    raw = done.base / "data/raw/gutenberg"
    good = (raw / "7.txt").read_bytes()
    harm(raw)
    result = json.loads(done.run("01", "--mirror", done.mirror, "--json").stdout)
    assert [b["status"] for b in result["books"]] == ["fetched", "cached"] and (raw / "7.txt").read_bytes() == good


@pytest.mark.parametrize("args, message", [(["--books", "7,99"], "'99' is not configured; there are: 7, 8"),
                                           (["--mirror", "no/such"], "no/such: no such folder"), (["--mirror", "ftp://x/y"], "only http")])
def test_01_bad_arguments(place, args, message):
    assert message in place.run("01", *args, status=1).stderr


def test_01_takes_a_book_that_is_named_twice_once(place):
    assert len(json.loads(place.run("01", "--mirror", place.mirror, "--books", "7, 7", "--json").stdout)["books"]) == 1
    book = {"id": 7, "title": "A River Year", "author": "Ann Pell", "persona": "twain", "year": 1880}
    place.configure(gutenberg={"books": [book, book]})
    assert "two books have the id 7" in place.run("01", "--mirror", place.mirror, status=2).stderr


@pytest.mark.parametrize("data, status, message", [
    (None, 1, "no such file"), (b"", 1, "the file is empty"), (b"n,headline\n0,a b\n", 1, "no column is called title"),
    (DUMP_COLUMNS.encode() + b"\n", 3, "none of its 0 rows is a post")])
def test_02_bad_files(place, data, status, message):
    place.dump.unlink() if data is None else place.dump.write_bytes(data)
    assert message in place.run("02", "--input", place.dump, status=status).stderr
    assert not (place.base / "data/raw/reddit/dump.jsonl").exists()


def test_02_reports_each_bad_row(place):
    good = "1545089481,u,a1,0,Area River Rises Again,samples,x"
    place.write_dump([good, "1,2,3", good.replace("samples", "other"), good.replace("1545089481", "noon"), good.replace(",a1,", ",a/1,")])
    with open(place.dump, "ab") as handle:
        handle.write(b"\xff\n" + b"x" * (50 * 2**20) + b"\n" + good.replace("a1", "a2").encode())
    place.run("02", "--input", place.dump)
    assert [(r["line"], r["reason"]) for r in place.rows("raw/reddit/dump.rejects.jsonl")] == [
        (3, "wrong_field_count"), (4, "unknown_subreddit"), (5, "bad_created_utc"), (6, "bad_id"), (7, "invalid_encoding"),
        (8, "row_too_long")]
    assert [(p["id"], p["line"]) for p in place.rows("raw/reddit/dump.jsonl")] == [("a1", 2), ("a2", 9)]


def test_04_without_anything_collected(place):
    assert "no books, headlines or pages are collected" in place.run("04", status=1).stderr


def test_04_says_which_source_is_missing(done):
    shutil.rmtree(done.base / "data/raw/reddit")
    assert "data/raw/reddit: nothing collected there" in done.run("04").stderr


def test_04_stops_when_a_source_vanishes(done):
    before = (done.base / "data/processed/passages.jsonl").read_bytes()
    error = done.run("04", "--set", "cleaning.headline_min_words=30", status=3).stderr
    assert "data/raw/reddit: none of its texts was kept" in error
    assert (done.base / "data/processed/passages.jsonl").read_bytes() == before


def test_04_finds_damage(done):
    raw = done.base / "data/raw/gutenberg"
    (raw / "7.txt").write_bytes((raw / "7.txt").read_bytes()[:-1])
    assert "its bytes do not fit the sha256" in done.run("04", status=1).stderr
    (raw / "7.json").write_text('{"id": 7}')
    assert "7.json: not a sidecar" in done.run("04", status=1).stderr


def test_04_rejects_bad_rows(done):
    path = done.base / "data/raw/reddit/dump.jsonl"
    (path.parent / "dump.manifest.json").unlink()  # edited on purpose
    good = path.read_bytes().splitlines()[0]
    lines = [b"\xef\xbb\xbf" + good + b"\r", b'{"id": "b1", "ti', b'{"id": "\xff"}', b"[1]", b'{"id": "b2"}', good,
             b'{"x": "' + b"y" * (50 * 2**20) + b'"}', good.replace(b'"a0"', b'"b3"')]
    path.write_bytes(b"\n".join(lines))
    done.run("04")
    found = [(r["line"], r["reason"]) for r in done.rows("processed/passages.rejects.jsonl")]
    assert found == [(2, "invalid_json"), (3, "invalid_utf8"), (4, "not_an_object"), (5, "not_a_post"), (6, "duplicate_id"),
                     (7, "line_too_long")]
    kept = [p for p in done.rows("processed/passages.jsonl") if p["id"].startswith("reddit")]
    assert [p["id"] for p in kept] == ["reddit:a0", "reddit:b3"]
    assert json.loads(path.read_bytes()[kept[1]["start"]:kept[1]["end"]])["id"] == "b3"


@pytest.mark.machine
def test_any_number_of_workers_gives_the_same_bytes(place):
    """A dump of two pieces, with bad lines in it, and the books."""
    place.run("01", "--mirror", place.mirror)
    line = json.dumps({"id": "x", "title": "Area River Rises Again Out Of Spite, Part", "subreddit": "samples", "url": None,
                       "created_utc": None}).encode() + b"\n"
    rows = [line.replace(b'"x"', b'"x%d"' % n).replace(b"Part", b"Part %d" % n) if n % 100 else b"[]\n" for n in range(9_000)]
    path = place.base / "data/raw/reddit/many.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(rows))
    outputs = []
    for workers, start in (("1", run_here), ("3", run_process)):
        for script, name in (("04", "passages"), ("05", "unique")):
            place.run(script, "--workers", workers, "--force", start=start)
            outputs.append([(place.base / f"data/processed/{name}{kind}.jsonl").read_bytes() for kind in ("", ".rejects")])
    assert outputs[:2] == outputs[2:]
    rejects = [r for r in place.rows("processed/passages.rejects.jsonl") if r["file"].endswith("many.jsonl")]
    assert [r["line"] for r in rejects] == list(range(1, 9_001, 100))
    data = path.read_bytes()
    for passage in place.rows("processed/passages.jsonl")[-50:]:
        assert json.loads(data[passage["start"]:passage["end"]])["title"] == passage["text"]


def test_04_is_done_again_when_a_word_list_changes(done):
    manifest = json.loads((done.base / "data/processed/passages.manifest.json").read_text())
    assert manifest["config"]["words"] == {p.name: sha256_file(p) for p in (CONFIGS_DIR / "corpus").glob("*.yaml")} != {}


def test_both_engines_give_the_same_bytes(done):
    done.run("05", "--engine", "datasketch", "--output", done.base / "other.jsonl")
    assert (done.base / "other.jsonl").read_bytes() == (done.base / "data/processed/unique.jsonl").read_bytes()


def test_04_cuts_web_pages_into_passages(place):
    page = "<html lang=en><head><title>Wells</title></head><body><article>{}</article></body></html>"
    text = [f"The well on the hill was dug in the dry year {n}, and nobody has a kind word for the man who dug it." for n in range(30)]
    (place.folder / "wells.html").write_text(page.format("".join(f"<p>{paragraph}</p>" for paragraph in text)))
    place.run("03", "--input", place.folder / "wells.html")
    place.run("04")
    passages = place.rows("processed/passages.jsonl")
    raw = next((place.base / "data/raw/web").glob("*.txt")).read_bytes()
    assert len(passages) >= 2 and {p["source"] for p in passages} == {"web"}
    assert "\n\n".join(p["text"] for p in passages) == "\n\n".join(text) == raw.decode().strip()
    for passage in passages:
        assert check(Passage, passage) and raw[passage["start"]:passage["end"]].decode() == passage["text"]


def test_04_leaves_out_a_book_that_is_no_longer_configured(done):
    done.configure(gutenberg={"books": [{"id": 8, "title": "The Other Year", "author": "Ann Pell", "persona": "twain", "year": 1880}]})
    done.run("04")
    assert ("not_configured", "gutenberg:7") in {(r["reason"], r["id"]) for r in done.rows("processed/passages.rejects.jsonl")}


def test_05_rejects_bad_rows(done):
    path = done.base / "data/processed/passages.jsonl"
    rows = path.read_bytes().splitlines()
    (path.parent / "passages.manifest.json").unlink()
    wrong = json.dumps({**json.loads(rows[0]), "id": "x", "start": "zero"}).encode()
    path.write_bytes(b"\n".join([rows[0], rows[0], b'{"id": "b1", "ti', wrong, b'{"id": 7}', rows[1]]))
    done.run("05")
    found = [(r["line"], r["reason"]) for r in done.rows("processed/unique.rejects.jsonl")]
    assert found == [(2, "duplicate_id"), (3, "invalid_json"), (4, "invalid_record"), (5, "invalid_record")]
    assert len(done.rows("processed/unique.jsonl")) == 2


@pytest.mark.parametrize("data, status, message", [(None, 1, "no such file"), (b"", 1, "the file is empty"),
                                                   (b"{}\n", 3, "none of its 1 rows is a usable")])
def test_05_bad_files(done, data, status, message):
    path = done.base / "data/processed/passages.jsonl"
    (path.parent / "passages.manifest.json").unlink()
    path.unlink() if data is None else path.write_bytes(data)
    before = (path.parent / "unique.jsonl").read_bytes()
    assert message in done.run("05", status=status).stderr
    assert (path.parent / "unique.jsonl").read_bytes() == before


def test_an_edited_input_is_noticed(done):
    path = done.base / "data/processed/passages.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert "the file is not what 04_clean_passages.py wrote" in done.run("05", status=1).stderr


@pytest.mark.parametrize("script, extra", [("01", []), ("02", ["--input", "x.csv"]), ("04", []), ("05", [])])
def test_configuration_mistakes_are_named(place, script, extra):
    place.configure(dedup={"treshold": 0.8, "permutations": "many"}, cleaning={"min_words": 500})
    error = place.run(script, *extra, status=2).stderr
    assert 'unknown key "dedup.treshold" (did you mean "threshold"?)' in error
    assert "dedup.permutations: input should be a valid integer; found str 'many'" in error
    assert "must not decrease" in error


def test_demo_configuration_fits_the_sample_texts(tmp_path):
    if not (REPO_DIR / "data/samples/mirror").is_dir():
        pytest.skip("data/samples is not there")
    place = Workplace(tmp_path)
    place.config = CONFIGS_DIR / "demo_data.yaml"
    place.mirror, place.dump = REPO_DIR / "data/samples/mirror", REPO_DIR / "data/samples/reddit/headlines.csv"
    place.whole_way()
    passages = place.rows("processed/unique.jsonl")
    books = [p for p in passages if p["source"] == "gutenberg"]
    assert len({p["title"] for p in books}) == 8 and 35 <= len(books) <= 60
    assert len(passages) - len(books) >= 140
    assert not any("sample ebook" in p["text"].lower() or "cc0" in p["text"].lower() for p in passages)
