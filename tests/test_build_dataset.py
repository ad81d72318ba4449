"""08 as people run it: whole outputs with card and report, every gate with its planted fault, and the previous output kept then."""
import importlib.util
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from chat_sets import AT_ONCE, dialogues, document, record, style, talk, tools
from dialogue_records import read, write_jsonl
from in_process import run_here
from paths import SCRIPTS_DIR
from weatherman.cli import GateError, run
from weatherman.dialogue.dataset import check_tokens
from weatherman.dialogue.figures import token_figures
from weatherman.files import sha256_file
from weatherman.manifest import manifest_path, read_manifest
from weatherman.models.tokens import Counted

SPLITS = ("train", "validation", "test")
HOSTILE = '<script>alert("x")</script> \u202egnp.txe & a "quote"'


def load():
    spec = importlib.util.spec_from_file_location("build_dataset", SCRIPTS_DIR / "08_build_dataset.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


MAIN = load()


class Base:
    """A base folder with the inputs of 08."""

    def __init__(self, folder):
        self.folder, self.processed = folder, folder / "data/processed"
        self.style, self.tools = self.processed / "style_chat.jsonl", folder / "data/synthetic/tool_use.jsonl"

    def write(self, style_rows, tool_rows):
        write_jsonl(self.style, style_rows)
        write_jsonl(self.tools, tool_rows)
        return self

    def run(self, *flags):
        return run(MAIN, [*AT_ONCE, *map(str, flags)])

    def rows(self, split):
        return read(self.processed / f"{split}.jsonl")

    def hashes(self):
        return [sha256_file(self.processed / name) for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "README.md")]

    def page(self):
        return (self.processed / "dataset_report.html").read_text(encoding="utf-8")


def hostile(rows):
    rows[0]["messages"][0]["content"] = HOSTILE
    rows[0]["messages"][-1]["content"] += HOSTILE
    return rows


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    base = Base(tmp_path_factory.mktemp("built")).write(hostile(style()), tools())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEATHERMAN_BASE_DIR", str(base.folder))
        assert base.run() == 0
    return base


@pytest.fixture
def base(built, tmp_path, monkeypatch):
    """A copy of the built workspace, to be damaged."""
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    shutil.copytree(built.folder, tmp_path, dirs_exist_ok=True)
    return Base(tmp_path)


# --- what comes out ---

def test_quotas_hold_and_no_group_is_in_two_splits(built):
    notes = read_manifest(built.processed / "train.jsonl")["notes"]
    assert {kind: quota["taken"] for kind, quota in notes["quotas"].items()} == {"literary": 80, "satire": 60, "tool_use": 40, "hybrid": 20}
    owner = {}
    for split in SPLITS:
        for row in built.rows(split):
            assert owner.setdefault(row["provenance"]["split_group"], split) == split
    assert notes["records"] == sum(notes[f"in {split}"] for split in SPLITS) == 200 and notes["waiver"] is None
    assert set(notes["leaks"].values()) == {0}
    assert list(notes["tools"].items()) == [("calls checked", 60), ("dialogues checked", 60), ("calls outside their schema", 0),
                                            ("ungrounded dialogues", 0)]


def test_every_row_is_kept_or_rejected_with_its_reason(built):
    manifest = read_manifest(built.processed / "train.jsonl")
    assert manifest["counts"] == {"in": 311, "out": 200, "rejected": {"over_quota": 111}}


def test_the_same_input_and_seed_give_the_same_bytes(built, base):
    assert base.run("--force") == 0 and base.hashes()[:3] == built.hashes()[:3]
    assert base.run("--seed", 7) == 0 and base.hashes()[:3] != built.hashes()[:3]


def test_unchanged_work_is_skipped_and_a_lost_report_is_written_again(base, capsys):
    assert base.run() == 0 and "nothing changed" in capsys.readouterr().err
    (base.processed / "dataset_report.html").unlink()
    assert base.run() == 0 and "Passed." in base.page()


