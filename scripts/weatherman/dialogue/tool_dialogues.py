"""Tool dialogues: a scenario and a persona, told in one of the voices, become a chat record whose answers follow from the tool results."""
import random
from functools import lru_cache
from itertools import accumulate

import orjson

from weatherman.dialogue import world
from weatherman.dialogue.conversation import Conversation
from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.mixture import largest_remainder
from weatherman.dialogue.scenarios import SCENARIOS
from weatherman.dialogue.voices import VOICES, load_voices

LICENSE = "CC0-1.0, written for Weatherman-LoRA; places from GeoNames, CC BY 4.0"
TONES = {"neutral": "neutral", "twain": "humorous", "franklin": "didactic"}


def plan(settings, count, seed):
    """Return `count` pairs (scenario, persona), both exactly to quota, in seeded order. settings: data_config's tool_use as a dict."""
    rng = random.Random(f"{seed}:plan")
    columns = []
    for shares in (settings["scenarios"], settings["personas"]):
        column = [name for name, rows in largest_remainder(count, shares).items() for _ in range(rows)]
        rng.shuffle(column)
        columns.append(column)
    return list(zip(*columns))


class Writer:
    """Writes dialogues from the voices and cities; `dialogue` is a function of its arguments, the seed and the settings alone.

    settings: data_config's tool_use as a dict.
    """

    def __init__(self, seed, settings, folder=VOICES):
        self.seed, self.settings = seed, settings
        self.voices, self.cities = load_voices(folder), world.load_cities()
        self.weights = list(accumulate(voice.weight for voice in self.voices))

    def dialogue(self, number, scenario, persona, attempt=0):
        """Return the chat record (dict) of dialogue `number`. Another `attempt` draws it anew."""
        rng = random.Random(f"{self.seed}:{number}:{attempt}")
        voice = rng.choices(self.voices, cum_weights=self.weights)[0]
        talk = Conversation(voice, self.cities, rng, persona, self.settings)
        SCENARIOS[scenario](talk)
        return {"id": f"tool:{self.seed}:{number:06d}", "messages": talk.messages, "tools": talk.tools(),
                "tags": {"persona": persona, "tone": TONES[persona], "domain": "tool_use", "source": "synthetic", "scenario": scenario},
                "provenance": {"documents": [{"id": f"voice:{voice.name}", "sha256": voice.sha256, "start": 0, "end": voice.size,
                                              "license": LICENSE}],
                               "generator": f"07_generate_tool_use/{scenario}", "seed": self.seed, "split_group": f"voice:{voice.name}"}}


def draft_all(seed, settings, numbered):
    """Return [draft] of attempt 0 for each (number, (scenario, persona)): a worker's share of the dialogues."""
    return [draft(seed, settings, number, pair, 0) for number, pair in numbered]


def draft(seed, settings, number, pair, attempt):
    """Return (record, problem) of one dialogue; problem: "reason: detail" of the first gate that refuses it, None when all let it pass.

    settings: data_config's tool_use as JSON bytes.
    """
    record = _writer(seed, settings).dialogue(number, *pair, attempt)
    return record, find_problem(record)


@lru_cache(maxsize=1)
def _writer(seed, settings):
    return Writer(seed, orjson.loads(settings))


def find_problem(record):
    """Return "reason: detail" for the first gate that refuses a record, None when all let it pass."""
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
