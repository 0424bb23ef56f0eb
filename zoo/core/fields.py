"""What the fields of a recipe are: key, type, default and description, read off the tree."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, get_type_hints

from msgspec import Meta

from zoo.core.recipe import Recipe


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One recipe field, as flags, docs and checks see it.

    Attributes:
        key: Dotted key, ``optim.lr``.
        type: Its annotation, with msgspec's constraints.
        default: Its default value.
        help: Its description.
    """

    key: str
    type: Any
    default: Any
    help: str


def _description(annotation: Any) -> str:
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, Meta) and meta.description:
            return meta.description
    return ""


def fields_of() -> dict[str, FieldInfo]:
    """Every field of a recipe by dotted key, in order (``schema`` and ``verb`` left out)."""
    found: dict[str, FieldInfo] = {}
    for section, part in get_type_hints(Recipe).items():
        if not dataclasses.is_dataclass(part):
            continue
        hints = get_type_hints(part, include_extras=True)
        for item in dataclasses.fields(part):
            key = f"{section}.{item.name}"
            default = (
                item.default_factory()
                if item.default_factory is not dataclasses.MISSING
                else item.default
            )
            found[key] = FieldInfo(key, hints[item.name], default, _description(hints[item.name]))
    return found


@functools.cache
def fields() -> dict[str, FieldInfo]:
    """Every recipe field by dotted key (cached)."""
    return fields_of()
