"""Starting several processes on this machine: torchrun's own agent, one fresh one per attempt.

Restarts are ours: torchrun's ``--max-restarts`` re-uses a rendezvous that often fails to connect
again, a new agent does not. The agent runs in a process of its own, which passes on the exit code
of the rank that failed first instead of torchrun's 1.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.engine.processes.signals import HANGUP
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

FINAL = frozenset({0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 129, 130, 143})
"""Exit codes that a second attempt would only repeat."""
AGENT: tuple[str, ...] = (sys.executable, "-m", "zoo.engine.processes.launch")
"""Command of the agent."""
NOTE = "ZOO_RUN_NOTE"
"""Environment variable with the file in which rank 0 writes the run's folder."""
PULSE = 0.5
"""Seconds between two looks whether the launcher is still there."""
GRACE = "120"
"""Seconds that ranks have for saving after they were asked to stop."""


def launch(
    nproc: int,
    argv: Sequence[str],
    *,
    retries: int = 0,
    pause: float = 1.0,
) -> int:
    """Run ``python -m zoo ARGV`` in several processes, and wait for them.

    Ctrl-C reaches the processes from the terminal; SIGTERM and a hangup are passed on to them, and
    if this process is killed they are asked to stop and save, too. A further attempt is ``zoo resume RUN``, if the processes said which run it is (:func:`note_run`).

    Args:
        nproc: Processes on this machine.
        argv: What follows ``zoo``.
        retries: Further attempts after a crash (not after an error that would come again).
        pause: Seconds between attempts.

    Returns:
        0, or the exit code of the rank that failed first (128 + signal if it was killed).

    Raises:
        UsageError: Fewer than two processes, or this is one of several already.
    """
    if nproc < 2:
        raise UsageError(f"--nproc {nproc}: several processes are at least 2")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UsageError(
            "--nproc inside of torchrun would start processes of processes",
            hint="leave --nproc out; torchrun's --nproc-per-node says how many",
        )
    with tempfile.TemporaryDirectory(prefix="zoo-launch-") as folder:
        note = Path(folder, "run")
        code = _attempt(nproc, argv, note)
        for _ in range(retries):
            if code in FINAL:
                break
            time.sleep(pause)
            begun = note.read_text() if note.exists() else ""
            code = _attempt(nproc, ["resume", begun] if begun else argv, note)
    return code


def note_run(path: Path) -> None:
    """Tell the launcher, if there is one, which run this is, so that it can resume it."""
    note = os.environ.get(NOTE)
    if note:
        with contextlib.suppress(OSError):
            Path(note).write_text(str(path.absolute()))


def _attempt(nproc: int, argv: Sequence[str], note: Path) -> int:
    command = [*AGENT, str(nproc), *argv]
    before: dict[int, Any] = {}
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, env={**os.environ, NOTE: str(note)}
    )
    try:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        if HANGUP and signal.getsignal(HANGUP) != signal.SIG_IGN:
            before[HANGUP] = signal.signal(HANGUP, lambda *_: child.terminate())
    except ValueError:  # not in the main thread: nothing to pass on
        pass
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def agent(nproc: int, argv: Sequence[str]) -> int:
    """Be the agent of one attempt; runs in a process of its own.

    Args:
        nproc: Processes on this machine.
        argv: What follows ``zoo``.

    Returns:
        The exit code for :func:`launch`.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if not os.environ.get("ZOO_DEBUG"):
        logging.disable(logging.CRITICAL)  # what failed is said by the rank that failed
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", GRACE)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # ranks set their own share of the cores
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=nproc,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "zoo", *argv)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        code = int(failure.exitcode)
        return 128 - code if code < 0 else code
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _end_with(parent: int) -> None:
    """Stop as SIGTERM does once the launcher is gone: nobody would wait for the ranks any more."""
    while os.getppid() == parent:
        time.sleep(PULSE)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(agent(int(sys.argv[1]), sys.argv[2:]))
