"""A data step on hand-made input: counts, rejects, skipping, and what a fault leaves behind."""
import argparse
import json

import pytest

from weatherman import cli
from weatherman.cli import UserError
from weatherman.manifest import check_input, manifest_path
from weatherman.step import Step, rejects_path

ARGS = argparse.Namespace(dry_run=False, force=False, json=False)


def double(base, config=None, seed=1, lose=0):
    """Run a step that doubles "n" and rejects odd numbers; return whether it did the work."""
    step = Step(cli.__file__, rooms=[], inputs=[base / "in.jsonl"], outputs=[base / "out.jsonl", base / "extra.jsonl"],
                config=config or {}, seed=seed)
    if not step.wanted(ARGS):
        return False
    with step:
        for line, text in enumerate((base / "in.jsonl").read_text().splitlines(), 1):
            step.seen()
            number = json.loads(text)["n"]
            if number == lose:
                continue
            if number % 2:
                step.reject("odd", file=base / "in.jsonl", line=line, id=str(number), excerpt="x" * 500)
            else:
                step.keep({"n": 2 * number}, output=number == 4)
    return True


@pytest.fixture
def base(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"n": 2}\n{"n": 3}\n{"n": 4}\n')
    return tmp_path


def test_counts_rejects_and_manifests(base):
    assert double(base)
    assert (base / "out.jsonl").read_text() == '{"n":4}\n' and (base / "extra.jsonl").read_text() == '{"n":8}\n'
    reject = json.loads(rejects_path(base / "out.jsonl").read_text())
    assert (reject["line"], reject["id"], reject["reason"], len(reject["excerpt"])) == (2, "3", "odd", 160)
    for name in ("out.jsonl", "extra.jsonl"):
        manifest = json.loads(manifest_path(base / name).read_text())
        assert manifest["counts"] == {"in": 3, "out": 2, "rejected": {"odd": 1}}
        assert [entry["rows"] for entry in manifest["outputs"]] == [1, 1, 1] and manifest["inputs"][0]["rows"] == 3


def test_unchanged_work_is_skipped_and_every_change_is_noticed(base, monkeypatch):
    assert double(base) and not double(base)
    assert double(base, config={"threshold": 1}) and not double(base, config={"threshold": 1})
    assert double(base, seed=2)
    (base / "in.jsonl").write_text('{"n": 2}\n')
    assert double(base, seed=2) and not double(base, seed=2)
    (base / "extra.jsonl").write_text("damaged")
    assert double(base, seed=2)
    rejects_path(base / "out.jsonl").unlink()
    assert double(base, seed=2)
    monkeypatch.setattr("weatherman.step.code_sha256", lambda script, rooms: "another code")
    assert double(base, seed=2)


def test_a_row_that_is_neither_kept_nor_rejected_is_a_bug(base):
    double(base)
    before = {p.name: p.read_bytes() for p in base.iterdir()}
    with pytest.raises(RuntimeError, match="1 of 3 rows were neither kept nor rejected"):
        double(base, lose=4, config={"other": 1})
    assert {p.name: p.read_bytes() for p in base.iterdir()} == before


def test_an_input_that_its_manifest_does_not_know_is_refused(base):
    double(base)
    check_input(base / "out.jsonl")
    with open(base / "out.jsonl", "a") as handle:
        handle.write('{"n":6}\n')
    with pytest.raises(UserError, match="not what cli.py wrote"):
        check_input(base / "out.jsonl")
    with pytest.raises(UserError, match="no such file"):
        check_input(base / "nowhere.jsonl")
