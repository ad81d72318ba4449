"""What a teacher is asked for, and what of its answers is let through: better prompts, plain versions to retell, other wordings.

Whatever it returns is checked; a fault is told and the same asked again, and what stays faulty leaves the record as it was.
"""
import random
from collections import Counter

from weatherman.cli import UserError, progress
from weatherman.dialogue.leakage import conversation_key, templates
from weatherman.dialogue.lesson_checks import common_fault, plain_fault, prompt_fault, tidy, wording_fault
from weatherman.dialogue.mixture import scenario_of
from weatherman.dialogue.phrases import parse, say
from weatherman.dialogue.teacher import NoReply

TAUGHT = "taught"


def better_prompt(teacher, record):
    """Return (the record with a prompt that the model wrote for its first answer, TAUGHT), or (None, reason): back-translation."""
    at = first_turn(record)
    facts, limits = slots(record, at), teacher.settings["prompt"]
    prompt, outcome = learn(teacher, "prompt", facts, lambda text: prompt_fault(text, facts["text"], limits))
    return changed(record, teacher, {at: prompt}) if prompt else (None, outcome)


def plain_pair(teacher, record):
    """Return (a record that asks for a plain version of the first answer to be retold, with that answer, TAUGHT), or (None, reason)."""
    at = first_turn(record)
    facts, limits = slots(record, at), teacher.settings["restyle"]
    plain, outcome = learn(teacher, "restyle", facts, lambda text: plain_fault(text, facts["text"], limits))
    if plain is None:
        return None, outcome
    rng = random.Random(f"{record['provenance']['seed']}:{record['id']}:restyle")
    request = say([parse(text) for text in limits["requests"]], rng, {})
    made = {**record["provenance"], "generator": f"{record['provenance']['generator'].split('/')[0]}/restyle"}
    pair = {**record, "id": f"{record['id']}:restyle", "messages": record["messages"][:at + 2], "provenance": made}
    return changed(pair, teacher, {at: f"{request}\n\n{plain}"})


def other_wording(teacher, record):
    """Return (the record with its last answer in other words, TAUGHT), or (None, reason)."""
    at = max(number for number, message in enumerate(record["messages"]) if message["role"] == "user")
    facts, limits = {**slots(record, at), "text": record["messages"][-1]["content"]}, teacher.settings["rewrite"]
    wording, outcome = learn(teacher, "rewrite", facts, lambda text: wording_fault(text, record, limits))
    return changed(record, teacher, {len(record["messages"]) - 1: wording}) if wording else (None, outcome)


def first_turn(record):
    """Return the number of the first user message."""
    return next(number for number, message in enumerate(record["messages"]) if message["role"] == "user")


def slots(record, at):
    """Return what fills the slots of teacher.yaml's messages, for the user message number `at` and the answer behind it."""
    messages = record["messages"]
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    return {"system": system, "question": messages[at]["content"], "text": messages[at + 1]["content"]}


def changed(record, teacher, contents):
    """Return (the record with other contents {number of message: text}, TAUGHT), or (None, "invalid"). Its generator names the model."""
    from weatherman.records import ChatRecord, check
    messages = [{**message, "content": contents.get(number, message["content"])} for number, message in enumerate(record["messages"])]
    provenance = {**record["provenance"], "generator": f"{record['provenance']['generator']}/{teacher.model}"}
    new = {**record, "messages": messages, "provenance": provenance}
    try:
        check(ChatRecord, new)
    except ValueError:
        return None, "invalid"
    return new, TAUGHT


