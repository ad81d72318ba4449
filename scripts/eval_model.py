"""Evaluate a run: held-out loss and perplexity of base and tuned model, and their answers to fixed prompts side by side.

Reads adapters/RUN/ and data/processed/test.jsonl; writes adapters/RUN/eval/{eval.json,report.html}. On the GPU box, or a laptop.
    python scripts/eval_model.py smollm2-135m-smoke
    python scripts/eval_model.py adapters/smollm2-135m-smoke --data data/processed/validation.jsonl
"""
import contextlib
import json
import sys
from pathlib import Path

from paths import CONFIGS_DIR, folder, show
from weatherman.cli import DONE, UserError, log, parser, run, table


def flags():
    p = parser(__doc__)
    p.add_argument("run", help="a run's name below adapters/, or its folder")
    p.add_argument("--data", metavar="FILE", help="held-out chat records (default: data/processed/test.jsonl)")
    p.add_argument("--config", default=str(CONFIGS_DIR / "eval_config.yaml"), metavar="FILE")
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides", help="e.g. max_new_tokens=200")
    p.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return p


def run_folder(name):
    """Return the folder of a run given by name or path."""
    given = Path(name)
    return given if (given / "run.json").is_file() else folder("adapters") / name


def load(target):
    """Return (model with the adapter, tokenizer, its typed configuration) of a run folder."""
    from weatherman.models.registry import model_entry, model_folder
    from weatherman.models.templates import load_tokenizer
    from weatherman.training.modeling import adapter_change, load_base, read_adapter
    from weatherman.training.quiet import quiet_libraries
    from weatherman.training.runs import check_adapter, read_run, run_config
    trained = read_run(target)
    check_adapter(target, trained["files"])
    config = run_config(trained)
    entry = model_entry(config.model)
    quiet_libraries()
    model_dir = model_folder(config.model, entry)
    tokenizer = load_tokenizer(model_dir, entry, template=target / "chat_template.jinja")
    # In the precision it was trained in, but on what this machine has: a run of a GPU box is looked at on a Mac.
    compute = config.compute.model_copy(update={"device": "auto", "dtype": trained["chosen"]["dtype"], "attention": "auto"})
    model = read_adapter(load_base(model_dir, config.quantization, compute), target)
    if adapter_change(model) == 0:
        raise UserError(f"{show(target)}: the adapter loads but changes nothing (all its B matrices are zero).", "train it again")
    return model, tokenizer, config


def read_records(path, trained_sha256):
    """Return the held-out records of a JSONL file, checked; refuses the file the run was trained on."""
    from weatherman.manifest import describe_file
    from weatherman.models.templates import read_chat
    records = read_chat(path)
    if describe_file(path)["sha256"] == trained_sha256:
        raise UserError(f"{show(path)}: the run was trained on this file; it says nothing about unseen text.",
                        "--data data/processed/test.jsonl")
    return records


def both(model, measure):
    """Return (measure(base), measure(tuned)); the base is the same model with its adapter switched off."""
    with model.disable_adapter():
        before = measure()
    return before, measure()


def curve(target, trained):
    """Return the training and held-out series [(step, loss)] of metrics.jsonl, the latter from step 0, and what the loss is."""
    from weatherman.files import read_jsonl
    rows = [row for _, row in read_jsonl(target / "metrics.jsonl")]
    held_out = {row["step"]: row["eval_loss"] for row in rows if "eval_loss" in row}
    name = "preference loss, nats a pair" if trained["script"] == "train_dpo.py" else "loss, nats a token"
    return [(row["step"], row["loss"]) for row in rows if "loss" in row], sorted({0: trained["loss_before"], **held_out}.items()), name


def evaluate(target, data, config):
    """Return the result (the content of eval.json) of one run."""
    from weatherman.dialogue.weather_api import TOOLS
    from weatherman.evaluation.statistics import by_tag, compare
    from weatherman.manifest import describe_file, now
    from weatherman.models.templates import encode_all
    from weatherman.serving.engine import answer
    from weatherman.training.modeling import held_out_losses
    from weatherman.training.runs import read_run
    trained = read_run(target)
    records = read_records(data, trained["data"]["train"]["sha256"])
    model, tokenizer, settings = load(target)
    encoded = encode_all(tokenizer, records, settings.training.max_tokens, show(data))
    before, after = both(model, lambda: held_out_losses(model, encoded))
    prompts = [([{"role": "system", "content": p.system}, {"role": "user", "content": p.user}], list(TOOLS.values()) if p.tools else [])
               for p in config.prompts]
    base_answers, tuned_answers = both(model, lambda: answer(model, tokenizer, prompts, config.max_new_tokens))
    return {"run": target.name, "base_model": trained["base_model"]["hub_id"], "steps": trained["steps"], "data": describe_file(data),
            "held_out": compare(before, after, settings.training.seed), "by_domain": by_tag(records, before, after, "domain"),
            "answers": [{**p.model_dump(), "before": b, "after": a} for p, b, a in zip(config.prompts, base_answers, tuned_answers)],
            "max_new_tokens": config.max_new_tokens, "finished_at": now()}


def show_result(result):
    """Print the figures and answers for people."""
    c = result["held_out"]
    log(table([["held-out loss, nats a token", f"{c['loss_before']:.4f}", f"{c['loss_after']:.4f}"],
               ["perplexity", f"{c['perplexity_before']:.2f}", f"{c['perplexity_after']:.2f}"],
               *([f"  {name} ({n})", f"{b:.4f}", f"{a:.4f}"] for name, n, b, a in result["by_domain"])], ["", "base", "tuned"]))
    log(f"change {c['change']:+.4f} (95 % interval {c['change_low']:+.4f} to {c['change_high']:+.4f}); "
        f"{c['improved']} of {c['conversations']} conversations improved\n")
    for pair in result["answers"]:
        log(f"> {pair['user']}\n  base:  {pair['before']}\n  tuned: {pair['after']}\n")


def main(argv=None):
    args = flags().parse_args(argv)
    from weatherman.evaluation.report import page
    from weatherman.files import atomic_writes, to_json
    from weatherman.schemas import load_file
    from weatherman.training.runs import read_run
    target = run_folder(args.run)
    trained = read_run(target)
    data = Path(args.data) if args.data else folder("processed") / "test.jsonl"
    with contextlib.redirect_stdout(sys.stderr):  # some libraries print; stdout holds our result alone
        result = evaluate(target, data, load_file(args.config, overrides=args.overrides).values)
    report = page(result, curve(target, trained))
    with atomic_writes([target / "eval" / "report.html", target / "eval" / "eval.json"]) as (report_part, result_part):
        report_part.write(report.encode())
        result_part.write(to_json(result))
    if args.json:
        print(json.dumps(result))
    else:
        show_result(result)
    log(f"wrote {show(target / 'eval' / 'report.html')}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
