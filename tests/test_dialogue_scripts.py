"""06, 07 and 08 one behind the other, as people run them; 06 and 07 with bad input. 08 with its gates: test_build_dataset.py."""
import json
import random

import pytest

from dialogue_records import headline, passage, read, write_jsonl
from in_process import run_here, run_process
from weatherman.files import sha256_file
from weatherman.manifest import manifest_path

NOUNS = """
    anchor basket candle dipper engine fiddle garden hammer island jacket kettle ladder mirror needle orchard pillow quilt ribbon
    saddle teapot violin wagon yeast zither bucket cabin ditch feather gravel hatchet insect jungle lantern meadow nutmeg otter
    parlor rooster steeple turnip vessel walnut bonnet chimney donkey fender goblet harness
""".split()
VERBS = "carried mended painted watched traded weighed borrowed dusted polished counted hauled dropped lifted chased guarded".split()
WHEN = ("at dawn", "after dinner", "in the rain", "without a word", "for a wager", "on a dare", "out of habit", "with great care")


def story(number):
    """Return about 90 words that no other number gives."""
    rng = random.Random(number)
    people = rng.sample(NOUNS, 12)
    return " ".join(f"The {a} of the {b} was {rng.choice(VERBS)} {rng.choice(WHEN)} by the {c}." for a, b, c in
                    (rng.sample(people, 3) for _ in range(8)))


def corpus():
    """Return 64 passages of 8 books and 60 headlines."""
    rng = random.Random(1)
    books = [passage(100 * book + n, id=f"gutenberg:{book}#{n:06d}", title=f"Book {book}", persona="twain" if book < 5 else "franklin",
                     text=story(100 * book + n)) for book in range(8) for n in range(8)]
    news = "Local {} Resigns After The {} Of A {} Was Seen In The {}"
    heads = [headline(n, news.format(*(word.title() for word in rng.sample(NOUNS, 4))),
                      source="reddit-theonion" if n % 2 else "reddit-nottheonion") for n in range(60)]
    return books + heads


SMALL = ["mixture.total=200", "diversity.max_prompt_skeleton=0.05", "diversity.max_answer_skeleton=0.05", "diversity.self_bleu_sample=4",
         "render.models=[]"]