def test_json_prints_one_object(base, capsys):
    assert base.run("--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"]["records"] == 200


def test_as_a_process_with_help_and_its_default_sources(built):
    done = run_here("08_build_dataset.py", built.folder, *AT_ONCE, "--dry-run")
    assert done.returncode == 0 and "would read data/processed/style_chat.jsonl, data/synthetic/tool_use.jsonl" in done.stderr


# --- gates: status 3, named, and the previous datasets stay as they were ---

def lose(kind):
    def change(rows):
        rows[:] = [row for row in rows if not row["id"].startswith(kind)]
    return change


def repeat_an_id(rows):
    rows.append(rows[0])


def split_a_book(rows):
    for number, row in enumerate(rows):
        row["provenance"]["split_group"] += f":{number}"


def change_turn(role, text):
    def change(rows):
        for number, row in enumerate(rows):
            turn = next(m for m in row["messages"][::-1] if m["role"] == role and m["content"])
            turn["content"] = text.format(turn["content"], number=number)
    return change


def bad_call(rows):
    for row in rows[:20]:
        row["messages"][1]["tool_calls"][0]["function"]["arguments"] = '{"latitude": "north", "longitude": -9.14}'


GATES = [
    ("style", lose("chat:reddit"), "Of satire there is not one: a whole source is lost"),
    ("style", lose("chat:reddit-nottheonion"), "satire: 0 of 50 records are from reddit-nottheonion/neutral; at least 20%"),
    ("style", lose("chat:gutenberg:7"), "literary: 80 records are wanted (40% of 200) and 68 are there, 12 too few, in data/processed"),
    ("style", repeat_an_id, "was there before"),
    ("style", split_a_book, "the same source document is in two splits"),
    ("tools", change_turn("user", "Could you kindly tell me about {number}?"), "the same sentence template is in two splits"),
    ("tools", change_turn("assistant", "{0} In Paris it was 77.5 °C."), "dialogues say what no tool result supports"),
    ("tools", bad_call, "calls are outside their schema"), ("style", change_turn("user", "Tell me."), "most frequent prompt skeleton"),
]


@pytest.mark.parametrize("file, change, message", GATES, ids=[message[:40] for _, _, message in GATES])
def test_each_planted_fault_is_refused_and_leaves_the_datasets_alone(base, capsys, file, change, message):
    before = base.hashes()
    path = getattr(base, file)
    rows = read(path)
    change(rows)
    write_jsonl(path, rows)
    assert base.run() == 3
    error = capsys.readouterr().err
    assert message in error and "Try: " in error and base.hashes() == before and not list(base.processed.glob("*.part"))


def test_a_shortfall_fails_and_can_be_waived_in_writing(base, capsys):
    few = [row for voice in ("ash", "fir", "oak") for row in dialogues(voice, "neutral", 10)]
    base.write(style(), few + [row for row in tools() if row["tags"]["persona"] != "neutral"])
    assert base.run() == 3 and "tool_use: 40 records are wanted (20% of 200) and 30 are there, 10 too few" in capsys.readouterr().err
    assert base.run("--accept-shortfall") == 0
    assert "SHORTFALL ACCEPTED: tool_use; 150 records instead of 200" in capsys.readouterr().err
    notes = read_manifest(base.processed / "train.jsonl")["notes"]
    assert notes["waiver"] == {"accepted": ["tool_use"], "wanted": 200, "total": 150}
    assert notes["quotas"]["tool_use"] == {"share": 0.2, "wanted": 40, "there": 30, "taken": 30}
    assert notes["quotas"]["literary"]["taken"] == 60
    assert "A shortfall was accepted." in base.page() and "Smaller than asked for" in (base.processed / "README.md").read_text()


