"""Turn passages and headlines into chat records: a prompt with the text's own subjects, and the text as the answer.

Reads data/processed/unique.jsonl and configs/dialogue/chat_phrases.yaml. Writes data/processed/style_chat.jsonl. Machine: the Mac.
    python scripts/06_format_chat.py
    python scripts/06_format_chat.py --set chat.max_answer_words=300
"""
import sys
from pathlib import Path

from paths import folder
from weatherman.cli import GateError, add_data_flags, parser, progress, run
from weatherman.dialogue.instruct import KINDS, PHRASES, Unsuitable, assign_pools, document_key, make_record
from weatherman.dialogue.phrases import load_phrases
from weatherman.files import read_jsonl
from weatherman.step import Step


def main(argv=None):
    """Write the chat records of every passage."""
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FILE", help="passages (default: data/processed/unique.jsonl)")
    add_data_flags(flags)
    args = flags.parse_args(argv)
    from weatherman.corpus.keywords import keyword_names
    from weatherman.schemas import data_config
    config = data_config(args)
    chat, weather_words = config.plain["chat"], keyword_names("weather")
    source = Path(args.input) if args.input else folder("processed") / "unique.jsonl"
    step = Step(__file__, rooms=["corpus", "dialogue"], inputs=[source, PHRASES],
                outputs=[Path(args.output) if args.output else folder("processed") / "style_chat.jsonl"],
                config={"chat": chat, "weather_words": weather_words}, seed=config.values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        passages = list(read_passages(step, source))
        format_passages(step, source, passages, chat, weather_words, config.values.seed)
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


def format_passages(step, source, passages, chat, weather_words, seed):
    """Keep one record for each passage and kind of prompt."""
    from weatherman.records import ChatRecord, check
    from weatherman.schemas import ChatPhrases
    _, phrases = load_phrases(PHRASES, ChatPhrases)
    pools = assign_pools([passage for _, passage in passages], phrases, seed)
    for line, passage in progress(passages, "chat records", total=len(passages), unit="passages"):
        for kind in KINDS[passage["source"]]:
            step.seen()
            reason, excerpt = None, passage["text"]
            try:
                record = make_record(passage, kind, pools[document_key(passage)], phrases, chat, weather_words, seed)
                check(ChatRecord, record)
            except Unsuitable as error:
                reason = str(error)
            except ValueError as error:
                reason, excerpt = "invalid_record", error
            if reason:
                step.reject(reason, file=source, line=line, id=passage["id"], excerpt=excerpt)
            else:
                step.keep(record)
    step.notes = {"documents": len(pools), "passages": len(passages)}


if __name__ == "__main__":
    sys.exit(run(main))
