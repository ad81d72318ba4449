"""The preflight as a whole: what was checked, what the run takes, and the verdict in words."""
from dataclasses import dataclass, field

from weatherman.html import percent
from weatherman.manifest import now
from weatherman.preflight import cost
from weatherman.preflight.data_checks import MEND
from weatherman.preflight.plan_checks import check_memory, check_packing, check_plan, check_tokens
from weatherman.training import packing


@dataclass
class Report:
    """checks: [Check]; offers: [cost.Offer], the cheapest first; tiles: [(figure, label)]; plan: [[what, figure]]."""

    config: object
    entry: object
    checks: list
    chosen: str | None = None  # the card that --gpu or cost.gpu names
    offers: list = field(default_factory=list)
    tiles: list = field(default_factory=list)
    plan: list = field(default_factory=list)
    when: str = field(default_factory=lambda: now()[:16].replace("T", " "))

    @property
    def mend(self):
        """The checks that say no."""
        return [check for check in self.checks if check.state == MEND]

    @property
    def best(self):
        """The Offer of the chosen card, else the cheapest; None where nothing fits or no card is rented."""
        offers = [offer for offer in self.offers if offer.fits and self.chosen in (None, offer.card)]
        return offers[0] if offers else None

    @property
    def advice(self):
        """What a go means: on which card, for how long, for how much."""
        if self.best is None:
            return "No card is rented for this run: it is trained on a processor of one's own."
        words = f"The {'card that was asked for' if self.chosen else 'cheapest card'} is {in_words(self.best)}."
        faster = self.best.faster
        if faster and faster.usd < self.best.usd:
            words += (f" Without checkpointing it takes {faster.hours:.1f} hours and {faster.usd:.2f} USD: --set training.micro_batch="
                      f"{faster.micro_batch}, and the update stays the same.")
        quickest = min((offer for offer in self.offers if offer.fits), key=lambda offer: offer.hours)
        return words if self.chosen or quickest.card == self.best.card else f"{words} The quickest is {in_words(quickest)}."


def in_words(offer):
    """Return "l40s: 1.1 hours, 1.08 USD, micro-batch 4 with checkpointing"."""
    how = "with" if offer.checkpointing else "without"
    return f"{offer.card}: {offer.hours:.1f} hours, {offer.usd:.2f} USD, micro-batch {offer.micro_batch} {how} checkpointing"


def count_tokens(report, by_split):
    """Add to the Report what follows from the tokens. by_split: {split: [tokens.Counted]}; a row too long to train counts as faulty."""
    report.checks += check_tokens([one for found in by_split.values() for one in found])
    lengths = {split: [length for one in found if not one.fault for length in one.lengths] for split, found in by_split.items()}
    if not lengths["train"]:
        return
    trained = sum(sum(one.losses) for one in by_split["train"] if not one.fault)
    settings = report.config.training
    packed = packing.pack(lengths["train"], settings)
    schedule = packing.schedule(packed, settings, packing.accumulation(settings, lengths["train"]))
    report.checks += [check_packing(packed, trained), check_plan(report.config, report.entry, schedule)]
    evaluations = 1 + -(-schedule.updates // settings.eval_steps)  # one before, and one at the end
    held_out = evaluations * sum(lengths["validation"])
    work = cost.Workload(int(packed.tokens * schedule.epochs), held_out, trained / packed.tokens, packed.context)
    report.plan = plan_rows(packed, schedule, work, settings, evaluations)
    if report.config.compute.device not in ("cpu", "mps"):
        report.offers = cost.offers(report.entry, report.config, work, utilizations(report.config))
        report.checks.append(check_memory(report.offers, report.chosen, settings.micro_batch))
    report.tiles = tiles(report, packed, schedule, work)


def utilizations(config):
    return {card: figures["utilization"] for card, figures in cost.read_probes(config).items()}


def plan_rows(packed, schedule, work, settings, evaluations):
    """Return [[what, figure]] of tokens, rows and updates."""
    return [["conversations to train on", f"{packed.conversations:,}, {packed.tokens:,} tokens"],
            ["tokens that are trained", f"{percent(work.loss_share)}"],
            ["rows", f"{packed.rows:,} of {packed.row_tokens:,} tokens, {percent(packed.fill)} full, {packed.per_row:.1f} of them each"
             if packed.packed else f"{packed.rows:,}, not packed"],
            ["an update", f"{settings.micro_batch} rows x {schedule.accumulation}, about {schedule.per_update:.0f} conversations"],
            ["updates", f"{schedule.updates:,}, {schedule.updates_per_epoch:,} an epoch; the first {schedule.warmup} warm up"],
            ["tokens of all epochs", f"{work.tokens:,}"],
            ["held-out evaluations", f"{evaluations}, {work.held_out:,} tokens in all"]]


def tiles(report, packed, schedule, work):
    """Return [(figure, label)] for the top of the page."""
    found = [(schedule.updates, "updates"), (f"{work.tokens / 1e6:,.1f} M", "tokens")]
    found += [(percent(packed.fill), "of the rows filled")] if packed.packed else []
    if report.best:
        found += [(report.best.card, "chosen card" if report.chosen else "cheapest card"), (f"{report.best.hours:.1f} h", "on it"),
                  (f"{report.best.usd:.2f} USD", "for it")]
    return found
