"""How people type: capitals and stops dropped, slips of the finger, chat words, a greeting or a please.

Names, numbers, units and days are never touched: whatever came through a slot is kept letter by letter.
"""
import re

GREETINGS = ("Hi!", "Hello!", "Hey!", "Hi there!", "Hello there.", "Good day!", "Hi :)", "Hey there!")
THANKS = ("Thanks!", "Thank you.", "Thanks in advance.", "Many thanks!", "Cheers!", "thx", "ty!")
CHAT_WORDS = {"you": "u", "your": "ur", "are": "r", "please": "pls", "thanks": "thx", "because": "cuz", "about": "abt", "what's": "whats",
              "it's": "its", "i'm": "im", "don't": "dont", "that's": "thats", "how's": "hows", "where's": "wheres", "can't": "cant"}
POLITE = re.compile(r"\b(?:please|pls|thanks?|thank you|thx|cheers|kindly|obliged|would you|could you)\b", re.I)
GREETED = re.compile(r"(?:hi|hey|hello|ahoy|good|morning|evening|dear|sir|to the|greetings|pardon|excuse|forgive|sorry|ok|okay|and|so|"
                     r"thanks?)\b", re.I)
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
SENTENCE_START = re.compile(r"(?:^|(?<=[.!?] ))[^\W\d_]+|\bI\b")
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {key: row[max(0, i - 1):i] + row[i + 1:i + 2] for row in KEYS for i, key in enumerate(row)}
SLIP_LETTERS = 5  # a shorter word is too easily another one


class Typist:
    """One user's habits, drawn once: the whole conversation is typed by the same hand. shares: data_config's tool_use.typing."""

    def __init__(self, rng, shares):
        self.rng = rng
        self.habits = {habit for habit, share in shares.items() if rng.random() < share}
        self.turns = 0

    def type(self, text, kept=()):
        """Return `text` as this user types it. kept: texts whose words stay as they are."""
        self.turns += 1
        if not self.habits:
            return text
        kept_words = {word.lower() for value in kept for word in WORD.findall(value)}
        if "polite" in self.habits and self.turns == 1 and not POLITE.search(text):
            text = self._thanks(text)
        if "chat_words" in self.habits:
            text = WORD.sub(lambda match: match[0] if match[0].lower() in kept_words else _chat_word(match[0]), text)
        if "slips" in self.habits:
            text = self._slip(text, kept_words)
        if "greeting" in self.habits and self.turns == 1 and not GREETED.match(text):
            text = f"{self.rng.choice(GREETINGS)} {text}"
        if "no_capitals" in self.habits:
            text = SENTENCE_START.sub(lambda match: match[0] if match[0].lower() in kept_words else match[0].lower(), text)
        if "no_stops" in self.habits:
            text = text.rstrip(".!?")
        return text

    def _thanks(self, text):
        if text[-1] in ".?" and self.rng.random() < 0.5:
            return f"{text[:-1]}, please{text[-1]}"
        return f"{text if text[-1] in '.!?' else text + '.'} {self.rng.choice(THANKS)}"

    def _slip(self, text, kept_words):
        """Return the text with one ordinary word mistyped."""
        words = [match for match in WORD.finditer(text)
                 if len(match[0]) >= SLIP_LETTERS and match[0].islower() and match[0].isalpha() and match[0] not in kept_words]
        if not words:
            return text
        match = self.rng.choice(words)
        return text[:match.start()] + slip(match[0], self.rng) + text[match.end():]


def slip(word, rng):
    """Return a word with one slip of the finger behind its first letter: two letters swapped, one left out, doubled or hit beside."""
    at = rng.randrange(1, len(word) - 1)
    kind = rng.choice(("swap", "swap", "drop", "double", "beside"))
    if kind == "swap" and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2:]
    if kind == "beside" and word[at] in NEIGHBOURS:
        return word[:at] + rng.choice(NEIGHBOURS[word[at]]) + word[at + 1:]
    return word[:at] + word[at + 1:] if kind == "drop" else word[:at] + word[at] + word[at:]


def _chat_word(word):
    return CHAT_WORDS.get(word.lower(), word)
