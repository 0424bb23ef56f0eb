"""What an interrupted run had decided, which holds when it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from zoo.engine.prefix.setting import Views

if TYPE_CHECKING:
    from zoo.core.recipe import Recipe
    from zoo.engine.saving.checkpoint import State


@dataclass(frozen=True, slots=True)
class Begun:
    """What was decided when a run began.

    Attributes:
        views: What training was shown; ``None`` = nothing is known of that.
        teacher: Where the recipe's teacher lies now, if it has one.
        taught: sha256 of the teacher that the run began with; empty = not known.
    """

    views: Views | None = None
    teacher: str | None = None
    taught: str = ""

    @classmethod
    def of(cls, state: State | None, there: Recipe) -> Self:
        """Read it off a run.

        Args:
            state: Its newest whole state, if there is one.
            there: Its recipe, with paths as they lead there from here.
        """
        if state is None:
            return cls(teacher=there.loss.teacher)
        at = state.position()
        views = None if at.views is None else Views(at.views, at.parts)
        return cls(views, there.loss.teacher, str(state.info.teacher.get("sha256", "")))
