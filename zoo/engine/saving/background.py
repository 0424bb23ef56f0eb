"""One piece of work at a time, in a thread of its own, its result or error collected later."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Background(Generic[T]):
    """Does work beside the main thread.

    The thread dies with the process: what it works on must be left good by a kill at any moment.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._done: list[T] = []
        self._failed: list[BaseException] = []

    @property
    def busy(self) -> bool:
        """Whether something is being done right now."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def failed(self) -> bool:
        """Whether the work ended in an error that nobody has collected."""
        return bool(self._failed)

    def start(self, work: Callable[[], T]) -> None:
        """Begin with a piece of work; the one before must have been collected.

        Raises:
            RuntimeError: It was not.
        """
        if self._thread is not None:
            raise RuntimeError("the work before was not collected")
        self._thread = threading.Thread(
            target=self._run, args=(work,), name="zoo-save", daemon=True
        )
        self._thread.start()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._done.append(work())
        except BaseException as error:
            self._failed.append(error)

    def collect(self, *, wait: bool) -> T | None:
        """The result of the work, once.

        Args:
            wait: Until it is done; Ctrl-C ends the waiting.

        Returns:
            ``None`` if there was no work, or it is not done.

        Raises:
            BaseException: What the work raised, once.
        """
        if self._thread is None or (self._thread.is_alive() and not wait):
            return None
        self._thread.join()
        self._thread = None
        if self._failed:
            raise self._failed.pop()
        return self._done.pop()
