"""Answers composed from facts: what was asked first, then some more, each told once, and often a remark at the end.

An answer is planned, not chosen: how many facts it tells, which sentences of the voice tell them, and in which form the days of
a forecast stand. A sentence is eligible when its facts are known and none of them has been told.
"""
import re

from weatherman.dialogue.facts import current_facts, day_facts, forecast_facts, line_facts
from weatherman.dialogue.phrases import capital

FACTS_TOLD = (2, 2, 3, 3, 3, 4, 4, 5)   # facts of an answer about one moment or day, each as likely as it is often here
MAX_TELLS, MAX_SENTENCES = 3, 5         # phrases between the first and the remark; sentences from which on only what was asked is added
RUN_DAYS, RUN_SHARE = 3, 0.6            # up to so many days may stand in a run of clauses, and how often they do; else in a list
LONG = 5                                # days from which on a list is summed up more often
SHORT_SUMMARY, SUMMARY = (0, 0, 0, 1, 1), (0, 1, 1, 2, 2, 3)  # extremes that are told, each as likely as it is often here

# What a question asks for, by its words.
OPEN_AIR = r"washing|\bhay|picnic|barbecue|beach|garden party|concrete|painting"  # what only a dry day is good for
ASKED_NOW = {"wind": r"wind|breez|gust|blow", "humidity": r"humid|damp|sticky|muggy|moist|clammy", "feels": r"\bfeel",
             "sky": r"\bsky|rain|umbrella|\bwet|\bdry\b|sun|cloud|snow|pour",
             "temp": r"cold|warm|hot\b|temp|thermometer|degree|chill|coat|jacket|sweater|mild"}
ASKED_DAY = {"wind": ASKED_NOW["wind"], "chance": r"rain|umbrella|\bwet\b|\bdry\b|pour|snow|washed out|" + OPEN_AIR,
             "sky": r"\bsky|sun|cloud|" + OPEN_AIR,
             "high": r"warm|hot\b|\bheat\b|temp|degree|\bhigh|maximum", "low": r"cold|chill|coat|jacket|sweater|freez|\blow\b|minimum"}
ASKED_AHEAD = {"wet": r"rain|umbrella|\bwet|\bdry\b|pour|snow|\bbest\b|\bsuit\b|" + OPEN_AIR, "windy": ASKED_NOW["wind"],
               "warm": r"warm|hot\b|hottest|\bheat\b", "cold": r"cold|chill|freez|frost"}
GENERAL = {"now": {"temp", "sky"}, "day": {"high", "sky"}}  # what a question asks for that names no fact
STOP = re.compile(r"[.!?](?= |$)")
_ASKED = {kind: {fact: re.compile(words, re.I) for fact, words in table.items()}
          for kind, table in (("now", ASKED_NOW), ("day", ASKED_DAY), ("ahead", ASKED_AHEAD))}


def asked_facts(kind, question):
    """Return the facts that a question (its text without names) asks for; kind: now, day or ahead."""
    return {fact for fact, words in _ASKED[kind].items() if words.search(question)}


