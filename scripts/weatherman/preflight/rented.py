"""A run on a rented machine, before it costs anything: what is asked for, whether that machine can do it, what it may cost."""
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from config_loader import ConfigError
from paths import CONFIGS_DIR, REPO_DIR, SCRIPTS_DIR, base_dir, folder
from weatherman.cli import GATE, GateError, UserError, log
from weatherman.machines.storage import FAILURE, FINE
from weatherman.manifest import describe_file
from weatherman.models.registry import model_entry
from weatherman.remote import equipment
from weatherman.remote.inventory import DATA
from weatherman.remote.job import stages
from weatherman.training.estimate import find_gpu, gpus
from weatherman.training.runs import STARTED, check_unchanged, default_name, read_json

GRACE_S = 300       # for the last checkpoint, when time or money is spent
STOP_WAIT_S = 1800  # after its end a machine that can stop itself waits so long for us to fetch everything


@dataclass(frozen=True)
class Order:
    """What is to be trained where, under which name. resolved, entry: as train.py has them; stages: of job.json."""

    host: object
    name: str
    resolved: object
    entry: object
    stages: list

    @property
    def config(self):
        """The typed configuration."""
        return self.resolved.values


def order(args, host):
    """Return the Order of a command line. Raises ConfigError and UserError for what would fail there."""
    from weatherman.schemas import training_config
    resolved = training_config(args)
    config = resolved.values
    entry = model_entry(config.model)
    name = args.run or default_name(config.model, args.preset, entry.license)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name in ("jobs", "probes"):
        raise ConfigError(f"--run {name}: letters, digits, dots, dashes and underscores are allowed; jobs and probes are folders of ours.")
    for path in (config.data.train, config.data.validation):
        if not path.startswith(tuple(f"{part}/" for part in DATA)):
            raise UserError(f"{path}: does not travel; what is trained on must lie below {' or '.join(DATA)}.", f"mv it to {DATA[0]}/")
    evaluate = (folder("processed") / "test.jsonl").is_file()
    if not evaluate:
        log("data/processed/test.jsonl is not here: the run will not be evaluated")
    return Order(host, name, resolved, entry, stages(host, name, config.model, training_flags(args, host), evaluate))


def training_flags(args, host):
    """Return the flags that train.py is given there: those that were typed, and the price of this machine."""
    path = Path(args.config).resolve()
    if not path.is_relative_to(CONFIGS_DIR.resolve()):
        raise ConfigError(f"{args.config}: does not travel; a configuration must lie below configs/.", f"cp '{args.config}' configs/")
    found = ["--config", path.relative_to(REPO_DIR.resolve()).as_posix()]
    for flag in ("model", "hardware", "preset"):
        if getattr(args, flag) is not None:
            found += [f"--{flag}", getattr(args, flag)]
    overrides = list(args.overrides)
    if host.usd_per_hour is not None and not any(text.startswith("cost.usd_per_hour=") for text in overrides):
        overrides.append(f"cost.usd_per_hour={host.usd_per_hour}")
    return found + [text for override in overrides for text in ("--set", override)]


# --- before anything costs -----------------------------------------------------------------------------------------------

def check_machine(far, wanted, look):
    """Return the key in gpus.yaml of the machine's card, None where it has none that is listed.

    Raises UserError for what the machine lacks, GateError for a gated model without a token.
    """
    rows = {what: (outcome, found) for what, outcome, found in equipment.look(far)}
    for what, (outcome, found) in rows.items():
        if outcome != FINE:
            log(f"{far.host.alias}: {what}: {found}")
    bad = [what for what, (outcome, _) in rows.items() if outcome == FAILURE or (what == "tmux" and outcome != FINE)]
    if far.host.setup == "cpu":
        bad = [what for what in bad if what != "space"]  # the models for a processor are small
    if bad:
        raise UserError(f"{far.host}: not ready: {', '.join(bad)}.", "what is said above, there; then the same command")
    if wanted.entry.gated and not look.token and wanted.config.model not in look.models:
        where = f"ssh -p {far.host.port} -i '{far.host.key}' {far.host.user}@{far.host.host}"
        raise GateError(f"{wanted.entry.hub_id} is gated, and there is no HF_TOKEN in the .env of {far.host.alias}: nothing was started.",
                        f"accept the licence at https://huggingface.co/{wanted.entry.hub_id}, then this line, the token and Enter:\n"
                        f"    {where} 'mkdir -p {far.host.folder} && cd {far.host.folder} && umask 077 && "
                        "read -r token && echo \"HF_TOKEN=$token\" >> .env'")
    found = find_gpu(rows["GPU"][1].split(",")[0]) if far.host.setup != "cpu" else None
    return found and found[0]


