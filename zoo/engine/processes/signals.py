"""Ctrl-C, SIGTERM and a closed terminal as a wish that the loop reads between two steps.

Nothing is saved inside a handler. The first signal sets a flag; the loop saves and leaves. A
second Ctrl-C stops at once. A repeated SIGTERM does not, and neither does a Ctrl-C that torchrun
passes on a moment after the terminal has sent it to the process itself.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

WATCHED = (signal.SIGINT, signal.SIGTERM)
HANGUP: int | None = getattr(signal, "SIGHUP", None)
"""What a terminal that closes sends; Windows has none."""
ECHO = 2.0
"""Seconds within which torchrun's own Ctrl-C is taken for the terminal's."""


class Stop:
    """Watches for signals while it is entered; the handlers before it come back afterwards.

    Outside of the main thread, where Python allows no handlers, it only holds the flag.
    """

    def __init__(self) -> None:
        self.signal: int = 0
        self._before: dict[int, Any] = {}
        self._first = float("inf")
        self._echo = ECHO if "TORCHELASTIC_RUN_ID" in os.environ else 0.0

    def __bool__(self) -> bool:
        return self.signal != 0

    def request(self, number: int = signal.SIGINT) -> None:
        """Ask the loop to stop, as the signal would."""
        self.signal = self.signal or int(number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            self.signal = self.signal or int(number)
            return
        if time.monotonic() - self._first > self._echo:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        self._first = min(self._first, time.monotonic())
        self.signal = int(number)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            watched: list[int] = [*WATCHED]
            if HANGUP and signal.getsignal(HANGUP) != signal.SIG_IGN:  # ignored under nohup
                watched.append(HANGUP)
            for number in watched:
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
