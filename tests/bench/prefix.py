"""The frozen-prefix engine against the loop that tutorials teach, end to end, in one run.

    python tests/bench/prefix.py                                # every target, about an hour
    python tests/bench/prefix.py --only layer3 tail --images 300 --epochs 5 --plain-epochs 2

Each way is a process of its own on the same JPEG files and the same starting weights, so start-up,
decoding, evaluation and saving are inside its time; ways take turns, round by round. ``plain`` is
the tutorials' loop: ``requires_grad = False``, fp32, torchvision's transforms, an ImageFolder and a
DataLoader, the best weights kept. ``zoo`` is ``python -m zoo finetune`` with its defaults; others
add flags (``--also``). Ratios are plain / zoo of wall and of CPU time (user + system, loader
processes included; on a loaded machine read those). Peak memory is the process's largest resident
set. With ``--plain-epochs N`` the plain loop runs N epochs and its time for more is extrapolated
from the mean epoch: the table says so.

Jobs: ``layer3`` (frozen up to layer3), ``head`` (the head alone trains), ``whole`` (nothing is
frozen), ``memory`` (layer3 with --cache disk), ``again`` (a second run with another learning rate),
``many`` (head alone, 50 epochs, many images: which share the passes over the images have) and
``tail`` (steps of the part behind layer3 against a hand-written channels_last loop, both in bf16
where the processor has it).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import prefix_ways as ways
from tables import machine, machine_line, markdown, write_block

ZOO = [sys.executable, "-m", "zoo", "finetune", "resnet18"]
FROZEN = {
    "layer3": ["--freeze-upto", "layer3"],
    "head": ["--freeze", "backbone"],
    "whole": [],
}
WAYS = {"same": ["--train-size", "same"], "fresh": ["--views", "fresh"]}
TARGETS = {("layer3", 5): 4.0, ("layer3", 20): 5.0, ("head", 20): 15.0, ("whole", 2): 1.8}


def measured(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a process; wall and CPU seconds, peak MB."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}:\n{text[-2000:]}")
    return {
        "wall": time.monotonic() - start,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss / 1024,
    }


def apart(job: Callable[..., None], *given: Any) -> None:
    """Do something in a process of its own.

    What is measured afterwards is started from this one, and Linux counts the peak memory of a
    process from that of the one that started it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(job, *given).result()


