"""Out of memory: a micro-batch is computed in more passes, each smaller, and every update stays the same.

Twice the passes are half the micro-batch and twice the accumulation. The rows of an update do not change, so nothing else does:
not the data order, not the number of updates, not where a resumed run goes on.
"""
import contextlib

from weatherman.cli import UserError
from weatherman.files import write_json

SMALLER = "--set training.gradient_checkpointing=true, quantization.mode=nf4, a smaller training.max_tokens, or a larger GPU"
FILE = "memory.json"  # in the run folder, for the next start


def passes_of(folder):
    """Return in how many passes a run folder's micro-batches are computed: 1, or what an earlier start had to do."""
    from weatherman.training.runs import read_json
    path = folder / FILE
    return read_json(path)["passes"] if path.is_file() else 1


def remember(folder, passes, step):
    """Write that micro-batches take so many passes since the update after `step`."""
    write_json(folder / FILE, {"passes": passes, "since_step": step})


def is_out_of_memory(error):
    """Return whether an exception says that the device, or the CPU's allocator, had no memory left."""
    import torch
    from accelerate.utils.memory import should_reduce_batch_size
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or should_reduce_batch_size(error)


@contextlib.contextmanager
def explained(what):
    """Turn running out of memory inside, where no smaller passes help, into a UserError that says in `what` it happened."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(f"{what}: out of memory. {str(error).splitlines()[0] if str(error) else ''}".rstrip(), SMALLER) from None


def split(inputs, passes):
    """Return [(inputs of a pass, share of the micro-batch)]: at most `passes`, near equal, cut between rows or conversations.

    inputs: a batch of TRL's collators. A packed one is a single row (1, tokens) whose positions begin anew with every conversation;
    the others are (rows, tokens), in preference batches the chosen answers of all pairs first, then the rejected ones.
    """
    starts, total = beginnings(inputs)
    cuts = {min(starts, key=lambda start: abs(start - at * total / passes)) for at in range(1, passes)}
    edges = sorted({0, total, *cuts})
    return [(part(inputs, start, end, total), (end - start) / total) for start, end in zip(edges, edges[1:])]


def most_passes(inputs):
    """Return into how many passes a micro-batch can be cut."""
    return len(beginnings(inputs)[0])


def beginnings(inputs):
    """Return (where a micro-batch may be cut, ascending from 0; its end), in tokens of a packed row, else in rows or pairs."""
    if "position_ids" in inputs and len(inputs["position_ids"]) == 1:
        positions = inputs["position_ids"][0]
        return (positions == 0).nonzero().flatten().tolist(), len(positions)
    rows = len(inputs["input_ids"]) // (2 if "completion_mask" in inputs else 1)
    return list(range(rows)), rows


def part(inputs, start, end, total):
    """Return the inputs from `start` to `end` of a micro-batch that `beginnings` measures `total`."""
    if "position_ids" in inputs and len(inputs["position_ids"]) == 1:
        return {name: tensor[:, start:end] for name, tensor in inputs.items()}
    # (rows, ...) or, where every pair has two rows, (2 * pairs, ...)
    return {name: tensor.unflatten(0, (-1, total))[:, start:end].flatten(0, 1) for name, tensor in inputs.items()}

