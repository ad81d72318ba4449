"""What nvidia-smi says about the graphics cards of this machine, and whether training can use them (DESIGN §5, GPU).

The XML of `nvidia-smi -q -x` is read, not the CSV: a CSV query fails as a whole at one field that the driver does not know, while in
the XML that field is merely absent. What is absent, "N/A", "[Not Supported]" or an error is None here and "not reported" in a row.
"""
import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from xml.etree import ElementTree

from paths import REPO_DIR
from weatherman.cli import UserError
from weatherman.machines import lockfile
from weatherman.machines.storage import FAILURE, FINE, WARNING

WAIT_S = 60  # eight cards without persistence mode take about 20 s to wake; a card that hangs never answers
LEAST_CUDA = (12, 1)  # DESIGN §5
# The oldest Linux driver that runs every minor version of a CUDA major. Source: NVIDIA, CUDA Toolkit Release Notes, "Minimum Required
# Driver Version for CUDA Minor Version Compatibility", https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/
LEAST_DRIVER = {12: "525.60.13", 13: "580"}
# GiB that the card of a profile in configs/hardware must report. "24 GB" cards report about 24,576 MiB, H100s 81,559: DESIGN §5
FLOORS_GIB = {"rtx3090": 23, "a100_80gb": 79, "h100_80gb": 79}
WITHOUT_BF16 = ("Kepler", "Maxwell", "Pascal", "Volta", "Turing")  # compute capability below 8.0: CUDA C++ Programming Guide
SLOWDOWNS = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown")
BUSY_SHARE = 0.1  # of the card's memory: a desktop takes less, and a run planned for the whole card does not fit beside more
# Words of nvidia-smi where it cannot answer, what they mean, and what to type next.
TROUBLES = {
    "no devices were found": ("the driver runs, but finds no card", "lspci | grep -i nvidia; a container must be started with --gpus all"),
    "couldn't communicate with the nvidia driver": ("the NVIDIA driver is not loaded", "sudo modprobe nvidia, or another machine"),
    "driver/library version mismatch": ("the driver was updated while the old one still runs", "sudo reboot"),
    "gpu is lost": ("a card no longer answers", "sudo reboot; give the machine back if that does not mend it"),
    "unable to determine the device handle": ("a card no longer answers", "sudo reboot; give the machine back if that does not mend it"),
    "failed to initialize nvml": ("this process may not use the driver, often a container that lost its card", "start the container anew"),
}


@dataclass
class Process:
    """One process that nvidia-smi sees on a card; inside a container it sees none of the others'."""

    pid: str
    name: str
    memory_mib: float | None


@dataclass
class Card:
    """What nvidia-smi says of one card; None where it says nothing. `slices_mib`: memory of each MIG slice."""

    name: str
    architecture: str | None
    memory_mib: float | None
    used_mib: float | None
    mig: bool
    slices_mib: list[float]
    processes: list[Process]
    temperature_c: float | None
    power_limit_w: float | None
    default_power_limit_w: float | None
    persistence: bool
    slowdowns: list[str]
    uncorrected_errors: int
    remap_pending: bool
    remap_failed: bool


@dataclass
class Driver:
    """The driver's version, the newest CUDA it runs ("12.4"), and its cards in the order of nvidia-smi."""

    version: str | None
    cuda: str | None
    cards: list[Card]


# --- asking ---------------------------------------------------------------------------------------------------------------