class Bench:
    """Everything that the jobs share.

    Args:
        root: Folder for images, runs and the cache.
        options: What was asked for.
    """

    def __init__(self, root: Path, options: argparse.Namespace) -> None:
        self.root, self.options = root, options
        self.environment = os.environ | {
            "ZOO_CACHE": str(root / "cache"),
            "OMP_NUM_THREADS": str(options.threads),
            "PYTHONWARNINGS": "ignore",
        }
        self.rows: list[dict[str, Any]] = []
        self._timed: dict[str, tuple[dict[str, float], dict[str, Any]]] = {}

    def zoo(self, job: str, epochs: int, *flags: str, name: str = "zoo") -> dict[str, Any]:
        """One fine-tune by the command line."""
        folder = self.root / "runs" / f"{time.time_ns()}"
        command = [
            *ZOO, "--weights", f"file:{self.root / 'base.safetensors'}", *FROZEN[job],
            "--data", str(self.root / "train"), "--val", str(self.root / "val"),
            "--size", str(self.options.size), "--epochs", str(epochs),
            "--threads", str(self.options.threads), "--out", str(folder.parent),
            "--name", folder.name, *flags,
        ]  # fmt: skip
        found = measured(command, self.environment)
        result = json.loads((folder / "result.json").read_text())
        log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        shutil.rmtree(folder)
        return self.keep(name, job, epochs, top1=result["metrics"]["top1"], log=log, **found)

    def plain(self, job: str, epochs: int) -> dict[str, Any]:
        """The tutorials' loop in a process of its own."""
        ran = min(epochs, self.options.plain_epochs or epochs)
        if ran == epochs or job not in self._timed:
            self._timed[job] = self._ran_plain(job, ran)
        cost, said = self._timed[job]
        found, ran = dict(cost), len(said["wall_epochs"])
        for key in ("wall", "cpu"):
            found[key] += (epochs - ran) * statistics.mean(said[f"{key}_epochs"])
        return self.keep("plain", job, epochs, top1=said["top1"], ran=ran, **found)

    def _ran_plain(self, job: str, epochs: int) -> tuple[dict[str, float], dict[str, Any]]:
        out = self.root / "plain.json"
        told = {
            "root": str(self.root), "freeze": job, "epochs": epochs, "size": self.options.size,
            "threads": self.options.threads, "workers": self.options.plain_workers,
            "out": str(out),
        }  # fmt: skip
        script = str(Path(ways.__file__))
        found = measured([sys.executable, script, json.dumps(told)], self.environment)
        return found, json.loads(out.read_text())

    def keep(self, way: str, job: str, epochs: int, **found: Any) -> dict[str, Any]:
        """Note and print one measurement."""
        row = {"way": way, "job": job, "epochs": epochs, **found}
        self.rows.append({key: value for key, value in row.items() if key != "log"})
        part = f" (from {row['ran']})" if row.get("ran", epochs) < epochs else ""
        print(
            f"  {job:7} {epochs:3} epochs{part:9} {way:18} wall {row['wall']:7.1f} s  "
            f"CPU {row['cpu']:7.1f} s  peak {row['peak']:6.0f} MB  top-1 {row['top1']:.3f}",
            flush=True,
        )
        return row

    def against_plain(self, job: str, epochs: int, others: dict[str, list[str]]) -> None:
        """Plain, zoo and zoo with other flags, in turns; prints ratios."""
        rounds: list[dict[str, dict[str, Any]]] = []
        for number in range(self.options.rounds):
            if number:
                self._timed.pop(job, None)  # each round has a plain loop of its own
            shutil.rmtree(self.root / "cache" / "prefix", ignore_errors=True)
            found = {"plain": self.plain(job, epochs), "zoo": self.zoo(job, epochs)}
            for name, flags in others.items():
                shutil.rmtree(self.root / "cache" / "prefix", ignore_errors=True)
                found[name] = self.zoo(job, epochs, *flags, name=name)
            rounds.append(found)
        for way in ("zoo", *others):
            wall = [r["plain"]["wall"] / r[way]["wall"] for r in rounds]
            cpu = [r["plain"]["cpu"] / r[way]["cpu"] for r in rounds]
            target = f"target {TARGETS[job, epochs]:.1f}x" if (job, epochs) in TARGETS else ""
            print(
                f"= {job} {epochs} epochs, {way}: {statistics.median(wall):.2f}x wall, "
                f"{statistics.median(cpu):.2f}x CPU  {target if way == 'zoo' else ''}",
                flush=True,
            )

    def memory(self) -> None:
        """Peak memory of a frozen run whose cache is on the disk."""
        plain = self.plain("layer3", 1)
        disk = self.zoo("layer3", 3, "--cache", "disk", "--views", "1", name="zoo --cache disk")
        share = disk["peak"] / plain["peak"]
        print(f"= peak memory with --cache disk: {share:.2f} of plain's  target below 1")

    def again(self) -> None:
        """A second run with another learning rate: how long until it trains."""
        shutil.rmtree(self.root / "cache" / "prefix", ignore_errors=True)
        flags = ("--cache", "disk", "--views", "1")
        one = self.zoo("layer3", 3, *flags, name="first run")
        two = self.zoo("layer3", 3, *flags, "--lr", "0.003", name="another rate")
        epochs = [
            [line["seconds"] for line in run["log"] if line.get("kind") == "epoch"]
            for run in (one, two)
        ]
        print(f"= seconds of each epoch: first run {epochs[0]}, another rate {epochs[1]}")
        print(f"= CPU before the rest: {one['cpu']:.1f} s against {two['cpu']:.1f} s")

    def many(self) -> None:
        """Head alone, 50 epochs: the share of the passes over the images."""
        row = self.zoo("head", 50, name="zoo, 50 epochs")
        seconds = [line["seconds"] for line in row["log"] if line.get("kind") == "epoch"]
        usual = statistics.median(seconds)
        passes = [each for each in seconds if each > 4 * usual]
        print(
            f"= head, 50 epochs: {len(passes)} with a pass of the frozen part {sum(passes):.1f} s, the "
            f"others together {sum(seconds) - sum(passes):.1f} s ({usual:.3f} s each)"
        )


