"""Say whether this machine's graphics cards can train: driver, CUDA, memory, bf16, MIG, other users, health, and real speed.

Reads nvidia-smi; where torch is installed, multiplies matrices for 2 s on each card and compares with configs/gpus.yaml. Writes nothing.
GPU machine; any Python 3.10 or later, and all checks with the training environment's own.
    .venv-remote/bin/python scripts/check_gpu.py
    .venv-remote/bin/python scripts/check_gpu.py --hardware h100_80gb
    python scripts/check_gpu.py --json
"""
import json
import os
import sys
import time
from dataclasses import asdict

from weatherman.cli import DONE, MENDABLE, parser, print_error, run, table
from weatherman.machines import gpu
from weatherman.machines.storage import FAILURE, FINE, WARNING

MATRIX = 8192  # rows and columns: two factors and a product in bf16 are 0.4 GB, and one product keeps the largest cards busy
MEASURE_S = 2.0
SLOW_SHARE = 0.6  # of the data sheet's dense rate: a healthy card reaches 0.75 to 0.95 on random numbers


def load_torch():
    """Return (torch or None, rows): the reason where it cannot be imported."""
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None, [["torch", WARNING, "not in this Python: its checks are skipped. Try: .venv-remote/bin/python scripts/check_gpu.py"]]
    except (ImportError, OSError) as error:  # a CUDA library that it needs is missing or of another version
        return None, [["torch", FAILURE, f"does not load: {_first_line(error)}"]]
    return torch, []


def check_torch(torch):
    """Return (number of cards that torch sees, rows)."""
    version = f"{torch.__version__} for CUDA {torch.version.cuda}"
    if torch.version.cuda is None:
        return 0, [["torch", FAILURE, f"{torch.__version__} is built without CUDA: no card is used. Try: ./setup_remote.sh --venv"]]
    try:
        torch.cuda.init()
    except RuntimeError as error:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        hint = f" (CUDA_VISIBLE_DEVICES={hidden!r})" if hidden is not None else ""
        return 0, [["torch", FAILURE, f"{version} cannot use a card{hint}: {_first_line(error)}"]]
    return torch.cuda.device_count(), [["torch", FINE, f"{version} sees {torch.cuda.device_count()}"]]


def _first_line(error):
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def matmul_tflops(torch, device, size=MATRIX, seconds=MEASURE_S):
    """Return the TFLOP/s of bf16 products of two (size, size) matrices, 2 size³ operations each.

    The numbers are random: zeros draw less power, and a card runs faster on them than it ever does in training.
    """
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    (a @ b)[0, 0].item()  # the first product loads libraries; reading a number waits for the card
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        for _ in range(10):
            product = a @ b
        product[0, 0].item()
        count += 10
    return count * 2 * size**3 / elapsed / 1e12


def judge_speed(measured, name, known):
    """Return (outcome, found). measured: TFLOP/s of the card called `name`. known: its TFLOP/s in configs/gpus.yaml, or None."""
    if known is None:
        return FINE, f"{measured:,.0f} TFLOP/s; {name} has no known rate in configs/gpus.yaml"
    share = measured / known
    found = f"{measured:,.0f} of {known:,.0f} TFLOP/s ({share:.0%})"
    return (FINE, found) if share >= SLOW_SHARE else (WARNING, f"{found}: slow. Heat, a power limit or another user; see the rows above")


def check_speed(torch, count, whole):
    """Return one row for each card: its real bf16 rate and, where it is a `whole` card, its share of the known one."""
    from weatherman.training.estimate import find_gpu
    rows = []
    for number in range(count):
        name, row = torch.cuda.get_device_name(number), f"{number}: speed" if count > 1 else "speed"
        try:
            measured = matmul_tflops(torch, torch.device("cuda", number))
        except RuntimeError as error:  # no memory left, or the card fails under load
            rows.append([row, FAILURE, f"bf16 products fail: {_first_line(error)}"])
            continue
        found = find_gpu(name) if whole else None
        rows.append([row, *judge_speed(measured, name, found[1].bf16_tflops if found else None)])
    return rows


def main(argv=None):
    flags = parser(__doc__)
    flags.add_argument("--hardware", choices=gpu.FLOORS_GIB, help="the hardware profile that must fit (default: the smallest)")
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    args = flags.parse_args(argv)
    driver = gpu.read_driver()
    cards = gpu.visible(driver.cards)
    torch, torch_rows = load_torch()
    built_for = torch.version.cuda if torch and torch.version.cuda else gpu.cuda_of_lock()
    rows = gpu.check_driver(driver, built_for) + gpu.check_cards(cards, args.hardware)
    if torch:
        count, torch_rows = check_torch(torch)
        torch_rows += check_speed(torch, count, whole=not any(card.mig for card in cards.values()))
    rows += torch_rows
    bad = sum(outcome == FAILURE for _, outcome, _ in rows)
    if args.json:
        print(json.dumps({"good": not bad, **asdict(driver), "checks": [{"check": c, "outcome": o, "found": f} for c, o, f in rows]}))
    else:
        print(table(rows, ["gpu", "outcome", "found"]))
    if bad:
        print_error(f"{bad} of {len(rows)} checks failed.", "what the table says, before a run is started here")
    return MENDABLE if bad else DONE


if __name__ == "__main__":
    sys.exit(run(main))