def read_driver(wait_s=WAIT_S):
    """Return the Driver of this machine. Raises UserError where there is no nvidia-smi, no card, or no answer in `wait_s` seconds."""
    try:
        process = subprocess.Popen(["nvidia-smi", "-q", "-x"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", start_new_session=True)
    except FileNotFoundError:
        raise UserError("nvidia-smi was not found: no NVIDIA driver on this machine.",
                        "this command on the GPU machine; a container there must be started with --gpus all") from None
    try:
        said, _ = process.communicate(timeout=wait_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # not waited for: stuck inside the driver, it may outlive this signal
        raise UserError(f"nvidia-smi gave no answer in {wait_s:g} s: the driver or a card hangs.",
                        "sudo reboot; give the machine back if that does not mend it") from None
    return parse(said)


def parse(said):
    """Return the Driver that the output of `nvidia-smi -q -x` describes. Raises UserError where it describes none.

    Warnings before and after the XML (a damaged infoROM is reported so) are passed over.
    """
    found = re.search(r"<nvidia_smi_log>.*</nvidia_smi_log>", said, re.DOTALL)
    try:
        root = ElementTree.fromstring(found[0]) if found else None
    except ElementTree.ParseError:
        root = None
    if root is None:
        raise _trouble(said)
    cards = [_card(element) for element in root.iter("gpu")]
    if not cards:
        raise _trouble("No devices were found")
    return Driver(_text(root, "driver_version"), _text(root, "cuda_version"), cards)


def _trouble(said):
    first = said.strip().split("\n")[0][:200] or "nothing"
    for words, (meaning, hint) in TROUBLES.items():
        if words in said.lower():
            return UserError(f"nvidia-smi: {meaning} ({first}).", hint)
    return UserError(f"nvidia-smi printed {first!r}; expected its XML.", "nvidia-smi -q -x, to see what it says")


def _card(element):
    reasons = {reason.tag.partition("_reason_")[2] for tag in ("clocks_event_reasons", "clocks_throttle_reasons")
               for reason in element.findall(f"{tag}/*") if reason.text == "Active"}  # renamed with driver 535
    errors = [_number(error) for error in element.findall("ecc_errors/volatile/*") if "uncorrectable" in error.tag]
    return Card(
        name=_text(element, "product_name") or "a card without a name", architecture=_text(element, "product_architecture"),
        memory_mib=_number(element.find("fb_memory_usage/total")), used_mib=_number(element.find("fb_memory_usage/used")),
        mig=_text(element, "mig_mode/current_mig") == "Enabled",
        slices_mib=[_number(slice_) or 0 for slice_ in element.findall("mig_devices/mig_device/fb_memory_usage/total")],
        processes=[Process(_text(p, "pid") or "?", _text(p, "process_name") or "?", _number(p.find("used_memory")))
                   for p in element.findall("processes/process_info")],
        temperature_c=_number(element.find("temperature/gpu_temp")), persistence=_text(element, "persistence_mode") != "Disabled",
        power_limit_w=_power(element, "current_power_limit", "power_limit"), default_power_limit_w=_power(element, "default_power_limit"),
        slowdowns=[name for name in SLOWDOWNS if name in reasons], uncorrected_errors=int(sum(n for n in errors if n)),
        remap_pending=_text(element, "remapped_rows/remapped_row_pending") == "Yes",
        remap_failed=_text(element, "remapped_rows/remapped_row_failure") == "Yes")


def _text(element, path):
    text = (element.findtext(path) or "").strip()
    return None if text.strip("[]").lower() in ("", "n/a", "not supported", "unknown error", "err!", "gpu is lost") else text


def _number(element):
    found = re.match(r"\s*(\d+(?:\.\d+)?)\b", element.text or "") if element is not None else None
    return float(found[1]) if found else None


def _power(element, *names):
    paths = [f"{group}/{name}" for group in ("gpu_power_readings", "power_readings") for name in names]  # renamed with driver 535
    return next((watts for path in paths if (watts := _number(element.find(path))) is not None), None)


# --- judging --------------------------------------------------------------------------------------------------------------

def numbers(version):
    """Return a version as a tuple: "525.60.13" -> (525, 60, 13)."""
    return tuple(map(int, re.findall(r"\d+", version)))


def cuda_of_lock():
    """Return the CUDA version that the torch of requirements-remote.txt is built for, such as "12.8"."""
    pins = lockfile.read_lock(REPO_DIR / "requirements-remote.txt")
    version = next(version for name, (version, _) in pins.items() if name.startswith("nvidia-cuda-runtime"))
    return ".".join(version.split(".")[:2])


def check_driver(driver, built_for):
    """Return the rows on the driver and its CUDA. built_for: the CUDA version of torch, such as "12.8"."""
    needed = LEAST_DRIVER.get(numbers(built_for)[0])
    wants = f"torch for CUDA {built_for} needs {needed} or later"
    if driver.version is None:
        row = [FAILURE, f"version not reported; {wants}"]
    elif needed is None:
        row = [WARNING, f"{driver.version}; which driver CUDA {built_for} needs is not known here"]
    else:
        row = [FINE if numbers(driver.version) >= numbers(needed) else FAILURE, f"{driver.version}; {wants}"]
    least = ".".join(map(str, LEAST_CUDA))
    enough = driver.cuda is not None and numbers(driver.cuda) >= LEAST_CUDA
    found = f"the driver runs up to {driver.cuda}" if driver.cuda else "not reported"
    return [["driver", *row], ["CUDA", FINE if enough else FAILURE, f"{found}; {least} or later is needed"]]


def visible(cards):
    """Return {number: card} of the cards that CUDA_VISIBLE_DEVICES leaves; all of them where it names them other than by number."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    wanted = set(map(int, named.split(","))) if re.fullmatch(r"\d+(,\d+)*", named) else set(range(len(cards)))
    return {number: card for number, card in enumerate(cards) if number in wanted}


def check_cards(cards, hardware=None):
    """Return the rows on {number: card}. hardware: the profile that must fit, by default the one that asks for least memory."""
    names = [card.name for card in cards.values()]
    alike = len(set(names)) <= 1
    slowest = "" if alike else "; together they go at the pace of the slowest"
    rows = [["cards", FINE if alike else WARNING, f"{len(names)}: {', '.join(names)}{slowest}"]]
    for number, card in cards.items():
        where = f"{number}: " if len(cards) > 1 else ""
        for name, check in (("MIG", check_mig), ("memory", lambda card: check_memory(card, hardware)), ("bf16", check_bf16),
                            ("in use", check_use), ("health", check_health)):
            rows.append([f"{where}{name}", *check(card)])
    return rows


def check_mig(card):
    """Return (outcome, found): a card cut into slices gives a process one of them only."""
    if not card.mig:
        return FINE, "off: the card is whole"
    if not card.slices_mib:
        return FAILURE, "on, without a slice: CUDA finds no device. Try: sudo nvidia-smi -mig 0"
    sizes = ", ".join(f"{mib / 1024:.1f}" for mib in card.slices_mib)
    return WARNING, f"on: a run gets one slice ({sizes} GiB), never the card. Whole again: sudo nvidia-smi -mig 0"


def check_memory(card, hardware=None):
    """Return (outcome, found): what the card, or its largest slice, holds, and which hardware profiles that is enough for."""
    mib = max(card.slices_mib, default=None) if card.mig else card.memory_mib
    if mib is None:
        return WARNING, f"not reported; {hardware or 'training'} needs {_floor(hardware)} GiB"
    size = f"{mib / 1024:.1f} GiB" + (" in the largest slice" if card.mig else "")
    fitting = [name for name, floor in FLOORS_GIB.items() if mib >= floor * 1024]
    if mib >= _floor(hardware) * 1024:
        return FINE, f"{size}: enough for --hardware {', '.join(fitting)}"
    way_out = "" if hardware and fitting else "; a smaller model fits: python scripts/llmcustoms.py --model auto"
    return FAILURE, f"{size}; {hardware or 'the smallest profile'} needs {_floor(hardware)} GiB{way_out}"


def _floor(hardware):
    return FLOORS_GIB[hardware] if hardware else min(FLOORS_GIB.values())


def check_bf16(card):
    """Return (outcome, found): every profile trains in bfloat16, which cards compute since Ampere."""
    if card.architecture is None:
        return WARNING, "architecture not reported; bf16 needs Ampere or later (compute capability 8.0)"
    if card.architecture in WITHOUT_BF16:
        return FAILURE, f"{card.architecture} has none; Ampere or later (compute capability 8.0) is needed"
    return FINE, f"{card.architecture} computes it"


def check_use(card):
    """Return (outcome, found): who holds memory on the card. Within a container the holders cannot be seen, their memory can."""
    if card.used_mib is None or not card.memory_mib:
        return (WARNING if card.processes else FINE), "; ".join(map(_describe, card.processes)) or "nobody that nvidia-smi sees"
    taken = f"{card.used_mib / 1024:.1f} of {card.memory_mib / 1024:.1f} GiB"
    holders = "; ".join(map(_describe, card.processes)) or "by nobody seen from here (another container?)"
    if card.used_mib > BUSY_SHARE * card.memory_mib:
        return FAILURE, f"{taken} taken: {holders}. Try: end them, or CUDA_VISIBLE_DEVICES with a free card"
    return (WARNING, f"{taken} taken: {holders}") if card.processes else (FINE, f"{taken} taken, no process")


def _describe(process):
    size = "" if process.memory_mib is None else f" ({process.memory_mib:,.0f} MiB)"
    return f"{process.pid} {process.name.rsplit('/', 1)[-1][:40]}{size}"


def check_health(card):
    """Return (outcome, found): memory errors, a lowered power limit, and clocks held down by heat or power."""
    troubles = []
    if card.remap_failed:
        troubles.append("its memory can no longer be mended (row remapping failed): give the machine back")
    if card.remap_pending:
        troubles.append("rows of its memory wait for a repair: sudo nvidia-smi -r, or a reboot")
    if card.uncorrected_errors:
        troubles.append(f"{card.uncorrected_errors} uncorrected memory errors since its last start")
    if card.slowdowns:
        troubles.append(f"slowed down now: {', '.join(card.slowdowns).replace('_', ' ')}")
    if card.power_limit_w and card.default_power_limit_w and card.power_limit_w < card.default_power_limit_w:
        troubles.append(f"power limited to {card.power_limit_w:.0f} of {card.default_power_limit_w:.0f} W")
    facts = [] if card.temperature_c is None else [f"{card.temperature_c:.0f} °C"]
    if not card.persistence:
        facts.append("persistence mode off (every start waits for the driver)")
    outcome = FAILURE if card.remap_failed else WARNING if troubles else FINE
    return outcome, "; ".join([*(troubles or ["no slowdown, no uncorrected memory errors"]), *facts])
