"""Questions that a text answers in its own words: every answer is a stretch of the text, word for word, with its byte range.

Of an English text its sentences are asked about, too (sentences.py); of any other only what needs no grammar: the text's own
questions, headings, entries, and what comes next.
"""
import math
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache

from paths import CONFIGS_DIR
from weatherman.cli import UserError
from weatherman.corpus.clean import CHAPTER, ends_sentence
from weatherman.dialogue.mixture import stable_order
from weatherman.dialogue.phrases import capital, load_phrases, say
from weatherman.dialogue.sentences import WORDS, ask, goes_on, learn_speech, stands_alone

PHRASES = CONFIGS_DIR / "dialogue" / "question_phrases.yaml"
FILES = (PHRASES, WORDS)          # what the questions depend on, besides the texts
MIN_WORDS, MAX_WORDS = 4, 60      # of a sentence that answers
PASSAGE_WORDS = 120               # of an answer that is a passage
QUOTED_WORDS = 25                 # of a sentence that a question may quote
FOLLOWING = 1                     # question of a chunk for what comes next, where others can be asked
A_SENTENCE = 2                    # questions that one answer may have
LICENSE = "of the texts given"
NUMBERING = re.compile(r"(?:\d+(?:\.\d+)*[.)]?|[IVXLC]+\.|[A-Z][.)])\s+")


@dataclass(frozen=True)
class Found:
    """A question in the making: its kind, the slots of its phrase, and the numbers of the first and last Piece of the answer."""

    kind: str
    first: int
    last: int
    facts: dict = field(default_factory=dict)
    asked: str | None = None          # the question itself, where the text asks it


@cache
def phrases():
    """Return the parsed configs/dialogue/question_phrases.yaml: {kind: [phrase]}."""
    from weatherman.text_schemas import QuestionPhrases
    return load_phrases(PHRASES, QuestionPhrases)[1]["questions"]


# --- what can be asked about a chunk ------------------------------------------------------------------------------------

def find_questions(chunk, speech):
    """Return [Found] of a Chunk: the text's own questions first, then the sure patterns, the loosest last."""
    pieces = chunk.pieces
    found = [*own_questions(pieces), *heading_questions(pieces), *opening(chunk)]
    found += [Found("entry", at, at, {"term": entry_term(piece.text)}) for at, piece in enumerate(pieces) if piece.kind == "entry"]
    if speech.english:
        found += [Found(kind, at, with_context(pieces, at), facts) for at, piece in enumerate(pieces) if answers_alone(piece)
                  for kind, facts in ask(piece.text, speech)]
    return found + following(pieces)[:FOLLOWING if speech.english else None]


def answers_alone(piece):
    """True for a sentence that can be understood without the one before it."""
    return piece.kind in ("sentence", "item") and MIN_WORDS <= len(piece.text.split()) <= MAX_WORDS and stands_alone(piece.text) \
        and piece.text.rstrip("\"'”’»)")[-1:] in ".!" and is_balanced(piece.text)


def is_balanced(text):
    """True when every quotation mark and bracket that opens in a text closes in it."""
    return all(text.count(a) == text.count(b) for a, b in ("“”", "()", "[]", "«»")) and text.count('"') % 2 == 0


def with_context(pieces, at):
    """Return the number of the last piece of an answer: of the next sentence where that goes on with a pronoun, else of its own."""
    after = pieces[at + 1] if at + 1 < len(pieces) else None
    words = len(pieces[at].text.split())
    belongs = after and after.kind == "sentence" and after.paragraph == pieces[at].paragraph and goes_on(after.text)
    return at + 1 if belongs and words + len(after.text.split()) <= MAX_WORDS else at


def own_questions(pieces):
    """Return a Found for each question that the text asks and answers."""
    return [Found("asked", at + 1, passage_end(pieces, at + 1), asked=piece.text) for at, piece in enumerate(pieces)
            if piece.kind == "question" and at + 1 < len(pieces) and pieces[at + 1].kind not in ("heading", "question")]


def heading_questions(pieces):
    """Return a Found for each heading with text behind it, which answers; of a chapter that has but a number its beginning is asked."""
    found = []
    for at, piece in enumerate(pieces[:-1]):
        below = pieces[at + 1]
        if piece.kind == "heading" and (below.kind in ("item", "entry", "verse") or below.kind == "sentence" and is_prose(below.text)):
            title = NUMBERING.sub("", piece.text)
            numbered = CHAPTER.match(title) and len(title.split()) <= 2
            facts = {"name": title} if numbered else {"heading": f'"{title}"'}
            found.append(Found("opening" if numbered else "heading", at + 1, passage_end(pieces, at + 1), facts))
    return found


def is_prose(text):
    """True for a whole sentence of some length, unlike the lines of a list of contents."""
    return ends_sentence(text) and len(text.split()) > MIN_WORDS


def opening(chunk):
    """Return a Found for the first lines of a file that begins without a heading."""
    if chunk.number > 1 or chunk.pieces[0].kind != "sentence" or not answers_alone(chunk.pieces[0]):
        return []
    return [Found("opening", 0, passage_end(chunk.pieces, 0), {"name": f'"{chunk.source.name.rsplit(".", 1)[0]}"'})]


def passage_end(pieces, first):
    """Return the number of the last piece of the passage that begins at `first`: up to the next heading or PASSAGE_WORDS."""
    words, last = 0, first
    for at in range(first, len(pieces)):
        words += len(pieces[at].text.split())
        kind = pieces[at].kind
        if kind in ("heading", "question") or (kind == "entry" and pieces[first].kind != "entry") or (at > first and words > PASSAGE_WORDS):
            break
        last = at
    return last


