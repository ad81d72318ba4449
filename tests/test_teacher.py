"""The teacher: a real HTTP server that misbehaves, a cache that is killed, and every check with the fault it must fire on."""
import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_server import serving
from dialogue_records import conversation, current_result, passage, read, record, write_jsonl
from paths import SCRIPTS_DIR
from weatherman.cli import UserError
from weatherman.dialogue import lesson_checks, lessons
from weatherman.dialogue.lessons import TAUGHT, better_prompt, other_wording, plain_pair, teach
from weatherman.dialogue.teacher import (
    Cache,
    NoReply,
    Reply,
    Teacher,
    add_teacher_flags,
    checked_endpoint,
    endpoint,
    load_settings,
    open_teacher,
    read_reply,
    request_key,
    teacher_identity,
)

pytest.importorskip("openai", reason="openai is not installed: ./setup_local.sh --add teacher")

SETTINGS = load_settings()
CLIENT = {"timeout_s": 0.4, "retries": 1, "in_flight": 1, "max_failures": 3}
KEYS = {"*": "TEACHER_API_KEY"}
ASKED = [{"role": "user", "content": "Hello?"}]
TEXT = ("The storm came down on the river before supper. The captain stood by the wheel with old Jonas and swore at the storm in a low and "
        "steady voice, and by morning the river at Natchez was as smooth as a tablecloth, and 12 barrels of flour had gone overboard.")
PLAIN = ("A storm reached the river before the evening meal. Next to the wheel the captain and old Jonas stayed at their post, the captain "
         "cursing quietly without a pause. When day broke the water near Natchez lay completely flat, but 12 flour barrels were lost.")
PROMPT = "What did the captain do when the storm hit the river?"
COOL = "In Porto it is 12.4 °C, and the wind, which owes nobody money, spends itself freely at 18 km/h."
REWORDED = "Porto has 12.4 °C. The wind is spending 18 km/h like money it owes to nobody."


@pytest.fixture(autouse=True)
def no_keys(monkeypatch, tmp_path):
    for name in ("TEACHER_API_KEY", "OPENAI_API_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))


def teacher_of(server, path, limit=None, **client):
    client = {**CLIENT, **client}
    complete = endpoint(server.address, "m", client, KEYS)
    return Teacher(complete, "m", Cache(path / "answers.jsonl"), {**SETTINGS, "client": client}, limit)


def story(number=1, answer=TEXT, **changes):
    system = {"role": "system", "content": "You are Mark Twain."}
    turns = [system, {"role": "user", "content": "Tell me."}, {"role": "assistant", "content": answer}]
    row = record(number, messages=turns, **changes)
    row["provenance"]["generator"] = "06_format_chat/describe"
    return row


def weather(answer=COOL, number=1, persona="twain"):
    row = record(number, source="synthetic", persona=persona)
    return {**row, "messages": conversation("How is it in Porto?", current_result(), answer, "get_current_weather"),
            "tools": [{"type": "function", "function": {"name": "get_current_weather", "parameters": {}}}]}


# --- the endpoint -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("script,requests", [
    (["hello"], 1), ([("status", 429, "slow down", {"Retry-After": "0.2"}), "hello"], 2), ([("status", 500, "oops"), "hello"], 2),
    ([("raw", b'{"choices": [{"mess'), "hello"], 2), ([("reset",), "hello"], 2)])
def test_a_fault_that_passes_is_asked_again(script, requests):
    with serving(script) as server:
        assert endpoint(server.address, "m", CLIENT, KEYS)(ASKED, {"max_tokens": 5}) == Reply("hello", "stop", 10, 3)
        assert len(server.log) == requests
        assert server.log[0][2] == {"model": "m", "messages": ASKED, "max_tokens": 5}
        if script[0][0:2] == ("status", 429):
            assert server.log[1][0] - server.log[0][0] >= 0.2


