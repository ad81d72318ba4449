"""What this machine has to train on, and what of the registry fits on it. MAX_VRAM_GB and FORCE_CPU of the environment are kept to."""
import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path

from config_loader import ConfigError
from paths import CONFIGS_DIR
from weatherman.cli import UserError

GIB = 2**30
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # v2, v1
SPARE = 0.1      # of a GPU: what the desktop and other processes may hold, and the estimate's error
YES, NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Hardware:
    """One place to compute. device: "cuda", "mps" or "cpu"; memory_bytes: of the card, or of the machine where there is none."""

    device: str
    name: str
    memory_bytes: int
    cores: int

    @property
    def gpu_bytes(self):
        """The memory of the GPU that may be used; 0 without one."""
        return 0 if self.device == "cpu" else self.memory_bytes


def parse_gigabytes(text, name):
    """Return a size in GiB given as text as a float above 0, None for an empty one. Raises ConfigError that calls it `name`."""
    if text is None or not str(text).strip():
        return None
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise ConfigError(f"{name}={text}: expected a number of GiB above 0, such as 12 or 23.5.", f"unset {name}")
    return size


def parse_switch(text, name):
    """Return whether a text switches on. Raises ConfigError that calls it `name` for anything but the usual words."""
    word = str("" if text is None else text).strip().lower()
    if word not in YES | NO:
        raise ConfigError(f"{name}={text}: expected 1 or 0, true or false.", f"unset {name}")
    return word in YES


def detect(max_vram_gb=None, force_cpu=None):
    """Return the Hardware to train on: CUDA, else MPS, else the CPU. None reads MAX_VRAM_GB and FORCE_CPU from the environment.

    MAX_VRAM_GB caps the memory of a GPU, not of a CPU. Raises ConfigError for values that say nothing.
    """
    cap = parse_gigabytes(os.environ.get("MAX_VRAM_GB") if max_vram_gb is None else max_vram_gb, "MAX_VRAM_GB")
    only_cpu = parse_switch(os.environ.get("FORCE_CPU") if force_cpu is None else force_cpu, "FORCE_CPU")
    found = None if only_cpu else find_gpu()
    if found is None:
        return Hardware("cpu", "CPU", machine_memory(), os.cpu_count() or 1)
    return capped(Hardware(*found, os.cpu_count() or 1), cap)


def capped(hardware, gigabytes):
    """Return a GPU's Hardware with at most so many GiB of memory; None caps nothing."""
    return replace(hardware, memory_bytes=min(hardware.memory_bytes, int(gigabytes * GIB))) if gigabytes else hardware


def find_gpu():
    """Return (device, name, bytes of memory) of the first GPU that torch can use, None where there is none, or no torch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return "cuda", card.name, card.total_memory
    if torch.backends.mps.is_available():  # memory is shared: Metal says how much of it a process may wire
        return "mps", "Apple GPU", torch.mps.recommended_max_memory()
    return None


def machine_memory(limits=CGROUP_LIMITS):
    """Return the bytes of memory that processes here may use: the machine's, or a container's where it has less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in limits:
        text = path.read_text().strip() if path.is_file() else "max"
        sizes += [int(text)] if text.isdigit() else []
    return min(sizes)


def keep_to_cap(hardware):
    """Let torch take no more of a CUDA card than `hardware.memory_bytes`; what asks for more runs out of memory as on a smaller card."""
    if hardware.device == "cuda":
        import torch
        share = hardware.memory_bytes / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, share))


# --- what fits ------------------------------------------------------------------------------------------------------------

def suggest(hardware, config_of, is_here=lambda name: False):
    """Return the name of the largest chat model of the registry that trains in the memory of a GPU; on a CPU the smallest.

    config_of(name) gives the TrainingConfig a model would be trained with; is_here(name) whether it was downloaded: a gated model is
    suggested only then. Raises UserError when none fits.
    """
    from config_loader import load_config
    from weatherman.training_schemas import Models
    known = load_config(CONFIGS_DIR / "models.yaml", Models).values.models
    names = sorted((name for name, entry in known.items() if entry.kind == "instruct"), key=lambda name: -known[name].parameters)
    if hardware.device == "cpu":  # memory would hold a larger one, but hours would pass
        return names[-1]
    for name in names:
        if (not known[name].gated or is_here(name)) and micro_batch(hardware, known[name], config_of(name)):
            return name
    raise UserError(f"{hardware.memory_bytes / GIB:.1f} GiB of {hardware.name}: not even {names[-1]} trains in them.",
                    "a higher MAX_VRAM_GB, or FORCE_CPU=1")


def micro_batch(hardware, entry, config):
    """Return the largest micro-batch, at most the configured one, that fits with activations recomputed; 0 where not even one row does."""
    from weatherman.training.estimate import largest_micro_batch
    usable = int((1 - SPARE) * hardware.memory_bytes)
    return min(config.training.micro_batch, largest_micro_batch(entry, config, usable, checkpointing=True))
