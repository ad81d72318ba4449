"""Write tool dialogues: users ask about the weather, the assistant calls the tools and tells what they return.

Reads configs/dialogue/{voices/*.yaml,climate.csv,elevations.csv}. Writes data/synthetic/tool_use.jsonl. Machine: the Mac.
    python scripts/07_generate_tool_use.py
    python scripts/07_generate_tool_use.py --count 200 --seed 7
    python scripts/07_generate_tool_use.py --teacher http://localhost:8000/v1 --teacher-model Qwen2.5-7B-Instruct --teacher-limit 100
"""
import os
import sys
from collections import Counter
from functools import partial
from itertools import chain
from pathlib import Path

import orjson

from paths import folder
from weatherman.cli import add_data_flags, parser, positive_int, progress, run
from weatherman.dialogue.climate import NORMALS
from weatherman.dialogue.leakage import conversation_key, skeleton
from weatherman.dialogue.lessons import teach_answers
from weatherman.dialogue.teacher import add_teacher_flags, open_teacher, teacher_identity
from weatherman.dialogue.voices import VOICES
from weatherman.dialogue.world import ELEVATIONS
from weatherman.parallel import batches, ordered_map
from weatherman.serving.worker import local_model
from weatherman.step import Step

MAX_DRAWS = 20  # a dialogue that is refused is drawn anew this often; then it is left out
BATCH = 50      # dialogues a process writes at once


def main(argv=None):
    """Write as many dialogues as asked for."""
    flags = parser(__doc__)
    flags.add_argument("--count", type=positive_int, help="dialogues to write (default: tool_use.count of the configuration)")
    add_data_flags(flags, workers=True)
    add_teacher_flags(flags, "A model says the answers in other words, which pass the same gates.")
    args = flags.parse_args(argv)
    if args.count is not None:
        args.overrides.append(f"tool_use.count={args.count}")
    from weatherman.schemas import data_config
    config, teacher = data_config(args), open_teacher(args, local_model)
    step = Step(__file__, rooms=["corpus", "dialogue"], inputs=[*sorted(VOICES.glob("*.yaml")), NORMALS, ELEVATIONS],
                outputs=[Path(args.output) if args.output else folder("synthetic") / "tool_use.jsonl"],
                config={**config.plain["tool_use"], **teacher_identity(teacher)}, seed=config.values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        generate(step, config.plain["tool_use"], config.values.seed, teacher, args.workers or os.cpu_count())
    return step.finish(args)


def generate(step, tool_use, seed, teacher, workers):
    """Keep every dialogue that passes, in other words where a teacher found some; note how varied the answers are."""
    records, taught = good_dialogues(step, tool_use, seed, workers), {}
    if teacher:
        records, taught = teach_answers(teacher, records)
    skeletons, scenarios = Counter(), Counter()
    for record in records:
        step.seen()
        step.keep(record)
        skeletons[skeleton(record["messages"][-1]["content"])] += 1
        scenarios[record["tags"]["scenario"]] += 1
    kept = step.counts["out"]
    step.notes = {"distinct answer skeletons": len(skeletons),
                  "most frequent skeleton": f"{skeletons.most_common(1)[0][1] / kept:.2%} of the answers" if kept else "none",
                  "scenarios": dict(sorted(scenarios.items())), **taught}


def good_dialogues(step, tool_use, seed, workers):
    """Yield dialogues that are new, well formed and grounded; one that is not is rejected and drawn anew."""
    from weatherman.dialogue.tool_dialogues import draft, draft_all, plan
    pairs, said, settings = plan(tool_use, tool_use["count"], seed), set(), orjson.dumps(tool_use)
    draw = partial(draft, seed, settings)
    draw(0, pairs[0], 0)  # reads voices and cities once: processes that are forked have them then
    drafts = ordered_map(partial(draft_all, seed, settings), batches(enumerate(pairs), BATCH), workers)
    for number, first in enumerate(progress(chain.from_iterable(drafts), "dialogues", total=len(pairs))):
        for attempt in range(MAX_DRAWS):
            record, problem = first if attempt == 0 else draw(number, pairs[number], attempt)
            words = conversation_key(record)
            problem = f"duplicate: {words}" if words in said else problem
            if problem is None:
                said.add(words)
                yield record
                break
            reason, _, detail = problem.partition(": ")
            step.seen()
            step.reject(reason, file=VOICES, id=record["id"], excerpt=detail)


if __name__ == "__main__":
    sys.exit(run(main))