COMMANDS = {"06_format_chat.py": (), "07_generate_tool_use.py": ("--count", "400"),
            "08_build_dataset.py": [part for value in SMALL for part in ("--set", value)]}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A workspace in which 06, 07 and 08 have run on the corpus."""
    base = tmp_path_factory.mktemp("base")
    write_jsonl(base / "data/processed/unique.jsonl", corpus())
    for name, flags in COMMANDS.items():
        done = run_process(name, base, *flags)
        assert done.returncode == 0, done.stderr
    return base


def processed(base, name):
    return base / "data/processed" / name


def hashes(base):
    names = [processed(base, f"{name}.jsonl") for name in ("style_chat", "train", "validation", "test")]
    return [sha256_file(path) for path in [*names, base / "data/synthetic/tool_use.jsonl"]]


# --- what comes out ---

def test_every_split_has_every_stratum_and_the_quotas_hold(built):
    splits = {name: read(processed(built, f"{name}.jsonl")) for name in ("train", "validation", "test")}
    everything = [row for rows in splits.values() for row in rows]
    sources = [row["tags"]["source"] for row in everything]
    assert len({row["id"] for row in everything}) == len(everything)
    literary, synthetic = sources.count("gutenberg"), sources.count("synthetic")
    assert abs(literary / len(everything) - 0.4) < 0.01 and abs(synthetic / len(everything) - 0.3) < 0.01
    for rows in splits.values():
        assert {row["tags"]["source"].split("-")[0] for row in rows} == {"gutenberg", "reddit", "synthetic"}
    assert {row["tags"]["persona"] for row in splits["train"]} == {"twain", "franklin", "neutral"}


def test_no_group_is_in_two_splits(built):
    owner = {}
    for split in ("train", "validation", "test"):
        for row in read(processed(built, f"{split}.jsonl")):
            assert owner.setdefault(row["provenance"]["split_group"], split) == split


def test_counts_in_the_manifest_add_up(built):
    for path in (processed(built, "style_chat.jsonl"), processed(built, "train.jsonl"), built / "data/synthetic/tool_use.jsonl"):
        counts = json.loads(manifest_path(path).read_text())["counts"]
        assert counts["in"] == counts["out"] + sum(counts["rejected"].values())


def test_the_same_input_and_seed_give_the_same_bytes_elsewhere(built, tmp_path):
    write_jsonl(processed(tmp_path, "unique.jsonl"), corpus())
    for name, flags in COMMANDS.items():
        run_here(name, tmp_path, *flags)
    assert hashes(tmp_path) == hashes(built)


def test_unchanged_work_is_skipped(built):
    assert "nothing changed" in run_here("07_generate_tool_use.py", built, "--count", "400").stderr
    assert "nothing changed" in run_here("08_build_dataset.py", built, *COMMANDS["08_build_dataset.py"]).stderr


def test_07_notes_how_varied_it_is(built):
    notes = json.loads(run_here("07_generate_tool_use.py", built, "--count", "400", "--json").stdout)["notes"]
    assert notes["distinct answer skeletons"] > 250 and float(notes["most frequent skeleton"].split("%")[0]) <= 2


def test_dry_run_writes_nothing(tmp_path):
    done = run_here("07_generate_tool_use.py", tmp_path, "--dry-run")
    assert done.returncode == 0 and "would read" in done.stderr and list(tmp_path.iterdir()) == []


# --- bad rows are rejected with their reason, the rest goes through ---

BAD_LINES = {
    "invalid_json": b'{"id": "x", "text"\n', "invalid_utf8": b'{"id": "\xff\xfe"}\n', "not_an_object": b"[1, 2]\n",
    "invalid_record": b'{"id": "x", "word_count": "12"}\n', "line_too_long": b'{"id": "' + b"x" * (50 * 2**20) + b'"}\n',
}


def test_06_rejects_bad_lines_and_keeps_the_others(tmp_path):
    source = write_jsonl(processed(tmp_path, "unique.jsonl"), corpus())
    good = source.read_bytes()
    source.write_bytes(b"\xef\xbb\xbf" + good.replace(b"\n", b"\r\n") + b"".join(BAD_LINES.values()))  # BOM and CRLF besides
    done = run_here("06_format_chat.py", tmp_path)
    assert done.returncode == 0, done.stderr
    rejects = [row for row in read(processed(tmp_path, "style_chat.rejects.jsonl")) if row["reason"] in BAD_LINES]
    assert [(row["line"], row["reason"]) for row in rejects] == list(enumerate(BAD_LINES, len(corpus()) + 1))
    assert len(read(processed(tmp_path, "style_chat.jsonl"))) >= 180


def test_06_accounts_for_every_passage_and_kind_with_any_number_of_workers(tmp_path):
    write_jsonl(processed(tmp_path, "unique.jsonl"), corpus())
    output = processed(tmp_path, "style_chat.jsonl")
    written = set()
    for workers, start in ((1, run_here), (2, run_process)):
        assert start("06_format_chat.py", tmp_path, "--force", "--workers", workers).returncode == 0
        written.add(sha256_file(output))
    assert len(written) == 1
    manifest = json.loads(manifest_path(output).read_text())
    counts = manifest["counts"]
    assert counts["in"] == 64 * 4 + 60 and manifest["notes"]["of kind continue"] == 64 and manifest["notes"]["of kind headline"] == 60
    assert counts["rejected"] == {"no_exchange": 64, "no_saying": 64}


def test_06_rejects_a_duplicate_id(tmp_path):
    write_jsonl(processed(tmp_path, "unique.jsonl"), [*corpus(), corpus()[0]])
    run_here("06_format_chat.py", tmp_path)
    assert [row["line"] for row in read(processed(tmp_path, "style_chat.rejects.jsonl")) if row["reason"] == "duplicate_id"] == [125]


# --- errors people can mend ---

def test_a_missing_or_empty_input_is_named(tmp_path):
    done = run_here("06_format_chat.py", tmp_path)
    assert done.returncode == 1 and "no such file" in done.stderr and "Traceback" not in done.stderr
    write_jsonl(processed(tmp_path, "unique.jsonl"), [])
    done = run_here("06_format_chat.py", tmp_path)
    assert done.returncode == 1 and "the file is empty" in done.stderr and "Traceback" not in done.stderr


def test_06_that_can_make_nothing_says_so(tmp_path):
    write_jsonl(processed(tmp_path, "unique.jsonl"), [passage(text="Too short.")])
    done = run_here("06_format_chat.py", tmp_path)
    assert done.returncode == 3 and "no record could be made" in done.stderr
    assert not processed(tmp_path, "style_chat.jsonl").exists()


@pytest.mark.parametrize("flags, message", [
    (("--set", "tool_use.cuont=5"), 'did you mean "count"'), (("--set", "tool_use.count=many"), "valid integer"),
    (("--set", "tool_use.scenarios.current=0.5"), "scenarios add up to 1.42"), (("--set", "tool_use.scenarios.moon=0.1"), "moon"),
    (("--count", "0"), "not 1 or more"), (("--set", "split.test=1.5"), "less than 1"),
])
def test_a_wrong_configuration_has_status_2(tmp_path, flags, message):
    done = run_here("07_generate_tool_use.py", tmp_path, *flags)
    assert done.returncode == 2 and message in done.stderr and list(tmp_path.iterdir()) == []
