"""The contract of a plugin: all questions about it, for pytest and for ``zoo plugins check``.

A plugin's own test file needs one line::

    from zoo.testing import plugin_contract

    test_contract = plugin_contract("template")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.core import registry
from zoo.core.resolve import missing, resolve
from zoo.errors import VerificationError
from zoo.testing.checks import Answer, Check, Settings, Skip
from zoo.testing.plugin_checks import part_checks, plugin_checks, plugin_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_KINDS = {
    "model": "zoo.testing.model_checks:model_checks",
    "dataset": "zoo.testing.data_checks:dataset_checks",
    "loss": "zoo.testing.loss_checks:loss_checks",
    "transform": "zoo.testing.data_checks:transform_checks",
    "optimizer": "zoo.testing.loss_checks:optimizer_checks",
    "scheduler": "zoo.testing.loss_checks:scheduler_checks",
    "metric": "zoo.testing.loss_checks:metric_checks",
    "tracker": "zoo.testing.data_checks:tracker_checks",
    "exporter": "zoo.testing.data_checks:exporter_checks",
    "command": "zoo.testing.data_checks:command_checks",
}


def contract(name: str, settings: Settings | None = None) -> list[Check]:
    """All questions about a plugin; asking for the list imports nothing of it.

    Args:
        name: Name of its entry point; ``zoo`` for the built-in parts.
        settings: Which parts, and where their data lies.

    Raises:
        UnknownNameError: No such plugin is installed.
    """
    given = settings or Settings()
    info = plugin_info(name)
    found = plugin_checks(info)
    known = registry.load()
    for kind, target in _KINDS.items():
        for spec in known.shelf(kind).values():
            if spec.plugin != name or not given.wants(kind, spec):
                continue
            subject = f"{kind} {spec.name}"
            found += part_checks(subject, spec)
            found += _lazily(target, spec, given)
    return found


def _lazily(target: str, spec: Any, settings: Settings) -> list[Check]:
    """The questions of a kind; their modules import torch, which collecting may afford."""
    if missing(spec):
        return []
    make: Any = resolve(target)
    checks: list[Check] = make(spec, settings)
    return checks


def check_plugin(name: str, settings: Settings | None = None) -> Iterator[Answer]:
    """Ask every question about a plugin, one after the other.

    Args:
        name: Name of its entry point.
        settings: Which parts, and where their data lies.

    Raises:
        UnknownNameError: No such plugin is installed.
    """
    for check in contract(name, settings):
        yield check.answer()


def plugin_contract(
    name: str,
    *,
    parts: tuple[str, ...] = ("*",),
    roots: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    max_params: int | None = None,
    exports: tuple[str, ...] | None = None,
) -> Callable[..., None]:
    """A pytest test function that asks every question about a plugin, one test each.

    Args:
        name: Name of its entry point.
        parts: Globs of the parts that are checked.
        roots: Data set name -> folder in which its files lie.
        options: Data set name -> options that it is opened with.
        max_params: Larger models are only built on the meta device.
        exports: Formats that every model must export to.

    Raises:
        UnknownNameError: No such plugin is installed.
    """
    import pytest

    changed = {"max_params": max_params, "exports": exports}
    settings = Settings(
        parts=parts,
        roots=dict(roots or {}),
        options=dict(options or {}),
        **{key: value for key, value in changed.items() if value is not None},  # type: ignore[arg-type]
    )
    checks = contract(name, settings)

    @pytest.mark.parametrize("check", checks, ids=str)
    def test_contract(check: Check) -> None:
        try:
            check.run()
        except Skip as reason:
            pytest.skip(str(reason))
        except VerificationError as error:
            hint = f"\nhint: {error.hint}" if error.hint else ""
            pytest.fail(f"{check}\n{error.message}{hint}", pytrace=False)

    return test_contract