@pytest.mark.parametrize("answer,message,final,requests", [
    (("status", 500, "oops"), "500 - oops", False, 2),
    (("status", 429, "no more today", {"Retry-After": "3600"}), "Retry-After: 3600 s", False, 1),
    (("stall",), "APITimeoutError", False, 2), (("reset",), "APIConnectionError", False, 2),
    (("raw", b"<html>busy</html>"), "no chat completion", False, 2), (("raw", b'{"choices": []}'), "no chat completion", False, 2),
    (("raw", b'{"choices": [{"message": null}]}'), "no chat completion", False, 2), (("raw", b"[]"), "no chat completion", False, 2),
    (("raw", b'{"choices": [{"message": {"content": 7}}]}'), "no chat completion", False, 2),
    (("status", 400, "context too long"), "context too long", True, 1), (("status", 422, "no such field"), "no such field", True, 1)])
def test_a_fault_that_stays_leaves_one_request_without_a_reply(answer, message, final, requests):
    with serving(lambda number, body: answer) as server:
        with pytest.raises(NoReply, match=message) as caught:
            endpoint(server.address, "m", CLIENT, KEYS)(ASKED, {})
        assert caught.value.final is final and len(server.log) == requests


def test_content_null_and_a_missing_usage_are_an_empty_reply():
    assert read_reply(b'{"choices": [{"message": {"content": null}, "finish_reason": null}]}') == Reply("", "stop", 0, 0)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["choices", "message", "content", "finish_reason", "usage", "prompt_tokens"]), inner, max_size=4), max_leaves=12))
def test_any_json_is_a_reply_or_none(value):
    reply = read_reply(json.dumps(value).encode())
    assert reply is None or isinstance(reply.content, str)