def learn(teacher, task, facts, find_fault):
    """Return (what the model wrote, TAUGHT), or (None, reason) when no try passes.

    task: a key of teacher.yaml; facts: {slot: text}; find_fault(text) gives None, "reason" or "reason: detail".
    """
    settings = teacher.settings
    asked = [{"role": role, "content": settings[task][role].format(**facts)} for role in ("system", "user")]
    messages = asked
    for _ in range(settings["tries"]):
        try:
            reply = teacher.ask(messages, settings[task]["parameters"])
        except NoReply as failure:
            return None, "declined" if failure.final else "unanswered"
        text = tidy(reply.content)
        fault = ("cut" if reply.finish_reason == "length" else None) or common_fault(text, facts["text"]) or find_fault(text)
        if fault is None:
            return text, TAUGHT
        reason, _, detail = fault.partition(": ")
        told = settings["again"].format(reason=settings["reasons"][reason].format(detail=detail))
        messages = [*asked, {"role": "assistant", "content": text or "…"}, {"role": "user", "content": told}]
    return None, reason


def teach_style(teacher, records):
    """Return (the chat records of 06 with better prompts where the teacher wrote one, and its plain pairs behind them; the figures)."""
    records = list(records)
    kinds = {name: teacher.settings[name]["kinds"] for name in ("prompt", "restyle")}
    prompts, prompt_figures = teach(teacher, better_prompt, of_kinds(records, kinds["prompt"]), "prompts")
    pairs, pair_figures = teach(teacher, plain_pair, of_kinds(records, kinds["restyle"]), "plain versions")
    found = {**teacher.figures(), **{f"prompts {key}": count for key, count in prompt_figures.items()},
             **{f"plain versions {key}": count for key, count in pair_figures.items()}}
    return [prompts.get(record["id"], record) for record in records] + list(pairs.values()), found


def teach_answers(teacher, records):
    """Return (the tool dialogues of 07 with other wordings of their last answers where the teacher found one; the figures)."""
    records = list(records)
    answers, found = teach(teacher, other_wording, records, "answers")
    return ([answers.get(record["id"], record) for record in records],
            {**teacher.figures(), **{f"answers {key}": count for key, count in found.items()}})


def of_kinds(records, kinds):
    """Return the records of 06 of some kinds, told by their generator ("06_format_chat/describe")."""
    return [record for record in records if scenario_of(record) in kinds]


def teach(teacher, lesson, records, label):
    """Return ({id of a record: what `lesson(teacher, record)` made of it}, the figures by outcome).

    Only the first --teacher-limit records are asked about. Raises UserError behind the last one when requests stayed without an
    answer, so that what is written never depends on the state of a network.
    """
    outcomes, made = Counter(), {}
    claims = {template: record["provenance"]["split_group"] for record in records for template in templates(record)}
    said = {conversation_key(record) for record in records}
    asked = records[:teacher.limit]
    lessons = teacher.map(lambda record: lesson(teacher, record), asked)
    for record, (new, outcome) in zip(asked, progress(lessons, label, total=len(asked), unit="records")):
        if new is not None and conversation_key(new) in said:
            new, outcome = None, "duplicate"
        if new is not None and not claim(claims, new):
            new, outcome = None, "said_elsewhere"
        if new is not None:
            made[record["id"]] = new
            said.add(conversation_key(new))
        outcomes[outcome] += 1
    if outcomes["unanswered"]:
        raise UserError(f"{outcomes['unanswered']:,} {label} stayed without an answer from {teacher.model}; nothing was written.",
                        "the same command again: all other answers are kept, and only those are asked for")
    outcomes["not_asked"] = len(records) - len(asked)
    return made, figures(outcomes)


def claim(claims, record):
    """Note whose the record's sentence templates are and return True; False, and nothing noted, when one is another split group's.

    08 would find it in two splits and stop.
    """
    group, said = record["provenance"]["split_group"], templates(record)
    if any(claims.get(template, group) != group for template in said):
        return False
    claims.update(dict.fromkeys(said, group))
    return True


def figures(outcomes):
    """Return {"taught": …, "kept as written": …, "not asked": …, "refused: REASON": …} for the step's notes and table."""
    reasons = {f"refused: {reason}": count for reason, count in sorted(outcomes.items()) if reason not in (TAUGHT, "not_asked")}
    return {TAUGHT: outcomes[TAUGHT], "kept as written": sum(reasons.values()), "not asked": outcomes["not_asked"], **reasons}
