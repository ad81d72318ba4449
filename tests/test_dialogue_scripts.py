"""06, 07 and 08 as people run them: real outputs, bad input of every sort, and the previous output intact after a failure."""
import json
import random

import pytest

from dialogue_records import headline, passage, read, run_script, write_jsonl
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
    heads = [headline(n, " ".join(word.capitalize() for word in ["Local", *rng.sample(NOUNS, 4), "Resigns"]),
                      source="reddit-theonion" if n % 2 else "reddit-nottheonion") for n in range(60)]
    return books + heads


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A workspace in which 06, 07 and 08 have run on the corpus."""
    base = tmp_path_factory.mktemp("base")
    write_jsonl(base / "data/processed/unique.jsonl", corpus())
    for name, flags in (("06_format_chat.py", ()), ("07_generate_tool_use.py", ("--count", "400")), ("08_build_dataset.py", ())):
        done = run_script(name, base, *flags)
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
    for name, flags in (("06_format_chat.py", ()), ("07_generate_tool_use.py", ("--count", "400")), ("08_build_dataset.py", ())):
        run_script(name, tmp_path, *flags)
    assert hashes(tmp_path) == hashes(built)


def test_unchanged_work_is_skipped(built):
    assert "nothing changed" in run_script("07_generate_tool_use.py", built, "--count", "400").stderr
    assert "nothing changed" in run_script("08_build_dataset.py", built).stderr


def test_07_notes_how_varied_it_is(built):
    notes = json.loads(run_script("07_generate_tool_use.py", built, "--count", "400", "--json").stdout)["notes"]
    assert notes["distinct answer skeletons"] > 250 and float(notes["most frequent skeleton"].split("%")[0]) <= 2


def test_show_prints_a_record_for_people(built):
    done = run_script("08_build_dataset.py", built, "--show", "test:1")
    assert done.returncode == 0 and read(processed(built, "test.jsonl"))[0]["id"] in done.stdout and "[user]" in done.stdout
    assert run_script("08_build_dataset.py", built, "--show", "9999").returncode == 1
    assert "expected a line number" in run_script("08_build_dataset.py", built, "--show", "nowhere:1").stderr


def test_dry_run_writes_nothing(tmp_path):
    done = run_script("07_generate_tool_use.py", tmp_path, "--dry-run")
    assert done.returncode == 0 and "would read" in done.stderr and list(tmp_path.iterdir()) == []


# --- bad rows are rejected with their reason, the rest goes through ---

BAD_LINES = {
    "invalid_json": b'{"id": "x", "text"\n', "invalid_utf8": b'{"id": "\xff\xfe"}\n', "not_an_object": b"[1, 2]\n",
    "invalid_record": b'{"id": "x", "word_count": "12"}\n', "line_too_long": b'{"id": "' + b"x" * (50 * 2**20) + b'"}\n',
}


@pytest.mark.parametrize("reason", BAD_LINES)
def test_06_rejects_a_bad_line_and_keeps_the_others(tmp_path, reason):
    source = write_jsonl(processed(tmp_path, "unique.jsonl"), corpus())
    good = source.read_bytes()
    source.write_bytes(b"\xef\xbb\xbf" + good.replace(b"\n", b"\r\n") + BAD_LINES[reason])  # BOM and CRLF besides
    done = run_script("06_format_chat.py", tmp_path)
    assert done.returncode == 0, done.stderr
    rejects = [row for row in read(processed(tmp_path, "style_chat.rejects.jsonl")) if row["reason"] == reason]
    assert [row["line"] for row in rejects] == [len(corpus()) + 1]
    assert len(read(processed(tmp_path, "style_chat.jsonl"))) >= 180


def test_06_rejects_a_duplicate_id(tmp_path):
    write_jsonl(processed(tmp_path, "unique.jsonl"), [*corpus(), corpus()[0]])
    run_script("06_format_chat.py", tmp_path)
    assert [row["line"] for row in read(processed(tmp_path, "style_chat.rejects.jsonl")) if row["reason"] == "duplicate_id"] == [125]


@pytest.fixture
def copy(built, tmp_path):
    """A copy of the built workspace, to be damaged."""
    for path in [*(built / "data/processed").glob("*"), *(built / "data/synthetic").glob("*")]:
        target = tmp_path / path.relative_to(built)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path


def edit(base, name, change):
    """Change the bytes of an input and drop its manifest, as who edits by hand must."""
    path = base / "data" / name
    path.write_bytes(change(path.read_bytes()))
    manifest_path(path).unlink()


@pytest.mark.parametrize("reason", BAD_LINES)
def test_08_rejects_a_bad_line_and_builds_the_rest(copy, reason):
    edit(copy, "processed/style_chat.jsonl", lambda data: data + BAD_LINES[reason])
    done = run_script("08_build_dataset.py", copy)
    assert done.returncode == 0, done.stderr
    last = processed(copy, "style_chat.jsonl").read_bytes().count(b"\n")
    assert [row["line"] for row in read(processed(copy, "train.rejects.jsonl")) if row["reason"] == reason] == [last]


# --- gates: the run stops with status 3 and the previous datasets stay as they were ---

def plant(base, name, change):
    rows = read(base / "data" / name)
    change(rows)
    write_jsonl(base / "data" / name, rows)
    manifest_path(base / "data" / name).unlink()


def lose_satire(rows):
    rows[:] = [row for row in rows if row["tags"]["source"] == "gutenberg"]


def repeat_an_id(rows):
    rows.append(rows[0])


def split_a_book(rows):
    """Give a third of every book's records groups of their own, as a step that splits by passage would."""
    for number, row in enumerate(row for row in rows if row["tags"]["source"] == "gutenberg"):
        row["provenance"]["split_group"] = f"passage:{number}"


