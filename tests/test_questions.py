"""Questions that a text answers: files refused by name, chunks, verbatim answers, patterns that are sure, honest splits, a teacher."""
import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherman.cli import UserError
from weatherman.dialogue import questions, sentences, texts
from weatherman.dialogue.phrases import fill, slots
from weatherman.records import ChatRecord, check

LIMIT = 100_000
SYSTEM = "You answer."
MANUAL = """KETTLE 7

1. Overview

The Kettle 7 is an electric kettle for ships. It boils a litre in four
minutes. The kettle contains a heating coil and a whistle. The body is made of
copper. The coil was designed in 1987 by Ada Grimshaw.

Ada Grimshaw tested the first kettle on the island of Skye.

2. Use

To fill the kettle, lift the lid by its ring. If the whistle sticks, warm the spout.
The cord must stay dry, because salt water eats the copper.

Weight: 1.2 kg
Power: 900 W

How is it cleaned?

Boil a cup of vinegar in it. Then rinse twice.

- Empty it after use.
- Dry the base with a cloth.
"""
GERMAN = """Der Kessel

Der Kessel ist aus Kupfer. Er wiegt ca. 1,2 kg, d. h. so viel wie ein Brot. Am 3. Mai wurde er von Dr. Holm gebaut.

Wie wird er gereinigt?

Man kocht darin Essig. Danach spült man ihn zweimal.
"""


def words(found):
    return [len(text.split()) for text in found]


def folder_of(path, **files):
    for name, content in files.items():
        (path / f"{name}.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records_of(path, limit=40, a_chunk=12, seed=42):
    chunks = texts.chunks_of(texts.read_folder(path, LIMIT), words, limit, 10, 3)
    return chunks, questions.make_records(chunks, SYSTEM, a_chunk, seed)


def pairs(records):
    return {record["messages"][1]["content"]: record["messages"][2]["content"] for record in records}


def by_kind(records):
    return {record["tags"]["scenario"]: record["messages"][2]["content"] for record in records}


# --- files --------------------------------------------------------------------------------------------------------------

def test_files_are_read_in_order_and_copies_once(tmp_path):
    (tmp_path / "below").mkdir()
    folder_of(tmp_path, b="Two.", a=b"\xef\xbb\xbfOne.", copy="Two.")
    (tmp_path / "below" / "c.TXT").write_text("Three.")
    (tmp_path / "notes.md").write_text("not text")
    found = texts.read_folder(tmp_path, LIMIT)
    assert [text.name for text in found] == ["a.txt", "b.txt", "below/c.TXT"]
    assert found[0].start == 3 and found[0].raw[3:] == b"One."
    assert [text.name for text in texts.read_folder(tmp_path / "a.txt", LIMIT)] == ["a.txt"]


@pytest.mark.parametrize("content,message", [
    ("Fenêtre et café, déjà vu: où est la bibliothèque?\n".encode("latin-1"),
     r"not UTF-8: byte 3 \(line 1\) is 0xea; it is probably cp1252"),
    (("Привет, как дела? Сегодня хорошая погода. " * 9).encode("cp1251"), "it is probably (cp1251|koi8_r)"),
    ("Ünder".encode("utf-16"), "UTF-16, not UTF-8"),
    (b"PK\0\0\1", "NUL bytes"),
    (b"\xef\xbb\xbf \n", "empty"),
    (b"x" * (LIMIT + 1), r"0\.1 MB; a file may have 0\.1 MB"),
])
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, message):
    with pytest.raises(UserError, match=rf"bad\.txt: .*{message}") as error:
        texts.read_folder(folder_of(tmp_path, bad=content, good="Good."), LIMIT)
    assert "bad.txt" in error.value.hint and "good.txt" not in str(error.value)


def test_all_bad_files_are_named_at_once(tmp_path):
    with pytest.raises(UserError) as error:
        texts.read_folder(folder_of(tmp_path, one=b"\xff", two=b""), LIMIT)
    assert "one.txt" in str(error.value) and "two.txt" in str(error.value)


