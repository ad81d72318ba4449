"""Hand-made passages, records and tool results for the tests of the dialogue half."""
import json

SHA = "a" * 64
STORM = ("The storm came down on the river before supper. "
         "The captain stood by the wheel and swore at the storm in a low and steady voice. "
         "“Hold her off the bar,” said the captain. "
         "The pilot held her off the bar. In the end the river had its way, as it generally does, "
         "and the captain went below and ate his supper cold. Nobody spoke of it at Natchez, though in Natchez everybody had watched. "
         "By morning the river was as smooth as a tablecloth, and the pilot said that he had planned it so from the first.")


def passage(number=1, **changes):
    """Return a valid Passage of a book as a dict."""
    row = {"id": f"gutenberg:9001#{number:06d}", "source": "gutenberg", "text": STORM, "title": "The River", "author": "A Humorist",
           "persona": "twain", "year": 1880, "url": "9/0/0/9001.txt", "license": "CC0", "document_sha256": SHA, "start": 9_000 * number,
           "end": 9_000 * number + len(STORM.encode()), "word_count": len(STORM.split()), "matched_keywords": ["storm"]}
    return {**row, **changes}


def headline(number=1, text="Local Barometer Resigns After Disappointing Forecast", **changes):
    row = {"id": f"reddit:{number}", "source": "reddit-theonion", "text": text, "title": text, "author": "", "persona": "neutral",
           "matched_keywords": ["forecast"]}
    return passage(number, **{**row, **changes})


def record(number=1, source="gutenberg", persona="twain", group="literary:0", user="Tell me.", answer="A thing was told.", **changes):
    """Return a valid chat record as a dict."""
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    row = {"id": f"r:{number}", "messages": messages, "tools": [],
           "tags": {"persona": persona, "tone": "neutral", "domain": "general", "source": source},
           "provenance": {"documents": [{"id": f"doc:{group}", "sha256": SHA, "start": 0, "end": 1, "license": "CC0"}],
                          "generator": "test", "seed": 1, "split_group": group}}
    return {**row, **changes}


def current_result(temperature=12.4, code=61, wind=18.0, humidity=81):
    return {"current_units": {"time": "iso8601", "temperature_2m": "°C", "apparent_temperature": "°C", "relative_humidity_2m": "%",
                              "weather_code": "wmo code", "wind_speed_10m": "km/h"},
            "current": {"time": "2026-06-16T08:45", "temperature_2m": temperature, "apparent_temperature": temperature - 2,
                        "relative_humidity_2m": humidity, "weather_code": code, "wind_speed_10m": wind}}


def forecast_result():
    """Return three days from Tuesday 16 June 2026: dry, rain, snow."""
    return {"daily_units": {"time": "iso8601", "weather_code": "wmo code", "temperature_2m_max": "°C", "temperature_2m_min": "°C",
                            "precipitation_probability_max": "%", "wind_speed_10m_max": "km/h"},
            "daily": {"time": ["2026-06-16", "2026-06-17", "2026-06-18"], "weather_code": [0, 61, 71],
                      "temperature_2m_max": [21.5, 14.0, 2.5], "temperature_2m_min": [11.0, 6.5, -3.0],
                      "precipitation_probability_max": [5, 80, 65], "wind_speed_10m_max": [10.0, 22.0, 31.0]}}


def conversation(user, result, answer, name="get_forecast"):
    """Return the messages of one question, one call, one answer."""
    call = {"id": "a1B2c3D4e", "type": "function", "function": {"name": name, "arguments": "{}"}}
    told = json.dumps(result, ensure_ascii=False)
    return [{"role": "user", "content": user}, {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": told, "tool_call_id": "a1B2c3D4e", "name": name},
            {"role": "assistant", "content": answer}]


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
