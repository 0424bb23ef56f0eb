"""Progress for people: one live line on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from zoo.cli.output import plain, size

if TYPE_CHECKING:
    from types import TracebackType


class Live:
    """The line at the bottom of a terminal; silent where stderr is not one.

    Plain lines come from the caller; :meth:`line` prints them above the live one.

    Args:
        show: Whether anything is shown; programs that read JSON want nothing.
    """

    def __init__(self, *, show: bool = True) -> None:
        self._show = show
        self._terminal = show and sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None
        self._title = ""
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def line(self, text: str) -> None:
        """Print one line of progress to stderr."""
        if not self._show:
            return
        text = plain(text)
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def update(self, title: str, done: float, total: float | None, detail: str = "") -> None:
        """Show how far something is.

        Args:
            title: What is done; a new title starts a new line.
            done: Units done.
            total: Units in all, or ``None`` if nobody knows.
            detail: Rates and times, shown behind the bar.
        """
        if not self._terminal:
            return
        if self._bar is None or title != self._title:
            self.clear()
            self._start(title, total)
        self._bar.update(self._task, completed=done, total=total, detail=detail)

    def bytes(self, title: str, done: int, total: int | None) -> None:
        """Show a download; in a pipe, one line every ten seconds."""
        detail = f"{size(done)} of {size(total)}" if total else size(done)
        if self._terminal:
            self.update(title, done, total, detail)
        elif time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            self.line(f"{title}: {detail}")

    def clear(self) -> None:
        """Take the live line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self, title: str, total: float | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._title = title
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(title, total=total, detail="")


def images_done(live: Live, title: str, done: int, total: int) -> None:
    """Show how many images are done."""
    live.update(title, done, total, f"{done:,} of {total:,} images")


def duration(seconds: float) -> str:
    """Seconds as people say them: 45s, 3m 20s, 2h 05m."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
