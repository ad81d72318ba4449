"""check_gpu.py and weatherman.machines.gpu: what nvidia-smi printed on other machines, replayed by a program of that name."""
import functools
import json
import os
import subprocess
import sys
import time

import pytest
import yaml

import check_gpu
from nvidia_smi import A100, COULD_NOT, H100, PROCESS, RTX3090, SILENT, SLICE, install, xml
from paths import CONFIGS_DIR, SCRIPTS_DIR
from weatherman.cli import UserError, run
from weatherman.machines import gpu
from weatherman.machines.storage import FAILURE, FINE, WARNING


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """Return a function that puts a program called nvidia-smi first on the PATH, which prints a capture and exits."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return functools.partial(install, tmp_path)


@pytest.fixture
def check(replay, capsys):
    """Return a function that replays cards and gives (exit status, {check: (outcome, found)})."""
    def checked(*cards, arguments=(), **versions):
        replay(xml(*cards, **versions))
        status = run(check_gpu.main, ["--json", *arguments])
        return status, {row["check"]: (row["outcome"], row["found"]) for row in json.loads(capsys.readouterr().out)["checks"]}

    return checked


@pytest.mark.parametrize("card,driver,fits", [(H100, "570.124.06", "rtx3090, a100_80gb, h100_80gb"),
                                              (A100, "535.161.08", "rtx3090, a100_80gb, h100_80gb"), (RTX3090, "530.30.02", "rtx3090")])
def test_good_cards(check, card, driver, fits):
    status, rows = check(card, driver=driver, cuda={"570": "12.8", "535": "12.2", "530": "12.1"}[driver[:3]])
    assert status == 0 and {outcome for name, (outcome, _) in rows.items() if name != "torch"} == {FINE}
    assert rows["memory"][1].endswith(f"enough for --hardware {fits}")
    assert rows["driver"][1] == f"{driver}; torch for CUDA 12.8 needs 525.60.13 or later"
    assert rows["in use"][1].endswith("GiB taken, no process") and "°C" in rows["health"][1]


@pytest.mark.parametrize("driver,cuda,outcomes", [
    ("580.95.05", "13.0", (FINE, FINE)),  # newer drivers run older CUDAs
    ("525.60.13", "12.0", (FINE, FAILURE)),  # enough for torch, but 12.0 < 12.1
    ("525.60.12", "12.1", (FAILURE, FINE)), ("470.223.02", "11.4", (FAILURE, FAILURE)), ("390.157", None, (FAILURE, FAILURE))])
def test_driver_and_cuda(check, driver, cuda, outcomes):
    status, rows = check(RTX3090, driver=driver, cuda=cuda)
    assert (rows["driver"][0], rows["CUDA"][0]) == outcomes
    assert status == (1 if FAILURE in outcomes else 0)


@pytest.mark.parametrize("driver,built_for,outcome", [
    ("580", "13.0", FINE), ("579.99", "13.0", FAILURE), ("580.65.06", "12.8", FINE), ("1000.1", "12.8", FINE),
    ("600.1", "14.2", WARNING), (None, "12.8", FAILURE)])
def test_driver_against_the_cuda_of_torch(driver, built_for, outcome):
    assert gpu.check_driver(gpu.Driver(driver, "13.0", []), built_for)[0][1] == outcome


@pytest.mark.parametrize("mib,hardware,outcome", [
    (23 * 1024, None, FINE), (23 * 1024 - 1, None, FAILURE), (24576, "h100_80gb", FAILURE), (79 * 1024, "h100_80gb", FINE),
    (79 * 1024 - 1, "a100_80gb", FAILURE), (81559, "rtx3090", FINE)])
def test_memory_floors(check, mib, hardware, outcome):
    status, rows = check({**H100, "total": f"{mib} MiB"}, arguments=["--hardware", hardware] if hardware else [])
    assert rows["memory"][0] == outcome and status == (outcome == FAILURE)
    assert outcome == FINE or f"needs {gpu.FLOORS_GIB[hardware or 'rtx3090']} GiB" in rows["memory"][1]


def test_every_hardware_profile_with_a_card_has_a_floor_below_its_memory():
    cards = yaml.safe_load((CONFIGS_DIR / "gpus.yaml").read_text())["gpus"]
    profiles = {path.stem for path in (CONFIGS_DIR / "hardware").glob("*.yaml")} - {"cpu", "mps"}
    assert profiles <= set(gpu.FLOORS_GIB) <= set(cards)
    assert all(cards[name]["memory_mib"] - 2048 < floor * 1024 < cards[name]["memory_mib"] for name, floor in gpu.FLOORS_GIB.items())


@pytest.mark.parametrize("architecture,outcome", [("Turing", FAILURE), ("Volta", FAILURE), ("Ada Lovelace", FINE), ("Blackwell", FINE),
                                                  ("", WARNING)])
def test_bf16(check, architecture, outcome):
    status, rows = check({**H100, "architecture": architecture})
    assert rows["bf16"][0] == outcome and status == (outcome == FAILURE)


def test_mig_gives_slices_and_their_memory_is_what_counts(check):
    cut = {**A100, "mig": "Enabled", "used": "N/A"}
    status, rows = check({**cut, "slices": "\n".join(map(SLICE.format, (40192, 19968)))})
    assert status == 0 and rows["MIG"][0] == WARNING and "(39.2, 19.5 GiB)" in rows["MIG"][1]
    assert rows["memory"] == (FINE, "39.2 GiB in the largest slice: enough for --hardware rtx3090")
    status, rows = check({**cut, "slices": SLICE.format(9728)})
    assert status == 1 and rows["memory"][0] == FAILURE and "9.5 GiB in the largest slice" in rows["memory"][1]
    status, rows = check(cut)
    assert status == 1 and rows["MIG"][0] == FAILURE and "nvidia-smi -mig 0" in rows["MIG"][1]


@pytest.mark.parametrize("used,processes,outcome,said", [
    ("61044 MiB", PROCESS.format(4242, "/opt/conda/bin/python3.11", "61036 MiB"), FAILURE, "4242 python3.11 (61,036 MiB)"),
    ("61044 MiB", "", FAILURE, "by nobody seen from here"),  # a container sees no process of another
    ("1020 MiB", PROCESS.format(900, "/usr/lib/xorg/Xorg", "1000 MiB"), WARNING, "900 Xorg (1,000 MiB)"),
    ("8155 MiB", "", FINE, "8.0 of 79.6 GiB"), ("8156 MiB", "", FAILURE, "8.0 of 79.6 GiB")])
def test_others_on_the_card(check, used, processes, outcome, said):
    status, rows = check({**H100, "used": used, "processes": processes})
    assert rows["in use"][0] == outcome and said in rows["in use"][1] and status == (outcome == FAILURE)


@pytest.mark.parametrize("change,outcome,said", [
    ({"ecc": "3"}, WARNING, "6 uncorrected memory errors"),  # 3 in each kind of memory; the aggregate of its whole life is not read
    ({"pending": "Yes"}, WARNING, "wait for a repair"), ({"failed": "Yes"}, FAILURE, "give the machine back"),
    ({"slow": "Active"}, WARNING, "hw slowdown, hw thermal slowdown"), ({"watts": "310.00 W"}, WARNING, "power limited to 310 of 700 W"),
    ({"persistence": "Disabled"}, FINE, "persistence mode off")])
@pytest.mark.parametrize("old", [False, True])
def test_health(check, change, outcome, said, old):
    spelling = {"clocks": "clocks_throttle", "power": "", "limit": "power_limit"} if old else {}
    status, rows = check({**H100, **spelling, **change})
    assert rows["health"][0] == outcome and said in rows["health"][1] and status == (outcome == FAILURE)


def test_several_cards(check, monkeypatch):
    busy = {**RTX3090, "used": "20000 MiB", "bus": "02"}
    status, rows = check(RTX3090, busy)
    assert status == 1 and rows["cards"] == (FINE, "2: NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090")
    assert (rows["0: in use"][0], rows["1: in use"][0]) == (FINE, FAILURE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # the way out that it named
    status, rows = check(RTX3090, busy)
    assert status == 0 and rows["cards"][1] == "1: NVIDIA GeForce RTX 3090" and rows["in use"][0] == FINE
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert check(A100, H100)[1]["cards"][0] == WARNING


def test_what_is_not_reported_is_said_to_be_so(check):
    status, rows = check(SILENT)
    assert status == 0
    assert rows["memory"] == (WARNING, "not reported; training needs 23 GiB") and rows["bf16"][0] == WARNING
    assert rows["in use"] == (WARNING, "? [Not Found]") and rows["health"] == (FINE, "no slowdown, no uncorrected memory errors")


@pytest.mark.parametrize("said,status,expected", [
    ("No devices were found\n", 6, "finds no card"), (xml(), 0, "finds no card"), (COULD_NOT, 9, "driver is not loaded"),
    ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124\n", 18, "was updated"),
    ("Failed to initialize NVML: Unknown Error\n", 255, "container that lost its card"),
    ("Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU\n", 15, "no longer"),
    ("", 0, "printed 'nothing'"), (xml(H100)[:900], 0, "expected its XML"), (xml(H100).replace("<processes>", "<procsses>"), 0, "its XML"),
    (bytes(range(128, 256)), 139, "expected its XML"), ("| NVIDIA-SMI 570.124.06   CUDA Version: 12.8 |\n", 0, "its XML")])
def test_no_answer_is_an_error_with_a_way_out(replay, capsys, said, status, expected):
    replay(said, status)
    assert run(check_gpu.main, []) == 1
    out, err = capsys.readouterr()
    assert out == "" and expected in err and "\n  Try: " in err


def test_words_on_stderr_are_read_too(replay, capsys):
    replay("", status=9, then=f'echo "{COULD_NOT}" >&2')
    assert run(check_gpu.main, []) == 1 and "driver is not loaded" in capsys.readouterr().err


def test_warnings_around_the_answer_do_not_hide_it(replay):
    replay("warning: persistence\n" + xml(H100) + "WARNING: infoROM is corrupted at gpu 0000:19:00.0\n", status=14)
    assert gpu.read_driver().cards[0].memory_mib == 81559


def test_a_driver_that_hangs_is_not_waited_for(replay):
    replay("<nvidia_smi_log>\n", then="trap '' TERM; sleep 60")
    started = time.monotonic()
    with pytest.raises(UserError, match="no answer in 0.3 s"):
        gpu.read_driver(wait_s=0.3)
    assert time.monotonic() - started < 5


def test_no_nvidia_smi(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(check_gpu.main, ["--json"]) == 1
    assert "nvidia-smi was not found" in capsys.readouterr().err


@pytest.mark.parametrize("measured,known,outcome", [(788, 989, FINE), (593.4, 989, FINE), (593, 989, WARNING), (100, None, FINE)])
def test_speed_is_judged_by_the_known_rate(measured, known, outcome):
    assert check_gpu.judge_speed(measured, "NVIDIA H200", known)[0] == outcome


def test_a_python_without_any_package_does_what_nvidia_smi_can_tell(replay):
    replay(xml(H100))
    done = subprocess.run([sys.executable, "-S", SCRIPTS_DIR / "check_gpu.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "79.6 GiB" in done.stdout and "not in this Python: its checks are skipped" in done.stdout