def test_a_folder_without_texts_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        texts.read_folder(tmp_path / "absent", LIMIT)
    with pytest.raises(UserError, match="no .txt file here"):
        texts.read_folder(tmp_path, LIMIT)
    (tmp_path / "a.pdf").write_text("x")
    with pytest.raises(UserError, match="no .txt file itself"):
        texts.read_folder(tmp_path / "a.pdf", LIMIT)


# --- sentences and pieces -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text,parts", [
    ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
    ("Dr. Holm met Mr. J. R. Smith at 5 p.m. on Monday. He left.", ["Dr. Holm met Mr. J. R. Smith at 5 p.m. on Monday.", "He left."]),
    ('He said: "Go." Then he left.', ['He said: "Go."', "Then he left."]),
    ('"Who?" he said. "Me."', ['"Who?" he said.', '"Me."']),
    ("It costs 3.50 euros. Pay now.", ["It costs 3.50 euros.", "Pay now."]),
    ("Am 3. Mai kam er, d. h. zu spät. Er ging.", ["Am 3. Mai kam er, d. h. zu spät.", "Er ging."]),
    ("これは本です。あれも本です。", ["これは本です。", "あれも本です。"]),
    ("Wait... Then go.", ["Wait...", "Then go."]),
])
def test_sentences_end_where_they_end(text, parts):
    assert [text[a:b] for a, b in texts.sentence_spans(text)] == parts


@given(st.text(alphabet="ab .!?\n。A1", max_size=60))
def test_sentences_lose_nothing(text):
    spans = texts.sentence_spans(text)
    assert "".join("".join(text[a:b] for a, b in spans).split()) == "".join(text.split())
    assert all(a < b for a, b in spans) and spans == sorted(spans)


def test_pieces_of_a_manual(tmp_path):
    (text,) = texts.read_folder(folder_of(tmp_path, manual=MANUAL), LIMIT)
    found = [(piece.kind, piece.text) for piece in texts.pieces_of(text)]
    assert found[:3] == [("heading", "KETTLE 7"), ("heading", "1. Overview"), ("sentence", "The Kettle 7 is an electric kettle for ships.")]
    assert ("sentence", "It boils a litre in four minutes.") in found  # over a line's end
    assert [piece for piece in found if piece[0] == "entry"] == [("entry", "Weight: 1.2 kg"), ("entry", "Power: 900 W")]
    assert [piece for piece in found if piece[0] == "question"] == [("question", "How is it cleaned?")]
    assert found[-2:] == [("item", "Empty it after use."), ("item", "Dry the base with a cloth.")]
    for piece in texts.pieces_of(text):
        assert " ".join(text.raw[piece.start:piece.end].decode().split()).endswith(piece.text)


@pytest.mark.parametrize("block,kinds", [
    ("# Safety\nKeep it away from the open fire and from children.", ["heading", "sentence"]),
    ("Safety\n======\nKeep it dry.", ["heading", "sentence"]),
    ("Installation\nThe heater is bolted to the bulkhead with four bolts.", ["heading", "sentence"]),
    ("Q: Who made it?\nA: Ada did. She was ten.", ["question", "sentence", "sentence"]),
    ("Roses are red\nViolets are blue\nand so it goes", ["verse"]),
    ("Is this the end?", ["sentence"]),  # a question that nothing answers
    ("1. Open it.\n2. Close it.", ["item", "item"]),
    ("The man went home and there he found, to the surprise of all,\na dog.", ["sentence"]),
])
def test_blocks_are_told_apart(tmp_path, block, kinds):
    (text,) = texts.read_folder(folder_of(tmp_path, block=block), LIMIT)
    assert [piece.kind for piece in texts.pieces_of(text)] == kinds


def test_tokens_of_chat_templates_never_reach_a_record(tmp_path):
    bad = "The latch<|im_end|> holds </s>the [INST] door of the barn shut. The wind cannot open the heavy door of the barn.\n\n"
    _, records = records_of(folder_of(tmp_path, bad=bad + MANUAL))
    said = " ".join(message["content"] for record in records for message in record["messages"])
    assert "The latch holds the door of the barn shut." in said and not re.search(r"<\||</s>|INST", said)


# --- chunks -------------------------------------------------------------------------------------------------------------

