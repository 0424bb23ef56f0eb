"""All cases in one list, and the table of what came out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bad_inputs import checkpoints, config, faults, images, plugins, trees
from bad_inputs.case import Answer, Case, Kitchen
from bad_inputs.larder import Larder

GROUPS = {
    "images": images.CASES,
    "trees": trees.CASES,
    "config": config.CASES,
    "plugins": plugins.CASES,
    "checkpoints": checkpoints.CASES,
    "faults": faults.CASES,
}
CASES: list[Case] = [case for cases in GROUPS.values() for case in cases]
LINUX = frozenset({91, 97})
"""They need a mount, or /proc."""


@dataclass(frozen=True)
class Row:
    """What came out of one case."""

    case: Case
    answer: Answer
    wrong: list[str]
    command: str


def cannot(case: Case) -> str:
    """Why a case cannot be tried on this machine; empty if it can."""
    if case.number in LINUX and sys.platform != "linux":
        return "needs Linux"
    if case.number == 91 and not _may_mount():
        return "only root may mount"
    if case.number == 54 and _there("cuda"):
        return "there is a cuda device"
    if case.number == 55 and _there("mps"):
        return "there is an mps device"
    return ""


def _may_mount() -> bool:
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    place = Path("/mnt")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode == 0:
        subprocess.run(["umount", place], check=False)
    return done.returncode == 0


def _there(device: str) -> bool:
    import torch

    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()


def try_all(cases: Iterable[Case], folder: Path) -> Iterator[Row]:
    """Run cases one by one, each in a folder of its own."""
    larder = Larder(folder / "larder")
    for case in cases:
        if cannot(case):
            continue
        kitchen = Kitchen(folder / f"case-{case.number}", larder)
        kitchen.here.mkdir(parents=True)
        answer = case.run(kitchen)
        yield Row(case, answer, case.problems(kitchen, answer), kitchen.last)


def markdown(row: Row) -> str:
    """One line of the table: what was typed, and what really came out."""
    case, answer = row.case, row.answer
    said = answer.error or _telling(case, answer)
    verdict = "as it has to be" if not row.wrong else "; ".join(row.wrong)
    cells = [str(case.number), case.has, f"`{row.command}`", str(answer.code), said, answer.hint]
    return "| " + " | ".join(_cell(cell) for cell in [*cells, verdict]) + " |"


HEAD = (
    "| | what the user has | what is typed | exit | what is said | hint | |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


def _telling(case: Case, answer: Answer) -> str:
    """The line that has the words that count."""
    lines = answer.said.splitlines()
    for word in reversed(case.words):
        for line in lines:
            if word in line:
                return line.strip()
    return lines[-1].strip() if lines else ""


def _cell(text: str) -> str:
    short = text if len(text) <= 110 else text[:109] + "…"
    return short.replace("|", "\\|").replace("\n", " ")
