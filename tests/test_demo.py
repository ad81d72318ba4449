"""The demo's data half on the sample texts, and its own checks."""
import json
import os
import subprocess
import sys

import pytest

import demo
from paths import CONFIGS_DIR, SCRIPTS_DIR
from weatherman.cli import GateError, UserError

pytestmark = pytest.mark.machine  # 45 s; the scripts themselves run on every Python in test_dialogue_scripts and test_corpus_scripts


def build(base, *extra):
    """Run the demo's data steps in a base folder."""
    for command in [*demo.COLLECT, *demo.BUILD]:
        force = ["--force"] if extra and command[0] != "01_collect_gutenberg.py" else []
        line = [sys.executable, str(SCRIPTS_DIR / command[0]), *command[1:], "--config", str(CONFIGS_DIR / "demo_data.yaml"), *force]
        subprocess.run(line, check=True, capture_output=True, env={**os.environ, "WEATHERMAN_BASE_DIR": str(base)})


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    base = tmp_path_factory.mktemp("demo")
    build(base)
    return base


def read(base, name):
    return [json.loads(line) for line in (base / "data" / "processed" / f"{name}.jsonl").read_text().splitlines()]


def test_the_same_commands_give_the_same_bytes(built):
    before = demo.output_hashes(built)
    assert len(before) >= 12
    build(built, "--force")
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
