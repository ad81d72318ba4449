"""Turn passages and headlines into chat records: a prompt with the text's own subjects, and the text as the answer.

Reads data/processed/unique.jsonl and configs/dialogue/chat_phrases.yaml. Writes data/processed/style_chat.jsonl. Machine: the Mac.
    python scripts/06_format_chat.py
    python scripts/06_format_chat.py --set chat.max_answer_words=300
    python scripts/06_format_chat.py --teacher https://api.groq.com/openai/v1 --teacher-model llama-3.3-70b-versatile --teacher-limit 100
"""
import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from paths import folder
from weatherman.cli import GateError, add_data_flags, parser, progress, run
from weatherman.dialogue.instruct import KINDS, PHRASES, Setting, Unsuitable, make_records
from weatherman.dialogue.lessons import teach_style
from weatherman.dialogue.phrases import load_phrases
from weatherman.dialogue.tags import TONES
from weatherman.dialogue.teacher import add_teacher_flags, open_teacher, teacher_identity
from weatherman.dialogue.topics import SUBJECTS, learn_words
from weatherman.files import read_jsonl
from weatherman.parallel import batches, ordered_map
from weatherman.serving.worker import local_model
from weatherman.step import Step

BATCH = 250  # passages a process is given at once: what they share is sent along each time


def main(argv=None):
    """Write the chat records of every passage."""
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FILE", help="passages (default: data/processed/unique.jsonl)")
    add_data_flags(flags, workers=True)
    add_teacher_flags(flags, "A model writes better prompts for the texts, and plain versions of passages to be retold.")
    args = flags.parse_args(argv)
    from weatherman.corpus.keywords import keyword_names
    from weatherman.schemas import data_config
    config = data_config(args)
    chat, weather_words = config.plain["chat"], keyword_names("weather")
    teacher = open_teacher(args, local_model)
    source = Path(args.input) if args.input else folder("processed") / "unique.jsonl"
    step = Step(__file__, rooms=["corpus", "dialogue"], inputs=[source, PHRASES, SUBJECTS, TONES],
                outputs=[Path(args.output) if args.output else folder("processed") / "style_chat.jsonl"],
                config={"chat": chat, "weather_words": weather_words, **teacher_identity(teacher)}, seed=config.values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        passages = list(read_passages(step, source))
        words = learn_words(passage["text"] for _, passage in passages)
        setting = Setting(phrases(), chat, weather_words, words, config.values.seed)
        format_passages(step, valid_records(step, source, passages, setting, args.workers or os.cpu_count()), teacher)
        step.notes = {"passages": len(passages), **step.notes}
        if not step.counts["out"]:
            raise GateError(f"{source}: no record could be made of its {len(passages)} passages.",
                            "python scripts/05_deduplicate.py, and look at what it kept")
    return step.finish(args)


def read_passages(step, source):
    """Yield (line, passage) for every usable row; the others are rejected."""
    def on_bad(line, reason, excerpt):
        step.seen()
        step.reject(reason, file=source, line=line, excerpt=excerpt)

    from weatherman.records import Passage, check
    seen_ids = set()
    for line, passage in read_jsonl(source, on_bad):
        name = passage["id"] if isinstance(passage.get("id"), str) else None
        try:
            check(Passage, passage)
            reason = "duplicate_id" if name in seen_ids else None if passage["source"] in KINDS else "no_prompt_for_source"
            excerpt = passage["text"]
        except ValueError as error:
            reason, excerpt = "invalid_record", error
        if reason:
            step.seen()
            step.reject(reason, file=source, line=line, id=name, excerpt=excerpt)
        else:
            seen_ids.add(name)
            yield line, passage


def phrases():
    """Return the parsed configs/dialogue/chat_phrases.yaml."""
    from weatherman.text_schemas import ChatPhrases
    return load_phrases(PHRASES, ChatPhrases)[1]


def format_passages(step, records, teacher):
    """Keep the records, better ones where a teacher is asked."""
    taught = {}
    if teacher:
        records, taught = teach_style(teacher, records)
    kinds = Counter()
    for record in records:
        step.seen()
        step.keep(record)
        kinds[record["provenance"]["generator"].partition("/")[2]] += 1
    step.notes = {**{f"of kind {kind}": count for kind, count in sorted(kinds.items())}, **taught}


def valid_records(step, source, passages, setting, workers):
    """Yield the records of each passage and kind of prompt; where there is none, the reason is rejected."""
    parts = list(batches(passages, BATCH))
    made = ordered_map(partial(judge_batch, setting), parts, min(workers, len(parts)) or 1)
    for batch, judged in zip(parts, progress(made, "chat records", total=len(parts), unit=f"times {BATCH} passages")):
        for (line, passage), found in zip(batch, judged):
            for record, reason, excerpt in found:
                if reason:
                    step.seen()
                    step.reject(reason, file=source, line=line, id=passage["id"], excerpt=excerpt)
                else:
                    yield record


def judge_batch(setting, batch):
    """Return for each (line, passage) of a batch its [(record, None, None) or (None, reason, excerpt)]."""
    return [[judge(record, passage) for kind in KINDS[passage["source"]] for record in records_or_reason(passage, kind, setting)]
            for _, passage in batch]


def records_or_reason(passage, kind, setting):
    try:
        return make_records(passage, kind, setting)
    except Unsuitable as error:
        return [error]


def judge(record, passage):
    """Return (record, None, None) for a valid record, (None, reason, excerpt) for a refused one."""
    from weatherman.records import ChatRecord, check
    if isinstance(record, Unsuitable):
        return None, str(record), passage["text"]
    try:
        check(ChatRecord, record)
    except ValueError as error:
        return None, "invalid_record", str(error)
    return record, None, None


if __name__ == "__main__":
    sys.exit(run(main))
