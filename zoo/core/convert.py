"""Plain values from TOML or JSON to annotated types, standard library only.

What msgspec does for recipes, for the registry's records: importing msgspec costs 17 modules, and
``zoo list`` has to answer without them. Knows the types that records use and no others.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable

    Converter = Callable[[Any, str], Any]


class Mismatch(ValueError):  # noqa: N818 - it says what it is
    """A value is not of the type that is wanted; the message says where."""


def convert(value: Any, wanted: Any) -> Any:
    """Give ``value`` as the annotated type ``wanted``; lists become tuples, tables records.

    Args:
        value: What TOML or JSON gave, or parts that are records already.
        wanted: ``str``, ``int``, ``float``, ``bool``, ``Any``, ``X | None``, ``Literal``,
            ``tuple[...]``, ``dict[str, X]`` or a dataclass.

    Raises:
        Mismatch: It is of another type, or a field is missing.
    """
    return _converter(wanted)(value, "")


@functools.cache
def _converter(wanted: Any) -> Converter:
    origin, args = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return lambda value, _: value
    if wanted in _NAMES:
        return functools.partial(_plain, wanted)
    if origin is Literal:
        return functools.partial(_choice, args)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        return functools.partial(_optional, _converter(inner))
    if origin is tuple and args[-1] is Ellipsis:
        return functools.partial(_list, _converter(args[0]))
    if origin is tuple:
        return functools.partial(_row, tuple(map(_converter, args)))
    if origin is dict:
        return functools.partial(_table, _converter(args[1]))
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return functools.partial(_record, wanted)
    raise TypeError(f"records do not hold {wanted}")


_NAMES = {str: "str", int: "int", float: "float", bool: "bool"}
_SEEN = {**_NAMES, dict: "object", list: "array", tuple: "array", type(None): "null"}


def _wrong(expected: str, value: Any, at: str) -> Mismatch:
    got = _SEEN.get(type(value), type(value).__name__)
    return Mismatch(f"Expected `{expected}`, got `{got}`" + (f" - at `{at[1:]}`" if at else ""))


def _plain(wanted: type, value: Any, at: str) -> Any:
    if type(value) is wanted:
        return value
    if wanted is float and type(value) is int:
        return float(value)
    raise _wrong(_NAMES[wanted], value, at)


def _choice(allowed: tuple[Any, ...], value: Any, at: str) -> Any:
    if value in allowed:
        return value
    where = f" - at `{at[1:]}`" if at else ""
    raise Mismatch(f"Invalid enum value {value!r}, one of {', '.join(map(str, allowed))}{where}")


def _optional(inner: Converter, value: Any, at: str) -> Any:
    return None if value is None else inner(value, at)


def _list(inner: Converter, value: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong("array", value, at)
    return tuple(inner(item, f"{at}[{index}]") for index, item in enumerate(value))


def _row(inner: tuple[Converter, ...], value: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong("array", value, at)
    if len(value) != len(inner):
        where = f" - at `{at[1:]}`" if at else ""
        raise Mismatch(f"Expected `array` of length {len(inner)}, got {len(value)}{where}")
    pairs = zip(inner, value, strict=True)
    return tuple(make(item, f"{at}[{index}]") for index, (make, item) in enumerate(pairs))


def _table(inner: Converter, value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong("object", value, at)
    return {str(key): inner(item, f"{at}.{key}") for key, item in value.items()}


@functools.cache
def _fields(record: type) -> tuple[dict[str, Converter], tuple[str, ...]]:
    hints = get_type_hints(record)
    needed = tuple(
        field.name
        for field in dataclasses.fields(record)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    return {f.name: _converter(hints[f.name]) for f in dataclasses.fields(record)}, needed


def _record(record: type, value: Any, at: str) -> Any:
    if isinstance(value, record):
        return value
    if not isinstance(value, dict):
        raise _wrong("object", value, at)
    makers, needed = _fields(record)
    for name in needed:
        if name not in value:
            where = f" - at `{at[1:]}`" if at else ""
            raise Mismatch(f"Object missing required field `{name}`{where}")
    unknown = [name for name in value if name not in makers]
    if unknown:
        raise Mismatch(f"Object contains unknown field `{unknown[0]}`")
    return record(**{name: makers[name](item, f"{at}.{name}") for name, item in value.items()})
