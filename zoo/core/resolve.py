"""``"module:attr"`` to an object: the only place where zoo imports by name."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError, UsageError

if TYPE_CHECKING:
    from types import ModuleType

    from zoo.core.specs import PartSpec


def resolve(target: str) -> object:
    """Import what ``target`` names.

    What a module prints while it is imported goes to stderr, so that ``--json`` stays JSON.

    Args:
        target: ``"package.module:attribute"``; the attribute may be dotted.

    Raises:
        PluginError: Malformed target, module not importable, or no such attribute.
    """
    module_name, colon, path = target.partition(":")
    if not (colon and module_name and path):
        raise PluginError(f"target {target!r} is not of the form module:attribute")
    found: object = import_module(module_name)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise PluginError(f"{module_name} has no {path} (target {target})") from error
    return found


def import_module(name: str) -> ModuleType:
    """Import a module that a registry file names.

    Raises:
        PluginError: It cannot be imported, for whatever reason.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        hint = _install_hint(error, name)
        raise PluginError(f"cannot import {name}: {reason}", hint=hint) from error


def target_of(spec: PartSpec) -> object:
    """Import a part's target; what it requires and lacks is the hint.

    Raises:
        PluginError: As :func:`resolve` says.
    """
    try:
        return resolve(spec.target)
    except PluginError as error:
        lacks = missing(spec) if isinstance(error.__cause__, ImportError) else []
        if lacks:
            error.hint = install(lacks)
        raise


def called(
    function: Any, spec: PartSpec, kind: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Call what a part names; what the part requires and lacks is the hint.

    Args:
        function: The target, or what hangs on it.
        spec: The part's entry.
        kind: Kind of part.
        args: Positional arguments of the kind's contract.
        options: Keyword arguments.

    Raises:
        PluginError: It imports what the part requires, and that is not installed.
    """
    try:
        return function(*args, **options)
    except ImportError as error:  # a target may import what it needs when it is called
        if lacks := missing(spec):
            text = f"{kind} {spec.qualified}: {type(error).__name__}: {error}"
            raise PluginError(text, hint=install(lacks)) from error
        raise


def accepted(
    target: Any, spec: PartSpec, kind: str, args: tuple[Any, ...], options: dict[str, Any]
) -> dict[str, Any]:
    """Check that a target takes the options that it would be called with.

    Args:
        target: The target, or what hangs on it.
        spec: The part's entry.
        kind: Kind of part.
        args: Positional arguments of the kind's contract.
        options: Keyword arguments.

    Returns:
        The options.

    Raises:
        UsageError: It does not take one of them; names those that it takes.
    """
    import inspect

    from zoo.core import names

    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return options
    parameters = signature.parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in options:
            if name not in parameters:
                takes = [n for n in parameters if n not in ("self", "params", "optimizer")]
                raise UsageError(
                    f"{kind} {spec.qualified} has no option {name!r}",
                    hint=names.did_you_mean(names.suggest(name, takes))
                    or f"it takes {', '.join(takes[len(args) :]) or 'none'}",
                )
    return options


def missing(spec: PartSpec) -> list[str]:
    """The entries of a part's ``requires`` that are not installed."""
    return [entry for entry in spec.requires if not _installed(entry)]


def install(entries: list[str]) -> str:
    """The command that installs distributions."""
    import shlex

    return f"pip install {shlex.join(entries)}"


def _installed(entry: str) -> bool:
    import importlib.util
    import re
    from importlib import metadata

    distribution = re.split(r"[^\w.-]", entry.strip(), maxsplit=1)[0]
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return importlib.util.find_spec(re.sub(r"[-.]", "_", distribution)) is not None
    return True


def _install_hint(error: BaseException, module: str) -> str:
    """What is missing, unless it is the part's own package: that is a wrong target."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        if missing != module.partition(".")[0]:
            return f"pip install {missing}"
    return "zoo plugins"
