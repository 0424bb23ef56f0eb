"""torch's compiler, loaded by the first who needs it instead of by everybody.

``import torchvision`` and the first step of each of torch's optimizers import ``torch._dynamo``: a
thousand modules, as long as ``import torch`` itself. They ask it two things, which have an answer
without it as long as nothing is compiled: to break the graph that is being recorded, and to keep
a function out of it. A stand-in answers these; whatever else is asked for (``torch.compile``,
``torch.export``, DDP) loads the compiler, which takes the stand-in's place.
"""

from __future__ import annotations

import functools
import sys
import threading
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, cast, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COMPILER: Final = "torch._dynamo"
_LOCK: Final = threading.RLock()


def postpone() -> None:
    """Have the compiler loaded when it is needed; for a process that is zoo's own.

    Does nothing where it is loaded already, or postponed.
    """
    if _COMPILER not in sys.modules and not _postponed():
        sys.meta_path.insert(0, _FINDER)


def _postponed() -> bool:
    return _FINDER in sys.meta_path


def _load() -> ModuleType:
    """The compiler itself; the stand-ins go."""
    with _LOCK:
        if _postponed():
            sys.meta_path.remove(_FINDER)
            for name in _ANSWERS:
                sys.modules.pop(name, None)
    return import_module(_COMPILER)


@final
class _StandIn(ModuleType):
    """A module whose further attributes are those of the one that it stands for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of every module, by whoever looks through all of them
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _load()
        return getattr(import_module(self.__name__), name)


@final
class _Finder:
    """Finds the stand-ins; a module that has none is looked for once the compiler is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say how a module is loaded; ``None`` where it is none of the compiler's."""
        if fullname in _ANSWERS:
            return _spec(fullname, self)
        if not fullname.startswith(f"{_COMPILER}."):
            return None
        del path, target
        whole = _load()
        if fullname in sys.modules:  # the whole package has imported it
            return _spec(fullname, _Loaded(sys.modules[fullname]))
        return PathFinder.find_spec(fullname, whole.__path__)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make a stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Give a stand-in its answers."""
        vars(module).update(_ANSWERS[module.__name__])


@final
class _Loaded:
    """Gives a module that is loaded already, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Give the module."""
        del spec
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as its own loader left it."""
        module.__spec__ = self.spec


def _spec(name: str, loader: _Finder | _Loaded) -> ModuleSpec:
    """Say that a loader loads a module (one by what it does: the base class costs ten modules)."""
    return ModuleSpec(name, cast("Any", loader), is_package=name == _COMPILER)


def _graph_break(*args: Any, **kwargs: Any) -> None:
    """Nothing: no graph is recorded before the compiler is loaded."""
    if not _postponed():
        _load().graph_break(*args, **kwargs)


def _disable(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The function itself, kept out of graphs once there can be some; modules are the compiler's."""
    if not isinstance(fn, FunctionType):
        return _load().disable(fn, *args, **kwargs)
    kept: list[Callable[..., Any]] = []

    @functools.wraps(fn)
    def called(*values: Any, **named: Any) -> Any:
        if not kept and not _postponed():
            kept.append(_load().disable(fn, *args, **kwargs))
        return (kept[0] if kept else fn)(*values, **named)

    return called


def _is_compile_supported(*args: Any, **kwargs: Any) -> Any:
    """Ask the compiler: whoever wants to know is about to compile."""
    _load()
    return import_module(f"{_COMPILER}.utils").is_compile_supported(*args, **kwargs)


_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    _COMPILER: {"graph_break": _graph_break, "disable": _disable},
    f"{_COMPILER}.utils": {"is_compile_supported": _is_compile_supported},
}
"""Module -> name -> what answers for it."""
_FINDER: Final = _Finder()
