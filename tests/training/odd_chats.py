"""Chat records as awkward as people write them: accents in two spellings, emoji, blanks at the edges, code, several turns, errors."""
import json
import random

from training.conftest import TOOLS, chat

FRAGMENTS = ["It is 21.4 °C in São Paulo", "re\u0301sume\u0301", "naïve", "北京の天気", "Привет", "مرحبا", "\U0001f44d\U0001f3fd", "🌧️☔",
             "\U0001f469\u200d\U0001f469\u200d\U0001f467", "½", "—", "“so”", "\u00a0", "\u200b", "\n", "\n\n", "\t", "  ", "   leading",
             "trailing  ", "don't", "I'LL", "1234567", '{"a": [1, null]}', "if x < 3 && y > 2:", "[1] and (2)", "\\n", "#", "a|b",
             "<b>bold</b>", "user", "assistant", "ipython", "C:\\rain", "100 %", "ﬁne", "Ⅷ", "Tell me.", "Why?", "Rain."]
RESULTS = ['{"error": true, "reason": "Latitude must be in range of -90 to 90°. Given: 407.1."}',
           '{"error":true,"reason":"Niagara \\"Falls\\"\\nnot found"}', '{"current": {"temperature_2m": -0.5, "place": "Malmö"}}', "[]"]


def said(rng):
    """Return a few fragments, with blanks at the edges now and then, never nothing but blanks."""
    text = "".join(rng.choice(FRAGMENTS) + rng.choice(["", " ", " ", "\n"]) for _ in range(rng.randint(1, 6)))
    return text if text.strip() else text + "fog"


def odd_chat(number):
    """Return a chat record (dict), a function of `number` alone: one to four questions, in half of them calls, errors among the results."""
    rng = random.Random(number)
    record = chat(f"odd:{number}", said(rng), said(rng), system=said(rng))
    messages = record["messages"] if rng.random() < 0.8 else record["messages"][1:]
    for _ in range(rng.randint(0, 3)):
        messages += [{"role": "user", "content": said(rng)}, {"role": "assistant", "content": said(rng)}]
    if rng.random() < 0.5:
        record["tools"] = TOOLS
        at = rng.choice([at for at, message in enumerate(messages) if message["role"] == "assistant"])
        messages[at:at] = exchange(rng)
    return {**record, "messages": messages}


def exchange(rng):
    """Return one or two calls of one turn and their results."""
    calls, results = [], []
    for _ in range(rng.randint(1, 2)):
        call_id = "".join(rng.choices("abcXYZ019", k=9))
        arguments = {"latitude": rng.choice([-9.1, 38.7, 407.1, 1e-7, 12]), "longitude": 2.5,
                     "unit": rng.choice(["celsius", "°F", 'a "b"'])}
        function = {"name": "get_current_weather", "arguments": json.dumps(arguments, ensure_ascii=rng.random() < 0.5)}
        calls.append({"id": call_id, "type": "function", "function": function})
        results.append({"role": "tool", "content": rng.choice(RESULTS), "tool_call_id": call_id, "name": "get_current_weather"})
    return [{"role": "assistant", "content": "", "tool_calls": calls}, *results]
