"""Tables of the benches: the machine named, markdown written, a page's block replaced.

A page holds ``<!-- bench: NAME -->`` and ``<!-- end bench: NAME -->``; what lies between the two
lines is a script's, everything else is written by hand.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision")


def machine(*, gpu: bool = False) -> dict[str, Any]:
    """Processor, cores that may be used, memory, system and versions; no names of hosts.

    Args:
        gpu: Name the first GPU, too.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": cores,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    if gpu:
        found["gpu"] = _gpu()
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _gpu() -> str:
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.partition("\n")[0].strip()


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def machine_line(found: dict[str, Any]) -> str:
    """The machine in two short lines."""
    gpu = f"{found['gpu']}, " if "gpu" in found else ""
    return (
        f"{gpu}{found['cores']} cores of {found['cpu']}, {found['memory_gb']} GB, {found['system']},\n"
        f"Python {found['python']}, torch {found['torch']}, torchvision {found['torchvision']}"
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; columns after the first are numbers and set to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def read_block(page: Path, name: str) -> str:
    """What a page holds between the two lines of ``name``."""
    return _match(page, name)[2]


def write_block(page: Path, name: str, text: str) -> None:
    """Replace what a page holds between the two lines of ``name``."""
    found = _match(page, name)
    whole = page.read_text("utf-8")
    made = f"{found[1]}\n{text.strip()}\n\n{found[3]}"
    page.write_text(whole[: found.start()] + made + whole[found.end() :], "utf-8")


def _match(page: Path, name: str) -> re.Match[str]:
    mark = re.escape(name)
    found = re.search(
        rf"(<!-- bench: {mark} -->\n)(.*?)(<!-- end bench: {mark} -->)",
        page.read_text("utf-8"),
        re.DOTALL,
    )
    if found is None:
        raise SystemExit(
            f"{page} has no block <!-- bench: {name} --> ... <!-- end bench: {name} -->"
        )
    return found


def write_json(path: Path, table: dict[str, Any]) -> None:
    """Raw runs, for whoever wants to look again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
