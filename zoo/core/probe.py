"""Trying each plugin in a process of its own, for what nothing inside a process can survive.

A plugin that leaves the interpreter, dies of a bug in C or never returns from its import takes
every command with it. Here it takes a child.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zoo.core import settings

if TYPE_CHECKING:
    from zoo.core.discovery import EntryPoint

_MARK: Final = "zoo-probe:"
_CHILD: Final = f"""
import json, sys
from zoo.core import registry
known = registry.load()
known.run_hooks()
info = next(i for i in known.plugins if i.name == sys.argv[1])
print({_MARK!r} + json.dumps([info.state, info.error]))
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of one plugin.

    Attributes:
        name: Its name.
        distribution: Distribution that installs it.
        state: ``ok``, ``disabled``, ``quarantined``, ``died`` or ``hangs``.
        error: Why it is not ok, one line.
        seconds: How long it took, the start of Python included.
    """

    name: str
    distribution: str
    state: str
    error: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it loads, or is not asked to."""
        return self.state in ("ok", "disabled")


def probe(point: EntryPoint, *, timeout: float) -> Probe:
    """Load one plugin, and its run hooks, in a process of its own.

    Args:
        point: Which one.
        timeout: Seconds after which it counts as hanging.
    """
    allowed = settings.allowed_plugins()
    if point.name in settings.denied_plugins() or (
        allowed is not None and point.name not in allowed
    ):
        return Probe(point.name, point.distribution, "disabled")
    began = time.monotonic()
    state, error = _tried(point.name, timeout)
    seconds = round(time.monotonic() - began, 3)
    return Probe(point.name, point.distribution, state, error, seconds)


def _tried(name: str, timeout: float) -> tuple[str, str]:
    drop = ("ZOO_STRICT_PLUGINS", "ZOO_DEBUG")
    environment = {k: v for k, v in os.environ.items() if k not in drop} | {"ZOO_PLUGINS": name}
    with subprocess.Popen(  # noqa: S603 - our own interpreter, our own text
        [sys.executable, "-c", _CHILD, name],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as child:
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(child)
            return "hangs", f"its import takes more than {timeout:g} s"
    said = [line for line in out.splitlines() if line.startswith(_MARK)]
    if child.returncode == 0 and said:
        state, error = json.loads(said[-1].removeprefix(_MARK))
        return str(state), str(error)
    last = err.strip().splitlines()[-1:] or [""]
    return "died", ": ".join(filter(None, [_ending(child.returncode), last[0]]))


def _end(child: subprocess.Popen[str]) -> None:
    """End it and what it started."""
    if hasattr(os, "killpg"):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.communicate()


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended the process with exit code {code}"
    try:
        return f"it died of {signal.Signals(-code).name}"
    except ValueError:
        return f"it died of signal {-code}"
