"""check_gpu.py where torch is installed: matrices are really multiplied, and a torch without CUDA is found out beside a good card."""
import json
import os

import check_gpu
from nvidia_smi import H100, install, xml
from weatherman.cli import run
from weatherman.machines.storage import FAILURE


def test_the_rate_is_that_of_real_products():
    import torch
    small = check_gpu.matmul_tflops(torch, torch.device("cpu"), size=128, seconds=0.1)
    assert 1e-5 < small < 100  # ten million to a hundred trillion operations a second


def test_a_torch_without_cuda_is_no_use_beside_the_best_card(tmp_path, monkeypatch, capsys):
    install(tmp_path, xml(H100))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    status = run(check_gpu.main, ["--json"])
    rows = {row["check"]: (row["outcome"], row["found"]) for row in json.loads(capsys.readouterr().out)["checks"]}
    assert status == 1 and [name for name, (outcome, _) in rows.items() if outcome == FAILURE] == ["torch"]
    assert "is built without CUDA" in rows["torch"][1] and "Try: ./setup_remote.sh" in rows["torch"][1]
