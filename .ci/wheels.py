"""Look into built wheels: the catalogue, the manifests, the entry points, and nothing else."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path


def check(path: Path) -> str:
    """Say what a wheel brings; empty if something is missing.

    Args:
        path: The wheel.
    """
    distribution = path.name.partition("-")[0]
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        (points,) = [n for n in names if n.endswith(".dist-info/entry_points.txt")]
        text = wheel.read(points).decode()
    tops = {n.partition("/")[0] for n in names if ".dist-info/" not in n}
    if distribution == "zoo_registry":
        needed = {"zoo/registry.toml", "zoo/py.typed", "zoo/builtin/digits.gz"} - set(names)
        good = not needed and tops == {"zoo"} and "zoo = zoo.cli.main:main" in text
        return "catalogue, command" if good else ""
    declared = {f"{distribution}/registry.toml", f"{distribution}/registry.json"} & set(names)
    code = f"{distribution}.py" in names
    good = "[zoo]" in text and (declared or code) and tops <= {distribution, f"{distribution}.py"}
    return f"{', '.join(sorted(declared)) or 'code'}, entry point" if good else ""


def main(folder: Path) -> int:
    """Check every wheel of a folder; gives the exit code."""
    found = {path.name: check(path) for path in sorted(folder.glob("*.whl"))}
    for name, brings in found.items():
        print(f"{name}: {brings or 'SOMETHING IS MISSING'}")
    return int(not found or not all(found.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
