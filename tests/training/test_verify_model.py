"""verify_model.py names what is wrong: each fault is planted in a copy of the tiny model, or in the real one's."""
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import verify_model
from conftest import NAME
from weatherman.models import model_files
from weatherman.models.registry import model_entry
from weatherman.training.verify import check_config, check_files, check_forward, check_tokenizer, check_weights, verify

OTHER = "org--tiny"  # a model that the registry does not know: its shape is its own
ORIGIN = {"repo": "org/tiny", "revision": "0" * 40, "source": "a hub", "checksums_from": "a hub"}


@pytest.fixture
def place(tmp_path, tiny_model, monkeypatch):
    """The folder of the tiny model as a download of org/tiny leaves it."""
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    place = tmp_path / "models" / OTHER
    shutil.copytree(tiny_model, place)
    model_files.record(place, ORIGIN)
    return place


def outcomes(rows):
    return {check: outcome for check, outcome, _ in rows}


def alter(place, change):
    """Rewrite the weights with `change`d tensors, and the manifest with them: only what they say is wrong, not their bytes."""
    tensors = load_file(place / "model.safetensors")
    change(tensors)
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    model_files.record(place, ORIGIN)


def in_shards(place):
    """Split the weights into two files with an index; return the index."""
    tensors, names = load_file(place / "model.safetensors"), ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (place / "model.safetensors").unlink()
    index = {key: names[at % 2] for at, key in enumerate(sorted(tensors))}
    for name in names:
        save_file({key: tensors[key] for key in tensors if index[key] == name}, place / name)
    (place / model_files.INDEX).write_text(json.dumps({"weight_map": index}))
    return index


def test_the_embedded_model_is_whole_and_reads_a_sentence(real_model):
    rows = verify(real_model, model_entry(NAME), forward=True)
    assert set(outcomes(rows).values()) == {"fine"}
    found = {check: text for check, _, text in rows}
    assert list(found) == ["files", "weights", "config.json", "tokenizer", "smollm2.jinja", "forward pass"]
    assert found["weights"].startswith("134,515,008 parameters in 272 tensors of BF16") and "unpacking" in found["files"]
    assert 2.0 < float(found["forward pass"].split()[0]) < 2.5  # 2.24 in bfloat16


def test_the_command_names_the_broken_file_and_notes_it(place, here):
    weights = place / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-9] ^= 1
    weights.write_bytes(data)
    (place / "tokenizer_config.json").unlink()
    status, out, err = here(verify_model.main, OTHER, "--forward", "--json")
    rows = {row["check"]: row["found"] for row in json.loads(out)["checks"] if row["outcome"] == "failure"}
    assert status == 1 and "sha256 is" in rows["model.safetensors"] and rows["tokenizer_config.json"] == "is not there"
    assert json.loads(out)["checks"][-1] == {"check": "forward pass", "outcome": "warning",
                                             "found": "left out: the rows above say what is wrong"}
    assert f"Try: python scripts/download_model.py {OTHER} " in err
    assert model_files.read_manifest(place)["broken"] == ["model.safetensors", "tokenizer_config.json"]
    assert here(verify_model.main, "org/absent")[2].endswith("Try: python scripts/download_model.py org/absent\n")


@pytest.mark.parametrize("damage", [lambda data: data[:-1000], lambda data: b"<!DOCTYPE html>" + data], ids=["cut", "a page before it"])
def test_a_truncated_file_is_named_with_and_without_a_manifest(place, damage):
    weights = place / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    ((check, outcome, text),) = check_files(place)
    assert (check, outcome) == ("model.safetensors", "failure") and text.endswith("were downloaded")
    (place / model_files.MANIFEST).unlink()
    assert outcomes(check_files(place)) == {"files": "failure"}
    assert outcomes(check_weights(place, None)) == {"model.safetensors": "failure"}


def test_a_stray_file_that_would_be_loaded_instead_is_named(place):
    in_shards(place)
    model_files.record(place, ORIGIN)
    assert outcomes(check_files(place)) == {"files": "fine"}
    shutil.copy(place / "model-00001-of-00002.safetensors", place / "model.safetensors")
    assert outcomes(check_files(place)) == {"model.safetensors": "failure"}


def test_an_index_must_name_every_shard_and_tensor(place):
    index = in_shards(place)
    assert outcomes(check_weights(place, None)) == {"weights": "fine"}
    one = sorted(index)[0]
    for wrong in ({**index, one: "model-00002-of-00002.safetensors"}, {key: name for key, name in index.items() if key != one}):
        (place / model_files.INDEX).write_text(json.dumps({"weight_map": wrong}))
        (row,) = check_weights(place, None)
        assert row[:2] == (model_files.INDEX, "failure") and one in row[2]
    (place / "model-00002-of-00002.safetensors").unlink()
    assert outcomes(check_weights(place, None)) == {"model-00002-of-00002.safetensors": "failure"}
    (place / model_files.INDEX).write_text("{")
    assert check_weights(place, None) == [("weights", "failure", f"no readable {model_files.INDEX}")]


def test_another_shape_than_the_registry_s_is_named(place):
    ((_, outcome, text),) = check_config(place, model_entry(NAME))
    assert outcome == "failure" and "layers is 2, configs/models.yaml says 30" in text and "heads is 4" in text
    ((_, outcome, text),) = check_weights(place, model_entry(NAME))
    assert outcome == "failure" and "says 134,515,008" in text
    assert outcomes(check_config(place, None)) == {"config.json": "fine"}
    (place / "config.json").write_text("{")
    assert outcomes(check_config(place, None)) == {"config.json": "failure"}


def test_a_tokenizer_that_does_not_load_or_fit_is_named(place):
    entry = model_entry(NAME)
    assert outcomes(check_tokenizer(place, entry)) == {"tokenizer": "fine", "smollm2.jinja": "fine"}
    *_, row = check_tokenizer(place, entry.model_copy(update={"template": "llama-3.1.jinja"}))  # another family's turns
    assert row[:2] == ("llama-3.1.jinja", "failure")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "vocab_size": 100}))
    assert "the weights have rows for 100" in check_tokenizer(place, entry)[0][2]
    (place / "tokenizer.json").write_text("{}")
    assert outcomes(check_tokenizer(place, None)) == {"tokenizer": "failure"}


def test_untrained_and_damaged_weights_show_in_a_forward_pass(place):
    assert check_forward(place)[1] == "failure"  # the tiny model's weights are random: it guesses

    def spoil(tensors):
        tensors["model.norm.weight"][3] = torch.nan

    alter(place, spoil)
    assert check_forward(place) == ("forward pass", "failure", "it gives numbers that are not finite: weights are damaged")
