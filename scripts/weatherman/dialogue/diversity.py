"""How varied the texts of a dataset are, and the gates that refuse a set in which a few templates speak over and over.

Measures: distinct-n, Li et al. 2016 (arXiv 1510.03055); self-BLEU, Zhu et al. 2018 (arXiv 1802.01886); compression ratio, Shaib
et al. 2024 (arXiv 2403.00553). A skeleton is a text with numbers, names and quotations masked.
"""
import random
import re
import zlib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass

from weatherman.cli import GateError
from weatherman.dialogue.leakage import said, skeleton, words_of
from weatherman.dialogue.mixture import KINDS, kind_of, tellings

BLEU_WORDS = 100          # a text counts for self-BLEU up to here: the cost grows with the square of the sample
OFFENDER_SIMILARITY = 0.5  # from here on two texts can be among the most similar ones shown; 05 removes from 0.8
OFFENDERS = 6
PER_DIALOGUES = 3000      # min_skeletons is asked of so many tool dialogues, and in proportion of fewer
SUBJECT = re.compile(r"\b[a-z][a-z’'-]{3,}")


@dataclass
class Figures:
    """The measures of one set of records; shares of its texts."""

    records: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    self_bleu: float
    compression: float
    answer_skeletons: int
    top_answer_skeleton: float
    prompt_skeletons: int
    top_prompt_skeleton: float
    near_duplicates: float


@dataclass
class Diversity:
    """figures: {"tool_use": Figures, "tool_use twain": …}; offenders: {kind: [(similarity, id, id, text, text)]}, the most similar
    records; skeletons: {what: [(skeleton, count)]}, the most frequent ones; sample: texts of each set that self-BLEU compares."""

    figures: dict
    offenders: dict
    skeletons: dict
    sample: int

    def plain(self):
        """Return the figures as {name: {measure: number}}, rounded."""
        return {name: {key: round(value, 4) for key, value in asdict(figures).items()} for name, figures in self.figures.items()}


def distinct(texts, size):
    """Return the share of different word n-grams among all n-grams of the texts."""
    grams = Counter(gram for text in texts for words in [words_of(text)] for gram in zip(*(words[n:] for n in range(size))))
    return len(grams) / max(1, grams.total())


def self_bleu(texts, sample, seed):
    """Return the mean BLEU-4 of each of `sample` texts against the others: 1.0 when all say the same. 0.0 below two texts."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    drawn = random.Random(f"{seed}/self-bleu").sample(texts, min(sample, len(texts)))
    tokens, smooth = [words_of(text)[:BLEU_WORDS] for text in drawn], SmoothingFunction().method1
    scores = [sentence_bleu(tokens[:n] + tokens[n + 1:], own, smoothing_function=smooth) for n, own in enumerate(tokens) if len(tokens) > 1]
    return sum(scores) / max(1, len(scores))


def compression(texts):
    """Return how many times smaller deflate makes the texts, one behind the other: the more they repeat, the more."""
    data = "\n".join(texts).encode()
    return len(data) / len(zlib.compress(data, 6))


def answers_of(record):
    """Return every answer of a record, one text a turn."""
    return [m["content"] for m in record["messages"] if m["role"] == "assistant" and m["content"].strip()]


def prompt_skeleton(record):
    """Return the skeleton of the first prompt: its first paragraph, and masked in it also the words that the answer holds, its subjects."""
    prompt = next(m["content"] for m in record["messages"] if m["role"] == "user").split("\n\n")[0]
    if record["tags"]["source"] != "synthetic":
        prompt = prompt[:1].lower() + prompt[1:]  # "Continue:" is no name
        subjects = set(words_of(said(record, "assistant")))
        prompt = SUBJECT.sub(lambda match: "C" if match[0] in subjects else match[0], prompt)
    return skeleton(prompt)


def compared_text(record):
    """Return the words by which a record is a near-duplicate of another, one paragraph a turn."""
    roles = ("user", "assistant") if record["tags"]["source"] == "synthetic" else ("assistant",)
    return "\n\n".join(m["content"] for m in record["messages"] if m["role"] in roles and m["content"].strip())


def similar(records, settings, threshold, seed):
    """Return [(similarity, id, id)] of each record that repeats an earlier one, most similar first.

    What is compared: the whole of a tool dialogue, user and assistant; the answers of the others. A passage that is told twice,
    with two prompts, counts once. settings: the configuration's `dedup`; the engine is that of step 05.
    """
    from weatherman.corpus.dedup import Collection, find_duplicates
    collection, told = Collection(), set()
    for record in records:
        passages = set(tellings(record))
        if not passages & told:
            collection.add(record["id"], compared_text(record))
        told |= passages
    found = find_duplicates(collection, settings.model_copy(update={"threshold": threshold}), seed)
    pairs = [(duplicate.similarity, name, duplicate.of) for name, duplicate in zip(collection.names, found) if duplicate]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))


def measure(records, dedup, sample, seed):
    """Return the Diversity of a dataset, by kind and by kind and persona. dedup: the configuration's section (schemas.Dedup)."""
    sets, by_id = defaultdict(list), {record["id"]: record for record in records}
    for record in records:
        kind = kind_of(record["tags"])
        sets[kind].append(record)
        sets[f"{kind} {record['tags']['persona']}"].append(record)
    kinds = [kind for kind in KINDS if kind in sets]
    offenders = {kind: [(alike, one, other, compared_text(by_id[one]), compared_text(by_id[other]))
                        for alike, one, other in similar(sets[kind], dedup, OFFENDER_SIMILARITY, seed)[:OFFENDERS]] for kind in kinds}
    names = [name for kind in kinds for name in sorted(sets) if name.split()[0] == kind]
    names = [name for name in names if name in kinds or len(sets[name]) < len(sets[name.split()[0]])]
    return Diversity({name: figures(sets[name], dedup, sample, seed) for name in names}, offenders, top_skeletons(records), sample)


