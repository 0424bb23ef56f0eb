"""Run a command and say what it cost, without a library: this process has to stay small.

Linux counts the memory of the process that forks into the peak of the one that starts, so a
program that measures must not hold torch itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BUSY = "nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits --loop-ms=500"
"""Prints twice a second (being asked costs the GPU, too) for how many percent of the last moment some kernel ran."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a command took.

    Attributes:
        code: Its exit code.
        wall: Seconds from start to end.
        cpu: Seconds of all cores, user and system, with those of the processes it started.
        rss: Peak memory of the largest of these processes, megabytes.
        output: What it printed, errors included.
        busy: Percent of the time for which the first GPU had something to do, in the last third
            of the command, when it had long started; ``None`` if nobody asked.
    """

    code: int
    wall: float
    cpu: float
    rss: float
    output: str
    busy: float | None = None


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path,
    gpu: bool = False,
) -> Cost:
    """Run ``command`` in ``cwd`` and wait for it; watch the GPU meanwhile if asked."""
    with tempfile.TemporaryFile() as printed, watched(gpu) as seen:
        start = time.monotonic()
        process = subprocess.Popen(
            list(command), env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=printed,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        busy = last_third(seen)
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    return Cost(
        code=process.returncode,
        wall=wall,
        cpu=used.ru_utime + used.ru_stime,
        rss=used.ru_maxrss / 1024,
        output=output,
        busy=busy,
    )


@contextmanager
def watched(gpu: bool) -> Iterator[IO[bytes] | None]:
    """A file that fills with the GPU's load while the block runs."""
    if not gpu or shutil.which("nvidia-smi") is None:
        yield None
        return
    with tempfile.TemporaryFile() as load:
        watcher = subprocess.Popen(BUSY.split(), stdout=load, stderr=subprocess.DEVNULL)
        try:
            yield load
        finally:
            watcher.terminate()
            watcher.wait()


def last_third(load: IO[bytes] | None) -> float | None:
    """Mean of the last third of what was seen of the first GPU."""
    if load is None:
        return None
    load.seek(0)
    found = [int(line) for line in load.read().split() if line.isdigit()]
    late = found[len(found) * 2 // 3 :]
    return sum(late) / len(late) if late else None


def quiet_env(home: Path, threads: int) -> dict[str, str]:
    """The environment of every command: its own home, no network, so many threads."""
    number = str(threads)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_", "PYTHON"))}
    return {
        **kept,
        "OMP_NUM_THREADS": number,
        "MKL_NUM_THREADS": number,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
        "TORCH_HOME": str(home / "torch"),
        "LLM_USER_PATH": str(home / "llm"),
        "FASTAI_HOME": str(home / "fastai"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "ZOO_CACHE": str(home / "zoo"),
        "ZOO_CONFIG": str(home / "zoo-config"),
        "PYTHONWARNINGS": "ignore",
        "WANDB_MODE": "disabled",
    }