def share_a_template(rows):
    """Take every headline's prompt from one template while the groups say otherwise."""
    for row in rows:
        if row["tags"]["source"].startswith("reddit"):
            row["messages"][1]["content"] = 'Write a headline about "something" for the paper.'


@pytest.mark.parametrize("change, message", [(lose_satire, 'asks for 30% "satire"'), (repeat_an_id, "was there before"),
                                             (split_a_book, "the same source document is in two splits"),
                                             (share_a_template, "the same sentence template is in two splits")])
def test_08_refuses_each_planted_fault_and_leaves_the_datasets_alone(copy, change, message):
    before = hashes(copy)[1:4]
    plant(copy, "processed/style_chat.jsonl", change)
    done = run_script("08_build_dataset.py", copy)
    assert done.returncode == 3 and message in done.stderr and "Try: " in done.stderr
    assert hashes(copy)[1:4] == before and not list((copy / "data/processed").glob("*.part"))


def test_08_refuses_a_stratum_with_too_few_groups(copy):
    def keep_two_groups_of_books(rows):
        rows[:] = [row for row in rows if not row["provenance"]["split_group"].startswith("literary")
                   or row["provenance"]["split_group"] in ("literary:0", "literary:1")]

    plant(copy, "processed/style_chat.jsonl", keep_two_groups_of_books)
    done = run_script("08_build_dataset.py", copy)
    assert done.returncode == 3 and "too few to train, validate and test apart" in done.stderr


def test_08_compares_the_rows_of_a_source_with_its_manifest(copy):
    path = manifest_path(copy / "data/synthetic/tool_use.jsonl")
    manifest = json.loads(path.read_text())
    there = manifest["counts"]["out"]
    manifest["counts"]["out"] += 5
    path.write_text(json.dumps(manifest))
    done = run_script("08_build_dataset.py", copy, "--force")
    assert done.returncode == 3 and f"its manifest says {there + 5} rows were written, and {there} are there" in done.stderr


def test_08_refuses_a_source_that_was_damaged_after_its_manifest(copy):
    path = copy / "data/synthetic/tool_use.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    done = run_script("08_build_dataset.py", copy)
    assert done.returncode == 1 and "another sha256" in done.stderr


# --- errors people can mend ---

@pytest.mark.parametrize("name", ["06_format_chat.py", "08_build_dataset.py"])
def test_a_missing_or_empty_input_is_named(tmp_path, name):
    done = run_script(name, tmp_path)
    assert done.returncode == 1 and "no such file" in done.stderr and "Traceback" not in done.stderr
    for path in (processed(tmp_path, "unique.jsonl"), processed(tmp_path, "style_chat.jsonl"), tmp_path / "data/synthetic/tool_use.jsonl"):
        write_jsonl(path, [])
    done = run_script(name, tmp_path)
    assert done.returncode == 1 and "the file is empty" in done.stderr and "Traceback" not in done.stderr


def test_06_that_can_make_nothing_says_so(tmp_path):
    write_jsonl(processed(tmp_path, "unique.jsonl"), [passage(text="Too short.")])
    done = run_script("06_format_chat.py", tmp_path)
    assert done.returncode == 3 and "no record could be made" in done.stderr
    assert not processed(tmp_path, "style_chat.jsonl").exists()


@pytest.mark.parametrize("flags, message", [
    (("--set", "tool_use.cuont=5"), 'did you mean "count"'), (("--set", "tool_use.count=many"), "valid integer"),
    (("--set", "tool_use.scenarios.current=0.5"), "scenarios add up to 1.25"), (("--set", "tool_use.scenarios.moon=0.1"), "moon"),
    (("--count", "0"), "not 1 or more"), (("--set", "split.test=1.5"), "less than 1"),
])
def test_a_wrong_configuration_has_status_2(tmp_path, flags, message):
    done = run_script("07_generate_tool_use.py", tmp_path, *flags)
    assert done.returncode == 2 and message in done.stderr and list(tmp_path.iterdir()) == []
