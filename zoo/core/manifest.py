"""registry.toml and registry.json: text to specs, checked key by key.

One format for the built-in catalogue, for every plugin, and for the overlays of a user or a
company. An unknown key is an error that names the file, the entry and the key.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zoo.core.convert import Mismatch, convert
from zoo.core.hookspecs import KINDS
from zoo.core.names import NAME, did_you_mean, suggest
from zoo.core.specs import InputSpec, ModelSpec, PartSpec, WeightsSpec
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA: Final = 1
_TOP: Final = {"schema", "plugin", "input", "known", "hub", "pin", *KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A part that exists but whose plugin may not be installed.

    Attributes:
        name: Name as people type it; ``timm/*`` stands for all of a plugin.
        kind: Kind of part.
        plugin: Plugin that has it.
        install: Command that installs it.
    """

    name: str
    kind: str = "model"
    plugin: str = ""
    install: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A Hub reference held at one commit and one file (``zoo lock`` writes it).

    Attributes:
        source: The reference as it is typed: ``hub:org/repo[@revision]``.
        revision: Commit, 40 hex digits.
        file: Weights file inside the repository.
        sha256: Its digest.
        bytes: Its size.
        licence: Licence that the card stated.
    """

    source: str
    revision: str
    file: str = ""
    sha256: str = ""
    bytes: int | None = None
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything one registry file says.

    Attributes:
        path: The file.
        summary: What the plugin is, one line.
        api: Range of the plugin api, e.g. ``>=1,<2``.
        hooks: Module with run hooks; imported when a run starts.
        parts: Kind -> specs.
        patches: Entries without a target: they add to a part that exists elsewhere.
        known: Parts of plugins that may not be installed.
        hub: An internal Hub: ``endpoint``.
        pins: Hub references held at a commit.
    """

    path: str
    summary: str = ""
    api: str = ""
    hooks: str = ""
    parts: dict[str, tuple[PartSpec, ...]] = field(default_factory=dict)
    patches: tuple[dict[str, Any], ...] = ()
    known: tuple[Known, ...] = ()
    hub: dict[str, str] = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()


def read(path: Path, *, patches: bool = False, plugin: str = "") -> Manifest:
    """Read one registry file.

    Args:
        path: ``registry.toml`` or ``registry.json``.
        patches: Whether entries without ``target`` are allowed (overlays).
        plugin: Whose file it is; its parts are stamped with the name.

    Raises:
        UsageError: The file is unreadable, malformed, or has unknown or wrong keys.
    """
    table = read_table(path)
    where = str(path)
    _only(table, _TOP, where, "top level")
    if table.get("schema") != SCHEMA:
        raise UsageError(f"{where}: schema must be {SCHEMA}, not {table.get('schema')!r}")
    about = _table(table, "plugin", where)
    _only(about, {"summary", "api", "hooks"}, where, "[plugin]")
    inputs = {
        name: _convert(value, InputSpec, where, f"input {name!r}")
        for name, value in _table(table, "input", where).items()
    }
    parts: dict[str, tuple[PartSpec, ...]] = {}
    patched: list[dict[str, Any]] = []
    for kind, (_, spec, _) in KINDS.items():
        entries = _entries(table, kind, where)
        parts[kind] = tuple(
            _part(entry, kind, spec, inputs, where, plugin)
            for entry in entries
            if "target" in entry or not patches
        )
        patched += [{**e, "kind": kind} for e in entries if "target" not in e and patches]
    _no_duplicates(parts, where)
    pins = [_convert(e, Pin, where, "pin") for e in _entries(table, "pin", where)]
    known = [_convert(e, Known, where, "known") for e in _entries(table, "known", where)]
    return Manifest(
        path=where,
        parts={kind: specs for kind, specs in parts.items() if specs},
        patches=tuple(patched),
        known=tuple(known),
        pins=tuple(pins),
        hub=_convert(_table(table, "hub", where), dict[str, str], where, "[hub]"),
        **_convert(about, dict[str, str], where, "[plugin]"),
    )


