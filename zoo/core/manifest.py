"""registry.toml and registry.json: text to specs, checked key by key.

One format for the built-in catalogue, for every plugin, and for the overlays of a user or a
company. An unknown key is an error that names the file, the entry and the key.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from zoo.core import limits, parsed
from zoo.core.convert import Mismatch, convert, record
from zoo.core.hookspecs import KINDS
from zoo.core.names import NAME, did_you_mean, suggest
from zoo.core.specs import InputSpec, ModelSpec, PartSpec, Stages, WeightsSpec
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA: Final = 1
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_TOP: Final = {"schema", "plugin", "input", "stages", "known", "hub", "pin", *KINDS}


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
    table = read_shallow(path) if patches else read_table(path)
    where = str(path)
    _only(table, _TOP, where, "top level")
    if table.get("schema") != SCHEMA:
        raise UsageError(f"{where}: schema must be {SCHEMA}, not {table.get('schema')!r}")
    about = _table(table, "plugin", where)
    _only(about, {"summary", "api", "hooks"}, where, "[plugin]")
    presets = _Presets(table, where)
    parts: dict[str, tuple[PartSpec, ...]] = {}
    patched: list[dict[str, Any]] = []
    for kind, (_, spec, _) in KINDS.items():
        entries = _entries(table, kind, where)
        parts[kind] = tuple(
            _part(entry, kind, spec, presets, where, plugin)
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
        if path.stat().st_size > limits.MAX_BYTES:
            raise UsageError(
                f"{path} has {path.stat().st_size:,} bytes; such a file ends at {limits.MAX_BYTES:,}",
                hint="is it the right file?",
            )
        text = path.read_bytes().decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        table = _json(text) if path.suffix == ".json" else parsed.toml(path, text, _bearable)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}", hint=f"correct {path.name} there") from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: expected a table at the top")
    return table


def read_shallow(path: Path) -> dict[str, Any]:
    """As :func:`read_table`, for files that somebody gave us: what is written into them is small.

    Raises:
        UsageError: As there, or tables and lists lie inside one another too often.
    """
    table = read_table(path)
    if limits.deeper_than(table):
        raise UsageError(
            f"{path}: more than {limits.MAX_DEPTH} tables or lists inside one another",
            hint=f"correct {path.name}",
        )
    return table


def _bearable(text: str) -> None:
    """Refuse text that could not be parsed in any memory."""
    if limits.endless_key(text):
        raise ValueError(f"a key of more than {limits.MAX_DEPTH} parts")


def _json(text: str) -> Any:
    import json

    return json.loads(text)


class _Presets:
    """What several entries of a file share and say by name: inputs, and lists of stages."""

    def __init__(self, table: Mapping[str, Any], where: str) -> None:
        self._shared = {
            key: {
                name: _convert(value, wanted, where, f"{key} {name!r}")
                for name, value in _table(table, key, where).items()
            }
            for key, wanted in (("input", InputSpec), ("stages", Stages))
        }

    def of(self, entry: Mapping[str, Any], where: str, label: str) -> dict[str, Any]:
        """The fields of an entry that name a preset, as the presets say them; its own input."""
        found: dict[str, Any] = {}
        if self._shared.keys().isdisjoint(entry):
            return found
        for key, shared in self._shared.items():
            name = entry.get(key)
            if isinstance(name, str):
                if name not in shared:
                    hint = did_you_mean(suggest(name, shared))
                    raise UsageError(f"{where}: {label}: no {key} preset {name!r}", hint=hint)
                found[key] = shared[name]
        if isinstance(own := entry.get("input"), dict):
            found["input"] = _convert(own, InputSpec, where, f"{label}, input")
        return found


def _part(
    entry: dict[str, Any],
    kind: str,
    spec: type[PartSpec],
    presets: _Presets,
    where: str,
    plugin: str,
) -> PartSpec:
    name = entry.get("name")
    label = f"{kind} {name!r}"
    if not (isinstance(name, str) and NAME.match(name)):
        raise UsageError(f"{where}: {label}: a name is letters, digits, '.', '_' and '-'")
    if "plugin" in entry:
        raise UsageError(f"{where}: {label}: unknown key 'plugin' (zoo stamps it itself)")
    ready: dict[str, Any] = {"plugin": plugin}
    if spec is ModelSpec:
        ready |= presets.of(entry, where, label)
        ready["weights"] = _weights(entry.get("weights", ()), presets, where, label)
    made: PartSpec = _convert(entry, spec, where, label, ready)
    return made


def weights(entries: Iterable[Any], where: str, label: str) -> tuple[WeightsSpec, ...]:
    """Convert ``[[model.weights]]`` entries that stand alone; their inputs are written out.

    Raises:
        UsageError: A key is unknown or wrong.
    """
    return _weights(entries, _Presets({}, where), where, label)


def _weights(
    entries: Iterable[Any], presets: _Presets, where: str, label: str
) -> tuple[WeightsSpec, ...]:
    if not isinstance(entries, list | tuple):
        raise UsageError(f"{where}: {label}: weights must be a list of tables")
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise UsageError(f"{where}: {label}: weights must be a list of tables")
        own = f"{label}, weights {entry.get('name')!r}"
        ready = presets.of(entry, where, own)
        source = entry.get("source")
        if isinstance(source, str) and source.startswith("file:"):
            ready["source"] = _placed(source, where)
        found.append(_convert(entry, WeightsSpec, where, own, ready))
    return tuple(found)


def _placed(source: str, where: str) -> str:
    """``file:`` sources are relative to the registry file that names them (``zoo mirror``)."""
    path = Path(source.removeprefix("file:")).expanduser()
    return source if path.is_absolute() else f"file:{Path(where).resolve().parent / path}"


@functools.cache
def _keys(spec: Any) -> frozenset[str]:
    """The fields of a record; none of anything else."""
    is_record = isinstance(spec, type) and dataclasses.is_dataclass(spec)
    return frozenset(item.name for item in dataclasses.fields(spec)) if is_record else frozenset()


def _convert(
    entry: Any, spec: Any, where: str, label: str, ready: Mapping[str, Any] = _NOTHING
) -> Any:
    keys = _keys(spec)
    if keys:
        if not isinstance(entry, dict):
            raise UsageError(f"{where}: {label}: expected a table")
        _only(entry, keys, where, label)
    try:
        return record(entry, spec, ready) if keys else convert(entry, spec)
    except (Mismatch, OverflowError) as error:
        raise UsageError(
            f"{where}: {label}: {error}", hint=f"correct this entry in {where}"
        ) from error


def _only(table: Mapping[str, Any], keys: Iterable[str], where: str, label: str) -> None:
    allowed = keys if isinstance(keys, set | frozenset) else set(keys)
    if table.keys() <= allowed:
        return
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