def following(pieces):
    """Return a Found for each pair of sentences in one paragraph: the first is quoted, the second answers."""
    return [Found("after", at + 1, at + 1, {"sentence": before.text}) for at, (before, after) in enumerate(zip(pieces, pieces[1:]))
            if before.kind == after.kind == "sentence" and before.paragraph == after.paragraph and "\n" not in before.text
            and is_balanced(before.text) and is_balanced(after.text) and ends_sentence(after.text)
            and MIN_WORDS <= len(before.text.split()) <= QUOTED_WORDS and MIN_WORDS <= len(after.text.split()) <= MAX_WORDS]


def entry_term(text):
    return f'"{text.partition(":")[0].strip()}"'


# --- records ------------------------------------------------------------------------------------------------------------

def make_records(chunks, system, a_chunk, seed):
    """Return [chat record] for all Chunks: at most `a_chunk` a chunk, kinds in turn; no question and no answer twice.

    system: the system message of every conversation. The same chunks and seed give the same records.
    """
    speech = {name: learn_speech([piece.text for piece in pieces]) for name, pieces in by_text(chunks).items()}
    asked, owners, uses, records = set(), {}, Counter(), []
    for chunk in chunks:
        rng = random.Random(f"{seed}:{chunk.source.sha256}:{chunk.number}")
        made = 0
        for item in in_turns(find_questions(chunk, speech[chunk.source.name]), rng):
            record = to_record(chunk, item, system, seed, rng)
            question, answer = (" ".join(message["content"].lower().split()) for message in record["messages"][1:])
            if made < a_chunk and question not in asked and uses[answer] < A_SENTENCE and owners.setdefault(answer, chunk.id) == chunk.id:
                asked.add(question)
                uses[answer] += 1
                made += 1
                records.append(record)
    return records


def in_turns(found, rng):
    """Return [Found] with the kinds in turn, the text's own questions and headings first, "after" last of each turn."""
    by_kind = defaultdict(list)
    for item in found:
        by_kind[item.kind].append(item)
    for kind, items in by_kind.items():
        if kind not in ("asked", "heading"):
            rng.shuffle(items)
    order = {kind: number for number, kind in enumerate(by_kind)}
    turns = [(number if kind != "asked" else -1, order[kind], item) for kind, items in by_kind.items() for number, item in enumerate(items)]
    return [item for *_, item in sorted(turns, key=lambda turn: turn[:2])]


def to_record(chunk, item, system, seed, rng):
    """Return the chat record of a Found."""
    pieces = chunk.pieces[item.first:item.last + 1]
    answer = joined(pieces)
    question = item.asked or capital(say(phrases()[item.kind], rng, item.facts))
    start, end = pieces[0].start, pieces[-1].end
    return {"id": f"text:{chunk.id}:{start}-{end}:{item.kind}",
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": question},
                         {"role": "assistant", "content": answer}], "tools": [],
            "tags": {"persona": "neutral", "tone": "neutral", "domain": "general", "source": "imported", "scenario": item.kind},
            "provenance": {"documents": [{"id": f"text:{chunk.source.name}", "sha256": chunk.source.sha256,
                                          "start": start, "end": end, "license": LICENSE}],
                           "generator": f"llmcustoms/{item.kind}", "seed": seed, "split_group": f"text:{chunk.id}"}}


def joined(pieces):
    """Return pieces as the text has them: sentences of a paragraph with a space between, items on lines, paragraphs apart."""
    text = pieces[0].text
    for before, piece in zip(pieces, pieces[1:]):
        same = piece.paragraph == before.paragraph
        text += (" " if same and piece.kind == "sentence" == before.kind else "\n" if same else "\n\n") + piece.text
    return text


def foreign(chunks):
    """Return the names of the Texts that are not in English."""
    return [name for name, pieces in by_text(chunks).items() if not learn_speech([piece.text for piece in pieces]).english]


def by_text(chunks):
    """Return {name of a Text: its Pieces}."""
    pieces = defaultdict(list)
    for chunk in chunks:
        pieces[chunk.source.name] += chunk.pieces
    return pieces


def taught(teacher, records):
    """Return (the records with a teacher's wording of the question where it passes every check, the figures for people)."""
    from weatherman.dialogue.lessons import better_prompt, teach
    made, figures = teach(teacher, better_prompt, records, "questions")
    figures = {**teacher.figures(), **{f"questions {key}": count for key, count in figures.items()}}
    return [made.get(record["id"], record) for record in records], figures


def split_records(records, shares, seed):
    """Return {"train", "validation", "test": records}: whole chunks are held out, about the shares {"validation", "test"} of them.

    Every split gets one at least. Raises UserError when there are fewer than three chunks with questions.
    """
    groups = sorted({record["provenance"]["split_group"] for record in records}, key=lambda group: stable_order(seed, group))
    if len(groups) < 3:
        raise UserError(f"the texts have {len(groups)} chunks that something can be asked about; to train, validate and test takes three.",
                        "more text: from about 300 words on")
    sizes = {name: math.ceil(share * len(groups)) for name, share in shares.items()}
    held_out, at = {}, 0
    for name, size in sizes.items():
        held_out.update(dict.fromkeys(groups[at:at + size], name))
        at += size
    return {split: [r for r in records if held_out.get(r["provenance"]["split_group"], "train") == split] for split in ("train", *sizes)}
