"""What a chat record is about and how it sounds, by rules from what is known of its passage."""

TONES = {"gutenberg-twain": "humorous", "gutenberg-franklin": "didactic", "reddit-theonion": "satirical", "reddit-nottheonion": "ironic"}


def tags_of(passage, weather_words):
    """Return the tags of a record made from a Passage (dict): headlines are humour, texts that mention the weather are weather.

    weather_words: the configured weather keywords, which `matched_keywords` is drawn from.
    """
    source = passage["source"]
    if source.startswith("reddit"):
        tone, domain = TONES[source], "humor"
    else:
        tone = TONES.get(f"gutenberg-{passage['persona']}", "neutral")
        domain = "weather" if set(passage["matched_keywords"]) & set(weather_words) else "general"
    return {"persona": passage["persona"], "tone": tone, "domain": domain, "source": source}
