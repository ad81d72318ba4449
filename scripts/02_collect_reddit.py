"""Collect headlines: from CSV files with a column `title`, such as dumps of r/TheOnion and r/nottheonion, or from Reddit.

Of a row only id, title, subreddit, url and created_utc are kept; titles that name a user are rejected. Writes
data/raw/reddit/NAME.jsonl, one post a line, and every bad row to FIRST_NAME.rejects.jsonl. --praw needs ./setup_local.sh
--add praw and an app's credentials (.env.example); read Reddit's terms before posts train a model. Machine: the Mac.
    python scripts/02_collect_reddit.py --input data/samples/reddit/headlines.csv --config configs/demo_data.yaml
    python scripts/02_collect_reddit.py --input TheOnion_181217_184244.csv nottheonion_181217_184009.csv
    python scripts/02_collect_reddit.py --input headlines.csv --subreddit nottheonion --encoding cp1252
    python scripts/02_collect_reddit.py --praw TheOnion nottheonion --listing top
"""
import sys
import time
from collections import Counter
from pathlib import Path

from paths import folder
from weatherman.cli import GateError, UserError, add_data_flags, parser, progress, run
from weatherman.corpus.reddit import mask, read_posts, to_post
from weatherman.corpus.reddit_api import live_posts
from weatherman.step import Step


def main(argv=None):
    """Write one JSON Lines file for each CSV file or subreddit."""
    flags = parser(__doc__)
    source = flags.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", metavar="FILE", nargs="+", help="CSV files")
    source.add_argument("--praw", metavar="SUBREDDIT", nargs="+", help="ask Reddit for posts of these, anew each time")
    flags.add_argument("--subreddit", metavar="NAME", help="where the titles of files without a column subreddit are from")
    flags.add_argument("--encoding", metavar="NAME", help="of the files (default: UTF-8, or what their byte order mark says)")
    flags.add_argument("--listing", choices=["new", "hot", "top"], help="of --praw (default: reddit.listing in the configuration)")
    add_data_flags(flags)
    args = flags.parse_args(argv)
    if args.listing and args.input or args.praw and (args.subreddit or args.encoding):
        flags.error("--listing belongs to --praw, --subreddit and --encoding belong to --input")
    from weatherman.schemas import data_config
    values = data_config(args).values
    config, inputs = values.reddit, [Path(name) for name in args.input or []]
    check_names([*(args.praw or []), *([args.subreddit] if args.subreddit else [])], config.subreddits)
    listing = args.listing or config.listing
    args.force = args.force or bool(args.praw)  # what Reddit lists changes every hour
    chosen = {"subreddit": args.subreddit, "encoding": args.encoding, "praw": args.praw, "listing": listing}
    step = Step(__file__, rooms=["corpus"], inputs=inputs, outputs=output_paths(inputs or live_names(args.praw, listing), args.output),
                config={**config.model_dump(), **chosen}, seed=values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        for number, path in enumerate(inputs):
            collect(step, number, path, config, csv_rows(step, path, args))
        for number, name in enumerate(args.praw or []):
            collect(step, number, f"r/{name}/{listing}", config, ((None, post) for post in live_posts(name, listing, config.limit)))
    return step.finish(args)


def check_names(names, subreddits):
    """Raise UserError unless every name is a configured subreddit."""
    if unknown := [name for name in names if name not in subreddits]:
        raise UserError(f"the subreddit {unknown[0]} is not configured; there are: {', '.join(subreddits)}.",
                        "add its source and license under reddit.subreddits in configs/data_config.yaml")


def live_names(subreddits, listing):
    """Return one file name for each subreddit, today's date in it: an older listing may hold posts that are gone from this one."""
    return [Path(f"{name}_{listing}_{time.strftime('%y%m%d', time.gmtime())}.csv") for name in subreddits]


def output_paths(inputs, output):
    """Return one output for each input. Raises UserError when two inputs would share one."""
    if output:
        if len(inputs) > 1:
            raise UserError("--output names one file, but there are several inputs.", "one at a time, or no --output")
        return [Path(output)]
    outputs = [folder("raw") / "reddit" / f"{path.stem}.jsonl" for path in inputs]
    if len(set(outputs)) < len(outputs):
        raise UserError("two inputs have the same name and would overwrite each other.", "rename one of them")
    return outputs


def csv_rows(step, path, args):
    """Yield (line number, row) of a CSV file; its malformed lines are rejected here."""
    def on_bad(line, reason, excerpt):
        step.seen()
        step.reject(reason, file=path, line=line, excerpt=excerpt)

    yield from read_posts(path, on_bad, args.encoding, args.subreddit)


def collect(step, number, file, config, rows):
    """Write the posts among `rows` to output `number`. Raises GateError when they are none, or not as people wrote them."""
    subreddits = {name.lower(): name for name in config.subreddits}
    before, rejected, kept, lower = step.counts["in"], Counter(), 0, 0
    for line, row in progress(rows, str(file), unit="rows"):
        step.seen()
        post, reason = to_post(row, subreddits)
        if reason:
            rejected[reason] += 1
            step.reject(reason, file=file, line=line, excerpt=mask(row["title"] or row["subreddit"]))
        else:
            step.keep({**post, "line": line}, number)
            kept, lower = kept + 1, lower + row["title"].islower()
    if not kept:
        why = ", ".join(f"{reason} {count:,}" for reason, count in rejected.items()) or "malformed, or the header is all there is"
        raise GateError(f"{file}: none of its {step.counts['in'] - before:,} rows is a post we can use ({why}).",
                        f"python scripts/config_loader.py configs/data_config.yaml --show; head -n 3 '{file}'")
    if lower > config.max_lower_case_share * kept:
        raise GateError(f"{file}: {lower:,} of its {kept:,} titles have no capital letter, so they are not as they were published: text "
                        f"reduced for a classifier has lost small words and punctuation too, and a model would learn to write like that.",
                        "the dump it was made from; to take these all the same: --set reddit.max_lower_case_share=1.0")


if __name__ == "__main__":
    sys.exit(run(main))