def test_a_source_that_06_made_nothing_of_is_named(base, capsys):
    passage = {"source": "web", "persona": "neutral"}
    unique = write_jsonl(base.processed / "unique.jsonl", [passage] * 25)
    described = {"path": "data/processed/unique.jsonl", "sha256": sha256_file(unique)}
    written = {"schema": 1, "script": "06_format_chat.py", "inputs": [described], "outputs": [{"sha256": sha256_file(base.style)}],
               "counts": {"out": len(read(base.style))}}
    manifest_path(base.style).write_text(json.dumps(written))
    assert base.run("--force") == 3
    assert "holds 25 passages of web/neutral, and data/processed/style_chat.jsonl has not one record of them" in capsys.readouterr().err
    write_jsonl(unique, [passage] * 3)  # no longer what 06 read
    assert base.run("--force") == 0


def test_the_rows_of_a_source_are_compared_with_its_manifest(base, capsys):
    there = len(read(base.tools))
    written = {"schema": 1, "script": "07_generate_tool_use.py", "inputs": [], "outputs": [{"sha256": sha256_file(base.tools)}]}
    manifest_path(base.tools).write_text(json.dumps({**written, "counts": {"out": there + 5}}))
    assert base.run("--force") == 3
    assert f"its manifest says {there + 5} rows were written, and {there} are there" in capsys.readouterr().err


def test_imported_conversations_need_a_share(base, capsys, tmp_path):
    rows = [record(f"import:{n}", talk(f"What is {n} twice, {n}?", f"It is {2 * n}, because {n} and {n} make it: {n * 'so '}."),
                   {"source": "imported"}, document(f"import:mine:{n}"), f"import:{n}", "import") for n in range(40)]
    source = write_jsonl(tmp_path / "mine.jsonl", rows)
    inputs = ["--input", base.style, base.tools, source]
    assert base.run(*inputs) == 1 and "the mixture's share of them is 0: none would be taken" in capsys.readouterr().err
    shares = ["literary=0.3", "imported=0.1"]
    assert base.run(*inputs, *(part for share in shares for part in ("--set", f"mixture.shares.{share}")),
                    "--set", "diversity.max_near_duplicates=0.5", "--set", "diversity.max_prompt_skeleton=0.5") == 0
    assert read_manifest(base.processed / "train.jsonl")["notes"]["quotas"]["imported"]["taken"] == 20


BAD_LINES = {
    "invalid_json": b'{"id": "x", "text"\n', "invalid_utf8": b'{"id": "\xff\xfe"}\n', "not_an_object": b"[1, 2]\n",
    "invalid_record": b'{"id": "x", "word_count": "12"}\n', "line_too_long": b'{"id": "' + b"x" * (20 * 2**20) + b'"}\n',
}


def test_bad_lines_are_rejected_and_the_rest_is_built(base):
    good = base.style.read_bytes()
    base.style.write_bytes(b"\xef\xbb\xbf" + good.replace(b"\n", b"\r\n") + b"".join(BAD_LINES.values()))  # BOM and CRLF besides
    before = base.hashes()[:3]
    assert base.run() == 0 and base.hashes()[:3] == before
    rejects = {row["reason"]: row["line"] for row in read(base.processed / "train.rejects.jsonl") if row["reason"] in BAD_LINES}
    assert rejects == {reason: good.count(b"\n") + at for at, reason in enumerate(BAD_LINES, 1)}


def test_a_missing_or_empty_input_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    assert Base(tmp_path).run() == 1 and "no such file" in capsys.readouterr().err
    Base(tmp_path).write([], [])
    assert Base(tmp_path).run() == 1 and "the file is empty" in capsys.readouterr().err


@pytest.mark.parametrize("value, message", [
    ("mixture.shares.satire=0.5", "mixture shares add up to 1.2"), ("mixture.totl=5", 'did you mean "total"'),
    ("split.test=0.95", "leave nothing to train on"), ("render.models=x", "list")])
