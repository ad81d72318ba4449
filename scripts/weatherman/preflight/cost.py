"""What one run takes on every card of gpus.yaml: whether and how it fits, for how long, for how much; by an estimate or by a probe."""
from dataclasses import dataclass

from paths import folder
from weatherman.files import write_json
from weatherman.training import estimate


@dataclass(frozen=True)
class Workload:
    """What is computed. `tokens`: of all epochs; `held_out`: of all evaluations; `loss_share`, `context`: as in estimate.py."""

    tokens: int
    held_out: int
    loss_share: float
    context: float


@dataclass(frozen=True)
class Offer:
    """One card for the run. `micro_batch`: as configured, else the largest that fits; 0: not even one row, and hours and usd are None.

    `largest`: the largest micro-batch without and with gradient checkpointing. `measured`: the utilisation is a probe's.
    `faster`: the same card without checkpointing, with a micro-batch small enough for it; None where that is no other plan.
    """

    card: str
    gpu: object
    micro_batch: int
    checkpointing: bool
    memory: estimate.Memory
    largest: tuple
    hours: float | None
    usd: float | None
    utilization: float
    measured: bool
    faster: object = None

    @property
    def fits(self):
        return self.micro_batch > 0


def offers(entry, config, work, probes):
    """Return an Offer for every card of gpus.yaml, those that fit first, the cheapest first. probes: {card: measured utilisation}."""
    found = []
    for card, gpu in estimate.gpus().gpus.items():
        plan = offer(card, gpu, entry, config, work, probes.get(card))
        faster = None
        if plan.checkpointing and plan.largest[0] and config.training.gradient_checkpointing == "auto":
            kept = config.training.model_copy(update={"micro_batch": plan.largest[0], "gradient_checkpointing": False})
            faster = offer(card, gpu, entry, config.model_copy(update={"training": kept}), work, probes.get(card))
        found.append(Offer(**{**vars(plan), "faster": faster}))
    return sorted(found, key=lambda one: (not one.fits, one.usd or 0))


def offer(card, gpu, entry, config, work, measured=None):
    """Return the Offer of one card, as train.py would run there. measured: its utilisation; None assumes that of gpus.yaml."""
    room = gpu.memory_mib * estimate.MIB
    largest = tuple(estimate.largest_micro_batch(entry, config, room, checkpointing) for checkpointing in (False, True))
    wanted, checkpointing = config.training.micro_batch, config.training.gradient_checkpointing
    if checkpointing == "auto":
        checkpointing = largest[0] < wanted
    micro_batch = min(wanted, largest[checkpointing])
    memory = estimate.memory(entry, config, micro_batch or 1, checkpointing)
    utilization = measured or estimate.gpus().utilization
    took = setup_hours() + estimate.hours(flops(entry, config, work, checkpointing), gpu, utilization) if micro_batch else None
    return Offer(card, gpu, micro_batch, checkpointing, memory, largest, took, took and took * usd_per_hour(card, gpu, config.cost),
                 utilization, measured is not None)


def setup_hours():
    return estimate.gpus().setup_minutes / 60


def usd_per_hour(card, gpu, cost):
    """Return the price of a card: the configuration's for the card it names (or for all, when it names none), else that of gpus.yaml."""
    return cost.usd_per_hour if cost.usd_per_hour is not None and cost.gpu in (card, None) else gpu.usd_per_hour


def flops(entry, config, work, checkpointing):
    """Return the floating-point operations of the whole run, its evaluations included."""
    about = {"loss_share": work.loss_share, "context": work.context}
    return (work.tokens * estimate.flops_per_token(entry, config.lora, checkpointing=checkpointing, **about)
            + work.held_out * estimate.forward_flops_per_token(entry, config.lora, **about))


def probe_path(model, card):
    """Return where a probe's figures are kept: below adapters/, which sync_from_remote.sh brings home."""
    return folder("adapters") / "probes" / f"{model}.{card}.json"


def keep_probe(figures):
    """Write a probe's figures, a dict with at least model, card, quantization and utilization. Returns the path."""
    path = probe_path(figures["model"], figures["card"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, figures)
    return path


def read_probes(config):
    """Return {card: figures} of the probes of this model with these weights, {} where there are none."""
    import orjson
    found = [orjson.loads(path.read_bytes()) for path in sorted(probe_path(config.model, "*").parent.glob(f"{config.model}.*.json"))]
    return {figures["card"]: figures for figures in found if figures["quantization"] == config.quantization.mode}
