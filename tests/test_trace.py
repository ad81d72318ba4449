"""--show and --trace: from a record to its passage, to the bytes of the collected file, and a plain word where they no longer fit."""
import json

import pytest

from chat_sets import document, record, talk
from dialogue_records import read, write_jsonl
from in_process import run_here
from paths import CONFIGS_DIR
from weatherman.cli import UserError
from weatherman.dialogue.trace import find_record, readable, trace
from weatherman.files import sha256_bytes, sha256_file

RAW = "Header.\r\n\r\nThe river rose “in the night”, and old Mr. Pell said so.\r\n\r\nEnd.".encode("cp1252")
START, END = RAW.index(b"The river"), RAW.index(b"\r\n\r\nEnd")
TEXT = "The river rose “in the night”, and old Mr. Pell said so."
POST = b'{"id": "a1", "title": "Area River Rises"}'


def at(name, raw, start, end, license="CC0-1.0"):
    return {**document(name, start, license), "sha256": sha256_bytes(raw), "end": end}


def passage_of(found, text, **changes):
    return {"id": found["id"], "source": "gutenberg", "text": text, "title": "The River", "author": "Ann Pell", "persona": "twain",
            "year": 1880, "url": "https://example.org/7", "license": found["license"], "document_sha256": found["sha256"],
            "start": found["start"], "end": found["end"], "word_count": len(text.split()), "matched_keywords": [], **changes}


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A base folder with a book, a dump, their passages, and a dataset of four records."""
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    raw, processed = tmp_path / "data/raw", tmp_path / "data/processed"
    for name, data in (("gutenberg/7.txt", RAW), ("gutenberg/7.json", b'{"encoding": "cp1252"}'), ("reddit/dump.jsonl", b"{}\n" + POST)):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(data)
    dump = b"{}\n" + POST
    book, headline = at("gutenberg:7", RAW, START, END, "Public domain"), at("reddit:a1", dump, 3, len(dump))
    write_jsonl(processed / "unique.jsonl", [
        passage_of(book, TEXT, id="gutenberg:7#000000"),
        passage_of(headline, "Area River Rises", source="reddit-theonion", author="", year=None, title="Area River Rises")])
    voice = next(iter(sorted((CONFIGS_DIR / "dialogue/voices").glob("*.yaml"))))
    written = {**document(f"voice:{voice.stem}"), "sha256": sha256_file(voice), "end": voice.stat().st_size}
    write_jsonl(processed / "train.jsonl", [
        record("r:book", talk("Tell me.", TEXT), {"source": "gutenberg", "persona": "twain"}, book, "g", "describe"),
        record("r:line", talk("Tell me.", TEXT), {"source": "gutenberg"}, {**book, "start": START + 4, "end": END - 4}, "g", "aphorism")])
    write_jsonl(processed / "validation.jsonl", [record("r:post", talk("A headline?", "Area River Rises"), {"source": "reddit-theonion"},
                                                        headline, "h", "headline")])
    write_jsonl(processed / "test.jsonl", [record("r:tool", talk("Hello", "Good day."), {"source": "synthetic"}, written, "v", "talk")])
    return tmp_path


def datasets(base):
    return {split: base / f"data/processed/{split}.jsonl" for split in ("train", "validation", "test")}


def told(base, where):
    return trace(*find_record(where, datasets(base)))


@pytest.mark.parametrize("where, id", [("1", "r:book"), ("train:2", "r:line"), ("validation:1", "r:post"), ("r:tool", "r:tool")])
def test_a_record_is_found_by_line_split_and_id(base, where, id):
    assert find_record(where, datasets(base))[2]["id"] == id


@pytest.mark.parametrize("where, message", [("9", "there is no record at line 9"), ("nowhere:1", "expected a line number, SPLIT:LINE"),
                                            ("r:none", "there is none with this id")])
def test_what_is_not_there_is_said(base, where, message):
    with pytest.raises(UserError, match=message):
        find_record(where, datasets(base))


def test_without_datasets_it_names_the_next_command(tmp_path):
    with pytest.raises(UserError, match="no such file") as error:
        find_record("1", datasets(tmp_path))
    assert error.value.hint == "python scripts/08_build_dataset.py"


@pytest.mark.parametrize("where", ["r:book", "r:line"])
def test_a_book_is_traced_to_its_bytes(base, where):
    shown = told(base, where)
    for part in ("passage gutenberg:7#000000 of data/processed/unique.jsonl, 12 words", "title   The River", "author  Ann Pell",
                 "year    1880", "licence Public domain", f"sha256  {sha256_bytes(RAW)} (verified: the file has it)", "address https://example.org/7"):
        assert part in shown
    start, end = (START, END) if where == "r:book" else (START + 4, END - 4)
    assert f"file    data/raw/gutenberg/7.txt, bytes {start}-{end} (cp1252)" in shown
    assert shown.endswith(f"raw text:\n{TEXT if where == 'r:book' else TEXT[4:-4]}")


def test_a_headline_is_traced_to_its_line_of_the_dump(base):
    shown = told(base, "validation:1")
    assert "file    data/raw/reddit/dump.jsonl, bytes 3-" in shown and shown.endswith(f"raw text:\n{POST.decode()}")
    assert "author  not stated" in shown and "year    not stated" in shown


def test_a_dialogue_is_traced_to_its_voice(base):
    shown = told(base, "test:1")
    assert "file    configs/dialogue/voices/" in shown and "(verified: the file has it)" in shown
    row = read(datasets(base)["test"])[0]
    row["provenance"]["documents"][0]["sha256"] = "0" * 64
    assert "the file has CHANGED since" in trace("test", 1, row)


@pytest.mark.parametrize("spoil, message", [
    (lambda base: (base / "data/raw/gutenberg/7.txt").write_bytes(RAW + b"!"), "the file is not the one the record was made from"),
    (lambda base: (base / "data/raw/gutenberg/7.txt").unlink(), "no file has the sha256 of gutenberg:7"),
    (lambda base: (base / "data/processed/unique.jsonl").unlink(), "so the passage cannot be shown"),
    (lambda base: write_jsonl(base / "data/processed/unique.jsonl", [passage_of(at("gutenberg:7", RAW, 0, 5), "x")]),
     "no passage of gutenberg:7 holds the bytes"),
])
def test_what_no_longer_fits_is_an_error_that_says_so(base, spoil, message):
    spoil(base)
    with pytest.raises(UserError, match=message):
        told(base, "r:book")


def test_readable_shows_tags_calls_and_results():
    call = {"id": "a1B2c3D4e", "type": "function", "function": {"name": "get_forecast", "arguments": json.dumps({"days": 3})}}
    messages = [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "content": "{}", "tool_call_id": "a1B2c3D4e", "name": "get_forecast"},
                {"role": "assistant", "content": "None."}]
    shown = readable(record("r:1", messages, {"source": "synthetic", "scenario": "forecast"}, document("voice:x"), "v", "forecast"))
    assert 'scenario=forecast' in shown and '  -> get_forecast({"days": 3})' in shown and shown.endswith("[tool] {}\n\n[assistant] None.")


def test_on_the_command_line(base):
    done = run_here("08_build_dataset.py", base, "--show", "r:book")
    assert done.returncode == 0 and done.stdout.startswith("r:book  persona=twain") and "sha256" not in done.stdout
    assert "raw text:" in run_here("08_build_dataset.py", base, "--trace", "1").stdout
    assert run_here("08_build_dataset.py", base, "--trace", "99").returncode == 1