def read_table(path: Path) -> dict[str, Any]:
    """Read a TOML or JSON file as a table; a byte-order mark and CRLF are accepted.

    Raises:
        UsageError: Unreadable, not UTF-8, or a syntax error (with line and column).
    """
    try:
        text = path.read_bytes().decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        table = _json(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: expected a table at the top")
    return table


def _json(text: str) -> Any:
    import json

    return json.loads(text)


def _part(
    entry: dict[str, Any],
    kind: str,
    spec: type[PartSpec],
    inputs: Mapping[str, InputSpec],
    where: str,
    plugin: str,
) -> PartSpec:
    name = entry.get("name")
    label = f"{kind} {name!r}"
    if not (isinstance(name, str) and NAME.match(name)):
        raise UsageError(f"{where}: {label}: a name is letters, digits, '.', '_' and '-'")
    entry = dict(entry)
    if "plugin" in entry:
        raise UsageError(f"{where}: {label}: unknown key 'plugin' (zoo stamps it itself)")
    entry["plugin"] = plugin
    if spec is ModelSpec:
        entry["weights"] = weights(entry.get("weights", ()), inputs, where, label)
        _input(entry, inputs, where, label)
    made: PartSpec = _convert(entry, spec, where, label)
    return made


def weights(
    entries: Iterable[Any], inputs: Mapping[str, InputSpec], where: str, label: str
) -> tuple[WeightsSpec, ...]:
    """Convert ``[[model.weights]]`` entries.

    Raises:
        UsageError: A key is unknown or wrong.
    """
    if not isinstance(entries, list | tuple):
        raise UsageError(f"{where}: {label}: weights must be a list of tables")
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise UsageError(f"{where}: {label}: weights must be a list of tables")
        own = dict(entry)
        if "source" in own:
            own["source"] = _placed(own["source"], where)
        _input(own, inputs, where, label)
        found.append(_convert(own, WeightsSpec, where, f"{label}, weights {own.get('name')!r}"))
    return tuple(found)


def _placed(source: Any, where: str) -> Any:
    """``file:`` sources are relative to the registry file that names them (``zoo mirror``)."""
    if not (isinstance(source, str) and source.startswith("file:")):
        return source
    path = Path(source.removeprefix("file:")).expanduser()
    return source if path.is_absolute() else f"file:{Path(where).resolve().parent / path}"


def _input(entry: dict[str, Any], inputs: Mapping[str, InputSpec], where: str, label: str) -> None:
    value = entry.get("input")
    if isinstance(value, str):
        if value not in inputs:
            hint = did_you_mean(suggest(value, inputs))
            raise UsageError(f"{where}: {label}: no input preset {value!r}", hint=hint)
        entry["input"] = inputs[value]
    elif isinstance(value, dict):
        entry["input"] = _convert(value, InputSpec, where, f"{label}, input")


@functools.cache
def _keys(spec: type) -> frozenset[str]:
    return frozenset(item.name for item in dataclasses.fields(spec))


def _convert(entry: Any, spec: Any, where: str, label: str) -> Any:
    if isinstance(spec, type) and dataclasses.is_dataclass(spec):
        if not isinstance(entry, dict):
            raise UsageError(f"{where}: {label}: expected a table")
        _only(entry, _keys(spec), where, label)
    try:
        return convert(entry, spec)
    except Mismatch as error:
        raise UsageError(f"{where}: {label}: {error}") from error


def _only(table: Mapping[str, Any], keys: Iterable[str], where: str, label: str) -> None:
    allowed = keys if isinstance(keys, set | frozenset) else set(keys)
    for key in table:
        if key not in allowed:
            hint = did_you_mean(suggest(key, allowed))
            raise UsageError(f"{where}: {label}: unknown key {key!r}", hint=hint)


def _table(table: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{where}: [{key}] must be a table")
    return value


def _entries(table: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    value = table.get(key, [])
    if not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
        raise UsageError(f"{where}: [[{key}]] must be a list of tables")
    return value


def _no_duplicates(parts: Mapping[str, tuple[PartSpec, ...]], where: str) -> None:
    for kind, specs in parts.items():
        seen: set[str] = set()
        for spec in specs:
            for name in (spec.name, *spec.aliases):
                if name in seen:
                    raise UsageError(f"{where}: {kind} {name!r} is there twice")
                seen.add(name)
