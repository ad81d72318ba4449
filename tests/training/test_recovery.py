import os
import signal

import pytest

from weatherman.cli import Interrupted
from weatherman.training.recovery import StopRequest, is_whole, latest_whole, seal


def checkpoint(folder, step, sealed=True):
    target = folder / f"checkpoint-{step}"
    (target / "sub").mkdir(parents=True)
    (target / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (target / "sub" / "x.json").write_text("{}")
    if sealed:
        seal(target)
    return target


def test_newest_whole_checkpoint_wins(tmp_path):
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 100)
    assert latest_whole(tmp_path) == newest
    assert latest_whole(tmp_path / "nowhere") is None


def test_half_written_checkpoint_does_not_count(tmp_path):
    good = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 20, sealed=False)
    damaged = checkpoint(tmp_path, 30)
    (damaged / "adapter_model.safetensors").write_bytes(b"weights 3")
    missing = checkpoint(tmp_path, 40)
    (missing / "sub" / "x.json").unlink()
    assert not is_whole(damaged) and not is_whole(missing)
    assert latest_whole(tmp_path) == good


def test_first_signal_asks_and_second_interrupts():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