FINETUNE = "zoo finetune"
TITLES = {
    "layer3": "frozen up to layer3", "head": "the head alone", "whole": "nothing frozen",
}  # fmt: skip


def table(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The runs beside the plain loop, as markdown, with what was run."""
    made, plains = [], {}
    for row in rows:
        if row["way"] == "plain":
            plains[row["job"], row["epochs"]] = row
        plain = plains.get((row["job"], row["epochs"]))  # that of its round
        mates = [r for r in rows if (r["job"], r["epochs"]) == (row["job"], row["epochs"])]
        if plain is None or len(mates) == 1 or row["job"] not in TITLES:
            continue
        ran = row.get("ran", row["epochs"])
        part = "" if ran == row["epochs"] else f", from {ran} epochs"
        way = f"plain loop{part}" if row is plain else f"`{row['way'].replace('zoo', FINETUNE, 1)}`"
        wall, cpu = (f"{plain[key] / row[key]:.2f}" for key in ("wall", "cpu"))
        made.append([
            TITLES[row["job"]], str(row["epochs"]), way, f"{row['wall']:.0f}", wall,
            f"{row['cpu']:.0f}", cpu, f"{row['peak']:,.0f}",
            "" if part else f"{100 * row['top1']:.1f}",
        ])  # fmt: skip
    head = ("what", "epochs", "way", "wall s", "times faster", "CPU s", "times faster", "peak MB",
            "top-1 %")  # fmt: skip
    asked = (
        f"resnet18, {options.images:,} training and {options.val_images} validation images of "
        f"{options.classes} classes, {options.size} px,\nbatch 32, {options.threads} threads; "
        "whole processes, from start to saved weights.\n"
        f"Made by `python tests/bench/prefix.py --only {' '.join(options.only)} --plain-epochs N`."
    )
    return f"{machine_line(machine())}.\n{asked}\n\n{markdown(head, made)}"


def main() -> None:
    """Run the jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs = ["tail", "layer3", "head", "whole", "memory", "again", "many"]
    parser.add_argument("--only", nargs="+", choices=jobs, default=jobs)
    parser.add_argument("--images", type=int, default=1200, help="training images")
    parser.add_argument("--val-images", type=int, default=200)
    parser.add_argument("--classes", type=int, default=40)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--plain-epochs", type=int, help="run this many, extrapolate the rest")
    parser.add_argument("--plain-workers", type=int, default=2)
    parser.add_argument("--also", nargs="*", choices=WAYS, default=["same"], help="ways of zoo")
    parser.add_argument("--root", type=Path, help="keep images and weights in this folder")
    parser.add_argument("--out", type=Path, help="every measurement, as JSON")
    parser.add_argument("--write", type=Path, help="the page whose block `prefix` is replaced")
    options = parser.parse_args()
    root = options.root or Path(tempfile.mkdtemp())
    try:
        apart(ways.prepare, root, options)
        bench = Bench(root, options)
        others = {f"zoo {' '.join(WAYS[name])}": WAYS[name] for name in options.also}
        for job in options.only:
            if job == "tail":
                apart(ways.compare_tails, options)
            elif job == "layer3":
                for epochs in options.epochs:
                    bench.against_plain("layer3", epochs, others)
            elif job == "head":
                bench.against_plain("head", max(options.epochs), others)
            elif job == "whole":
                bench.against_plain("whole", 2, others)
            else:
                getattr(bench, job)()
        told = table(bench.rows, options)
        print(told)
        if options.write:
            write_block(options.write, "prefix", told)
        if options.out:
            options.out.write_text(json.dumps(bench.rows, indent=1))
    finally:
        if options.root is None:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
