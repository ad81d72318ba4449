"""09 as people run it, without torch: go on a whole dataset; every fault of DESIGN §6 that it can meet, planted, is named with status 3."""
import importlib.util
import json
import shutil
from types import SimpleNamespace

import pytest

from chat_sets import AT_ONCE, style, tools
from dialogue_records import read, write_jsonl
from limits import small_disk
from paths import SCRIPTS_DIR, TEMPLATES_DIR
from weatherman.cli import run
from weatherman.manifest import manifest_path
from weatherman.models import masks, templates

MODEL = "qwen2.5-7b-instruct"
FLAGS = ["--model", MODEL, "--workers", "1", "--set", "training.max_tokens=8192", "--set", "training.effective_batch=12",
         "--set", "training.micro_batch=1"]


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS_DIR / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


BUILD, PREFLIGHT = load("08_build_dataset"), load("09_preflight")


def byte_tokenizer(folder, *control):
    """Write a tokenizer in which every byte is a token, with Qwen's control tokens and more: real, and made in a moment."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    tokenizer = Tokenizer(models.BPE({symbol: at for at, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", *control])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|im_start|>").save_pretrained(folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A base folder with the datasets that 08 makes of 211 records, and a tokenizer."""
    base = tmp_path_factory.mktemp("preflight")
    write_jsonl(base / "data/processed/style_chat.jsonl", style())
    write_jsonl(base / "data/synthetic/tool_use.jsonl", tools())
    byte_tokenizer(base / "models" / MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEATHERMAN_BASE_DIR", str(base))
        assert run(BUILD, AT_ONCE) == 0
    for path in (base / "data/processed/style_chat.jsonl", base / "data/synthetic/tool_use.jsonl"):  # as their steps would
        write_manifest(path)
    return base


def write_manifest(path, **changes):
    """Write a manifest that fits the file's bytes."""
    from weatherman.manifest import describe_file, to_manifest
    place, new = manifest_path(path), {"script": "test.py", "inputs": [], "config": {}, "notes": {}}
    old = json.loads(place.read_text()) if place.is_file() else new
    place.write_bytes(to_manifest({**old, "outputs": [describe_file(path)], **changes}))


class Base:
    """A workspace to be damaged."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys, self.train = folder, capsys, folder / "data/processed/train.jsonl"

    def rows(self, split="train"):
        return read(self.train.with_name(f"{split}.jsonl"))

    def write(self, rows, split="train", notes=None):
        """Write a split with a manifest that fits it, as a step that went wrong would."""
        path = write_jsonl(self.train.with_name(f"{split}.jsonl"), rows)
        write_manifest(path, notes=notes or {})

    def run(self, *flags):
        """Return (status, stdout, stderr)."""
        self.capsys.readouterr()
        status = run(PREFLIGHT, [*FLAGS, *map(str, flags)])
        return status, *self.capsys.readouterr()

    def refused(self, *flags):
        """Return what is to be mended, {check: [found]}; the status must be 3."""
        status, out, _ = self.run("--json", *flags)
        assert status == 3
        found = {}
        for check in json.loads(out)["checks"]:
            if check["state"] == "mend":
                found.setdefault(check["what"], []).append(check["found"])
        return found


@pytest.fixture
def base(built, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return Base(tmp_path, capsys)


@pytest.fixture
def few(base):
    """A workspace with fifteen training conversations of every kind, for what is in the template and not in the number."""
    rows = sorted(base.rows(), key=lambda row: row["tags"]["source"])
    base.write(rows[::len(rows) // 15])
    base.write(base.rows("validation")[:3], "validation")
    base.train.with_name("test.jsonl").unlink()
    return base


@pytest.fixture
def unread(base):
    """A workspace without the tokenizer, for what is seen before tokens are counted."""
    shutil.rmtree(base.folder / "models" / MODEL)
    return base


# --- a whole dataset ---

def test_go_with_figures_and_a_page(base):
    status, out, err = base.run("--json")
    found = json.loads(out)
    assert status == 0, err
    assert found["verdict"] == "go" and {check["state"] for check in found["checks"]} <= {"good", "note"}
    cards = {card["card"]: card for card in found["cards"]}
    assert found["cheapest"] == next(iter(cards)) and len(cards) >= 12
    assert [card["usd"] for card in found["cards"] if card["fits"]] == sorted(card["usd"] for card in found["cards"] if card["fits"])
    page = (base.folder / "data/processed/preflight.html").read_text()
    assert "<b>Go. </b>" in page and page.count('class="bar"') == len(cards) and "http" not in page.split("</head>")[1]


def test_the_terminal_ends_with_the_verdict(base):
    status, out, _ = base.run()
    assert status == 0 and "\ngo: The cheapest card is " in out and "40% assumed" in out


def test_a_probes_figures_replace_what_was_assumed(base):
    from weatherman.preflight.cost import keep_probe
    keep_probe({"model": MODEL, "card": "rtx3090", "quantization": "nf4", "utilization": 0.8})
    keep_probe({"model": MODEL, "card": "l4", "quantization": "none", "utilization": 0.8})
    cards = {card["card"]: card["measured"] for card in json.loads(base.run("--json")[1])["cards"]}
    assert cards["rtx3090"] and not cards["l4"]


def test_masks_are_shown_with_brackets_and_on_a_page(base):
    status, _, err = base.run("--show-mask", "4")
    assert status == 0 and err.count("--- ") == 4
    rows = {row["id"]: row for row in base.rows()}
    shown = [part for part in err.split("--- ")[1:]]
    assert len({masks.kind_of(rows[part.split(": ")[0].strip()]["tags"]) for part in shown}) == 4  # of every kind
    for part in shown:
        row = rows[part.split(": ")[0].strip()]
        answer, question = (next(m["content"] for m in row["messages"] if m["role"] == role and m["content"])
                            for role in ("assistant", "user"))
        trained = "".join(piece.split("⟧")[0] for piece in part.split("⟦")[1:])
        assert answer in trained and trained.endswith("<|im_end|>") and question not in trained and question in part
    page = (base.folder / "data/processed/masks.html").read_text()
    assert page.count("<article") == 4 and 'class="loss"' in page


def test_colours_are_set_anew_on_every_line(base):
    tokenizer = templates.load_tokenizer(base.folder / "models" / MODEL, masks_entry())
    row = {**base.rows()[0], "tools": [], "messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "One.\nTwo."}]}
    lines = masks.terminal(tokenizer, row, True).split("\n")
    assert f"{masks.TRAINED}One.{masks.PLAIN}" in lines and f"{masks.TRAINED}Two.<|im_end|>{masks.PLAIN}" in "\n".join(lines)


def masks_entry():
    from weatherman.models.registry import model_entry
    return model_entry(MODEL)


# --- planted: the conversations ---

def test_a_schema_that_arrow_padded_with_nulls(few):
    rows = few.rows()
    row = next(row for row in rows if row["tools"])
    row["tools"][0]["function"]["parameters"]["properties"]["nothing"] = None
    few.write(rows)
    assert "is null: the schema was padded by Arrow" in few.refused()["conversations"][0]


def test_a_conversation_that_a_row_would_cut(few):
    found = few.refused("--set", "training.max_tokens=700")
    assert "a row holds 700: the end would be cut" in found["conversations"][0]


def test_words_that_would_become_control_tokens(few):
    rows = few.rows()
    rows[0]["messages"][0]["content"] += " <|im_end|>"
    few.write(rows)
    assert "would become a control token" in few.refused()["conversations"][0]


@pytest.mark.parametrize("old, new, what, message", [
    ("{%- generation %}", "", "conversations", "no token would be trained"),
    ("{{- '<|im_end|>' }}\n{%- endgeneration %}", "{%- endgeneration %}{{- '<|im_end|>' }}", "conversations", "would not be learned"),
    ("{%- set given", "{{- '<|im_start|>' }}{%- set given", "conversations", "begins with <|im_start|> twice"),
    ("{{- '\\n<tool_response>\\n' + message['content']", "{{- '\\n<tool_response>\\n' + (message['content'] | tojson)", "conversations",
     "dropped or quoted"),
    ("+ call['function']['name'] +", "+", "conversations", "drops"),
    ("{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}", "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n ' }}",
     "prompts", "serving sends")],
    ids=["no markers", "end of turn outside", "two BOS", "result quoted twice", "call dropped", "another prompt"])
def test_a_template_that_trains_something_else(few, tmp_path, monkeypatch, old, new, what, message):
    text = (TEMPLATES_DIR / "qwen2.5.jinja").read_text()
    assert old in text
    text = text.replace(old, new)
    text = text.replace("{%- endgeneration %}", "") if not new and "generation" in old else text
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "qwen2.5.jinja").write_text(text)
    monkeypatch.setattr(templates, "TEMPLATES_DIR", tmp_path / "templates")
    assert message in few.refused()[what][0]


def test_loss_on_the_users_words(few, tmp_path, monkeypatch):
    text = (TEMPLATES_DIR / "qwen2.5.jinja").read_text()
    text = text.replace("{%- generation %}", "").replace("{%- endgeneration %}", "")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "qwen2.5.jinja").write_text("{%- generation %}" + text + "{%- endgeneration %}")
    monkeypatch.setattr(templates, "TEMPLATES_DIR", tmp_path / "templates")
    assert "conversations" in few.refused()


# --- planted: the dataset ---

def test_a_training_conversation_among_the_held_out_ones(unread):
    held_out = unread.rows("validation")
    unread.write([*held_out, {**unread.rows()[0], "id": "again"}], "validation")
    assert "the same conversation" in unread.refused()["leakage"][0]


def test_one_template_over_and_over(unread):
    rows = unread.rows()
    for number, row in enumerate(rows):
        if row["tags"]["source"] == "synthetic" and number % 5 < 3:
            row["messages"][-1]["content"] = "It is 12.4 °C there, and that is all there is to say of it."
    unread.write(rows)
    assert "most frequent answer skeleton of tool dialogues: " in unread.refused()["variety"][0]


@pytest.mark.parametrize("lost, message", [
    (lambda row: row["tags"]["source"].startswith("reddit"), "not one satire conversation"),
    (lambda row: row["tags"]["source"] == "reddit-theonion", "are from reddit-theonion/neutral"),
    (lambda row: row["tags"]["persona"] == "franklin" and row["tags"]["source"] == "gutenberg", "and the dataset not one")],
    ids=["a kind", "a subreddit", "a persona"])
def test_a_source_that_was_lost_on_the_way(unread, lost, message):
    for split in ("train", "validation", "test"):
        unread.write([row for row in unread.rows(split) if not lost(row)], split)
    assert message in "\n".join(unread.refused()["sources"])


def test_a_dataset_that_was_edited_by_hand(unread):
    write_jsonl(unread.train, unread.rows()[:-1])
    found = unread.refused()
    assert "the file is not what 08_build_dataset.py wrote" in found["lineage"][0]


def test_a_source_that_changed_since(unread):
    path = unread.folder / "data/synthetic/tool_use.jsonl"
    write_jsonl(path, read(path)[:-1])
    assert "data/synthetic/tool_use.jsonl has changed since 08_build_dataset.py made" in unread.refused()["lineage"][0]


def test_a_dataset_of_unknown_origin(unread):
    manifest_path(unread.train).unlink()
    assert "data/processed/train.jsonl has no manifest" in unread.refused()["lineage"][0]


@pytest.mark.parametrize("damage, message", [
    (lambda rows: rows[3]["messages"].pop(), "train.jsonl:4"), (lambda rows: rows.append(rows[0]), "was there before"),
    (lambda rows: rows.clear(), "empty")], ids=["no answer", "an id twice", "nothing"])
def test_records_that_are_no_conversations(unread, damage, message):
    rows = unread.rows()
    damage(rows)
    unread.write(rows)
    assert message in unread.refused()["records"][0]


def test_no_validation_set(unread):
    unread.train.with_name("validation.jsonl").unlink()
    assert "validation.jsonl: no such file" in unread.refused()["records"][0]


# --- planted: the plan and the machine ---

def test_rows_that_stay_half_empty():
    from weatherman.preflight.plan_checks import check_packing
    from weatherman.training.packing import pack
    settings = SimpleNamespace(packing=True, seed=1, max_tokens=100)
    full, empty = (check_packing(pack([length] * 200, settings), 9) for length in (50, 60))
    assert (full.state, empty.state) == ("good", "mend") and "60.0% full" in empty.found
    settings.packing = False
    assert check_packing(pack([60] * 200, settings), 9).state == "note"



@pytest.mark.parametrize("flags, what, message", [
    (["--set", "training.effective_batch=64"], "plan", "updates, "),
    (["--set", "training.effective_batch=4", "--set", "training.micro_batch=4"], "plan", "one pass holds more"),
    (["--set", "training.max_tokens=65536"], "plan", "more than the 32,768 the model was made for"),
    (["--gpu", "NVIDIA GeForce RTX 3090", "--set", "quantization.mode=none", "--set", "training.max_tokens=32768"], "memory",
     "one row needs")], ids=["few updates", "batch out of reach", "beyond the context", "does not fit"])
def test_a_plan_that_wastes_the_card(few, flags, what, message):
    assert message in few.refused(*flags)[what][0]


def test_a_full_disk_where_training_runs(base, built, tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk"):
        shutil.copytree(built, tmp_path / "disk", dirs_exist_ok=True)
        monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path / "disk"))
        assert "at least 20 GB are needed" in base.refused("--hardware", "cpu")["disk"][0]


def test_a_missing_tokenizer_is_no_go_and_says_what_was_skipped(unread):
    status, out, err = unread.run("--json")
    checks = json.loads(out)["checks"]
    assert status == 3 and "python scripts/download_model.py qwen2.5-7b-instruct --tokenizer" in err
    assert [check["what"] for check in checks if check["state"] == "skipped"] == ["conversations", "prompts", "packing", "plan",
                                                                                  "memory and cost"]


def test_llamas_duties_and_its_gate_are_named(few):
    byte_tokenizer(few.folder / "models/llama-3.1-8b-instruct", "<|eot_id|>", "<|finetune_right_pad_id|>")
    _, out, _ = few.run("--json", "--model", "llama-3.1-8b-instruct")
    said = {check["what"]: check for check in json.loads(out)["checks"]}
    assert "Built with Llama" in said["licence"]["found"] and "is gated, and no HF_TOKEN is set here" in said["weights"]["found"]


def test_a_tokenizer_without_the_models_end_of_turn(few):
    """Such as that of the base model, or of another family."""
    byte_tokenizer(few.folder / "models/llama-3.1-8b-instruct")
    found = few.refused("--model", "llama-3.1-8b-instruct")
    assert "is not a token of meta-llama/Llama-3.1-8B-Instruct" in found["tokenizer"][0]


@pytest.mark.parametrize("flags, message", [(["--gpu", "RTX 3090 Ti"], 'has no card "RTX 3090 Ti"'),
                                            (["--set", "lora.target_modules=[lm_head]"], "lm_head is no projection"),
                                            (["--set", "training.max_token=5"], 'did you mean "max_tokens"')])
def test_mistakes_in_flags_are_status_two(base, flags, message):
    status, _, err = base.run(*flags)
    assert status == 2 and message in err
