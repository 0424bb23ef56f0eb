"""Recipes from layers: defaults < model < plugins < file < flags < ``--set``; read, written, compared.

Every layer is a flat mapping of dotted key -> value. All wrong values of all layers are reported
at once, with close names for unknown keys.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from zoo.core import limits, manifest
from zoo.core.fields import fields
from zoo.core.names import did_you_mean, suggest
from zoo.core.recipe import SCHEMA, Recipe, Verb
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Layer = tuple[str, "Mapping[str, Any]"]
"""Where values come from, in words for people, and the values by dotted key."""

KINDS: Final = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false",
    "array": "a list", "object": "a table", "null": "nothing",
}  # fmt: skip
"""Kind of a value -> what people call it."""

VERB_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "finetune": {},
    "train": {
        "model.weights": "none",
        "optim.epochs": 20,
        "optim.lr": 0.05,
        "optim.warmup": 1.0,
    },
}
"""What a verb changes in the fields' own defaults, dotted key -> value."""

_NOT_IN_DIGEST: Final = ("output.dir", "output.name", "data.workers", "device.threads")


@dataclass(frozen=True, slots=True)
class Composed:
    """A recipe and where each value that is not a default came from.

    Attributes:
        recipe: The checked recipe.
        origin: Dotted key -> name of the layer that set it.
    """

    recipe: Recipe
    origin: dict[str, str] = field(default_factory=dict)


def compose(verb: str, layers: Sequence[Layer]) -> Composed:
    """Put a recipe together; later layers win, key by key.

    Args:
        verb: ``train`` or ``finetune``.
        layers: ``(origin, {dotted key: value})``, lowest precedence first.

    Raises:
        UsageError: Unknown keys or wrong values; all of them are named.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    for name, layer in ((f"zoo {verb}", VERB_DEFAULTS[verb]), *layers):
        for key, value in layer.items():
            base, inner = _locate(key)
            if base is None:
                problems.append((f"{name}: unknown key {key!r}", did_you_mean(close_keys(key))))
            elif inner:
                below = values.get(base, {})
                values[base] = {**(below if isinstance(below, dict) else {}), inner: value}
                origin[key] = name
            else:
                values[base] = value
                origin[base] = name
    checked: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, item = key.partition(".")
        try:
            made = msgspec.convert(value, fields()[key].type)
        except msgspec.ValidationError as error:
            why = _plain(str(error), _words_of(fields()[key].type))
            problems.append(_problem(verb, key, value, why, origin.get(key, name)))
            continue
        if isinstance(made, float) and made - made != 0.0:
            why = "expected a finite number"
            problems.append(_problem(verb, key, made, why, origin.get(key, name)))
        checked.setdefault(section, {})[item] = made
    if problems:
        raise _complaint(problems)
    return Composed(_build(verb, checked), origin)


def close_keys(key: str) -> tuple[str, ...]:
    """Recipe keys that look like ``key``; a bare ``lr`` finds ``optim.lr``."""
    last = key.rpartition(".")[2]
    same = [known for known in fields() if known.rpartition(".")[2] == last]
    tails = {known.rpartition(".")[2]: known for known in fields()}
    close = [*suggest(key, fields()), *(tails[tail] for tail in suggest(last, tails))]
    return tuple(dict.fromkeys([*same, *close]))[:3]


def _locate(key: str) -> tuple[str | None, str]:
    if key in fields():
        return key, ""
    base = ".".join(key.split(".")[:2])
    inner = key[len(base) + 1 :]
    if inner and base in fields() and isinstance(fields()[base].default, dict):
        return base, inner
    return None, ""


def _problem(verb: str, key: str, value: Any, reason: str, origin: str) -> tuple[str, str]:
    """A wrong value in the words in which it was given, and a hint."""
    from zoo.core import flags

    keyword = next((word for word, known in flags.KEYWORDS.items() if known == key), "")
    if origin != flags.ORIGIN or not keyword:
        return f"{key} = {_show(value)}: {reason}", f"from {origin}"
    flag = f"--{keyword.replace('_', '-')}"
    usual = VERB_DEFAULTS[verb].get(key, fields()[key].default)
    told = isinstance(usual, str | int | float) and not isinstance(usual, bool) and usual != ""
    parts = value if keyword in flags.COMMA and isinstance(value, list | tuple) else [value]
    typed = ",".join(map(str, parts)).removesuffix(".0")
    hint = f"{flag} {usual} is the default" if told else f"{flag}: {fields()[key].help}"
    return f"{flag} {typed}: {reason}", hint


def _words_of(annotation: Any) -> tuple[str, ...]:
    """The words that a field may be, if it may only be some."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _plain(reason: str, words: Sequence[str] = ()) -> str:
    """What the checker says, with the kinds of values by their everyday names."""
    text = reason.partition(" - at `$")[0]
    if words and text.startswith("Invalid enum value"):
        return f"expected {', '.join(words[:-1])} or {words[-1]}"

    def kinds(found: re.Match[str]) -> str:
        return " or ".join(KINDS.get(kind, kind) for kind in found[1].split(" | "))

    return re.sub(r"`([^`]*)`", kinds, text[:1].lower() + text[1:])