def test_a_wrong_key_stops_at_once_and_is_never_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHER_API_KEY", "sk-very-secret")
    with serving(lambda number, body: ("refuse_key",)) as server:
        with pytest.raises(UserError, match="refused the key") as caught:
            teach(teacher_of(server, tmp_path), better_prompt, [story(n) for n in range(50)], "prompts")
        assert len(server.log) <= 2 and server.log[0][1]["authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in f"{caught.value} {caught.value.hint}" and "wrong key: ***" in str(caught.value)
    assert not (tmp_path / "answers.jsonl").exists()


def test_an_unknown_model_stops_at_once():
    with serving([("status", 404, "the model `m` does not exist")]) as server, pytest.raises(UserError, match='has no model "m"'):
        endpoint(server.address, "m", CLIENT, KEYS)(ASKED, {})


@pytest.mark.parametrize("url,message", [
    ("https://me:secret@api.example.org/v1", "holds a user name or password"), ("https://api.example.org/v1?key=secret", "holds a query"),
    ("ftp://api.example.org", "no http"), ("https://", "no http|not a web"), ("http://api.example.org/v1", "unencrypted"),
    ("https://api.groq.com/openai/v1", "needs GROQ_API_KEY")])
def test_addresses_that_are_refused(url, message, monkeypatch):
    monkeypatch.setenv("TEACHER_API_KEY", "k")
    with pytest.raises(UserError, match=message) as caught:
        checked_endpoint(url, SETTINGS["keys"])
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_the_key_goes_by_the_host(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "g\n")
    monkeypatch.setenv("OPENAI_API_KEY", "o")
    assert checked_endpoint("https://api.groq.com/openai/v1", SETTINGS["keys"])[2] == "g"
    assert checked_endpoint("https://api.openai.com/v1", SETTINGS["keys"])[2] == "o"
    assert checked_endpoint("https://elsewhere.example.org/v1", SETTINGS["keys"])[2] is None
    assert checked_endpoint("http://localhost:8000/v1", SETTINGS["keys"])[2] is None


# --- the cache --------------------------------------------------------------------------------------------------------

def test_the_request_key_depends_on_what_is_asked_and_on_nothing_else():
    assert request_key("m", ASKED, {"a": 1, "b": 2}) == request_key("m", ASKED, {"b": 2, "a": 1})
    others = [("n", ASKED, {"a": 1, "b": 2}), ("m", [], {"a": 1, "b": 2}), ("m", ASKED, {"a": 1, "b": 3})]
    assert len({request_key("m", ASKED, {"a": 1, "b": 2}), *(request_key(*other) for other in others)}) == 4


@settings(max_examples=30)
@given(st.text(), st.integers(0, 400))
def test_a_torn_line_costs_that_answer_only(tmp_path_factory, content, cut):
    path = tmp_path_factory.mktemp("cache") / "answers.jsonl"
    cache = Cache(path)
    cache.put("a", "m", Reply("first", "stop", 1, 1))
    whole = path.stat().st_size
    cache.put("b", "m", Reply(content, "stop", 1, 1))
    path.write_bytes(path.read_bytes()[:max(whole, path.stat().st_size - cut)])
    again = Cache(path)
    assert again.get("a") == Reply("first", "stop", 1, 1) and again.get("b") in (None, Reply(content, "stop", 1, 1))
    again.put("c", "m", Reply("third", "stop", 1, 1))
    assert Cache(path).get("c").content == "third"


def test_a_damaged_line_is_left_out(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('nonsense\n[1]\n{"request": "a"}\n{"request": "b", "reply": {"content": "x", "finish_reason": "stop", "extra": 1}}\n')
    cache = Cache(path)
    assert cache.get("a") is None and cache.get("b") is None


# --- lessons through a real server -------------------------------------------------------------------------------------

def test_a_good_prompt_replaces_the_grammar_and_a_second_run_asks_nothing(tmp_path):
    with serving(lambda number, body: f'"{PROMPT}"') as server:
        for requests in (1, 0):
            teacher = teacher_of(server, tmp_path)
            made, figures = teach(teacher, better_prompt, [story()], "prompts")
            assert teacher.figures()["teacher requests"] == requests
        assert len(server.log) == 1 and TEXT in server.log[0][2]["messages"][1]["content"]
    new = made["r:1"]
    assert [message["content"] for message in new["messages"]] == ["You are Mark Twain.", PROMPT, TEXT]
    assert new["provenance"]["generator"] == "06_format_chat/describe/m" and figures == {TAUGHT: 1, "kept as written": 0, "not asked": 0}


def test_a_refused_answer_is_told_why_and_asked_again(tmp_path):
    with serving(["", "Sure! Here is the message: what happened?", PROMPT]) as server:
        teacher = teacher_of(server, tmp_path)
        assert better_prompt(teacher, story())[0]["messages"][1]["content"] == PROMPT
        told = [body["messages"][-1]["content"] for _, _, body in server.log[1:]]
        assert [len(body["messages"]) for _, _, body in server.log] == [2, 4, 4]
    assert SETTINGS["reasons"]["empty"] in told[0] and SETTINGS["reasons"]["preamble"] in told[1]
    assert teacher.figures()["teacher tokens"] == "30 read, 9 written"


def test_what_stays_faulty_is_kept_as_written_and_counted(tmp_path):
    with serving(lambda number, body: ("say", PROMPT, "length")) as server:
        made, figures = teach(teacher_of(server, tmp_path), better_prompt, [story(1), story(2, answer=TEXT + " So it was.")], "prompts")
        assert len(server.log) == 4  # the second answer to a record is the first one again: the third try is the second, from the cache
    assert made == {} and figures == {TAUGHT: 0, "kept as written": 2, "not asked": 0, "refused: cut": 2}


def test_only_the_first_records_are_asked_about(tmp_path):
    with serving(lambda number, body: PROMPT) as server:
        rows = [story(n, answer=f"{TEXT} {n}") for n in range(5)]
        made, figures = teach(teacher_of(server, tmp_path, limit=2), better_prompt, rows, "prompts")
        assert len(server.log) == 2
    assert list(made) == ["r:0", "r:1"] and figures == {TAUGHT: 2, "kept as written": 0, "not asked": 3}


def test_requests_in_flight_do_not_change_the_order(tmp_path):
    def script(number, body):
        said = body["messages"][1]["content"]
        return "slow", 0.15 if "It was 0." in said else 0.0, PROMPT

    rows = [story(n, answer=f"{TEXT} It was {n}.") for n in range(6)]
    results = []
    for in_flight in (1, 4):
        with serving(script) as server:
            made, _ = teach(teacher_of(server, tmp_path / str(in_flight), in_flight=in_flight), better_prompt, rows, "prompts")
            results.append(json.dumps(made))
            assert len(server.log) == 6
    assert results[0] == results[1]


def test_unanswered_requests_stop_the_step_and_only_they_are_asked_again(tmp_path):
    rows = [story(n, answer=f"{TEXT} It was {n}.") for n in range(4)]
    with serving(lambda number, body: ("status", 500, "oops") if "It was 2." in str(body) else PROMPT) as server:
        with pytest.raises(UserError, match="1 prompts stayed without an answer"):
            teach(teacher_of(server, tmp_path, retries=0), better_prompt, rows, "prompts")
    with serving(lambda number, body: PROMPT) as server:
        assert len(teach(teacher_of(server, tmp_path), better_prompt, rows, "prompts")[0]) == 4
        assert len(server.log) == 1


def test_a_dead_endpoint_stops_the_run_soon(tmp_path):
    with serving(lambda number, body: ("status", 503, "down")) as server:
        with pytest.raises(UserError, match="failed 3 times in a row"):
            teach(teacher_of(server, tmp_path, retries=0), better_prompt, [story(n, answer=f"{TEXT} {n}") for n in range(50)], "prompts")
        assert len(server.log) <= 3 + 4


def test_a_request_that_the_endpoint_declines_leaves_its_record_as_written(tmp_path):
    with serving([("status", 400, "filtered"), PROMPT]) as server:
        figures = teach(teacher_of(server, tmp_path), better_prompt, [story(1), story(2, answer=TEXT + " So.")], "prompts")[1]
    assert figures == {TAUGHT: 1, "kept as written": 1, "not asked": 0, "refused: declined": 1}


def test_a_plain_version_is_retold_as_the_text_itself(tmp_path):
    with serving([TEXT, PLAIN]) as server:
        pair, outcome = plain_pair(teacher_of(server, tmp_path), story())
    request, _, plain = pair["messages"][1]["content"].partition("\n\n")
    assert outcome == TAUGHT and plain == PLAIN and request and pair["messages"][2]["content"] == TEXT and pair["id"] == "r:1:restyle"
    assert pair["provenance"]["generator"] == "06_format_chat/restyle/m"


def test_an_answer_is_reworded_under_the_same_gates(tmp_path):
    with serving(["In Porto it is 12.4 °C and snowing, and the money of the wind, which nobody owes, is 18 km/h.", REWORDED]) as server:
        new, outcome = other_wording(teacher_of(server, tmp_path), weather())
        assert "condition: snowing" in server.log[1][2]["messages"][-1]["content"]
    assert outcome == TAUGHT and new["messages"][-1]["content"] == REWORDED and new["messages"][:-1] == weather()["messages"][:-1]


def test_a_sentence_of_another_split_group_is_not_taken(tmp_path):
    """The second record is about another place and number, so it is no duplicate; its sentence is the first one's."""
    rows = [weather(number=1), weather(COOL.replace("Porto", "Faro").replace("12.4", "15.5"), number=2)]
    rows[1]["messages"][0]["content"], rows[1]["messages"][2]["content"] = "How is it in Faro?", json.dumps(current_result(15.5))
    rows[1]["provenance"] = {**rows[1]["provenance"], "split_group": "voice:other"}
    in_faro = REWORDED.replace("Porto", "Faro").replace("12.4", "15.5")
    with serving(lambda number, body: REWORDED if "Porto" in str(body) else in_faro) as server:
        made, figures = teach(teacher_of(server, tmp_path), other_wording, rows, "answers")
    assert list(made) == ["r:1"] and figures == {TAUGHT: 1, "kept as written": 1, "not asked": 0, "refused: said_elsewhere": 1}


def test_a_conversation_is_not_said_twice(tmp_path):
    with serving(lambda number, body: PROMPT) as server:
        made, figures = teach(teacher_of(server, tmp_path), better_prompt, [story(1), story(2)], "prompts")
    assert list(made) == ["r:1"] and figures == {TAUGHT: 1, "kept as written": 1, "not asked": 0, "refused: duplicate": 1}


# --- the checks, each with a planted fault -----------------------------------------------------------------------------

COMMON = {"empty": "", "tokens": "What happened?<|im_end|>", "preamble": "Sure! Here is the message.",
          "language": "Was hat der Kapitän getan, als der Sturm über den Fluss kam und alle Leute schliefen?"}


@pytest.mark.parametrize("reason,text", [*COMMON.items(), ("tokens", "[INST] What happened? [/INST]"), ("tokens", "<think>Hm.</think> So?"),
                                         ("preamble", "As an AI, I have no captain."), ("preamble", "Here's a prompt for the captain."),
                                         ("preamble", "I'm sorry, but I can't help with that."), ("preamble", "User: what happened?"),
                                         ("preamble", "The answer is: a captain."), ("preamble", "You were asked: what happened?")])
def test_common_faults(reason, text):
    assert lesson_checks.common_fault(text, TEXT) == reason


def test_sound_answers_have_no_common_fault():
    for text in (PROMPT, PLAIN, REWORDED, "Surely you remember the captain, sir?", "I can't sleep. Tell me of the storm, would you?"):
        assert lesson_checks.common_fault(text, TEXT) is None
    sorry = "I am sorry, but I am unable to provide the weather of a past day."
    assert lesson_checks.common_fault(sorry, sorry) is None  # the answer itself declines


@pytest.mark.parametrize("reason,text", [
    (None, PROMPT), ("too_short", "The captain?"), ("too_long", "Tell me about the captain and the storm. " * 10),
    ("lines", "Tell me about the captain.\nAnd the storm."), ("about_the_text", "What does the captain do in this passage?"),
    ("quotes", "Is it so that the captain stood by the wheel with old Jonas and swore?"),
    ("invented: Memphis", "What did the captain do at Memphis in the storm?"),
    ("invented: 13", "Where did the captain lose 13 barrels of flour?"),
    ("off_topic", "Could you explain how the president governs the economy?"), ("off_topic", "Could you tell me some story, please?"),
    (None, "Mr. Twain, was the captain angry, Mr. Twain, about the storm?")])
def test_prompt_faults(reason, text):
    assert lesson_checks.prompt_fault(text, TEXT, SETTINGS["prompt"]) == reason


@pytest.mark.parametrize("reason,text", [
    (None, PLAIN), ("too_short", "A captain cursed a storm at Natchez with Jonas and lost 12 barrels."), ("too_long", PLAIN * 2),
    ("lost: Jonas", PLAIN.replace("Jonas", "friend")), ("lost: 12", PLAIN.replace("12", "some")),
    ("unchanged", TEXT.replace("low", "quiet"))])
def test_plain_faults(reason, text):
    assert lesson_checks.plain_fault(text, TEXT, SETTINGS["restyle"]) == reason


@pytest.mark.parametrize("reason,text", [
    (None, REWORDED), ("too_short", "12.4 °C, 18 km/h."), ("too_long", REWORDED * 3), ("unchanged", COOL.replace("freely", "gladly")),
    ("lost: Porto", REWORDED.replace("Porto", "The town")), ("lost: 18", REWORDED.replace("18 km/h", "itself")),
    ("persona", REWORDED + " So says Franklin."), ("voice", "In Porto it is now 12.4 °C with wind at 18 km/h, which is all for now."),
    ("ungrounded: number: 9 °C", REWORDED + " At night, 9 °C.")])
def test_wording_faults(reason, text):
    fault = lesson_checks.wording_fault(text, weather(), SETTINGS["rewrite"])
    assert fault == reason or fault.startswith(f"{reason} (")  # grounding may add what the result has


def test_a_neutral_answer_needs_no_voice():
    bare = "In Porto it is now 12.4 °C with wind at 18 km/h, which is all for now."
    assert lesson_checks.wording_fault(bare, weather(persona="neutral"), SETTINGS["rewrite"]) is None


def test_a_record_that_would_not_be_valid_is_refused():
    assert lessons.changed(story(), Namespace(model="m"), {1: "  "}) == (None, "invalid")


def test_every_reason_has_its_words_and_every_slot_its_fact():
    for reason in SETTINGS["reasons"].values():
        assert reason.format(detail="x") and SETTINGS["again"].format(reason=reason)
    for task in ("prompt", "restyle", "rewrite"):
        for role in ("system", "user"):
            SETTINGS[task][role].format(**lessons.slots(story(), 1))


# --- flags and scripts -------------------------------------------------------------------------------------------------

def arguments(*flags):
    parser = ArgumentParser()
    add_teacher_flags(parser, "What it does.")
    return parser.parse_args(flags)


def test_flags(tmp_path):
    assert open_teacher(arguments(), None) is None and teacher_identity(None) == {}
    for flags, message in ((["--teacher-model", "m"], "belong to --teacher"),
                           (["--teacher", "http://localhost:1/v1"], "needs --teacher-model"),
                           (["--teacher", "folder", "--teacher-model", "m"], "named by --teacher alone")):
        with pytest.raises(UserError, match=message):
            open_teacher(arguments(*flags), None)
    local = open_teacher(arguments("--teacher", "folder", "--teacher-limit", "3"), lambda name: (None, "folder@1"))
    assert teacher_identity(local)["teacher"]["model"] == "folder@1" and teacher_identity(local)["teacher"]["limit"] == 3
    assert local.settings["client"]["in_flight"] == 1 and "keys" not in teacher_identity(local)["teacher"]


def start(base, address, *flags, key="sk-hidden"):
    return subprocess.Popen([sys.executable, str(SCRIPTS_DIR / "06_format_chat.py"), "--teacher", address, "--teacher-model", "m", *flags],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={"WEATHERMAN_BASE_DIR": str(base), "PATH": "/usr/bin:/bin", "TEACHER_API_KEY": key})


def test_06_is_killed_and_goes_on_where_it_was(tmp_path):
    pytest.importorskip("textblob", reason="06 needs textblob: ./setup_local.sh")
    write_jsonl(tmp_path / "data/processed/unique.jsonl", [passage(n, text=passage()["text"] + f" It was {n}.") for n in range(1, 7)])
    with serving(lambda number, body: PROMPT if number < 4 else ("stall",)) as server:
        first = start(tmp_path, server.address)
        while len(server.log) < 5 and first.poll() is None:
            time.sleep(0.02)
        first.kill()
        first.communicate()
    cached = len(read(tmp_path / "data/synthetic/teacher/answers.jsonl"))
    assert 1 <= cached <= 4 and not (tmp_path / "data/processed/style_chat.jsonl").exists()
    with serving(lambda number, body: PROMPT if "message that the person had sent" in str(body) else "") as server:
        second = start(tmp_path, server.address, "--json")
        out, err = second.communicate(timeout=60)
        assert second.returncode == 0, err
        asked = [body for _, _, body in server.log if "message that the person had sent" in body["messages"][1]["content"]]
        assert len(asked) == 6 - cached
    notes = json.loads(out)["notes"]
    assert notes["prompts taught"] == 6 and notes["plain versions refused: empty"] == 6 and notes["teacher"] == "m"
    written = read(tmp_path / "data/processed/style_chat.jsonl")
    assert sum(row["messages"][1]["content"] == PROMPT for row in written) == 6
    for path in (tmp_path / "data").rglob("*.json*"):
        assert "sk-hidden" not in path.read_text() and "127.0.0.1" not in path.read_text(), path
    assert "sk-hidden" not in out + err


def test_without_openai_the_way_out_is_told(tmp_path):
    code = "import sys; sys.modules['openai'] = None; from weatherman.dialogue.teacher import import_openai; import_openai()"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS_DIR, capture_output=True, text=True, env={**os.environ})
    assert "which is not installed here" in done.stderr
