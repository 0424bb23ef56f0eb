"""Fail every system call of a save once, one at a time, and look at what is left.

For each call that a save makes on files (open, write, fsync, chmod, rename ...), in the thread that
writes as well as in the one that trains, three times: refused with ENOSPC, refused with EIO, and
SIGKILL at its entry. Linux with strace only.

    python tests/bench/faults.py
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import torch
from tinyrun import TinyRun

from zoo.core.metadata import WEIGHTS_FILE, CheckpointInfo
from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import list_states, newest_state
from zoo.engine.saving.keeper import Keeper
from zoo.engine.saving.rundir import RunFolder
from zoo.errors import CheckpointError, DiskError

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,fchmod,chmod,rename,renameat,renameat2,"
    "unlink,unlinkat,mkdir,mkdirat,ftruncate,lseek,getdents64,newfstatat,close,read"
)
FAULTS = {"ENOSPC": "error=ENOSPC", "EIO": "error=EIO", "KILL": "signal=KILL"}


@dataclass
class Tally:
    """What the faults did."""

    points: int = 0
    refused: int = 0
    survived: int = 0
    killed: int = 0
    beside: int = 0
    bad: list[str] = field(default_factory=list)


def prepared(folder: Path) -> TinyRun:
    """A run with two good saves, about to make the third, after which the first one goes."""
    run = TinyRun(folder / "run", epochs=1)
    with RunFolder.create(folder, name="run") as made:
        for step in (1, 2):
            made.record({"kind": "step", "epoch": 0, "step": step})
            run.live.position.step = step
            Keeper(made, CheckpointInfo()).save(run.live, reason="epoch", best={"loss": 1.0})
    return run


def save_again(run: TinyRun, made: RunFolder) -> int:
    """The save that faults are injected into; 0, or 8 if it was refused as it should be."""
    keeper = Keeper(made, CheckpointInfo())
    run.live.position.step = 3
    with torch.no_grad():
        run.live.model[0].weight.add_(1.0)
    os.writev(1, [b"begin\n"])
    try:
        keeper.begin(run.live, reason="epoch", best={"loss": 0.5})
        with torch.no_grad():  # training goes on beside it
            run.live.model[0].weight.add_(1.0)
        keeper.collect(wait=True)
        return 0
    except DiskError:
        return 8
    finally:
        os.writev(1, [b"end\n"])


def traced(
    work: Callable[[], int | None],
    *arguments: str,
    before: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Do something in a forked process that strace holds; gives its exit code and strace's log.

    Its standard output goes nowhere; what ``os.writev`` writes there is a mark in the log (a call
    of its own, so that no fault meets it). What it does
    ``before`` is not traced.
    """
    ready, go = os.pipe()
    prepared, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.close(go)
            os.close(prepared)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            before()
            os.close(tell)
            os.readv(ready, [bytearray(1)])
            code = work() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(ready)
    os.close(tell)
    os.read(prepared, 1)  # nothing comes; it ends when the process has prepared
    os.close(prepared)
    log = tempfile.NamedTemporaryFile(suffix=".strace", delete=False)  # noqa: SIM115
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", log.name, *arguments, "-p", str(pid)],
        stderr=subprocess.PIPE,
    )
    while f"TracerPid:\t{tracer.pid}\n" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.001)
        if tracer.poll() is not None:
            os.close(go)
            os.waitpid(pid, 0)
            raise PermissionError(tracer.stderr.read().decode())
    os.write(go, b"x")
    os.close(go)
    _, status = os.waitpid(pid, 0)
    tracer.wait()
    tracer.stderr.close()
    text = Path(log.name).read_text()
    Path(log.name).unlink()
    return os.waitstatus_to_exitcode(status), text


def under_strace(run: TinyRun, *arguments: str) -> tuple[int, str]:
    """Save in a traced process, which has the folder already."""
    made: list[RunFolder] = []
    return traced(
        lambda: save_again(run, made[0]),
        *arguments,
        before=lambda: made.append(RunFolder.open(run.folder)),
    )


def calls_of_a_save(folder: Path) -> list[tuple[str, int, bool]]:
    """``(call, how often its thread made it until then, whether beside the training)``.

    strace counts the calls of each thread by themselves.
    """
    code, text = under_strace(prepared(folder), "-e", f"trace={CALLS},writev")
    assert code == 0, f"the save without a fault ended with {code}"
    seen: Counter[tuple[str, str]] = Counter()
    points, inside, main = [], False, ""
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        name = rest.strip().partition("(")[0]
        if not re.fullmatch(r"[a-z0-9_]+", name):
            continue
        seen[thread, name] += 1
        if rest.strip().startswith("writev(1,"):
            inside, main = "begin" in rest, thread
        elif inside:
            points.append((name, seen[thread, name], thread != main))
    return sorted(set(points))


def examine(folder: Path, label: str, code: int, tally: Tally) -> None:
    """After a fault: the old save or the new one, whole, and nothing in between."""
    run = folder / "run"
    good = newest_state(run)
    problems = []
    if good.state is None or good.state.step not in (2, 3):
        problems.append("no good state")
    if good.rejected:
        problems.append(f"a torn state: {good.rejected[0][1]}")
    if code == 0 and good.state is not None and good.state.step != 3:
        problems.append("said to be saved, and is not there")
    try:
        tensorfile.verify(run / WEIGHTS_FILE)
    except CheckpointError as error:
        problems.append(f"torn weights: {error.message}")
    left = list((run / ".staging").iterdir())
    if code in (0, 8) and left and "unlink" not in label:
        problems.append(f"left behind: {left[0].name}")
    strays = [p.name for p in (run / "checkpoints").iterdir()]
    if len(strays) != len(list_states(run)):
        problems.append(f"strays: {strays}")
    if code not in (0, 8, -9):
        problems.append(f"ended with {code}")
    tally.points += 1
    tally.refused += code == 8
    tally.survived += code == 0
    tally.killed += code == -9
    tally.bad += [f"{label}: {problem}" for problem in problems]


def inject(limit: int | None = None) -> Tally:
    """Fail every call (or every n-th, for at most ``limit`` points a fault)."""
    torch.set_num_threads(1)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="zoo-faults-") as place:
        base = Path(place)
        points = calls_of_a_save(base / "count")
        every = max(1, len(points) // limit) if limit else 1
        for fault, how in FAULTS.items():
            for call, number, beside in points[::every]:
                folder = base / "fault"
                run = prepared(folder)
                rule = f"inject={call}:{how}:when={number}"
                code, _ = under_strace(run, "-e", f"trace={call}", "-e", rule)
                where = "the writing thread" if beside else "the main thread"
                examine(folder, f"{fault} at {call} number {number} in {where}", code, tally)
                tally.beside += beside
                shutil.rmtree(folder)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=int, help="points for each fault; default: all")
    given = parser.parse_args()
    tally = inject(given.limit)
    print(
        f"{tally.points} faults ({tally.beside} in the thread that writes): {tally.refused} refused with exit code 8, {tally.survived} "
        f"survived, {tally.killed} killed, {len(tally.bad)} bad"
    )
    for line in tally.bad:
        print(f"  {line}")
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
