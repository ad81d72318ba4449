"""The demo's data half on the sample texts, and its own checks."""
import json

import pytest

import demo
from in_process import run_here, run_process
from paths import CONFIGS_DIR
from weatherman.cli import GateError, UserError

pytestmark = pytest.mark.machine  # 45 s; the scripts themselves run on every Python in test_dialogue_scripts and test_corpus_scripts


def build(base, start, *extra):
    """Run the demo's data steps in a base folder."""
    for name, *arguments in [*demo.COLLECT, *demo.BUILD]:
        force = [] if name == "01_collect_gutenberg.py" else extra
        alone = ["--workers", 1] if start is run_here and name[:2] in ("04", "05", "06") else []
        done = start(name, base, *arguments, "--config", CONFIGS_DIR / "demo_data.yaml", *alone, *force)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    base = tmp_path_factory.mktemp("demo")
    build(base, run_process)
    return base


def read(base, name):
    return [json.loads(line) for line in (base / "data" / "processed" / f"{name}.jsonl").read_text().splitlines()]


def test_the_same_commands_give_the_same_bytes(built):
    before = demo.output_hashes(built)
    assert len(before) >= 12
    build(built, run_here, "--force")  # another process than before: its hashes are salted otherwise
    assert demo.output_hashes(built) == before


def test_held_out_records_share_no_document_and_no_prompt_with_training(built):
    def documents(rows):
        return {document["id"].split("#")[0] for row in rows for document in row["provenance"]["documents"]}

    train, held_out = read(built, "train"), read(built, "validation") + read(built, "test")
    assert len(train) > 100 and len(held_out) > 20
    assert not documents(train) & documents(held_out)
    assert not {row["messages"][1]["content"] for row in train} & {row["messages"][1]["content"] for row in held_out}


def test_every_record_leads_back_to_its_bytes(built):
    """Record -> passage -> raw file: the raw bytes at the recorded offsets hold the first words of the answer."""
    from weatherman.files import sha256_file
    raw = {json.loads(p.read_text())["id"]: p.with_suffix(".txt") for p in (built / "data" / "raw" / "gutenberg").glob("*.json")}
    literary = [row for row in read(built, "train") if row["tags"]["source"] == "gutenberg"]
    assert len(literary) > 30
    for row in literary:
        reference = row["provenance"]["documents"][0]
        path = raw[reference["id"].split("#")[0]]
        assert sha256_file(path) == reference["sha256"]
        text = path.read_bytes()[reference["start"]:reference["end"]].decode("utf-8", "replace")
        word = row["messages"][-1]["content"].split()[3].strip(".,;:!?\"'“”‘’()_-")
        assert word in text


def test_other_bytes_from_the_same_code_are_refused():
    before = {"train.jsonl": ["a", "code1"], "test.jsonl": ["b", "code1"]}
    assert "2 of 2" in demo.compare_hashes(before, before)
    assert "1 changed" in demo.compare_hashes(before, {**before, "train.jsonl": ["z", "code2"]})
    with pytest.raises(GateError, match="train.jsonl"):
        demo.compare_hashes(before, {**before, "train.jsonl": ["z", "code1"]})


def test_a_folder_that_is_no_demo_workspace_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not a demo workspace"):
        demo.clear(tmp_path)
    assert (tmp_path / "data" / "thesis.txt").read_text() == "mine"
