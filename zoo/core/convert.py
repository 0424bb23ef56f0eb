"""Plain values from TOML or JSON to annotated types, standard library only.

What msgspec does for recipes, for the registry's records: importing msgspec costs 17 modules, and
``zoo list`` has to answer without them. Knows the types that records use and no others.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from zoo.core.specs import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Converter = Callable[[Any], Any]


class Mismatch(ValueError):  # noqa: N818 - it says what it is
    """A value is not of the type that is wanted; the message says where.

    Args:
        what: What is wrong.
        path: Where, from the inside out: each container puts its own piece before it.
    """

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(what, path)
        self.what, self.path = what, path

    def __str__(self) -> str:
        where = self.path.removeprefix(".")
        return f"{self.what} - at `{where}`" if where else self.what

    def inside(self, piece: str) -> Mismatch:
        """The same one container further out."""
        return Mismatch(self.what, piece + self.path)


def convert(value: Any, wanted: Any) -> Any:
    """Give ``value`` as the annotated type ``wanted``; lists become tuples, tables records.

    Args:
        value: What TOML or JSON gave, or parts that are records already.
        wanted: ``str``, ``int``, ``float``, ``bool``, ``Any``, ``X | None``, ``Literal``,
            ``tuple[...]``, ``dict[str, X]`` or a dataclass.

    Raises:
        Mismatch: It is of another type, or a field is missing.
    """
    return _converter(wanted)(value)


def record(value: Any, wanted: type, ready: Mapping[str, Any]) -> Any:
    """Give a table as a record, with some of its fields converted already.

    Args:
        value: The table; what it says of those fields is ignored.
        wanted: A dataclass.
        ready: Field name -> value as the record holds it.

    Raises:
        Mismatch: Another field is of another type, or one is missing.
    """
    return _record(wanted, value, ready)


def checked(value: Any, wanted: type) -> Any:
    """Give a record that code made with its fields as a table's would be converted.

    Args:
        value: A record; a subclass's own fields are left alone.
        wanted: The dataclass whose fields are looked at.

    Raises:
        Mismatch: A field is of another type.
    """
    made: dict[str, Any] = {}
    for name, (_, maker) in _fields(wanted)[0].items():
        try:
            made[name] = maker(_as_tables(getattr(value, name)))
        except Mismatch as error:
            raise error.inside(f".{name}") from error
    return dataclasses.replace(value, **made)


def _as_tables(value: Any) -> Any:
    """Records inside as the tables that they could have been read from."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {item.name: _as_tables(getattr(value, item.name)) for item in fields}
    return [_as_tables(item) for item in value] if isinstance(value, list | tuple) else value


@functools.cache
def _converter(wanted: Any) -> Converter:
    origin, args = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return _as_it_is
    if wanted in _NAMES:
        return functools.partial(_plain, wanted)
    if origin is Literal:
        return functools.partial(_choice, args)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        return functools.partial(_optional, _converter(inner))
    if origin is tuple and args == (str, Ellipsis):
        return _texts
    if origin is tuple and args[-1] is Ellipsis:
        checked = functools.partial(_list, _converter(args[0]))
        return functools.partial(_stages, checked) if wanted == Stages else checked
    if origin is tuple:
        return functools.partial(_row, tuple(map(_converter, args)))
    if origin is dict:
        return functools.partial(_table, args[1], _converter(args[1]))
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return functools.partial(_record, wanted)
    raise TypeError(f"records do not hold {wanted}")


_NAMES = {str: "str", int: "int", float: "float", bool: "bool"}
_SEEN = {**_NAMES, dict: "object", list: "array", tuple: "array", type(None): "null"}


def _wrong(expected: str, value: Any) -> Mismatch:
    got = _SEEN.get(type(value), type(value).__name__)
    return Mismatch(f"Expected `{expected}`, got `{got}`")


def _as_it_is(value: Any) -> Any:
    return value


def _plain(wanted: type, value: Any) -> Any:
    if type(value) is wanted:
        return value
    if wanted is float and type(value) is int:
        return float(value)
    raise _wrong(_NAMES[wanted], value)


def _choice(allowed: tuple[Any, ...], value: Any) -> Any:
    if value in allowed:
        return value
    raise Mismatch(f"Invalid enum value {value!r}, one of {', '.join(map(str, allowed))}")


def _optional(inner: Converter, value: Any) -> Any:
    return None if value is None else inner(value)


def _texts(value: Any) -> tuple[str, ...]:
    """Most of what a catalogue holds: a list of names."""
    if not isinstance(value, list | tuple):
        raise _wrong("array", value)
    if not _types(value) <= {str}:
        index = next(i for i, item in enumerate(value) if type(item) is not str)
        raise _wrong("str", value[index]).inside(f"[{index}]")
    return tuple(value)


def _stages(checked: Converter, value: Any) -> Any:
    """Thousands of ``[name, [path, ...]]``: their types are counted at once, not one by one."""
    if type(value) is list and _types(value) == {list} and set(map(len, value)) == {2}:
        names, paths = zip(*value, strict=True)
        plain = _types(names) == {str} and _types(paths) == {list}
        if plain and _types(chain.from_iterable(paths)) <= {str}:
            return tuple(zip(names, map(tuple, paths), strict=True))
    return checked(value)  # says what is wrong and where


def _types(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))


def _list(inner: Converter, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong("array", value)
    made: list[Any] = []
    try:
        for item in value:
            made.append(inner(item))  # noqa: PERF401 - its length is the index of what failed
    except Mismatch as error:
        raise error.inside(f"[{len(made)}]") from error
    return tuple(made)


def _row(inner: tuple[Converter, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong("array", value)
    if len(value) != len(inner):
        raise Mismatch(f"Expected `array` of length {len(inner)}, got {len(value)}")
    made: list[Any] = []
    try:
        for make, item in zip(inner, value, strict=True):
            made.append(make(item))
    except Mismatch as error:
        raise error.inside(f"[{len(made)}]") from error
    return tuple(made)


def _table(held: Any, inner: Converter, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong("object", value)
    if _types(value) <= {str} and (held is Any or _types(value.values()) <= {held}):
        return value.copy()
    made: dict[str, Any] = {}
    for key, item in value.items():
        try:
            made[str(key)] = inner(item)
        except Mismatch as error:
            raise error.inside(f".{key}") from error
    return made


@functools.cache
def _fields(record: type) -> tuple[dict[str, tuple[Any, Converter]], tuple[str, ...]]:
    """What each field holds and who converts it; the fields that must be there."""
    hints = get_type_hints(record)
    needed = tuple(
        field.name
        for field in dataclasses.fields(record)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    fields = dataclasses.fields(record)
    return {f.name: (hints[f.name], _converter(hints[f.name])) for f in fields}, needed


def _record(wanted: type, value: Any, ready: Mapping[str, Any] = MappingProxyType({})) -> Any:
    if isinstance(value, wanted):
        return value
    if not isinstance(value, dict):
        raise _wrong("object", value)
    makers, needed = _fields(wanted)
    for name in needed:
        if name not in value:
            raise Mismatch(f"Object missing required field `{name}`")
    made = dict(ready)
    for name, item in value.items():
        if name in ready:
            continue
        if name not in makers:
            raise Mismatch(f"Object contains unknown field `{name}`")
        kind, maker = makers[name]
        try:
            made[name] = item if type(item) is kind else maker(item)
        except Mismatch as error:
            raise error.inside(f".{name}") from error
    return wanted(**made)
