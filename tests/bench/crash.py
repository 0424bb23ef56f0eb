"""Kill a training run with SIGKILL at random moments, again and again, and count what is lost.

Each life of the run is a forked process that takes the folder, resumes and trains; it is killed
after a random time, so also while it resumes, sweeps, evaluates, saves or prunes. After every
kill all files are checked; a run that reached its end is compared, bit for bit, with one that was
never killed, and the next one begins.

A part of the kills meets whole runs instead, from recipe to predictions, whose frozen part's
outputs are kept in a cache on disk: they die while that is filled, too.

    python tests/bench/crash.py --kills 500
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import realrun
import torch
from tinyrun import TinyLoader, TinyRun, fingerprint

from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import list_states, newest_state
from zoo.errors import CheckpointError


@dataclass
class Count:
    """What happened."""

    kills: int = 0
    runs: int = 0
    torn: int = 0
    lost: int = 0
    silent: int = 0
    swept: int = 0
    filling: int = 0
    at: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not (self.torn or self.lost or self.silent)


def make(folder: Path) -> TinyRun:
    return TinyRun(folder, epochs=4, save_steps=1, loader=TinyLoader(count=22), optimizer="adamw")


def rows(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in r.items() if k not in ("images_per_second", "seconds")} for r in lines
    ]


def live(folder: Path) -> int:
    """One life, in a process of its own; gives its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for _ in make(folder).go():
                pass
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def life(pid: int, seconds: float) -> bool:
    """Let it live for some seconds; whether it ended by itself, which must be the run's end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, "a life ended with an error"
            return True
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


def examine(folder: Path, seen: int, count: Count) -> int:
    """Check every file that a kill left; gives the newest good step."""
    if not folder.exists():
        return seen
    for _, path in list_states(folder):
        try:
            tensorfile.verify(path)
        except CheckpointError as error:
            count.torn += 1
            print(f"torn: {error}")
    best = folder / "model.safetensors"
    if best.exists():
        try:
            tensorfile.verify(best)
        except CheckpointError as error:
            count.torn += 1
            print(f"torn: {error}")
    staging = folder / ".staging"
    count.swept += len(list(staging.iterdir())) if staging.exists() else 0
    state = newest_state(folder).state
    step = state.step if state else 0
    if step < seen:
        count.lost += 1
        print(f"lost: step {seen} was saved, the newest is {step}")
    count.at[str(step)] = count.at.get(str(step), 0) + 1
    return step


def soak(kills: int, *, seed: int = 0, longest: float | None = None) -> Count:
    """Kill that many times; gives what happened."""
    torch.set_num_threads(1)
    generator = random.Random(seed)
    count = Count()
    with tempfile.TemporaryDirectory(prefix="zoo-crash-") as place:
        whole = make(Path(place, "whole"))
        start = time.monotonic()
        list(whole.go())
        longest = longest or 0.7 * (time.monotonic() - start)
        want, lines = fingerprint(whole.live), rows(whole.folder)
        folder, seen = Path(place, "killed"), 0
        while count.kills < kills:
            ended = life(live(folder), generator.uniform(0, longest))
            count.kills += not ended
            seen = examine(folder, seen, count)
            if ended:
                compare(folder, want, lines, count)
                shutil.rmtree(folder)
                seen = 0
        list(make(folder).go())
        compare(folder, want, lines, count)
    return count


def soak_cache(kills: int, count: Count, *, seed: int = 0) -> None:
    """Kill whole runs with a cache on disk that many times; adds to what happened."""
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="zoo-crash-") as place:
        before = Path.cwd()
        realrun.settle(Path(place))
        start = time.monotonic()
        assert life(realrun.live("cache", "whole"), 600)
        longest = 0.7 * (time.monotonic() - start)
        want, marks = realrun.outcome("whole"), filled("whole")
        folder, seen, left = Path("runs", "killed"), 0, kills
        while left or folder.exists():
            ended = life(realrun.live("cache", "killed"), generator.uniform(0, longest))
            ended = ended or (not left and life(realrun.live("cache", "killed"), 600))
            if not ended:
                count.kills, left = count.kills + 1, left - 1
                count.filling += 0 < filled("killed") < marks
            seen = examine(folder, seen, count)
            if ended:
                count.runs += 1
                if realrun.outcome("killed") != want:
                    count.silent += 1
                    print("silent: a killed run with a cache ended otherwise")
                shutil.rmtree(folder)
                shutil.rmtree(Path("caches", "killed"))
                seen = 0
        os.chdir(before)


def filled(name: str) -> int:
    """Chunks of the frozen part's outputs that are marked as kept."""
    marks = Path("caches", name).rglob("done.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in marks)


def compare(folder: Path, want: dict[str, bytes], lines: list[dict], count: Count) -> None:
    """A run that reached its end must be the run that was never killed."""
    count.runs += 1
    end = make(folder)
    list(end.go())
    if fingerprint(end.live) != want or rows(folder) != lines:
        count.silent += 1
        print("silent: a killed run ended with other bits or other lines")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cached", type=float, default=0.3, help="share that meets cached runs")
    given = parser.parse_args()
    start = time.monotonic()
    cached = round(given.kills * given.cached)
    count = soak(given.kills - cached, seed=given.seed)
    if cached:
        soak_cache(cached, count, seed=given.seed)
    print(
        f"{count.kills} kills ({count.filling} while a cache was being filled) over {count.runs} "
        f"finished runs in {time.monotonic() - start:.0f} s: "
        f"{count.torn} torn, {count.lost} lost, {count.silent} silent; "
        f"{count.swept} unfinished files swept\nnewest good step after a kill: "
        + ", ".join(f"{k}: {v}" for k, v in sorted(count.at.items(), key=lambda x: int(x[0])))
    )
    return 0 if count.clean else 1


if __name__ == "__main__":
    sys.exit(main())
