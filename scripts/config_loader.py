"""Load a YAML or JSON configuration strictly: every mistake at once, each with file and line.

Reads configs/*. Either machine.
    python scripts/config_loader.py configs/training_config.yaml --show
    python scripts/config_loader.py configs/training_config.yaml --model smollm2-135m --preset smoke --hardware cpu --show
"""
import difflib
import sys
from dataclasses import dataclass, field
from pathlib import Path

from paths import CONFIGS_DIR, show


class ConfigError(Exception):
    """Bad arguments or configuration; the message names file and line. Exit status 2."""

    status = 2

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.hint = hint


@dataclass
class Layer:
    """Values of one source, and the place ("file:line") each of them came from, keyed by its path as a tuple."""

    values: dict = field(default_factory=dict)
    places: dict = field(default_factory=dict)


@dataclass
class Resolved:
    """A validated configuration: `values` is the schema's object, `plain` the same as a dict, `places` where each came from."""

    values: object
    plain: dict
    places: dict


def read_layer(path, at=()):
    """Return the Layer of a YAML or JSON file, or of its part below the keys `at`. `extends: FILE` is laid underneath.

    Raises ConfigError: unreadable file, invalid YAML, duplicate keys, a top level that is no mapping, a part that is absent.
    """
    import yaml
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.", f"ls {CONFIGS_DIR}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{show(path)}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    if root is None:
        raise ConfigError(f"{show(path)}: the file is empty; expected keys and values.")
    problems = []
    values, places = _walk(root, show(path), (), problems)
    if not isinstance(values, dict):
        problems.append(f"{show(path)}:1: expected keys and values, found a {type(values).__name__}.")
    if problems:
        raise ConfigError("\n".join(problems))
    layer = Layer(values, places)
    base = layer.values.pop("extends", None)
    if base is not None:
        layer = merge(read_layer(path.parent / str(base)), layer)
    return part(layer, at) if at else layer


def _walk(node, name, path, problems):
    """Return (plain value, {path: place}) of a YAML node; duplicate keys are added to `problems`."""
    import yaml
    place = f"{name}:{node.start_mark.line + 1}"
    places = {path: place} if path else {}
    if isinstance(node, yaml.MappingNode):
        values = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node, name, problems)
            here = f"{name}:{key_node.start_mark.line + 1}"
            if key in values:
                problems.append(f'{here}: the key "{key}" appears twice (first at line {places[(*path, key)].rsplit(":", 1)[1]}).')
            values[key], below = _walk(value_node, name, (*path, key), problems)
            places.update(below)
            places[(*path, key)] = here
        return values, places
    if isinstance(node, yaml.SequenceNode):
        values = []
        for index, item in enumerate(node.value):
            value, below = _walk(item, name, (*path, index), problems)
            values.append(value)
            places.update(below)
        return values, places
    return _scalar(node, name, problems), places


def _scalar(node, name, problems):
    import yaml
    if not isinstance(node, yaml.ScalarNode):
        problems.append(f"{name}:{node.start_mark.line + 1}: a key must be a plain word.")
        return str(node.start_mark)
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        problems.append(f'{name}:{node.start_mark.line + 1}: cannot read the value "{node.value}".')
        return None
    finally:
        loader.dispose()


def part(layer, keys):
    """Return the Layer below `keys`. Raises ConfigError, with the closest match, when one of them is absent."""
    values = layer.values
    for key in keys:
        if not isinstance(values, dict) or key not in values:
            known = list(values) if isinstance(values, dict) else []
            raise ConfigError(f'"{key}" is not there{_closest(key, known)}. There are: {", ".join(map(str, known))}.')
        values = values[key]
    size = len(keys)
    return Layer(values, {path[size:]: place for path, place in layer.places.items() if path[:size] == tuple(keys) and len(path) > size})


def merge(under, over):
    """Return a new Layer: mappings merge key by key, everything else (lists too) is replaced by `over`."""
    merged = Layer(dict(under.values), dict(under.places))

    def lay(target, source, path):
        for key, value in source.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(target.get(key), dict):
                target[key] = dict(target[key])
                lay(target[key], value, here)
            else:
                target[key] = value
                merged.places = {p: place for p, place in merged.places.items() if p[:len(here)] != here}
            merged.places.update({p: place for p, place in over.places.items() if p[:len(here)] == here})
    lay(merged.values, over.values, ())
    return merged


