"""Ctrl-C and SIGTERM as a wish that the loop reads between two steps.

Nothing is saved inside a handler. The first signal sets a flag; the loop saves and leaves. A
second Ctrl-C stops at once. (A repeated SIGTERM does not: torchrun sends one to each process
after the terminal's Ctrl-C has reached them already.)
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

WATCHED = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Watches for signals while it is entered; the handlers before it come back afterwards.

    Outside of the main thread, where Python allows no handlers, it only holds the flag.
    """

    def __init__(self) -> None:
        self.signal: int = 0
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal != 0

    def request(self, number: int = signal.SIGINT) -> None:
        """Ask the loop to stop, as the signal would."""
        self.signal = self.signal or int(number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        self.signal = int(number) if number == signal.SIGINT else self.signal or int(number)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in WATCHED:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
