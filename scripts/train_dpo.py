"""Train the adapter of a supervised run further on preference pairs (DPO): the answer that was preferred becomes the likelier one.

Reads adapters/RUN/ (its adapter is also the reference) and data/processed/preferences_{train,validation}.jsonl; writes adapters/RUN-dpo/.
On the machine that train.py ran on: model, LoRA, quantisation and template are that run's.
    python scripts/train_dpo.py llama-3.1-8b-instruct-default
    python scripts/train_dpo.py trial --run trial-polite --set preference.beta=0.3 --set training.max_steps=20
The same command goes on with a run that was stopped, from its newest whole checkpoint.
"""
import sys
from pathlib import Path

from paths import CONFIGS_DIR, folder
from weatherman.cli import DONE, parser, run, run_training


def flags():
    """Return the command line; flags the user does not type stay None and override nothing."""
    p = parser(__doc__)
    p.add_argument("source", metavar="RUN", help="a finished run's name below adapters/, or its folder")
    p.add_argument("--run", metavar="NAME", help="name of the new run folder (default: RUN-dpo)")
    p.add_argument("--config", default=str(CONFIGS_DIR / "dpo_config.yaml"), metavar="FILE")
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides", help="e.g. preference.loss=ipo")
    p.add_argument("--resume", action="store_true", help="go on with an unfinished run although settings or data have changed")
    p.add_argument("--dry-run", action="store_true", help="check pairs, template and masks, print the plan, train nothing")
    p.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return p


def work(args):
    """Check everything, then train. Returns (exit status, figures); figures are empty for a dry run and for one that stopped."""
    from weatherman.training import job, preference_run, runs
    from weatherman.training.preference import read_pairs
    given = Path(args.source)
    source = given if (given / "run.json").is_file() else folder("adapters") / args.source
    resolved = preference_run.resolve_run(args.config, args.overrides, source)
    target = folder("adapters") / (args.run or f"{source.name}-dpo")
    if not args.dry_run:
        runs.open_run(target, args.resume)
    pairs, files = job.read_data(resolved.values.data, read_pairs)  # before anything heavy is imported
    if args.dry_run:
        preference_run.plan(preference_run.prepare(resolved, pairs, source, {name: file["path"] for name, file in files.items()}))
        return DONE, {}
    return preference_run.align(resolved, pairs, source, target, resume=args.resume, data_files=files)


def main(argv=None):
    return run_training(work, flags().parse_args(argv))


if __name__ == "__main__":
    sys.exit(run(main))