def override_layer(assignments):
    """Return the Layer of `--set KEY=VALUE` texts; values are read as YAML."""
    import yaml
    layer = Layer()
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {text}: expected KEY=VALUE.", "--set training.learning_rate=1.0e-4")
        path = tuple(key.split("."))
        try:
            leaf = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text}: the value is not valid YAML.") from None
        one = leaf
        for name in reversed(path):
            one = {name: one}
        layer = merge(layer, Layer(one, {path[:n]: f"--set {key}" for n in range(1, len(path) + 1)}))
    return layer


def resolve(layers, schema):
    """Lay `layers` over each other (last wins) and return them Resolved against the pydantic model `schema`.

    Raises ConfigError with every missing key, unknown key and wrong value, each with its place.
    """
    from pydantic import ValidationError
    total = layers[0]
    for layer in layers[1:]:
        total = merge(total, layer)
    try:
        values = schema.model_validate(total.values)
    except ValidationError as error:
        problems = [_describe(item, total.places, schema) for item in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(problems))) from None
    return Resolved(values, values.model_dump(), total.places)


def load_config(path, schema, layers=(), overrides=()):
    """Return the Resolved configuration of a file, further Layers above it, and `--set` texts on top."""
    return resolve([read_layer(path), *layers, override_layer(overrides)], schema)


def _describe(item, places, schema):
    """Return one line for one pydantic error: place, key, what was found, what was expected."""
    loc = tuple(item["loc"])
    dotted = ".".join(map(str, loc))
    known = loc
    while known and known not in places:
        known = known[:-1]
    place = places.get(known) or next(iter(places.values()), "configuration").rsplit(":", 1)[0]
    if item["type"] == "missing":
        return f'{place}: the key "{dotted}" is missing.'
    if item["type"] == "extra_forbidden":
        return f'{place}: unknown key "{dotted}"{_closest(str(loc[-1]), _field_names(schema, loc[:-1]))}.'
    found = item["input"]
    text = f'{place}: {dotted}: {item["msg"].lower()}; found {type(found).__name__} {found!r}.'
    if isinstance(found, str) and _is_number(found):
        text += " PyYAML reads a number such as 2e-4 or 1_000.0e1 as text: write 2.0e-4, without quotes."
    return text


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _closest(word, known):
    match = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.5)
    return f' (did you mean "{match[0]}"?)' if match else ""


def _field_names(schema, loc):
    """Return the keys that `schema` allows at `loc`, [] where it allows any."""
    from typing import get_args, get_origin
    for key in loc:
        fields = getattr(schema, "model_fields", None)
        if fields is not None:
            annotation = fields[key].annotation if key in fields else None
        else:  # list[X] or dict[str, X]: every index or key leads to an X
            annotation = next(reversed(get_args(schema)), None)
        members = get_args(annotation) if get_origin(annotation) not in (list, dict) else ()  # X | None
        schema = next((c for c in (annotation, *members) if hasattr(c, "model_fields")), annotation)
    return list(getattr(schema, "model_fields", {}))


def main(argv=None):
    """Check a configuration file, or print its resolved values."""
    from weatherman.cli import parser
    flags = parser(__doc__)
    flags.add_argument("file", help="a file of configs/")
    flags.add_argument("--show", action="store_true", help="print every value with the place it came from")
    flags.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides")
    flags.add_argument("--model", help="lay this entry of models.yaml over a training configuration")
    flags.add_argument("--hardware", help="lay configs/hardware/NAME.yaml over it")
    flags.add_argument("--preset", help="lay configs/presets/NAME.yaml over it")
    args = flags.parse_args(argv)
    from weatherman import schemas
    resolved = schemas.load_file(args.file, args.model, args.hardware, args.preset, args.overrides)
    if args.show:
        for path, value in sorted(_leaves(resolved.plain), key=lambda item: [str(k) for k in item[0]]):
            known = path
            while known and known not in resolved.places:
                known = known[:-1]
            print(f"{'.'.join(map(str, path))} = {value!r}    # {resolved.places.get(known, '')}")
    else:
        print(f"{args.file}: good, {sum(1 for _ in _leaves(resolved.plain))} values")
    return 0


def _leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, key))
    else:
        yield path, value


if __name__ == "__main__":
    sys.modules["config_loader"] = sys.modules["__main__"]  # one ConfigError class, whichever name it is imported by
    from weatherman.cli import run
    sys.exit(run(main))
