"""Kill real runs at chosen places, resume them, and compare with runs that were never killed.

Recipes (everything that makes resuming hard) times places (in a step, in an epoch's last batch, in
the validation, while a state is written ...) times loader processes. SIGKILL each time; then the
run goes on at once, and its states, weights, metrics and predictions must be the same to the bit.

    python tests/bench/stops.py             # all of them
    python tests/bench/stops.py --quick     # each recipe and each place at least once
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import torch
from realrun import RECIPES, live, outcome, settle


def die() -> None:
    """As the power, the kernel or an impatient person would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(owner: object, name: str, number: int, *, after: bool = False) -> None:
    """Die at (or right after) the n-th call of a function."""
    real = getattr(owner, name)
    left = [number]

    def counted(*args: object, **kwargs: object) -> object:
        left[0] -= 1
        if not left[0] and not after:
            die()
        given = real(*args, **kwargs)
        if not left[0]:
            die()
        return given

    setattr(owner, name, counted)


def in_a_step() -> None:
    """After the backward, before the update, in the middle of the second epoch."""
    from zoo.engine.step import Stepper

    at_call(Stepper, "_update", STEPS["middle"])


def in_the_last_batch() -> None:
    """In the last step of the first epoch: the gradient is there, the update is not."""
    from zoo.engine.step import Stepper

    at_call(Stepper, "_update", STEPS["last"])


def in_the_validation() -> None:
    """In the second batch of the second validation."""
    from zoo.engine import course

    real, seen = course.evaluate, [0]

    def killed(model: object, batches: object, **more: object) -> object:
        seen[0] += 1
        return real(model, _poisoned(batches) if seen[0] == 2 else batches, **more)

    course.evaluate = killed


def _poisoned(batches):
    for number, batch in enumerate(batches):
        if number == 1:
            die()
        yield batch


def while_a_state_is_written() -> None:
    """With half of the third state in the staging folder."""
    from zoo.engine.saving import tensorfile

    _half(tensorfile, "step-", 3)


def while_the_best_weights_are_written() -> None:
    """With half of the first best weights in the staging folder."""
    from zoo.engine.saving import tensorfile

    _half(tensorfile, "model", 1)


def _half(tensorfile: object, stem: str, number: int) -> None:
    real, left = tensorfile.replacing, [number]

    @contextmanager
    def replacing(path: Path, *, staging: Path | None = None, new: bool = False):
        left[0] -= path.name.startswith(stem)
        with real(path, staging=staging, new=new) as file:
            yield _Failing(file) if not left[0] and path.name.startswith(stem) else file

    tensorfile.replacing = replacing


class _Failing:
    """A file whose fifth write kills the process half way."""

    def __init__(self, file) -> None:
        self._file, self._left = file, 5

    def write(self, data) -> int:
        self._left -= 1
        if not self._left:
            self._file.write(bytes(data)[: len(data) // 2])
            self._file.flush()
            die()
        return self._file.write(data)

    def seek(self, *where: int) -> int:
        return self._file.seek(*where)


def before_old_states_are_deleted() -> None:
    """The new state is there, verified by nobody yet."""
    from zoo.engine.saving import keeper

    at_call(keeper, "prune_states", 3)


def while_the_cache_is_filled() -> None:
    """A chunk of the frozen part's outputs is in the file, its mark is not."""
    from zoo.engine.prefix import rowfile

    real, left = rowfile.os.pwrite, [5]

    class Os:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def pwrite(self, *args: object) -> int:
            left[0] -= 1
            written = real(*args)
            if not left[0]:
                die()
            return written

    rowfile.os = Os()


PLACES: dict[str, Callable[[], None]] = {
    "in a step": in_a_step,
    "in an epoch's last batch": in_the_last_batch,
    "in the validation": in_the_validation,
    "while a state is written": while_a_state_is_written,
    "while the best weights are written": while_the_best_weights_are_written,
    "before old states are deleted": before_old_states_are_deleted,
    "while the cache is filled": while_the_cache_is_filled,
}
STEPS = {"middle": 0, "last": 0}
"""Which update is in the middle of the second epoch, and which is the last of the first."""


def steps_of_an_epoch(recipe: str) -> int:
    """Optimizer steps: 24 training images in batches of four."""
    return -(-6 // RECIPES[recipe].get("accumulate", 1))


def combinations(*, quick: bool) -> list[tuple[str, str, int]]:
    """``(recipe, place, workers)``."""
    everything = [
        (recipe, place, workers)
        for recipe in RECIPES
        for place in PLACES
        for workers in (0, 2)
        if (recipe == "cache") >= (place == "while the cache is filled")
    ]
    if not quick:
        return everything
    places, recipes = list(PLACES)[:-1], list(RECIPES)
    turns = [(recipes[n % len(recipes)], place, 2 * (n == 1)) for n, place in enumerate(places)]
    return [*turns, ("thaw", "in a step", 2), ("cache", "while the cache is filled", 0)]


def ended(pid: int) -> int:
    """Wait for a life, end what it left behind; its exit code."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def clear(pid: int) -> None:
    """End loader processes of a killed life."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def compare(want: dict[str, object], got: dict[str, object]) -> str:
    """What differs, or nothing."""
    keys = [key for key in {**want, **got} if want.get(key) != got.get(key)]
    return ", ".join(keys[:4])


def trial(recipe: str, place: str, workers: int, number: int) -> str:
    """Kill, resume, compare; what is wrong, or nothing."""
    each = steps_of_an_epoch(recipe)
    STEPS.update(middle=each + max(1, each // 2), last=each)
    name = f"killed-{number}"
    killed = live(recipe, name, before=PLACES[place], workers=workers)
    if (code := ended(killed)) != -signal.SIGKILL:
        return f"it was not killed but ended with {code}"
    again = ended(live(recipe, name))  # at once: loader processes of the killed one still live
    clear(killed)
    if again:
        return f"resumed, it ended with {again}"
    return compare(outcome(f"whole-{recipe}"), outcome(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="each recipe and place once")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start, bad = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="zoo-stops-") as place:
        before = Path.cwd()
        settle(Path(place))
        for recipe in RECIPES:
            assert ended(live(recipe, f"whole-{recipe}", workers=0)) == 0
        todo = combinations(quick=given.quick)
        for number, (recipe, where, workers) in enumerate(todo):
            wrong = trial(recipe, where, workers, number)
            bad += bool(wrong)
            print(
                f"{recipe:6} workers {workers}  {where:36} {wrong or 'the same bits'}", flush=True
            )
        os.chdir(before)
    print(
        f"{len(todo)} kills of {len(RECIPES)} recipes at {len({w for _, w, _ in todo})} places in "
        f"{time.monotonic() - start:.0f} s: {len(todo) - bad} ended with the same bits, {bad} did not"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
