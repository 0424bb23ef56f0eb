"""What the kernel lets a container, a batch job or a service have: cores and memory (Linux)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")


def cpu_quota(root: Path = ROOT, own: Path = OWN) -> float:
    """Cores by the CPU quotas of the group and of those around it (v2 and v1); 0.0: none."""
    shares: list[float] = []
    for folder in _folders("cpu", root, own):
        with contextlib.suppress(OSError, ValueError):
            if (folder / "cpu.max").is_file():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            if quota != "max" and int(quota) > 0:
                shares.append(int(quota) / int(period))
    return min(shares, default=0.0)


def spare_memory(root: Path = ROOT, own: Path = OWN) -> int | None:
    """Bytes up to the memory limit of the group, or of one around it; ``None``: no limit.

    Files that the kernel keeps in memory count as used, and go as soon as it is needed: those that
    were not read for a while are taken off, as container platforms do for their working set.
    """
    spare: list[int] = []
    for folder in _folders("memory", root, own):
        for limit, used, idle in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with contextlib.suppress(OSError, ValueError):
                most = int((folder / limit).read_text())
                taken = int((folder / used).read_text()) - _statistic(folder, idle)
                spare.append(max(0, most - max(0, taken)))
    return min(spare, default=None)


def _statistic(folder: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return 0


def _folders(controller: str, root: Path, own: Path) -> list[Path]:
    """Folders of this process's groups, innermost first, and of all around them."""
    try:
        lines = [line for line in own.read_text().splitlines() if line.count(":") >= 2]
    except (OSError, ValueError):
        lines = []
    found: list[Path] = []
    for number, names, path in (line.split(":", 2) for line in ["0::/", *lines]):
        if number != "0" and controller not in names.split(","):
            continue
        inner = Path(path.lstrip("/"))
        for piece in (inner, *inner.parents):
            found += [root / piece, root / controller / piece]
    return list(dict.fromkeys(found))