def _show(value: Any) -> str:
    return json.dumps(value, default=str)


def _complaint(problems: list[tuple[str, str]]) -> UsageError:
    first, hint = problems[0]
    if len(problems) == 1:
        return UsageError(first, hint=hint)
    lines = [f"  {text}" + (f" ({why})" if why else "") for text, why in problems]
    return UsageError("\n".join([f"{len(problems)} problems in the recipe:", *lines]))


def _build(verb: str, sections: Mapping[str, Mapping[str, Any]]) -> Recipe:
    parts: dict[str, Any] = {
        name: part(**sections.get(name, {}))
        for name, part in get_type_hints(Recipe).items()
        if dataclasses.is_dataclass(part) and isinstance(part, type)
    }
    return Recipe(verb=cast("Verb", verb), **parts)


def parse_sets(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn ``["optim.lr=0.01", "data.val=photos/val"]`` into a layer.

    A value is read as TOML if it is TOML, else taken as text; ``none`` takes back an optional
    number. A field that holds text takes ``5`` as text.

    Raises:
        UsageError: There is no ``=`` or no key.
    """
    layer: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {text!r} is not KEY=VALUE", hint="--set optim.lr=0.01")
        layer[key.strip()] = _assigned(key.strip(), value.strip())
    return layer


def _assigned(key: str, text: str) -> Any:
    value = parse_value(text)
    info = fields().get(key)
    if info is None or (info.default is not None and not isinstance(info.default, str)):
        return value
    kind = get_args(info.type)[0]
    if kind is str or kind == str | None:
        return value if isinstance(value, str) else text
    return None if text == "none" else value


def parse_value(text: str) -> Any:
    """Read one value: TOML if it parses as TOML, else the text itself."""
    if limits.endless_key(text):
        return text
    try:
        found = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, or no number that Python reads
        return text
    return text if limits.deeper_than(found) else found


def read_recipe(path: Path) -> tuple[str | None, dict[str, Any]]:
    """Read a recipe file as a layer; a partial file is fine.

    Returns:
        The verb that the file states, or ``None``, and the values by dotted key.

    Raises:
        UsageError: Unreadable, a syntax error, or written by a newer zoo.
    """
    table = manifest.read_shallow(path)
    schema = table.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise UsageError(f"{path}: recipe schema {schema!r}; this zoo reads {SCHEMA}")
    verb = table.pop("verb", None)
    if verb is not None and not (isinstance(verb, str) and verb in VERB_DEFAULTS):
        raise UsageError(f"{path}: verb {verb!r}", hint=f"one of {', '.join(VERB_DEFAULTS)}")
    return verb, flatten(table)


def flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    """Nested sections to dotted keys, one level; deeper tables are values."""
    flat: dict[str, Any] = {}
    for section, values in table.items():
        if isinstance(values, dict):
            flat.update({f"{section}.{key}": value for key, value in values.items()})
        else:
            flat[section] = values
    return flat


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as nested plain values: what is ``None`` is left out, tuples become lists."""
    table = msgspec.json.decode(msgspec.json.encode(recipe))
    return {
        key: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
        for key, value in table.items()
    }


def from_dict(table: Mapping[str, Any]) -> Recipe:
    """The recipe of a checkpoint or a run folder.

    Raises:
        UsageError: It is not a recipe that this zoo reads.
    """
    rest = {k: v for k, v in table.items() if k not in ("schema", "verb")}
    verb = str(table.get("verb", "finetune"))
    if table.get("schema", SCHEMA) != SCHEMA:
        raise UsageError(f"recipe schema {table['schema']!r}; this zoo reads {SCHEMA}")
    if verb not in VERB_DEFAULTS:
        raise UsageError(f"recipe verb {verb!r}", hint=f"one of {', '.join(VERB_DEFAULTS)}")
    full = {key: info.default for key, info in fields().items()}
    return compose(verb, [("defaults", full), ("the recipe", flatten(rest))]).recipe


def dump_recipe(recipe: Recipe) -> str:
    """A recipe as TOML, every value written out."""
    import tomlkit

    return tomlkit.dumps(to_dict(recipe))


def digest(recipe: Recipe) -> str:
    """SHA-256 over what decides the result: not the run's folder, workers or threads."""
    flat = flatten(to_dict(recipe))
    kept = {key: value for key, value in flat.items() if key not in _NOT_IN_DIGEST}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def changed(recipe: Recipe, updates: Mapping[str, Any]) -> Recipe:
    """A recipe with single fields replaced, by dotted key, checked again.

    Raises:
        UsageError: Unknown key or wrong value.
    """
    flat = {k: v for k, v in flatten(to_dict(recipe)).items() if k in fields()}
    full = {key: info.default for key, info in fields().items()}
    layers: list[Layer] = [("defaults", full), ("recipe", flat), ("change", updates)]
    return compose(recipe.verb, layers).recipe
