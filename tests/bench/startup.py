"""What it costs to start: zoo's commands beside those of others, interleaved, each in a process.

::

    pip install timm llm lightning                  # whichever you want to see
    python tests/bench/startup.py --rounds 9
    python tests/bench/startup.py --write docs/explanation/speed.md --json startup.json
    python tests/bench/startup.py --python /path/to/venv/bin/python   # the others live there

Every command is run once before anything is measured (bytecode, disk cache) and once more to
count the modules that it imported. What is not installed is named and left out. Exit code 1 if
``zoo --help`` or ``zoo list`` needs more processor time than it may.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Cost, quiet_env, run
from tables import machine, machine_line, markdown, write_block, write_json

LIMITS = {"zoo --help": 0.080, "zoo list": 0.150}
"""CPU seconds, the median of all rounds."""

COUNT = (
    "import atexit, runpy, sys; sys.argv = sys.argv[1:];"
    "atexit.register(lambda: print('modules', len(sys.modules), file=sys.stderr));"
)
SCRIPT = COUNT + "runpy.run_path(sys.argv[0], run_name='__main__')"
MODULE = COUNT + "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


@dataclass(frozen=True)
class Start:
    """One command: a console script or a module with arguments, or code for ``python -c``."""

    name: str
    script: str = ""
    arguments: tuple[str, ...] = ()
    module: str = ""
    code: str = ""
    ours: bool = False

    def command(self, python: Path) -> list[str]:
        """As it is run."""
        if self.code:
            return [str(python), "-c", self.code]
        if self.module:
            return [str(python), "-m", self.module, *self.arguments]
        return [str(python), str(python.parent / self.script), *self.arguments]

    def counted(self, python: Path) -> list[str]:
        """As it is run to count modules."""
        if self.code:
            return [str(python), "-c", COUNT + self.code, "-c"]
        if self.module:
            return [str(python), "-c", MODULE, self.module, *self.arguments]
        return [str(python), "-c", SCRIPT, *self.command(python)[1:]]


BY_HAND = """
import torch, torchvision
from PIL import Image
model = torchvision.models.resnet18(num_classes=4)
model.load_state_dict(torch.load("model.pth", weights_only=True))
model.eval()
shown = torchvision.transforms.Compose([
    torchvision.transforms.Resize(256), torchvision.transforms.CenterCrop(224),
    torchvision.transforms.ToTensor(),
    torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
])
with torch.inference_mode():
    print(model(shown(Image.open("one.jpg").convert("RGB"))[None]).softmax(1).topk(3))
"""
"""One image classified without zoo."""

STARTS = (
    Start("zoo --help", "zoo", ("--help",), ours=True),
    Start("zoo list", "zoo", ("list",), ours=True),
    Start("zoo info resnet18", "zoo", ("info", "resnet18"), ours=True),
    Start("python -c pass", code="pass"),
    Start("hf --help", arguments=("--help",), module="huggingface_hub.cli.hf"),
    Start("llm --help", "llm", ("--help",)),
    Start("llm models", "llm", ("models",)),
    Start("import torch", code="import torch"),
    Start("import torchvision", code="import torchvision"),
    Start("timm.list_models()", code="import timm; timm.list_models()"),
    Start("import lightning", code="import lightning"),
    Start("zoo predict RUN one.jpg", "zoo", ("predict", "run", "one.jpg"), ours=True),
    Start("the same with torchvision", code=BY_HAND),
)


@dataclass
class Row:
    """A command's measurements."""

    start: Start
    modules: int
    costs: list[Cost]

    @property
    def cpu(self) -> float:
        return statistics.median(cost.cpu for cost in self.costs)

    @property
    def wall(self) -> float:
        return statistics.median(cost.wall for cost in self.costs)


def first_look(start: Start, python: Path, home: Path) -> int | None:
    """Warm a command up and count its modules; ``None`` if it does not work here."""
    env = quiet_env(home, 1)
    if run(start.command(python), env=env, cwd=home).code:
        return None
    words = run(start.counted(python), env=env, cwd=home).output.split()
    return int(words[len(words) - words[::-1].index("modules")])


def make_model(home: Path) -> None:
    """A run of a resnet18 of four classes, its weights for others, and an image."""
    import torch
    from PIL import Image

    import zoo

    done = zoo.train(
        "resnet18", data="demo", data_option={"per_class": 2}, classes=4, size=64, epochs=1,
        batch_size=4, device="cpu", threads=1, out=str(home / "runs"), name="run",
    )  # fmt: skip
    torch.save(zoo.load(done.dir).model.state_dict(), home / "model.pth")
    Image.new("RGB", (500, 375), (90, 120, 60)).save(home / "one.jpg")


def measure(starts: Sequence[Start], peers: Path, rounds: int, home: Path) -> list[Row]:
    """All commands, round by round."""
    rows, ours = [], Path(sys.executable)
    for start in starts:
        modules = first_look(start, ours if start.ours else peers, home)
        if modules is None:
            print(f"left out: {start.name} does not run with that Python")
        else:
            rows.append(Row(start, modules, []))
    for number in range(rounds):
        for row in rows if number % 2 == 0 else rows[::-1]:
            python = ours if row.start.ours else peers
            cost = run(row.start.command(python), env=quiet_env(home, 1), cwd=home)
            if cost.code:
                raise SystemExit(f"{row.start.name}: {cost.output}")
            row.costs.append(cost)
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    base = next((row.cpu for row in rows if row.start.name == "zoo list"), rows[0].cpu)
    head = ("command", "CPU ms", "wall ms", "least CPU ms", "modules", "CPU / `zoo list`")
    cells = [
        (
            f"`{row.start.name}`",
            f"{1000 * row.cpu:.0f}",
            f"{1000 * row.wall:.0f}",
            f"{1000 * min(cost.cpu for cost in row.costs):.0f}",
            str(row.modules),
            f"{row.cpu / base:.2f}",
        )
        for row in rows
    ]
    return markdown(head, cells)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="of the others")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="commands that contain TEXT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="raw runs")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page's startup block")
    given = parser.parse_args(argv)
    wanted = [s for s in STARTS if not given.only or any(text in s.name for text in given.only)]
    with tempfile.TemporaryDirectory(prefix="zoo-startup-") as home:
        if any(start.name.startswith("zoo predict") for start in wanted):
            make_model(Path(home))
        rows = measure(wanted, given.python.absolute(), given.rounds, Path(home))
    here, text = machine(), table(rows)
    line = (
        f"{machine_line(here)}; median of {given.rounds} interleaved rounds.\n"
        f"Made by `python tests/bench/startup.py --rounds {given.rounds}`."
    )
    print(f"{line}\n\n{text}")
    if given.json:
        runs = {
            row.start.name: {
                "modules": row.modules,
                "cpu": [round(cost.cpu, 4) for cost in row.costs],
                "wall": [round(cost.wall, 4) for cost in row.costs],
            }
            for row in rows
        }
        write_json(given.json, {"machine": here, "rounds": given.rounds, "runs": runs})
    if given.write:
        write_block(given.write, "startup", f"{line}\n\n{text}")
    late = [
        f"{row.start.name}: {1000 * row.cpu:.0f} ms, {1000 * LIMITS[row.start.name]:.0f} allowed"
        for row in rows
        if row.cpu > LIMITS.get(row.start.name, row.cpu)
    ]
    print("\n".join(["", *late]) if late else "\nwithin its limits")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
