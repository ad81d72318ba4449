"""A small phrase grammar: [a|b] picks one, [?tag a|b] picks a where `tag` holds, {slot} is filled from facts."""
import re

from config_loader import ConfigError, load_config

TOKENS = re.compile(r"([\[\]|]|\{[A-Za-z_]+\}|\?[a-z]+ )")


def parse(text):
    """Return the parts of a phrase: str, ("slot", name), or ("choice", [(tag or None, parts), ...]).

    Raises ValueError when the brackets do not match.
    """
    tokens = [token for token in TOKENS.split(text) if token]
    parts, end = _sequence(tokens, 0, inside=False)
    if end != len(tokens):
        raise ValueError(f"a bracket is closed that was never opened: {text!r}")
    return parts


def _sequence(tokens, at, inside):
    parts = []
    while at < len(tokens):
        token = tokens[at]
        if inside and token in "|]":
            return parts, at
        if token == "[":
            choice, at = _choice(tokens, at + 1)
            parts.append(choice)
        elif token == "]":
            return parts, at
        else:
            parts.append(("slot", token[1:-1]) if token[0] == "{" and token[-1] == "}" else token)
            at += 1
    if inside:
        raise ValueError(f"a bracket is never closed: {''.join(tokens)!r}")
    return parts, at


def _choice(tokens, at):
    options = []
    while True:
        tag = None
        if at < len(tokens) and re.fullmatch(r"\?[a-z]+ ", tokens[at]):
            tag, at = tokens[at][1:-1], at + 1
        parts, at = _sequence(tokens, at, inside=True)
        options.append((tag, parts))
        at += 1
        if tokens[at - 1] == "]":
            return ("choice", options), at


def slots(parts):
    """Return the names of all slots in parsed parts."""
    found = set()
    for part in parts:
        if part[0] == "slot" and isinstance(part, tuple):
            found.add(part[1])
        elif isinstance(part, tuple):
            found.update(*(slots(below) for _, below in part[1]))
    return found


def fill(parts, rng, facts, tags=frozenset()):
    """Return the phrase as text: choices drawn from `rng`, slots from `facts` (dict of str). KeyError: a fact is missing."""
    out = []
    for part in parts:
        if isinstance(part, str):
            out.append(part)
        elif part[0] == "slot":
            out.append(facts[part[1]])
        else:
            options = [below for tag, below in part[1] if tag in tags] or [below for tag, below in part[1] if tag is None]
            out.append(fill(rng.choice(options), rng, facts, tags) if options else "")
    return "".join(out)


def say(phrases, rng, facts, tags=frozenset()):
    """Return one of several parsed phrases, filled; spaces around line breaks are dropped."""
    return re.sub(r" *\n *", "\n", fill(rng.choice(phrases), rng, facts, tags)).strip()


def capital(text):
    """Return a text with its first letter in capital: a sentence begins with it."""
    return text[:1].upper() + text[1:]


def load_phrases(path, schema):
    """Return (values with the texts as written, the same with every text parsed). Raises ConfigError with the file's name."""
    plain = load_config(path, schema).plain
    try:
        return plain, _parse_below(plain)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _parse_below(value):
    if isinstance(value, dict):
        return {key: _parse_below(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_parse_below(below) for below in value]
    return parse(value) if isinstance(value, str) else value


def ask(phrases, request, wish, rng, facts, tags):
    """Return a prompt in one register: maybe an opening, the request, maybe a wish before or behind it.

    phrases: parsed chat phrases; request: a section of `requests`; wish: one of `wishes`, None for none.
    """
    parts, registers = phrases["parts"], phrases["registers"]
    register = rng.choices(list(registers), registers.values())[0]
    said = [say(phrases["requests"][request][register], rng, facts, tags)]
    if wish and rng.random() < parts["wish"]:
        said.insert(0 if rng.random() < parts["wish_first"] else 1, say(phrases["wishes"][wish][register], rng, facts, tags))
    if rng.random() < parts["opening"]:
        said.insert(0, say(phrases["openings"][register], rng, facts, tags))
    return " ".join(said)


def system_prompt(phrases, role, rng):
    """Return a system prompt for "twain", "franklin", "web", "satire" or "odd_news": who answers, and up to two sentences on how."""
    who, how = phrases["system"][role]["who"], phrases["system"][role]["how"]
    return " ".join(say([part], rng, {}) for part in [rng.choice(who), *rng.sample(how, rng.choice((0, 1, 1, 2)))])
