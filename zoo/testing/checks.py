"""What a contract is made of: questions about parts, their answers, and the settings they share."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import PluginError, VerificationError, ZooError

if TYPE_CHECKING:
    from zoo.core.specs import PartSpec


class Skip(Exception):  # noqa: N818 - not an error: the question does not arise here
    """A question that cannot be asked here; the message says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a plugin's author may say about how its contract is checked.

    Attributes:
        parts: Globs; only parts whose name, qualified name or ``kind:name`` matches are checked.
        roots: Data set name -> folder in which its files lie.
        options: Data set name -> options that it is opened with.
        max_params: Models with more parameters are only built on the meta device.
        exports: Formats that every model must export to.
    """

    parts: tuple[str, ...] = ("*",)
    roots: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_params: int = 30_000_000
    exports: tuple[str, ...] = ("torch-export", "onnx")

    def wants(self, kind: str, spec: PartSpec) -> bool:
        """Whether a part is checked."""
        names = (spec.name, spec.qualified, f"{kind}:{spec.name}")
        return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in self.parts)


@dataclass(frozen=True, slots=True)
class Check:
    """One question.

    Attributes:
        subject: What it is about: ``plugin``, or kind and name of a part.
        question: What must hold.
        run: Answers it: returns if it holds, raises otherwise; may raise :class:`Skip`.
    """

    subject: str
    question: str
    run: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.subject}: {self.question}"

    def answer(self) -> Answer:
        """Ask, whatever happens."""
        started = time.perf_counter()
        state: Literal["ok", "failed", "skipped"] = "ok"
        text = hint = ""
        try:
            self.run()
        except Skip as reason:
            state, text = "skipped", str(reason)
        except ZooError as error:
            state, text, hint = "failed", error.message, error.hint
        except Exception as error:
            state = "failed"
            text = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        return Answer(self.subject, self.question, state, text, hint, time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question.

    Attributes:
        subject: As in :class:`Check`.
        question: As in :class:`Check`.
        state: ``ok``, ``failed`` or ``skipped``.
        text: Why it failed or was skipped.
        hint: A command or an edit.
        seconds: How long it took.
    """

    subject: str
    question: str
    state: Literal["ok", "failed", "skipped"]
    text: str = ""
    hint: str = ""
    seconds: float = 0.0


def require(holds: object, message: str, *, hint: str = "") -> None:
    """Fail a check unless something holds.

    Raises:
        VerificationError: It does not.
    """
    if not holds:
        raise VerificationError(message, hint=hint)


def checks_of(
    subject: str, spec: Any, settings: Settings, questions: Iterable[tuple[str, Question]]
) -> list[Check]:
    """Bind a table of questions to one part."""
    return [
        Check(subject, question, lambda ask=ask: ask(spec, settings))  # type: ignore[misc]
        for question, ask in questions
    ]


Question = Callable[[Any, Settings], None]
"""A question about a part: takes its spec and the settings, returns if it holds."""


def blame(spec: PartSpec, message: str) -> PluginError:
    """An error that names the part and its target."""
    return PluginError(f"{spec.qualified} ({spec.target}): {message}")
