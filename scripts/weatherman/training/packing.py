"""How conversations fill rows and updates, counted as TRL will do it, without torch or datasets.

Best fit decreasing (Ding et al. 2024, arXiv 2404.10830): the longest first, each into the fullest row that still has room for it.
"""
import bisect
import math
from dataclasses import dataclass

AT_ONCE = 1000  # conversations that TRL packs together: datasets.map's batch_size, which its pack_dataset leaves as it is


@dataclass(frozen=True)
class Packing:
    """`fills`: tokens in each row. `conversations`, `tokens`: in all of them. `context`: mean number of tokens that a token attends to.

    `packed`: whether several conversations share a row.
    """

    packed: bool
    fills: list
    conversations: int
    tokens: int
    row_tokens: int
    context: float

    @property
    def rows(self):
        return len(self.fills)

    @property
    def fill(self):
        """The share of the rows' room that holds tokens."""
        return self.tokens / (self.rows * self.row_tokens)

    @property
    def per_row(self):
        """Conversations a row."""
        return self.conversations / self.rows


@dataclass(frozen=True)
class Schedule:
    """How the optimiser will be run. `per_update`: conversations an update, on average."""

    accumulation: int
    updates_per_epoch: int
    updates: int
    warmup: int
    per_update: float
    epochs: float


def fill_rows(lengths, row_tokens):
    """Return the tokens in each row when lists of `lengths` tokens are packed best fit decreasing."""
    rooms, fills = [], []  # rooms: (room left, row), ascending
    for length in sorted(lengths, reverse=True):
        at = bisect.bisect_left(rooms, (length,))
        if at == len(rooms):
            rooms.insert(0, (row_tokens, len(fills)))
            fills.append(0)
            at = 0
        room, row = rooms.pop(at)
        fills[row] += length
        bisect.insort(rooms, (room - length, row))
    return fills


def pack(lengths, settings):
    """Return the Packing of conversations of `lengths` tokens. settings: training_schemas.Training; without packing each has a row.

    TRL shuffles with the seed and then packs AT_ONCE conversations at a time, so the last row of each lot stays emptier.
    """
    if settings.packing:
        import numpy
        order = numpy.random.default_rng(settings.seed).permutation(len(lengths))  # as Dataset.shuffle(seed) draws it
        shuffled = [lengths[at] for at in order]
        fills = [fill for at in range(0, len(lengths), AT_ONCE) for fill in fill_rows(shuffled[at:at + AT_ONCE], settings.max_tokens)]
    else:
        fills = list(lengths)
    tokens = sum(lengths)
    return Packing(settings.packing, fills, len(lengths), tokens, settings.max_tokens, mean_context(lengths))


def mean_context(lengths):
    """Return how many tokens a token attends to on average: itself and those before it, so half of its conversation's length."""
    return sum(length**2 for length in lengths) / 2 / sum(lengths)


def conversations_per_row(settings, lengths):
    """Return how many conversations of `lengths` tokens a row holds on average: what their mean lets fit when rows are packed, else one."""
    return max(1.0, settings.max_tokens * len(lengths) / sum(lengths)) if settings.packing else 1.0


def accumulation(settings, lengths, processes=1):
    """Return how many micro-batches each process computes for an update of about `effective_batch` conversations."""
    per_row = conversations_per_row(settings, lengths)
    return max(1, round(settings.effective_batch / (settings.micro_batch * per_row * processes)))


def updates(micro_batches, accumulated, epochs, max_steps):
    """Return the number of updates: what the epochs give, but no more than max_steps (-1: no bound)."""
    steps = math.ceil(epochs * math.ceil(micro_batches / accumulated))
    return min(steps, max_steps) if max_steps > 0 else steps


def schedule(packing, settings, accumulated):
    """Return the Schedule of training on packed rows. accumulated: micro-batches an update; what is left of an epoch is one more."""
    micro_batches = math.ceil(packing.rows / settings.micro_batch)
    per_epoch = updates(micro_batches, accumulated, 1, -1)
    steps = updates(micro_batches, accumulated, settings.epochs, settings.max_steps)
    return Schedule(accumulated, per_epoch, steps, math.ceil(steps * settings.warmup_share), packing.conversations / per_epoch,
                    steps / per_epoch)
