"""Several processes, one a GPU: whether as many run as were asked for, who writes, and what all of them agree on.

Started by torchrun, or by `accelerate launch` with configs/accelerate/fsdp2.yaml; both say so in the environment. A plain
`python scripts/train.py` is one process on one GPU.
"""
import contextlib
import os

from weatherman.cli import UserError

TORCHRUN = "torchrun --standalone --nproc-per-node N -- scripts/train.py ..."  # without the --, it takes our --run for one of its own


def several():
    """Return whether this is one of several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def count():
    """Return the number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main():
    """Return whether this process is the one that writes files and logs."""
    return os.environ.get("RANK", "0") == "0"


def sharded():
    """Return whether `accelerate launch` was told to share the weights out among the GPUs (FSDP)."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def check_launch(environment=os.environ):
    """Raise UserError when a launcher meant several processes and started one.

    `accelerate launch --cpu --num_processes 2` without MPI does so without a word (accelerate 1.15): it sets the address at which
    the processes were to meet, and then starts a single one that knows no rank.
    """
    meant = "MASTER_ADDR" in environment and any(name.startswith("ACCELERATE_") for name in environment)
    if meant and "RANK" not in environment:
        raise UserError("accelerate launch was asked for several processes and started only this one.", TORCHRUN)


def check_world():
    """Raise UserError unless torch.distributed holds as many processes as the launcher started. Called when TRL has set it up."""
    import torch.distributed as dist
    found = dist.get_world_size() if dist.is_initialized() else 1
    if found != count():
        raise UserError(f"{count()} processes were started, but {found} train together: each would do the whole work.", TORCHRUN)


def check_sharding(found):
    """Raise UserError when the weights were to be shared out and are not: accelerate does so on GPUs only, and elsewhere says nothing."""
    if sharded() and not found:
        raise UserError("FSDP was asked for, but accelerate trains with whole copies of the model: it shares out on several GPUs only.",
                        TORCHRUN)


def choose_gpu():
    """Make the GPU of this process its current one. Called before a model is loaded.

    Alone, it sees one GPU: given several, transformers would split each batch among them (DataParallel), which 4-bit weights do not bear.
    """
    if not several():
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return
    import torch
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


@contextlib.contextmanager
def only_main_speaks():
    """Inside, what processes other than the main one print goes nowhere; what they raise still does."""
    if is_main():
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def anyone(flag):
    """Return whether `flag` holds in any process: what one alone must not decide."""
    if not several():
        return flag
    return any(gather([flag]))


def gather(items):
    """Return the lists of all processes, joined in the order of their ranks."""
    if not several():
        return items
    import torch.distributed as dist
    lists = [None] * dist.get_world_size()
    dist.all_gather_object(lists, items)
    return [item for part in lists for item in part]


def wait():
    """Wait until every process is here."""
    if several():
        import torch.distributed as dist
        dist.barrier()
