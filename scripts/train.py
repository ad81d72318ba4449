"""Train a LoRA adapter on chat records: loss on the assistant's words only, packed, evaluated on held-out conversations.

Reads data/processed/{train,validation}.jsonl and a base model; writes adapters/RUN/. On the GPU box, or a laptop's CPU for the smoke run.
    python scripts/train.py --config configs/training_config.yaml
    python scripts/train.py --model smollm2-135m --hardware cpu --preset smoke --run trial
    python scripts/train.py --model smollm2-135m --hardware cpu --preset smoke --run trial --resume
"""
import contextlib
import json
import sys
import time

from paths import CONFIGS_DIR, base_dir, folder, show
from weatherman.cli import DONE, INTERRUPTED, GateError, UserError, log, parser, run, table, tee


def flags():
    """Return the command line; flags the user does not type stay None and override nothing."""
    p = parser(__doc__)
    p.add_argument("--config", default=str(CONFIGS_DIR / "training_config.yaml"), metavar="FILE")
    p.add_argument("--model", help="a name of configs/models.yaml")
    p.add_argument("--hardware", help="a name of configs/hardware/")
    p.add_argument("--preset", help="a name of configs/presets/")
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides", help="e.g. training.learning_rate=1.0e-4")
    p.add_argument("--run", metavar="NAME", help="name of the run folder (default: MODEL-PRESET)")
    p.add_argument("--resume", action="store_true", help="continue from the newest whole checkpoint of the run")
    p.add_argument("--dry-run", action="store_true", help="check data, template and masks, print the plan, train nothing")
    p.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return p


def data_paths(config):
    return {"train": base_dir() / config.data.train, "validation": base_dir() / config.data.validation}


def encode_data(tokenizer, paths, records, max_tokens):
    """Return {"train": [Encoded], "validation": [Encoded]}; every conversation has passed every check of templates.py."""
    from weatherman.training.templates import encode_all
    encoded = {name: encode_all(tokenizer, records[name], max_tokens, show(path)) for name, path in paths.items()}
    check_no_leak(encoded)
    return encoded


def check_no_leak(encoded):
    """Raise GateError when a held-out conversation is also trained on, token for token."""
    trained = {tuple(item.input_ids) for item in encoded["train"]}
    leaked = [item.id for item in encoded["validation"] if tuple(item.input_ids) in trained]
    if leaked:
        raise GateError(f"{len(leaked)} validation conversations are also in the training set, first {leaked[0]}.",
                        "python scripts/08_build_dataset.py --force")


def prepare_folder(args, config):
    """Return (run folder, checkpoint to resume from or None). Raises UserError when the run exists and --resume was not given."""
    from weatherman.training.recovery import latest_whole
    target = folder("adapters") / (args.run or f"{config.model}-{args.preset or 'default'}")
    checkpoint = latest_whole(target / "checkpoints")
    if (target / "run.json").is_file() and args.resume:
        raise UserError(f"{show(target)}: this run is finished.", f"python scripts/eval_model.py {target.name}")
    if target.exists() and any(target.iterdir()) and not args.resume:
        raise UserError(f"{show(target)}: this run exists already.", "--resume to continue it, or --run NAME for another")
    return target, checkpoint


def plan(config, entry, encoded):
    """Print what is about to be trained."""
    from weatherman.training.sft import accumulation
    weights = "4-bit" if config.quantization.mode == "nf4" else config.compute.dtype
    rows = [["model", f"{config.model}, {entry.parameters / 1e6:,.0f} M parameters, {weights} on {config.compute.device}"]]
    for name, items in encoded.items():
        tokens, loss_tokens = sum(len(i.input_ids) for i in items), sum(i.loss_tokens for i in items)
        rows.append([name, f"{len(items):,} conversations, {tokens:,} tokens, {loss_tokens:,} trained ({loss_tokens / tokens:.0%})"])
        longest = max(len(i.input_ids) for i in items)
        rows.append(["  longest", f"{longest:,} of {config.training.max_tokens:,} tokens"])
    rows.append(["update", f"{config.training.micro_batch} row(s) x {accumulation(config.training, encoded['train'])} accumulated"])
    log(table(rows, ["plan", ""]))


def train(args, resolved, entry, model_dir, tokenizer, paths, encoded):
    """Train and write the run folder. Returns (exit status, figures)."""
    from weatherman.training import modeling, recovery, runs, sft
    config = resolved.values
    target, checkpoint = prepare_folder(args, config)
    target.mkdir(parents=True, exist_ok=True)
    tee(target / "train.log")
    runs.write_config(target, resolved)
    base = modeling.load_base(model_dir, config.quantization, config.compute)
    before = modeling.mean_loss(modeling.held_out_losses(base, encoded["validation"], "held-out loss before"))
    log(f"held-out loss before training: {before:.4f} nats a token" + (f"; resuming from {checkpoint.name}" if checkpoint else ""))
    started = time.monotonic()
    with recovery.disk_errors(target), recovery.StopRequest() as stop:
        trainer = sft.make_trainer(base, tokenizer, encoded["train"], encoded["validation"], config, target, stop)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stop.asked and trainer.state.global_step < trainer.state.max_steps:
        log(f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}, checkpoint saved.\n"
            "  Try: the same command with --resume")
        return INTERRUPTED, {}
    after = sft.final_held_out_loss(trainer)
    change = modeling.adapter_change(trainer.model)
    if change == 0:
        raise GateError("the adapter is still zero after training: nothing was learned.",
                        "check training.learning_rate and lora.target_modules")
    figures = {"records": {name: len(items) for name, items in encoded.items()}, "steps": trainer.state.global_step,
               "tokens_seen": int(trainer.state.num_input_tokens_seen), "seconds": round(time.monotonic() - started, 1),
               "loss_before": before, "loss_after": after, "adapter_norm": change}
    with recovery.disk_errors(target):
        trainer.model.save_pretrained(target)
        tokenizer.save_pretrained(target)
        runs.write_card(target, resolved=resolved, entry=entry, figures=figures)
        runs.write_run(target, resolved=resolved, entry=entry, data_files=paths, figures=figures)
    log(f"held-out loss {before:.4f} -> {after:.4f} nats a token; wrote {show(target)}\n  Next: python scripts/eval_model.py {target.name}")
    return DONE, {"run": show(target), **figures}


def work(args):
    """Check everything, then train. Returns (exit status, figures); figures are empty for a dry run and for one that stopped."""
    from weatherman import schemas
    from weatherman.training.models import model_entry, model_folder
    from weatherman.training.quiet import quiet_libraries
    from weatherman.training.templates import load_tokenizer, read_chat
    model = args.model or schemas.load_file(args.config).values.model
    resolved = schemas.load_file(args.config, model, args.hardware, args.preset, args.overrides)
    entry = model_entry(model)
    if not args.dry_run:
        prepare_folder(args, resolved.values)
    paths = data_paths(resolved.values)
    records = {name: read_chat(path) for name, path in paths.items()}  # before anything heavy is imported
    quiet_libraries()
    model_dir = model_folder(model, entry)
    tokenizer = load_tokenizer(model_dir, entry)
    encoded = encode_data(tokenizer, paths, records, resolved.values.training.max_tokens)
    plan(resolved.values, entry, encoded)
    if args.dry_run:
        return DONE, {}
    return train(args, resolved, entry, model_dir, tokenizer, paths, encoded)


def main(argv=None):
    args = flags().parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # some libraries print; stdout holds our result alone
        status, figures = work(args)
    if args.json and figures:
        print(json.dumps(figures))
    return status


if __name__ == "__main__":
    sys.exit(run(main))
