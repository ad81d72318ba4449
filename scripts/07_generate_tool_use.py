"""Write tool dialogues: users ask about the weather, the assistant calls the tools and tells what they return.

Reads configs/dialogue/{voices/*.yaml,climate.csv,elevations.csv}. Writes data/synthetic/tool_use.jsonl. Machine: the Mac.
    python scripts/07_generate_tool_use.py
    python scripts/07_generate_tool_use.py --count 200 --seed 7
    python scripts/07_generate_tool_use.py --teacher http://localhost:8000/v1 --teacher-model Qwen2.5-7B-Instruct --teacher-limit 100
"""
import sys
from collections import Counter
from pathlib import Path

from paths import folder
from weatherman.cli import add_data_flags, parser, positive_int, progress, run
from weatherman.dialogue.climate import NORMALS
from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.leakage import conversation_key, skeleton
from weatherman.dialogue.lessons import teach_answers
from weatherman.dialogue.teacher import add_teacher_flags, open_teacher, teacher_identity
from weatherman.dialogue.tool_dialogues import Writer, plan
from weatherman.dialogue.voices import VOICES
from weatherman.dialogue.world import ELEVATIONS
from weatherman.serving.worker import local_model
from weatherman.step import Step

MAX_DRAWS = 20  # a dialogue that is refused is drawn anew this often; then it is left out


def main(argv=None):
    """Write as many dialogues as asked for."""
    flags = parser(__doc__)
    flags.add_argument("--count", type=positive_int, help="dialogues to write (default: tool_use.count of the configuration)")
    add_data_flags(flags)
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
        generate(step, config.plain["tool_use"], config.values.seed, teacher)
    return step.finish(args)


def generate(step, tool_use, seed, teacher):
    """Keep every dialogue that passes, in other words where a teacher found some; note how varied the answers are."""
    records, taught = good_dialogues(step, tool_use, seed), {}
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


def good_dialogues(step, tool_use, seed):
    """Yield dialogues that are new, well formed and grounded; one that is not is rejected and drawn anew."""
    writer, said = Writer(seed, tool_use), set()
    pairs = plan(tool_use, tool_use["count"], seed)
    for number, (scenario, persona) in enumerate(progress(pairs, "dialogues", total=len(pairs))):
        for attempt in range(MAX_DRAWS):
            record = writer.dialogue(number, scenario, persona, attempt)
            words = conversation_key(record)
            problem = f"duplicate: {words}" if words in said else find_problem(record)
            if problem is None:
                said.add(words)
                yield record
                break
            reason, _, detail = problem.partition(": ")
            step.seen()
            step.reject(reason, file=VOICES, id=record["id"], excerpt=detail)


def find_problem(record):
    """Return "reason: detail" for the first gate that refuses the record, None when all let it pass."""
    from weatherman.dialogue.arguments import check_arguments
    from weatherman.records import ChatRecord, check
    try:
        check(ChatRecord, record)
    except ValueError as error:
        return f"invalid_record: {error}"
    for message in record["messages"]:
        for call in message.get("tool_calls") or []:
            try:
                check_arguments(call["function"]["name"], call["function"]["arguments"])
            except ValueError as error:
                return f"invalid_arguments: {error}"
    findings = ungrounded(record["messages"], record["tools"])
    return f"ungrounded: {', '.join(findings)} in {record['messages'][-1]['content']}" if findings else None


if __name__ == "__main__":
    sys.exit(run(main))
