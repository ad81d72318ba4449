"""Where a run's figures go beside metrics.jsonl: TensorBoard always, Weights & Biases or Trackio on request."""
import contextlib
import importlib.util
import netrc
import os
from urllib.parse import urlsplit

from paths import show
from weatherman.cli import UserError, log
from weatherman.files import sha256_bytes
from weatherman.training.distributed import is_main

PROJECT = "weatherman-lora"
WANDB_URL = "https://api.wandb.ai"


def check_trackers(names):
    """Raise UserError unless the package of every tracker in `names` is installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"report_to: the package {name} is not installed in this environment.",
                            f"pip install {name}, or --set report_to=[]; metrics.jsonl and TensorBoard are written either way")


@contextlib.contextmanager
def trackers(folder, names, settings, started_at, step):
    """Give the transformers callbacks that report to TensorBoard and to the trackers in `names`; they are closed at the end.

    settings: the plain configuration, shown with the run. A run that is resumed at `step` goes on under the name and id it had:
    both follow from its folder and from `started_at`.
    """
    if not is_main():
        yield []
        return
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback
    with contextlib.ExitStack() as opened:
        # purge_step: what a stopped run wrote after its last checkpoint is not shown twice.
        writer = opened.enter_context(SummaryWriter(folder / "tensorboard", purge_step=step + 1 if step else None))
        reporters = [TensorBoardCallback(writer)]
        if "wandb" in names:
            opened.callback(start_wandb(folder, settings, started_at).finish)
            reporters.append(WandbCallback())
        if "trackio" in names:
            reporters.append(TrackioCallback())
        yield reporters


def start_wandb(folder, settings, started_at):
    """Return the wandb run of a run folder, online where there is a key. Raises UserError when the server does not answer."""
    import wandb
    run_id, mode = sha256_bytes(f"{folder.name} {started_at}".encode())[:12], wandb_mode()
    try:
        run = wandb.init(project=os.environ.get("WANDB_PROJECT", PROJECT), name=folder.name, id=run_id, resume="allow", mode=mode,
                         dir=folder, config=settings)
    except wandb.errors.CommError as error:
        raise UserError(f"Weights & Biases cannot be reached: {error}", "WANDB_MODE=offline before the same command") from None
    if mode == "offline":
        log(f"Weights & Biases: no key is set, so the figures stay in {show(folder / 'wandb')}. "
            f"To send them later: wandb sync '{show(folder / 'wandb')}'/offline-run-*")
    return run


def wandb_mode():
    """Return WANDB_MODE where it is set; else online where there is a key (WANDB_API_KEY or netrc), offline where there is none."""
    if os.environ.get("WANDB_MODE"):
        return os.environ["WANDB_MODE"]
    host = urlsplit(os.environ.get("WANDB_BASE_URL", WANDB_URL)).hostname
    try:
        known = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (FileNotFoundError, netrc.NetrcParseError):
        known = None
    return "online" if known or os.environ.get("WANDB_API_KEY") else "offline"