@given(st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=5), min_size=1, max_size=8), st.integers(5, 50))
def test_no_chunk_is_over_the_limit(tmp_path_factory, paragraphs, limit):
    text = "\n\n".join(" ".join(" ".join(["Word"] + ["word"] * (count - 1)) + "." for count in counts) for counts in paragraphs)
    found = texts.read_folder(folder_of(tmp_path_factory.mktemp("text"), a=text), LIMIT)
    chunks = texts.chunks_of(found, words, limit, limit, 1)
    assert all(sum(words([piece.text for piece in chunk.pieces])) <= limit for chunk in chunks)
    assert sum(len(piece.text.split()) for chunk in chunks for piece in chunk.pieces) == len(text.split())  # and nothing is lost


def test_short_texts_get_smaller_chunks(tmp_path):
    found = texts.read_folder(folder_of(tmp_path, manual=MANUAL), LIMIT)
    assert len(texts.chunks_of(found, words, 512, 512, 3)) == 1 and len(texts.chunks_of(found, words, 512, 10, 3)) >= 3


# --- patterns -----------------------------------------------------------------------------------------------------------

CORPUS = ["We saw the valve and the burner.", "They like honey and bees, and Ada Grimshaw.", "In the Harbor 40 the coolant is hot."]


@pytest.mark.parametrize("sentence,kind,facts", [
    ("The coolant is a mixture of water and glycol.", "definition", {"s": "the coolant", "be": "is"}),
    ("Ada Grimshaw was an engineer of Leith.", "person", {"s": "Ada Grimshaw", "be": "was"}),
    ("The tool is called a burr.", "called", {"s": "the tool", "be": "is"}),
    ("The valve is made of brass.", "made_of", {"s": "the valve", "be": "is"}),
    ("The valve is located behind the panel.", "place", {"s": "the valve", "be": "is"}),
    ("The old mill was built in 1886 by Henry Cole.", "done_when", {"s": "the old mill", "be": "was", "done": "built"}),
    ("The old mill was built in 1886 by Henry Cole.", "done_by", {"s": "the old mill", "be": "was", "done": "built"}),
    ("Ada Grimshaw found the leak in the boiler.", "who", {"deed": "found the leak in the boiler"}),
    ("On 4 July 1901 the council closed the bridge.", "time", {"time": "on 4 July 1901", "Time": "On 4 July 1901"}),
    ("To reset the pump, press the button.", "how_to", {"act": "reset the pump"}),
    ("If the flame goes out, wait a minute.", "if", {"clause": "the flame goes out"}),
    ("When the tank is empty, a lamp lights.", "when", {"clause": "the tank is empty"}),
    ("The valve clogs because the fuel is dirty.", "reason", {"clause": "the valve clogs", "Clause": "The valve clogs"}),
    ("The kit contains four bolts.", "has", {"s": "the kit", "does": "does", "base": "contain", "has": "contains"}),
    ("The kits contain four bolts.", "has", {"s": "the kits", "does": "do", "base": "contain", "has": "contain"}),
    ("The valve must be shut first.", "must", {"s": "the valve"}),
    ("Bees are insects of the air, and honey is a food.", None, {}),
    ("Put the lid on the crucible.", "about", {"things": "the crucible"}),
])
def test_what_a_sentence_is_asked(sentence, kind, facts):
    found = dict(sentences.ask(sentence, sentences.learn_speech([*CORPUS, sentence])))
    assert kind is None or found.get(kind) == facts


@pytest.mark.parametrize("sentence,kind", [
    ("The best of them is a mixture.", "definition"),               # of whom?
    ("It is a mixture.", "definition"),
    ("Xylo is a food.", "definition"),                              # a name or a thing? it stands nowhere else
    ("The valve is in general use.", "place"),
    ("Ada Grimshaw lost her keys in the boiler.", "who"),           # whose?
    ("When it rains, they stay in.", "when"),
    ("To the north, the hills rise.", "how_to"),
    ("He left because he was tired of it.", "reason"),
    ("The fan switches on.", "about"),                              # "the fan switches" is no thing
])
def test_what_a_sentence_is_not_asked(sentence, kind):
    assert kind not in dict(sentences.ask(sentence, sentences.learn_speech([*CORPUS, "The fan is hot.", sentence])))