def preflight(args, card):
    """Return the verdict of 09_preflight.py as a dict. Raises GateError when it says no; it has said why."""
    command = [sys.executable, str(SCRIPTS_DIR / "09_preflight.py"), "--json", "--config", args.config]
    for flag, value in (("model", args.model), ("hardware", args.hardware), ("preset", args.preset), ("gpu", card)):
        command += [f"--{flag}", value] if value else []
    done = subprocess.run([*command, *(text for override in args.overrides for text in ("--set", override))], stdout=subprocess.PIPE)
    if done.returncode:
        error = GateError if done.returncode == GATE else UserError
        raise error("the preflight said no: nothing was sent, nothing was started.", "what it says above, then the same command")
    return json.loads(done.stdout)


def check_budget(args, wanted, card, verdict):
    """Return the price an hour, None where it is not known. Raises GateError when the estimate is more than the budget or the hours."""
    listed = gpus().gpus[card].usd_per_hour if card else None
    price = next((usd for usd in (wanted.host.usd_per_hour, wanted.config.cost.usd_per_hour, listed) if usd is not None), None)
    if args.budget and price is None:
        raise UserError(f"what an hour of {wanted.host.alias} costs is not known, so a budget cannot be kept.",
                        f'"usd_per_hour" of {wanted.host.alias} in configs/hosts.yaml, or --hours')
    offer = next((offer for offer in verdict["cards"] if offer["card"] == card and offer["fits"]), None)
    if offer is None:
        log("no estimate of time and money: only configs/gpus.yaml's cards have one")
        return price
    hours, usd = offer["hours"], offer["hours"] * price
    log(f"estimate: {hours:.1f} hours on {card}, {usd:.2f} USD at {price:.2f} USD an hour")
    if args.budget and usd > args.budget or args.hours and hours > args.hours:
        given = f"the budget is {args.budget:.2f} USD" if args.budget and usd > args.budget else f"the limit is {args.hours:g} hours"
        raise GateError(f"the estimate is {hours:.1f} hours and {usd:.2f} USD on {card}, and {given}: nothing was started.",
                        "a larger limit, another card, a quicker --preset, or fewer epochs")
    return price


def check_begun(wanted, target):
    """Raise UserError when the unfinished run in the folder `target` was begun with other settings or data, as train.py would there."""
    if not (target / STARTED).is_file():
        return
    started = read_json(target / STARTED)
    data = {"train": wanted.config.data.train, "validation": wanted.config.data.validation}
    given = {"config": wanted.resolved.plain, "base_model": started["base_model"],
             "data": {split: describe_file(base_dir() / path) for split, path in data.items()}}
    check_unchanged(target, started, given, resume=False)


def limits(args):
    """Return what of job.json ends a job."""
    return {"limit_s": args.hours and args.hours * 3600, "budget_usd": args.budget}


def job(args, wanted, price):
    """Return job.json. A pod whose disk survives a stop can stop itself, should this laptop never come back."""
    host = wanted.host
    itself = args.then_stop and host.provider == "runpod" and host.id and f"{host.folder}/".startswith("/workspace/")
    return {"run": wanted.name, "stages": wanted.stages, "usd_per_hour": price, **limits(args), "grace_s": GRACE_S,
            "stop_argv": ["runpodctl", "stop", "pod", host.id] if itself else None,
            "stop_wait_s": STOP_WAIT_S if itself else None}