def test_a_wrong_configuration_has_status_2(tmp_path, monkeypatch, capsys, value, message):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    assert Base(tmp_path).run("--set", value) == 2 and message in capsys.readouterr().err and list(tmp_path.iterdir()) == []


# --- tokens ---

def test_a_model_without_its_tokenizer_is_said_plainly_everywhere(base, capsys):
    assert base.run("--set", "render.models=[llama-3.1-8b-instruct]") == 0
    error, card = capsys.readouterr().err, (base.processed / "README.md").read_text()
    assert "llama-3.1-8b-instruct: tokens not measured, its tokenizer is not here." in error and "scripts/download_model.py" in error
    notes = read_manifest(base.processed / "train.jsonl")["notes"]
    assert notes["tokens"] == {} and notes["not measured"]["llama-3.1-8b-instruct"].endswith("--tokenizer")
    assert "not measured: llama-3.1-8b-instruct" in card and "Not measured: llama-3.1-8b-instruct." in base.page()
    assert str(base.folder) not in card


def test_a_record_that_does_not_pass_whole_through_a_template_is_refused():
    fits = [Counted("r:1", (900,), (300,)), Counted("r:2", (60, 40), (30, 20))]
    assert check_tokens("llama", fits) == fits
    assert token_figures(fits) == {"total": 1000, "trained": 350, "mean": 500, "median": 900, "longest": 900}
    long = Counted("r:3", (5000,), (900,), "5,000 tokens, and a row holds 4,096: the end would be cut")
    with pytest.raises(GateError, match="llama: 1 of 3 records do not pass whole through its template:\n  r:3: 5,000 tokens") as error:
        check_tokens("llama", [*fits, long])
    assert error.value.status == 3


# --- the card ---

def test_the_card_is_one_the_hub_reads(built):
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed here")
    card = hub.DatasetCard.load(built.processed / "README.md")
    data = card.data.to_dict()
    assert (data["license"], data["license_name"], data["language"], data["size_categories"]) == ("other", "per-record", ["en"], ["n<1K"])
    files = {entry["split"]: entry["path"] for entry in data["configs"][0]["data_files"]}
    assert list(files) == list(SPLITS) and all((built.processed / path).is_file() for path in files.values())
    assert "| literary |" in card.text and "| headline, copyright of its publisher | 60 |" in card.text


# --- the page ---

def test_the_page_has_every_part_and_each_link_leads_somewhere(built):
    shown = built.page()
    ids = re.findall(r'id="([^"]+)"', shown)
    assert set(re.findall(r'href="([^"]*)"', shown)) == {f"#{name}" for name in ids}
    assert len(ids) == 11 and shown.count('class="card chat"') == 50 and "returns: 12.4 °C, " in shown
    assert "<th>kind</th>" in shown and "the same sentence template" in shown


def test_texts_of_strangers_stay_texts(base, monkeypatch):
    monkeypatch.setattr("weatherman.dialogue.report.CONVERSATIONS", 200)
    assert base.run("--force") == 0
    shown = base.page()
    assert "<script" not in shown and not re.search(r'src\s*=|url\(|@import|href="[^#]', shown)
    assert "&lt;script&gt;" in shown and "[U+202E]gnp.txe" in shown and "\u202e" not in shown


def test_tags_are_balanced(built):
    stack = []
    parser = HTMLParser()
    parser.handle_starttag = lambda name, _: stack.append(name) if name != "meta" else None
    parser.handle_endtag = lambda name: stack.pop() if stack and stack[-1] == name else pytest.fail(f"</{name}> closes {stack[-1:]}")
    parser.feed(built.page())
    assert stack == []


@pytest.mark.machine
def test_a_browser_shows_it_without_complaint_or_request(built, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium here; apt-get install chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--dump-dom"]
    address = f"file://{built.processed / 'dataset_report.html'}"
    done = subprocess.run([chromium, *flags, address], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and ":CONSOLE" not in done.stderr and done.stdout.count('class="card chat"') == 50
