"""Noticing that a plugin replaced what everything else relies on, and putting it back.

A plugin is code and may do anything; this is no wall. It is there for the plugin that patches
``torch.load`` so that its own files open, and thereby those of everybody else.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from zoo.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

WATCHED: Final = (
    "builtins.open",
    "builtins.exec",
    "builtins.eval",
    "builtins.__import__",
    "pickle.load",
    "pickle.loads",
    "json.loads",
    "os.replace",
    "torch.load",
    "torch.save",
    "safetensors.safe_open",
    "safetensors.torch.load_file",
)
"""Functions that no plugin may replace while it is imported."""
_HOMES: Final = {"torch": "torch.serialization", "pickle": "_pickle"}


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Check that what runs inside leaves the watched functions alone; puts them back.

    A module that is first imported inside is held to itself: its functions must be its own.

    Raises:
        PluginError: One was replaced; names it.
    """
    before = {name: found for name in WATCHED if (found := _now(name)) is not None}
    yield
    changed = [name for name in WATCHED if _changed(name, before.get(name))]
    for name in changed:
        _put(name, before.get(name) or _original(name))
    if changed:
        raise PluginError(f"it replaces {', '.join(changed)}")


def _changed(name: str, before: object) -> bool:
    now = _now(name)
    if before is not None:
        return now is not before
    home = str(getattr(now, "__module__", None) or "").partition(".")[0].lstrip("_")
    return now is not None and home not in (name.partition(".")[0], "builtins")


def _now(name: str) -> object | None:
    module, _, attribute = name.rpartition(".")
    return getattr(sys.modules.get(module), attribute, None)


def _original(name: str) -> object | None:
    """A function from the module that defines it, where that is another one."""
    home = _HOMES.get(name.partition(".")[0], "")
    return getattr(sys.modules.get(home), name.rpartition(".")[2], None)


def _put(name: str, value: object | None) -> None:
    if value is None:
        return
    module, _, attribute = name.rpartition(".")
    setattr(sys.modules[module], attribute, value)
