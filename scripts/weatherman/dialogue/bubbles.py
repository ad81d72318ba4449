"""A conversation as chat bubbles: who speaks, which tools are called side by side, and what they return, folded."""
import json

from weatherman.dialogue.mixture import kind_of
from weatherman.dialogue.weather_api import WMO
from weatherman.html import join, tag

SUMMARY_CHARS = 90

BUBBLE_STYLE = """
.chat { margin: 1rem 0; display: flex; flex-direction: column; gap: .5rem; }
.chat .about { color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
.bubble { border: 1px solid var(--line); border-radius: 14px; padding: .5rem .9rem; max-width: 85%; width: fit-content;
          white-space: pre-wrap; overflow-wrap: anywhere; background: var(--paper); }
.bubble small { display: block; color: var(--soft); font-size: .75rem; }
.bubble.user { align-self: flex-end; border-bottom-right-radius: 3px; background: var(--faint); }
.bubble.assistant { border-bottom-left-radius: 3px; border-color: var(--second); }
.bubble.system { align-self: center; border-style: dashed; font-size: .88rem; color: var(--soft); }
.calls { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: .5rem; max-width: 100%; }
.call { border: 1px solid var(--line); border-left: 4px solid var(--first); border-radius: 6px; padding: .45rem .7rem; min-width: 0;
        font-size: .85rem; overflow-wrap: anywhere; }
.call summary { cursor: pointer; } .call summary::marker { color: var(--second); }
.call pre { overflow-x: auto; margin: .4rem 0 0; padding: .5rem; background: var(--paper); font-size: .78rem; line-height: 1.4; }
"""


def conversation(record, split):
    """Return a card with one conversation. A call stands together with the result that answers it."""
    results = {m["tool_call_id"]: m["content"] for m in record["messages"] if m["role"] == "tool"}
    tags = " · ".join([split, kind_of(record["tags"]), *(str(value) for value in record["tags"].values() if value)])
    parts = [tag("span", tag("b", record["id"]), f" · {tags}", class_="about")]
    for message in record["messages"]:
        if message["role"] != "tool" and message["content"].strip():
            parts.append(tag("div", tag("small", message["role"]), message["content"], class_=f"bubble {message['role']}", dir="auto"))
        if message.get("tool_calls"):
            parts.append(tag("div", *(call_card(call, results.get(call["id"], "")) for call in message["tool_calls"]), class_="calls"))
    return tag("article", *parts, class_="card chat")


def call_card(call, result):
    """Return a call with its arguments, and its result: a summary that opens to the whole JSON."""
    function = call["function"]
    try:
        arguments = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in json.loads(function["arguments"]).items())
        body = json.loads(result)
        shown = json.dumps(body, ensure_ascii=False, indent=2)
    except (ValueError, AttributeError):
        arguments, body, shown = function["arguments"], None, result
    return tag("div", tag("code", join([tag("b", function["name"]), f"({arguments})"])),
               tag("details", tag("summary", "returns: ", summary(body, result)), tag("pre", shown)), class_="call")


def summary(body, text):
    """Return what a tool result says in a few words; the beginning of its text where it is of no known form."""
    if isinstance(body, dict):
        if body.get("error"):
            return f"error: {body.get('reason', 'no reason')}"
        if isinstance(body.get("results"), list) and body["results"]:
            return f"{', '.join(str(place.get('name')) for place in body['results'][:3])} ({len(body['results'])} found)"
        now, daily = body.get("current"), body.get("daily")
        if isinstance(now, dict) and now.get("temperature_2m") is not None:
            unit = body.get("current_units", {}).get("temperature_2m", "")
            return f"{now['temperature_2m']} {unit}, {WMO.get(now.get('weather_code'), 'no condition')}, at {now.get('time')}"
        if isinstance(daily, dict) and daily.get("time"):
            return f"{len(daily['time'])} days from {daily['time'][0]}"
    return text if len(text) <= SUMMARY_CHARS else f"{text[:SUMMARY_CHARS]}…"