class Speaker:
    """Gives the answers of one persona of a voice. phrases: the persona's answers; remark_share: how often an answer has a remark;
    plain: whether its lists are tables.

    What has been said is not said again in the same words while there are others.
    """

    def __init__(self, phrases, rng, remark_share, plain):
        self.phrases, self.rng, self.remark_share, self.plain, self.used = phrases, rng, remark_share, plain, set()

    def now(self, current, place, asked=frozenset(), without=frozenset()):
        """Return (answer, facts told) about the weather now. place: its texts; `without`: facts that are kept back."""
        texts, tags = current_facts(current)
        if texts.get("feels") == texts["temp"] and "feels" not in asked:
            without = without | {"feels"}
        return self._moment("now", {**texts, **place}, tags, asked, without)

    def day(self, day, forecast, names, asked=frozenset(), without=frozenset()):
        """Return the answer about one Day of a forecast. names: the texts of its place and of the day itself."""
        texts, tags = day_facts(day, forecast)
        return self._moment("day", {**texts, **names}, tags, asked, without)[0]

    def fact(self, current, fact):
        """Return the answer to a question for one fact of the weather now."""
        texts, tags = current_facts(current)
        tells = [phrase for phrase in self.phrases["now"]["tell"] if phrase.facts == {fact}]
        return _join([self._say_one_of(tells, texts, tags), self._remark("now", tags)])

    def ahead(self, forecast, names, asked=frozenset()):
        """Return the answer about all days of a forecast, a run of clauses or a list; below a long list a summary of what stands out.

        names: the texts of its place and of the number of days.
        """
        texts, tags = forecast_facts(forecast)
        texts, tags, days = {**texts, **names}, tags | span_tags(len(forecast.days)), len(forecast.days)
        opening = self.say("ahead", "open", texts=texts, tags=tags)
        wanted = max(len(_known(asked, texts)), self.rng.choice(SUMMARY if days >= LONG else SHORT_SUMMARY))
        below = _join([*self._tells("ahead", texts, tags, set(), asked=asked, wanted=wanted), self._remark("ahead", tags)])
        lines = self._lines(forecast)
        if days <= RUN_DAYS and self.rng.random() < RUN_SHARE:
            return _join([f"{opening} {'; '.join(lines)}.", below])
        return opening + "".join(f"\n- {capital(line)}" for line in lines) + (f"\n{below}" if below else "")

    def compare(self, here, there, names):
        """Return the answer that sets two places side by side. here, there: Currents; names: (place, other)."""
        texts, _ = current_facts(here)
        others, _ = current_facts(there)
        texts = {**texts, **{f"other_{fact}": text for fact, text in others.items()}, "place": names[0], "other": names[1]}
        tags = set()
        if here.temperature == there.temperature:
            tags.add("level")
        else:
            first = here.temperature > there.temperature
            warm, cold = (names, (texts["temp"], others["temp"])) if first else (names[::-1], (others["temp"], texts["temp"]))
            texts.update(warmer=warm[0], colder=warm[1], warmer_temp=cold[0], colder_temp=cold[1])
        return _join([self.say("compare", "tell", texts=texts, tags=tags), self.say("compare", "verdict", texts=texts, tags=tags)])

    def say(self, *keys, texts, tags=frozenset()):
        """Return one phrase of the voice's answers below `keys`, filled."""
        phrases = self.phrases
        for key in keys:
            phrases = phrases[key]
        return capital(self._say_one_of(phrases, texts, tags))

    def _moment(self, kind, texts, tags, asked, without):
        """Return (answer, facts told): an opening with the place, further facts, perhaps a remark."""
        asked = asked or GENERAL[kind]
        opens = [phrase for phrase in self.phrases[kind]["open"] if phrase.can_say(texts, tags) and not phrase.facts & without]
        opening = self._some([phrase for phrase in opens if phrase.facts & asked] or opens)
        told, first = set(opening.facts), opening.say(self.rng, texts, tags)
        wanted = max(self.rng.choice(FACTS_TOLD), len(told | _known(asked, texts)))
        text = _join([first, *self._tells(kind, texts, tags, told, without, asked, wanted, room=MAX_SENTENCES - _stops(first))])
        return _join([text, self._remark(kind, tags) if _stops(text) < MAX_SENTENCES else ""]), told

    def _tells(self, kind, texts, tags, told, without=frozenset(), asked=frozenset(), wanted=99, room=99):
        """Return the phrases that tell up to `wanted` facts in `room` sentences, what was asked first; adds the facts to `told`."""
        said = []
        options = [phrase for phrase in self.phrases[kind]["tell"]
                   if phrase.can_say(texts, tags) and not phrase.facts & without and _days_differ(phrase, texts)]
        self.rng.shuffle(options)
        options.sort(key=lambda phrase: id(phrase) in self.used)
        while len(told) < wanted and len(said) < MAX_TELLS:
            options = [phrase for phrase in options if not phrase.facts & told and len(told | phrase.facts) <= wanted]
            if not options:
                break
            phrase = next((phrase for phrase in options if phrase.facts & asked), options[0])
            if room <= 0 and not phrase.facts & asked:
                break
            told |= phrase.facts
            self.used.add(id(phrase))
            said.append(phrase.say(self.rng, texts, tags))
            room -= _stops(said[-1])
        return said

    def _lines(self, forecast):
        """Return a line for each day: all alike where the persona is plain, else each in another way than the one before."""
        days = line_facts(forecast)
        phrases = [phrase for phrase in self.phrases["ahead"]["line"] if all(phrase.can_say(texts, tags) for texts, tags in days)]
        self.rng.shuffle(phrases)
        phrases = phrases[:1] if self.plain else phrases
        return [phrases[i % len(phrases)].say(self.rng, texts, tags) for i, (texts, tags) in enumerate(days)]

    def _remark(self, kind, tags):
        """Return a closing sentence that follows from the tags, "" where there is none to be."""
        fresh = [phrase for phrase in self.phrases[kind]["remark"] if id(phrase) not in self.used]
        return self._say_one_of(fresh, {}, tags) if fresh and self.rng.random() < self.remark_share else ""

    def _say_one_of(self, phrases, texts, tags):
        return self._some([phrase for phrase in phrases if phrase.can_say(texts, tags)]).say(self.rng, texts, tags)

    def _some(self, phrases):
        """Return one of the phrases, which is one that has not been used if there is any."""
        phrases = [phrase for phrase in phrases if id(phrase) not in self.used] or phrases
        phrase = phrases[self.rng.randrange(len(phrases))]
        self.used.add(id(phrase))
        return phrase


def span_tags(count):
    """Return the tag of a number of days that has a name."""
    return {"week"} if count == 7 else {"fortnight"} if count == 14 else set()


def _known(facts, texts):
    """Return those facts that some slot tells: warm by warm_day."""
    return {fact for fact in facts if fact in texts or f"{fact}_day" in texts}


def _days_differ(phrase, texts):
    """Return whether the days that a phrase sets against each other are different ones."""
    days = [texts[slot] for slot in phrase.slots if slot.endswith("_day") and slot in texts]
    return len(set(days)) == len(days)


def _stops(text):
    return len(STOP.findall(text))


def _join(sentences):
    return " ".join(capital(text) for text in sentences if text)
