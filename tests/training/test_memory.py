"""Out of memory, and no number: what becomes of the update, the run, and the next start."""
import json

import pytest
import torch

import train
from training import plant
from training.conftest import QUICK, fill_workspace, metrics
from training.test_preference import adapter, pairs, settings  # noqa: F401 - fixtures
from training.test_preference import base as frozen
from weatherman.training import memory, preference, recovery

# 24 conversations in 11 rows; two micro-batches of two rows an update.
BIG = [*QUICK, "--set", "lora.dropout=0.0"]
for _value in ("max_steps=3", "micro_batch=2", "effective_batch=9", "eval_steps=3", "save_steps=1"):
    BIG += ["--set", f"training.{_value}"]


def packed(*lengths):
    ids = torch.arange(sum(lengths))[None]
    return {"input_ids": ids, "labels": ids + 100, "position_ids": torch.tensor([[at for length in lengths for at in range(length)]])}


def test_a_packed_row_is_cut_between_conversations():
    parts = memory.split(packed(3, 1, 4, 2), 2)
    assert [(part["input_ids"].tolist(), share) for part, share in parts] == [([[0, 1, 2, 3]], 0.4), ([[4, 5, 6, 7, 8, 9]], 0.6)]
    assert parts[1][0]["labels"].tolist() == [[104, 105, 106, 107, 108, 109]]
    assert parts[1][0]["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert [part["input_ids"].shape[1] for part, _ in memory.split(packed(3, 1, 4, 2), 4)] == [3, 1, 4, 2]
    assert [part["input_ids"].shape[1] for part, _ in memory.split(packed(9, 1), 8)] == [9, 1]  # no conversation is cut
    assert len(memory.split(packed(5), 2)) == 1 and memory.most_passes(packed(5)) == 1


def test_padded_rows_and_pairs_are_cut_between_rows():
    rows = {"input_ids": torch.arange(6).view(3, 2), "attention_mask": torch.ones(3, 2)}
    assert [(part["input_ids"].tolist(), share) for part, share in memory.split(rows, 2)] == [([[0, 1]], 1 / 3), ([[2, 3], [4, 5]], 2 / 3)]
    answers = {"input_ids": torch.arange(6)[:, None], "completion_mask": torch.ones(6, 1), "ref_chosen_logps": torch.tensor([0.0, 1, 2])}
    (first, share), *_, (last, _) = memory.split(answers, 3)  # three chosen answers, then three rejected ones
    assert share == 1 / 3 and memory.most_passes(answers) == 3
    assert first["input_ids"].tolist() == [[0], [3]] and last["input_ids"].tolist() == [[2], [5]]
    assert last["completion_mask"].shape == (2, 1) and last["ref_chosen_logps"].tolist() == [2]


@pytest.mark.parametrize("error, expected", [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"), True),
    (MemoryError(), True), (RuntimeError("shape mismatch"), False), (ValueError("out of memory."), False)])
def test_what_counts_as_out_of_memory(error, expected):
    assert memory.is_out_of_memory(error) is expected


@pytest.fixture(scope="module")
def workplace(tiny_model, tmp_path_factory):
    base = tmp_path_factory.mktemp("memory")
    fill_workspace(base, tiny_model)
    path = base / "data" / "processed" / "train.jsonl"
    path.write_text(path.read_text().replace("number 9.", "zebra 9."))  # a token that no other conversation has
    return base


@pytest.fixture
def base(workplace, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(workplace))
    return workplace


@pytest.fixture
def roomy(base, here):
    """The run folder of a run with memory enough."""
    folder = base / "adapters" / "roomy"
    if not folder.exists():
        status, _, err = here(train.main, *BIG, "--run", "roomy")
        assert status == 0, err
    return folder


def no_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def assert_same_updates(folder, roomy):
    for key, error in (("loss", 1e-5), ("grad_norm", 1e-3), ("eval_loss", 1e-5), ("num_input_tokens_seen", 0)):
        assert metrics(folder, key) == pytest.approx(metrics(roomy, key), abs=error), key


def test_out_of_memory_halves_the_passes_and_changes_no_update(roomy, base, here):
    """From the second micro-batch of the second update on, nothing of more than 150 tokens fits: each micro-batch has about 240."""
    folder, tokens = base / "adapters" / "tight", []

    def too_large(count, ids, training):
        tokens.append(ids.numel() if training else 0)
        return training and count >= 4 and ids.numel() > 150

    with plant.in_pass(too_large, no_memory):
        status, _, err = here(train.main, *BIG, "--run", "tight")
    assert status == 0 and "step 2: out of memory; each micro-batch now takes 2 smaller passes" in err, err
    assert max(tokens[-4:]) <= 150
    assert_same_updates(folder, roomy)
    recorded = json.loads((folder / "run.json").read_text())
    assert recorded["passes_per_micro_batch"] == 2 and json.loads((folder / memory.FILE).read_text()) == {"passes": 2, "since_step": 1}
    assert json.loads((roomy / "run.json").read_text())["passes_per_micro_batch"] == 1


def test_a_backward_pass_that_fails_half_way_leaves_no_gradient_behind(roomy, base, here):
    """When memory runs out between the layers, the upper one has its gradient already: it must not count twice."""
    folder = base / "adapters" / "backward"
    with plant.in_backward(lambda count: count == 4, no_memory):
        status, _, err = here(train.main, *BIG, "--run", "backward")
    assert status == 0 and "step 2: out of memory" in err, err
    assert_same_updates(folder, roomy)


def test_one_conversation_too_many_ends_the_run_and_the_next_start_remembers(roomy, base, here):
    folder = base / "adapters" / "hopeless"
    with plant.in_pass(lambda count, ids, training: training and count >= 4, no_memory):
        status, _, err = here(train.main, *BIG, "--run", "hopeless")
    assert status == 1 and "out of memory with one conversation at a time" in err and "gradient_checkpointing" in err, err
    passes = json.loads((folder / memory.FILE).read_text())["passes"]
    sizes = []
    with plant.in_pass(lambda count, ids, training: training, lambda ids, *_: sizes.append(ids.numel())):
        status, _, err = here(train.main, *BIG, "--run", "hopeless")
    assert status == 0 and "resuming from checkpoint-1" in err and passes > 2 and max(sizes) < 80, err
    assert_same_updates(folder, roomy)


def test_an_evaluation_without_memory_says_so(base, here):
    with plant.in_pass(lambda count, ids, training: not training and count > 1, no_memory):
        status, _, err = here(train.main, *BIG, "--run", "blind")
    assert status == 1 and "held-out evaluation: out of memory" in err and "Try: " in err, err


def test_pairs_in_smaller_passes_give_the_same_updates(tiny_model, adapter, tokenizer, pairs, tmp_path):  # noqa: F811
    curves = []
    for passes in (1, 2):
        folder = tmp_path / str(passes)
        folder.mkdir()
        memory.remember(folder, passes, 0)
        model = preference.load_reference(frozen(tiny_model), adapter)
        before = preference.answer_losses(model, pairs[:3])
        trainer = preference.make_trainer(model, tokenizer, pairs, pairs[:3], before, settings(), folder, stop=recovery.StopRequest())
        assert trainer.passes == passes
        trainer.train()
        curves.append([row[key] for row in trainer.state.log_history for key in ("loss", "grad_norm") if key in row])
    assert len(curves[0]) == 6 and curves[1] == pytest.approx(curves[0], rel=1e-4)


@pytest.fixture
def zebra(tiny_model):
    """The token id of " zebra"."""
    from transformers import AutoTokenizer
    (token,) = AutoTokenizer.from_pretrained(tiny_model)(" zebra")["input_ids"]
    return token


# --- no number --------------------------------------------------------------------------------------------------------

def test_a_record_that_gives_no_number_is_named_and_the_checkpoint_is_kept(base, here, zebra):
    """One conversation's embedding is poisoned, so the loss of the update it is in becomes nan."""
    folder = base / "adapters" / "poisoned"

    def poison(ids, module, hidden):
        return torch.where((ids == zebra)[..., None], torch.nan, hidden)

    with plant.in_pass(lambda count, ids, training: True, poison):
        status, _, err = here(train.main, *BIG, "--run", "poisoned")
    assert status == 3 and "step 3: the loss or its gradient is no number" in err, err
    report = json.loads((folder / "nonfinite.json").read_text())
    named = [name for micro_batch in report["records"] for name in micro_batch]
    assert report["step"] == 3 and "nan" in report["losses"] and report["last_good_checkpoint"] == "checkpoint-2"
    assert len(named) == len(set(named)) >= 4 and "test:9" in named and report["no_number_alone"] == ["test:9"]
    assert "no number even alone: test:9" in err and list(metrics(folder, "loss")) == [1, 2]
    status, _, err = here(train.main, *BIG, "--run", "poisoned")
    assert status == 3 and "--resume to go on from checkpoint-2" in err, err
    status, _, err = here(train.main, *BIG, "--run", "poisoned", "--resume")
    assert status == 0 and "resuming from checkpoint-2" in err and not (folder / "nonfinite.json").exists(), err


def test_a_gradient_that_is_no_number_stops_although_the_loss_is_one(base, here):
    with plant.in_backward(lambda count: count == 5, lambda gradient: gradient * float("inf")):
        status, _, err = here(train.main, *BIG, "--run", "steep")
    report = json.loads((base / "adapters" / "steep" / "nonfinite.json").read_text())
    assert status == 3 and report["step"] == 3 and report["gradient_norm"] == "nan" and "nan" not in report["losses"], err
    assert report["no_number_alone"] == [] and "learning rate" in err and report["last_good_checkpoint"] == "checkpoint-2"
