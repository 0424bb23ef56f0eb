"""Every error that zoo raises on purpose, with the exit code that the command line gives it.

::

    ZooError                   1  (never raised itself)
    ├── UsageError             2  a flag, a recipe, a registry file or a value is wrong
    │   ├── UnknownNameError   2  no such part; carries suggestions
    │   └── FreezeError        2  a freeze request that would freeze nothing, all, or the head
    ├── DataError              3  the images, folders, labels or splits are wrong
    ├── PluginError            4  a plugin is broken or does not fit
    ├── CheckpointError        5  a checkpoint is damaged, foreign, or does not fit the model
    ├── HubError               6  weights could not be fetched, verified or published
    ├── DeviceError            7  the device that was asked for is not there
    ├── DiskError              8  disk full, read-only, no permission
    ├── NumericsError          9  NaN or infinite loss, out of memory
    ├── BusyError             10  the run folder belongs to another process
    ├── VerificationError     11  a check that zoo itself makes did not hold
    └── Interrupted      130/143  Ctrl-C or SIGTERM (129: hangup); the run is saved

A message says what is wrong in one line; a hint is a command or an edit. Only these are caught
at the command line: anything else is a bug of ours and shows its trace.
"""

from __future__ import annotations

from typing import ClassVar


class ZooError(Exception):
    """Base of every error that zoo raises on purpose.

    Args:
        message: What is wrong, one line, no trailing full stop needed.
        hint: A command to type or an edit to make; empty if there is none.
    """

    exit_code: ClassVar[int] = 1
    everywhere: bool = False
    """Whether all processes of a run raise it together, so that one of them speaks."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint), vars(self))


def _rebuild(kind: type[ZooError], message: str, hint: str) -> ZooError:
    return kind(message, hint=hint)


class UsageError(ZooError):
    """A flag, a recipe field, a registry entry or a value is wrong (exit 2)."""

    exit_code = 2


def too_long(name: str) -> UsageError:
    """The error for a path with a name that no file can have."""
    shown = f"{name[:40]}..." if len(name) > 40 else name
    return UsageError(f"{shown!r} is longer than the name of a file may be")


class UnknownNameError(UsageError):
    """A name that no shelf has; ``suggestions`` are close names (exit 2).

    Args:
        message: What is wrong.
        hint: A command or an edit.
        suggestions: Known names that look like it, best first.
    """

    def __init__(self, message: str, *, hint: str = "", suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.suggestions = suggestions


class FreezeError(UsageError):
    """A freeze request that cannot mean what was asked (exit 2)."""


class DataError(ZooError):
    """The images, folders, labels or splits are wrong (exit 3)."""

    exit_code = 3


class PluginError(ZooError):
    """A plugin is broken, missing or written for another zoo (exit 4)."""

    exit_code = 4


class CheckpointError(ZooError):
    """A checkpoint is damaged, foreign, or does not fit the model (exit 5)."""

    exit_code = 5


class HubError(ZooError):
    """Weights could not be fetched, verified or published (exit 6)."""

    exit_code = 6


class DeviceError(ZooError):
    """The device that was asked for does not exist here (exit 7)."""

    exit_code = 7


class DiskError(ZooError):
    """Disk full, read-only, or no permission (exit 8)."""

    exit_code = 8


class NumericsError(ZooError):
    """Non-finite loss, or out of memory after back-off (exit 9)."""

    exit_code = 9


class BusyError(ZooError):
    """The run folder is in use by another process (exit 10)."""

    exit_code = 10


class VerificationError(ZooError):
    """A verification that zoo itself makes failed: freeze proof, export parity, lock (exit 11)."""

    exit_code = 11


class Interrupted(ZooError):  # noqa: N818 - a stop that was asked for is not a mistake
    """The run was stopped by a signal and is saved (exit 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP).

    Args:
        message: What was saved, where.
        hint: The command that goes on.
        signal: The signal's number.
    """

    def __init__(self, message: str, *, hint: str = "", signal: int = 2) -> None:
        super().__init__(message, hint=hint)
        self.signal = signal

    @property
    def code(self) -> int:
        """The process exit code for this signal: 128 + signal."""
        return 128 + self.signal
