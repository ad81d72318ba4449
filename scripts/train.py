"""Train a LoRA adapter on chat records: loss on the assistant's words only, packed, evaluated on held-out conversations.

Reads data/processed/{train,validation}.jsonl and a base model; writes adapters/RUN/. On the GPU box, or a laptop's CPU for the smoke run.
    python scripts/train.py --config configs/training_config.yaml
    python scripts/train.py --model smollm2-135m --hardware cpu --preset smoke --run trial
The same command goes on with a run that was stopped, from its newest whole checkpoint.
"""
import sys

from paths import folder
from weatherman.cli import DONE, add_training_flags, parser, run, run_training


def flags():
    """Return the command line; flags the user does not type stay None and override nothing."""
    p = parser(__doc__)
    add_training_flags(p)
    p.add_argument("--run", metavar="NAME", help="name of the run folder (default: MODEL-PRESET)")
    p.add_argument("--resume", action="store_true", help="go on with an unfinished run although settings or data have changed")
    p.add_argument("--dry-run", action="store_true", help="check data, template and masks, print the plan, train nothing")
    return p


def work(args):
    """Check everything, then train. Returns (exit status, figures); figures are empty for a dry run and for one that stopped."""
    from weatherman import schemas
    from weatherman.models.registry import model_entry
    from weatherman.models.templates import read_chat
    from weatherman.training import job, runs, session
    resolved = schemas.training_config(args)
    model = resolved.values.model
    target = folder("adapters") / (args.run or runs.default_name(model, args.preset, model_entry(model).license))
    if not args.dry_run:
        runs.open_run(target, args.resume)
    records, files = job.read_data(resolved.values.data, read_chat)  # before anything heavy is imported
    if args.dry_run:
        job.plan(job.prepare(resolved, records, {name: file["path"] for name, file in files.items()}))
        return DONE, {}
    return session.fine_tune(resolved, records, target, resume=args.resume, data_files=files)


def main(argv=None):
    return run_training(work, flags().parse_args(argv))


if __name__ == "__main__":
    sys.exit(run(main))
