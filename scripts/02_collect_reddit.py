"""Collect headlines from CSV dumps of r/TheOnion and r/nottheonion.

Reads the dumps (columns created_utc,url,id,num_comments,title,subreddit,timestamp). Writes data/raw/reddit/NAME.jsonl, one
post a line, and every bad row to FIRST_NAME.rejects.jsonl. User names are never kept. Machine: the Mac.
    python scripts/02_collect_reddit.py --input data/samples/reddit/headlines.csv --config configs/demo_data.yaml
    python scripts/02_collect_reddit.py --input TheOnion_181217_184244.csv nottheonion_181217_184009.csv
"""
import sys
from pathlib import Path

from paths import folder
from weatherman.cli import UserError, add_data_flags, parser, progress, run
from weatherman.corpus.reddit import is_time, read_posts
from weatherman.step import Step

KEPT = ("id", "title", "subreddit", "url", "created_utc")


def main(argv=None):
    """Write one JSON Lines file for each dump."""
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FILE", nargs="+", required=True, help="CSV dumps")
    add_data_flags(flags)
    args = flags.parse_args(argv)
    from weatherman.schemas import data_config
    config = data_config(args).values
    inputs = [Path(name) for name in args.input]
    step = Step(__file__, rooms=["corpus"], inputs=inputs, outputs=output_paths(inputs, args.output),
                config={"subreddits": sorted(config.reddit.subreddits)}, seed=config.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        for number, path in enumerate(inputs):
            collect(step, path, number, config.reddit.subreddits)
    return step.finish(args)


def output_paths(inputs, output):
    """Return one output for each input. Raises UserError when two inputs would share one."""
    if output:
        if len(inputs) > 1:
            raise UserError("--output names one file, but --input has several.", "one dump at a time, or no --output")
        return [Path(output)]
    outputs = [folder("raw") / "reddit" / f"{path.stem}.jsonl" for path in inputs]
    if len(set(outputs)) < len(outputs):
        raise UserError("two inputs have the same name and would overwrite each other.", "rename one of them")
    return outputs


def collect(step, path, number, subreddits):
    """Read one dump into output `number`."""
    def on_bad(line, reason, excerpt):
        step.seen()
        step.reject(reason, file=path, line=line, excerpt=excerpt)

    for line, post in progress(read_posts(path, on_bad), path.name, unit="rows"):
        step.seen()
        reason = reject_reason(post, subreddits)
        if reason:
            step.reject(reason, file=path, line=line, id=f"reddit:{post['id']}", excerpt=post["title"] or post["subreddit"])
        else:
            step.keep({**{key: post[key] for key in KEPT}, "line": line}, number)


def reject_reason(post, subreddits):
    """Return why a row is no post we can use, None when it is one."""
    if not post["id"].isascii() or not post["id"].isalnum():
        return "bad_id"
    if post["subreddit"] not in subreddits:
        return "unknown_subreddit"
    if not is_time(post["created_utc"]):
        return "bad_created_utc"
    return None


if __name__ == "__main__":
    sys.exit(run(main))