def test_two_sentences_on_the_same_thing_are_not_asked_about_it():
    once, twice = sentences.learn_speech(["Mend the crucible."]), sentences.learn_speech(["Mend the crucible.", "Break the crucible."])
    assert dict(sentences.ask("Mend the crucible.", once)) == {"about": {"things": "the crucible"}}
    assert dict(sentences.ask("Mend the crucible.", twice)) == {}


# --- records ------------------------------------------------------------------------------------------------------------

def test_a_manual_is_asked_well(tmp_path):
    _, records = records_of(folder_of(tmp_path, manual=MANUAL))
    found = by_kind(records)
    assert found["definition"] == "The Kettle 7 is an electric kettle for ships. It boils a litre in four minutes."  # what "It" says, too
    assert found["has"] == "The kettle contains a heating coil and a whistle."
    assert found["made_of"] == "The body is made of copper."
    assert found["how_to"] == "To fill the kettle, lift the lid by its ring."
    assert found["who"] == "Ada Grimshaw tested the first kettle on the island of Skye."
    assert pairs(records)["How is it cleaned?"].startswith("Boil a cup of vinegar in it. Then rinse twice.")
    assert any(record["messages"][2]["content"] == "Power: 900 W" and '"Power"' in record["messages"][1]["content"] for record in records)
    assert any('"Overview"' in question and answer.startswith("The Kettle 7 is") for question, answer in pairs(records).items())
    assert all(check(ChatRecord, record) for record in records)


def test_answers_are_the_bytes_they_name(tmp_path):
    folder_of(tmp_path, manual=MANUAL.replace("copper", "Kupfer ü").replace("ships. ", "ships.\u00a0 "), german=GERMAN)
    raw = {text.name: text for text in texts.read_folder(tmp_path, LIMIT)}
    _, records = records_of(tmp_path)
    assert len(records) > 20
    for record in records:
        (document,) = record["provenance"]["documents"]
        source = raw[document["id"].removeprefix("text:")]
        said = source.raw[document["start"]:document["end"]].decode()
        bare = re.sub(r"^- ", "", said, flags=re.M)
        assert document["sha256"] == source.sha256
        assert " ".join(record["messages"][2]["content"].split()) == " ".join(bare.split())


def test_of_other_languages_only_what_needs_no_grammar_is_asked(tmp_path):
    chunks, records = records_of(folder_of(tmp_path, german=GERMAN))
    assert set(by_kind(records)) <= {"asked", "heading", "entry", "after", "opening"} and len(records) >= 3
    assert pairs(records)["Wie wird er gereinigt?"] == "Man kocht darin Essig. Danach spült man ihn zweimal."
    assert questions.foreign(chunks) == ["german.txt"]


def test_no_question_and_no_answer_is_in_two_chunks(tmp_path):
    folder_of(tmp_path, one=MANUAL, two="Preface\n\nThis is another kettle, of another maker.\n\n" + MANUAL)
    _, records = records_of(tmp_path)
    asked = Counter(record["messages"][1]["content"].lower() for record in records)
    owners = {}
    for record in records:
        owners.setdefault(record["messages"][2]["content"], set()).add(record["provenance"]["split_group"])
    assert max(asked.values()) == 1 and all(len(groups) == 1 for groups in owners.values())


def test_the_same_seed_gives_the_same_records(tmp_path):
    folder_of(tmp_path, manual=MANUAL)
    first, again, other = (records_of(tmp_path, seed=seed)[1] for seed in (1, 1, 2))
    assert first == again and pairs(first) != pairs(other)
    assert all(record["provenance"]["seed"] == 1 for record in first)


def test_at_most_so_many_a_chunk(tmp_path):
    _, records = records_of(folder_of(tmp_path, manual=MANUAL), a_chunk=2)
    assert set(Counter(record["provenance"]["split_group"] for record in records).values()) <= {1, 2}


