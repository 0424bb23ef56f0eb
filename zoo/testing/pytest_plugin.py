"""``pytest -p zoo.testing.pytest_plugin --zoo-plugin NAME``: a plugin's contract as tests.

Without paths on the command line only the contract runs; with paths it runs besides their tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from zoo.errors import ZooError
from zoo.testing.checks import Settings, Skip
from zoo.testing.contract import contract

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.testing.checks import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flags."""
    group = parser.getgroup("zoo", "zoo plugins")
    group.addoption(
        "--zoo-plugin",
        action="append",
        default=[],
        metavar="NAME",
        help="Hold this installed plugin to zoo's contract (repeatable).",
    )
    group.addoption(
        "--zoo-part", action="append", default=[], metavar="GLOB", help="Only these parts of it."
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Put one test for each question beside, or in place of, what was collected."""
    names = config.getoption("--zoo-plugin")
    if not names:
        return
    if config.args_source != pytest.Config.ArgsSource.ARGS:
        items.clear()
    settings = Settings(parts=tuple(config.getoption("--zoo-part")) or ("*",))
    for name in names:
        for check in contract(name, settings):
            items.append(  # noqa: PERF401 - pytest's list has to be changed in place
                Question.from_parent(session, name=f"{name}: {check}", check=check)
            )


class Question(pytest.Item):
    """One question of a contract.

    Args:
        check: The question.
        **options: What pytest gives every item.
    """

    def __init__(self, *, check: Check, **options: Any) -> None:
        super().__init__(**options)
        self.check = check

    def runtest(self) -> None:
        """Ask."""
        try:
            self.check.run()
        except Skip as reason:
            pytest.skip(str(reason))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One of our own errors is a line and a hint; anything else shows its trace."""
        error = excinfo.value
        if isinstance(error, ZooError):
            return "\n".join(filter(None, (error.message, error.hint and f"hint: {error.hint}")))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands in a report."""
        return self.path, None, self.name