def figures(records, dedup, sample, seed):
    """Return the Figures of one set of records."""
    answers = [answer for record in records for answer in answers_of(record)]
    of_answers, of_prompts = Counter(map(skeleton, answers)), Counter(map(prompt_skeleton, records))
    near = similar(records, dedup, dedup.threshold, seed)
    return Figures(len(records), *(distinct(answers, size) for size in (1, 2, 3)), self_bleu(answers, sample, seed), compression(answers),
                   len(of_answers), max(of_answers.values()) / len(answers), len(of_prompts), max(of_prompts.values()) / len(records),
                   len(near) / len(records))


def top_skeletons(records, shown=3):
    """Return {"answers of tool dialogues": [(skeleton, count)], "prompts": …}, the most frequent first."""
    tools = [record for record in records if record["tags"]["source"] == "synthetic"]
    return {"answers of tool dialogues": Counter(skeleton(a) for r in tools for a in answers_of(r)).most_common(shown),
            "prompts": Counter(map(prompt_skeleton, records)).most_common(shown)}


def check_diversity(records, dedup, limits, seed):
    """Return [(what, found, limit)], one line a gate. Raises GateError that lists every limit that is passed.

    limits: the configuration's `diversity`. A share may always be one text, however small the set is.
    """
    tools = [record for record in records if record["tags"]["source"] == "synthetic"]
    answers = [skeleton(answer) for record in tools for answer in answers_of(record)]
    prompts, said_once = Counter(map(prompt_skeleton, records)), Counter(answers)
    least = limits["min_skeletons"] * min(1, len(tools) / PER_DIALOGUES)
    near = {kind: similar(rows, dedup, dedup.threshold, seed) for kind, rows in
            (("tool dialogues", tools), ("style records", [r for r in records if r["tags"]["source"] != "synthetic"])) if rows}
    sizes = {"tool dialogues": len(tools), "style records": len(records) - len(tools)}
    checks = [too_frequent("most frequent prompt skeleton", prompts, len(records), limits["max_prompt_skeleton"])]
    if tools:
        checks += [(len(said_once) < least, "distinct answer skeletons of tool dialogues", f"{len(said_once):,}",
                    f"at least {least:,.0f}", ""),
                   too_frequent("most frequent answer skeleton", said_once, len(answers), limits["max_answer_skeleton"])]
    for name, pairs in near.items():
        example = f"{pairs[0][1]}, {pairs[0][2]}" if pairs else ""
        checks.append((len(pairs) > max(1, limits["max_near_duplicates"] * sizes[name]), f"near-duplicates among {name}",
                       f"{len(pairs) / sizes[name]:.2%}", f"at most {limits['max_near_duplicates']:.2%}", example))
    failed = [f"{what}: {found}; expected {limit}. {example}".rstrip() for bad, what, found, limit, example in checks if bad]
    if failed:
        raise GateError("\n".join(failed), "write more phrases or voices for what repeats, then the step that uses them again (06 or 07)")
    return [(what, found, limit) for _, what, found, limit, _ in checks]


def too_frequent(what, counts, total, limit):
    """Return (whether one skeleton stands for too large a share, what, found, limit, the skeleton)."""
    top, count = counts.most_common(1)[0]
    return count > max(1, limit * total), what, f"{count / total:.2%}", f"at most {limit:.2%}", top[:160]