def test_no_wording_dominates(tmp_path):
    rng = random.Random(0)
    things = ["crucible", "gasket", "flange", "bellows", "spindle", "rotor", "gimbal", "trunnion", "sprocket", "pawl", "ratchet", "bobbin"]
    drawn = [rng.sample(things, 3) for _ in range(300)]
    lines = [f"The {a} {b} is a part of the {c} that turns number {n}." for n, (a, b, c) in enumerate(drawn)]
    text = "\n\n".join(" ".join(lines[at:at + 6]) for at in range(0, 300, 6))
    _, records = records_of(folder_of(tmp_path, parts=text), limit=90)
    shapes = Counter(re.sub("|".join(things), "x", record["messages"][1]["content"]) for record in records
                     if record["tags"]["scenario"] == "definition")
    assert sum(shapes.values()) > 100 and len(shapes) >= 10 and max(shapes.values()) < 0.25 * sum(shapes.values())


def test_every_phrase_can_be_filled():
    known = {"heading": {"heading"}, "entry": {"term"}, "after": {"sentence"}, "opening": {"name"}, "who": {"deed"},
             "time": {"time", "Time"}, "reason": {"clause", "Clause"}, "how_to": {"act"}, "if": {"clause"}, "when": {"clause"},
             "must": {"s"}, "about": {"things"},
             "has": {"s", "does", "base", "has"}, "done_when": {"s", "be", "done"}, "done_by": {"s", "be", "done"}}
    for kind, found in questions.phrases().items():
        for phrase in found:
            assert slots(phrase) <= known.get(kind, {"s", "be"}), kind
            asked = fill(phrase, random.Random(0), {slot: "x" for slot in slots(phrase)})
            assert asked[-1] in ".?x:" and "  " not in asked


def test_held_out_chunks_are_never_trained_on(tmp_path):
    _, records = records_of(folder_of(tmp_path, manual=MANUAL), limit=15)
    splits = questions.split_records(records, {"validation": 0.1, "test": 0.1}, 42)
    groups = {name: {record["provenance"]["split_group"] for record in rows} for name, rows in splits.items()}
    assert list(splits) == ["train", "validation", "test"] and all(splits.values())
    assert not groups["train"] & (groups["validation"] | groups["test"]) and not groups["validation"] & groups["test"]
    assert sum(map(len, splits.values())) == len(records)
    turned = questions.split_records(records[::-1], {"validation": 0.1, "test": 0.1}, 42)
    assert all(rows == turned[name][::-1] for name, rows in splits.items())  # the order of the records decides nothing


def test_too_little_text_is_refused(tmp_path):
    _, records = records_of(folder_of(tmp_path, short="The valve is a part of the pump."))
    with pytest.raises(UserError, match="1 chunks that something can be asked about"):
        questions.split_records(records, {"validation": 0.1, "test": 0.1}, 42)


# --- a teacher ----------------------------------------------------------------------------------------------------------

def test_a_teacher_words_questions_and_its_faults_are_refused(tmp_path):
    pytest.importorskip("openai", reason="openai is not installed: ./setup_local.sh --add teacher")
    from chat_server import serving
    from weatherman.dialogue.teacher import Cache, Teacher, endpoint, load_settings
    _, records = records_of(folder_of(tmp_path, manual=MANUAL))
    records = [record for record in records if record["tags"]["scenario"] in ("has", "made_of")]
    settings = load_settings()
    settings = {**settings, "client": {**settings["client"], "timeout_s": 5.0, "retries": 0, "in_flight": 1}}

    def script(number, body):
        coil = "heating coil" in body["messages"][1]["content"]
        return "Which parts make up the kettle, its coil and whistle?" if coil else "Sure! What is Mars?"

    with serving(script) as server:
        complete = endpoint(server.address, "m", settings["client"], {"*": "NO_SUCH_KEY"})
        teacher = Teacher(complete, "m", Cache(tmp_path / "answers.jsonl"), settings)
        taught, figures = questions.taught(teacher, records)
    before, after = by_kind(records), by_kind(taught)
    assert before == after  # the answers stay the text's own
    assert pairs(taught)["Which parts make up the kettle, its coil and whistle?"] == before["has"]
    assert figures["questions taught"] == 1 and figures["questions refused: preamble"] == 1
