import subprocess
import sys

import pytest
from pydantic import BaseModel, ConfigDict

from config_loader import ConfigError, Layer, load_config, merge, override_layer, part, read_layer
from paths import CONFIGS_DIR, SCRIPTS_DIR


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    learning_rate: float
    steps: int
    names: list[str]


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    model: str
    training: Inner


GOOD = "model: x\ntraining:\n  learning_rate: 2.0e-4\n  steps: 3\n  names: [a, b]\n"


def write(tmp_path, text, name="c.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_values_and_their_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resolved = load_config(write(tmp_path, GOOD), Outer, overrides=["training.steps=5"])
    assert resolved.values.training.steps == 5 and resolved.values.training.learning_rate == 2e-4
    assert resolved.places[("training", "learning_rate")] == "c.yaml:3"
    assert resolved.places[("training", "steps")] == "--set training.steps"


def test_all_mistakes_come_at_once_with_file_and_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "training:\n  learning_rate: 2e-4\n  stepps: 3\n  names: [a, 1]\nmodel: 7\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, Outer)
    lines = str(caught.value).split("\n")
    assert len(lines) == 5
    assert any(line.startswith("c.yaml:5: model:") for line in lines)
    assert any(line.startswith("c.yaml:2: training.learning_rate:") and "write 2.0e-4" in line for line in lines)
    assert any(line.startswith('c.yaml:3: unknown key "training.stepps" (did you mean "steps"?)') for line in lines)
    assert any('the key "training.steps" is missing' in line for line in lines)
    assert any(line.startswith("c.yaml:4: training.names.1:") for line in lines)


@pytest.mark.parametrize("text,message", [
    (GOOD + "model: y\n", r'c.yaml:6: the key "model" appears twice \(first at line 1\)'),
    ("", "the file is empty"), ("- a\n", "expected keys and values, found a list"), ("a: [1\n", r"c.yaml:2: not valid YAML"),
    ("a: !!python/object:os.system x\n", "cannot read the value"),
])
def test_unreadable_files(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text), Outer)


def test_missing_file_and_wrong_encoding(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_layer(tmp_path / "nowhere.yaml")
    (tmp_path / "c.yaml").write_bytes(b"model: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_layer(tmp_path / "c.yaml")


def test_layers_merge_key_by_key_and_lists_are_replaced(tmp_path):
    over = read_layer(write(tmp_path, "training: {names: [c]}\n", "over.yaml"))
    under = read_layer(write(tmp_path, GOOD))
    merged = merge(under, over)
    assert merged.values == {"model": "x", "training": {"learning_rate": 2e-4, "steps": 3, "names": ["c"]}}
    assert merged.places[("training", "names")].endswith("over.yaml:1") and ("training", "names", 1) not in merged.places
    assert under.values["training"]["names"] == ["a", "b"]


def test_extends_lays_a_file_underneath(tmp_path):
    write(tmp_path, GOOD)
    resolved = load_config(write(tmp_path, "extends: c.yaml\ntraining: {steps: 9}\n", "d.yaml"), Outer)
    assert resolved.values.training.steps == 9 and resolved.values.training.names == ["a", "b"]


def test_part_names_the_closest_key():
    layer = Layer({"models": {"smollm2-135m": {"a": 1}}}, {("models", "smollm2-135m", "a"): "m.yaml:3"})
    assert part(layer, ("models", "smollm2-135m")).places == {("a",): "m.yaml:3"}
    with pytest.raises(ConfigError, match="did you mean"):
        part(layer, ("models", "smolm2"))


@pytest.mark.parametrize("text", ["steps", "=3", "a=[1"])
def test_malformed_set(text):
    with pytest.raises(ConfigError, match="--set"):
        override_layer([text])


def test_the_script_shows_where_values_come_from_and_exits_2_on_mistakes():
    command = [sys.executable, str(SCRIPTS_DIR / "config_loader.py"), str(CONFIGS_DIR / "training_config.yaml"), "--preset", "smoke",
               "--show"]
    shown = subprocess.run(command, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    line = next(line for line in shown.stdout.splitlines() if line.startswith("training.max_steps"))
    assert "configs/presets/smoke.yaml:" in line
    failed = subprocess.run([*command, "--set", "lora.rank=3"], capture_output=True, text=True)
    assert failed.returncode == 2 and 'unknown key "lora.rank"' in failed.stderr and "Traceback" not in failed.stderr
