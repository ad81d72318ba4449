"""What there is to train on, and what of the registry fits on it."""
import os
from types import SimpleNamespace

import pytest

from config_loader import ConfigError
from llmcustoms import HardwareDetector
from paths import CONFIGS_DIR
from weatherman.cli import UserError
from weatherman.models.registry import model_entry
from weatherman.training.hardware import GIB, Hardware, capped, detect, machine_memory, micro_batch, parse_gigabytes, parse_switch, suggest

CARD = Hardware("cuda", "a card", 24 * GIB, 8)


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in ("MAX_VRAM_GB", "FORCE_CPU", "CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


def config_of(name):
    from weatherman.schemas import load_file
    return load_file(CONFIGS_DIR / "training_config.yaml", name, None, "quality", ["training.max_tokens=1024"]).values


@pytest.mark.parametrize("text,size", [("12", 12.0), ("23.5", 23.5), (8, 8.0), ("", None), (None, None)])
def test_sizes_are_read(text, size):
    assert parse_gigabytes(text, "MAX_VRAM_GB") == size


@pytest.mark.parametrize("text", ["0", "-4", "much", "nan", "inf", "8GB"])
def test_other_sizes_are_named_errors(monkeypatch, text):
    monkeypatch.setenv("MAX_VRAM_GB", text)
    with pytest.raises(ConfigError, match=f"MAX_VRAM_GB={text}: expected a number of GiB above 0"):
        detect()


@pytest.mark.parametrize("text,on", [("1", True), ("true", True), ("Yes", True), (True, True), ("0", False), ("off", False), ("", False),
                                     (None, False)])
def test_switches_are_read(text, on):
    assert parse_switch(text, "FORCE_CPU") is on


def test_other_switches_are_named_errors(monkeypatch):
    monkeypatch.setenv("FORCE_CPU", "maybe")
    with pytest.raises(ConfigError, match="FORCE_CPU=maybe: expected 1 or 0, true or false"):
        detect()


def test_the_cpu_is_found_with_its_memory(monkeypatch):
    monkeypatch.setenv("FORCE_CPU", "1")
    monkeypatch.setenv("MAX_VRAM_GB", "1")  # of a GPU: a CPU's memory is none
    found = detect()
    assert (found.device, found.name, found.gpu_bytes, found.cores) == ("cpu", "CPU", 0, os.cpu_count())
    assert found.memory_bytes == machine_memory() > GIB


def test_a_container_may_have_less(tmp_path):
    (tmp_path / "memory.max").write_text("1073741824\n")
    (tmp_path / "none").write_text("max\n")
    assert machine_memory([tmp_path / "memory.max", tmp_path / "none", tmp_path / "absent"]) == GIB
    assert machine_memory([tmp_path / "none"]) == machine_memory([])


@pytest.mark.parametrize("cap,size", [(None, 24), (12.0, 12), (80.0, 24)])
def test_a_cap_only_lowers(cap, size):
    assert capped(CARD, cap).memory_bytes == size * GIB


@pytest.mark.parametrize("size,name", [(1.8, "smollm2-135m"), (4, "tinyllama-1.1b-chat"), (24, "qwen2.5-7b-instruct"),
                                       (80, "qwen2.5-7b-instruct")])
def test_the_largest_model_that_fits_is_suggested(size, name):
    assert suggest(Hardware("cuda", "a card", int(size * GIB), 8), config_of) == name


def test_a_gated_model_is_suggested_only_where_it_is():
    assert suggest(CARD, config_of, lambda name: name == "llama-3.1-8b-instruct") == "llama-3.1-8b-instruct"


def test_a_base_model_is_never_suggested():
    assert suggest(Hardware("cuda", "a card", 1000 * GIB, 8), config_of, lambda name: True) == "llama-3.1-8b-instruct"


def test_on_a_cpu_the_smallest_is():
    assert suggest(Hardware("cpu", "CPU", 512 * GIB, 64), config_of) == "smollm2-135m"


def test_nothing_fits_in_nothing():
    with pytest.raises(UserError, match="0.5 GiB of a card: not even smollm2-135m"):
        suggest(Hardware("cuda", "a card", GIB // 2, 8), config_of)


def test_the_micro_batch_is_the_presets_or_what_fits():
    entry, config = model_entry("llama-3.1-8b-instruct"), config_of("llama-3.1-8b-instruct")
    sizes = [micro_batch(Hardware("cuda", "a card", gigabytes * GIB, 8), entry, config) for gigabytes in (4, 80)]
    assert sizes == [0, config.training.micro_batch]
    from weatherman.training.estimate import memory
    one = memory(entry, config, 1, checkpointing=True).total
    assert micro_batch(Hardware("cuda", "a card", one, 8), entry, config) == 0          # nothing to spare
    assert micro_batch(Hardware("cuda", "a card", int(one / 0.89), 8), entry, config) == 1


def test_the_detector_warns_on_a_cpu(capsys):
    detector = HardwareDetector(force_cpu=True)
    assert "warning: no GPU is used" in capsys.readouterr().err
    assert detector.detect_gpu_memory() == 0 and detector.suggest_model() == "smollm2-135m"
    assert detector.suggest_model(4 * GIB) == "tinyllama-1.1b-chat"
    assert detector.get_optimal_batch_size("smollm2-135m", "highspeed") == 4
    plain = detector.get_training_config("smollm2-135m", "highspeed")
    assert (plain["training"]["epochs"], plain["training"]["learning_rate"], plain["training"]["max_steps"]) == (1.0, 1e-3, 100)
    assert plain["compute"]["device"] == "cpu" and plain["lora"]["r"] == 4 and plain["training"]["max_tokens"] == 1024


def test_the_detector_says_what_does_not_fit():
    detector = HardwareDetector(force_cpu=True)
    detector.hardware = SimpleNamespace(device="cuda", name="a card", memory_bytes=2 * GIB)
    with pytest.raises(UserError, match="llama-3.1-8b-instruct does not train in the 2.0 GiB of a card"):
        detector.get_optimal_batch_size("llama-3.1-8b-instruct")
