"""What the suggested learning rate is worth: a range test beside a grid of rates.

For each network, optimizer and seed: ``zoo.find_lr``, then a whole training with the suggested
rate and one with each rate of the grid. The table gives top-1 after the last epoch of the
suggestion, of the grid's best rate for that seed, which nobody knows before, and of zoo's usual
rate.

python tests/bench/rates.py [--seeds 3] [--epochs 4] [--data digits] [--models lenet mlp]
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
from pathlib import Path
from typing import Any

import tables

import zoo
from zoo.core.recipe import OptimPart
from zoo.errors import ZooError

GRID = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
OPTIMIZERS = ("sgd", "adamw")
HEAD = (
    "network",
    "optimizer",
    "suggested",
    "top-1 %",
    "best of grid",
    "top-1 %",
    "default",
    "top-1 %",
)


def top1(model: str, rate: float, job: dict[str, Any]) -> float:
    """Top-1 of the last epoch in percent; 0 where the training did not end."""
    with tempfile.TemporaryDirectory(prefix="zoo-rates-") as folder:
        try:
            zoo.train(f"tutorials/{model}", lr=rate, out=folder, name="run", **job)
        except ZooError as error:
            logging.warning("lr %g: %s", rate, error)
            return 0.0
        last = [row for row in _rows(folder) if row.get("kind") == "epoch"][-1]
    return 100 * float(last["val"]["top1"])


def _rows(folder: str) -> list[dict[str, Any]]:
    text = (Path(folder) / "run" / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def compare(model: str, optimizer: str, job: dict[str, Any], seeds: int) -> list[str]:
    """One row of the table: means over the seeds, with the lowest and highest rate."""
    default = OptimPart().lr
    found: dict[str, list[float]] = {"rate": [], "top": [], "best": [], "grid": [], "default": []}
    for seed in range(seeds):
        run = {**job, "optimizer": optimizer, "seed": seed}
        epochs = run.pop("epochs")
        rate = zoo.find_lr(f"tutorials/{model}", verb="train", epochs=epochs, **run).suggestion
        grid = {lr: top1(model, lr, {**run, "epochs": epochs}) for lr in GRID}
        best = max(grid, key=grid.__getitem__)
        found["rate"].append(rate or float("nan"))
        found["top"].append(top1(model, rate, {**run, "epochs": epochs}) if rate else 0.0)
        found["best"].append(best)
        found["grid"].append(grid[best])
        found["default"].append(grid[default])
        print(f"  {model} {optimizer} seed {seed}: suggested {rate}; {grid}", flush=True)
    shown = {name: statistics.fmean(values) for name, values in found.items()}
    spread = {name: f"{min(v):g} to {max(v):g}" for name, v in found.items()}
    return [
        model, optimizer, spread["rate"], f"{shown['top']:.1f}", spread["best"],
        f"{shown['grid']:.1f}", f"{default:g}", f"{shown['default']:.1f}",
    ]  # fmt: skip


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--models", nargs="+", default=["lenet", "mlp"])
    args = parser.parse_args()
    job = {"data": args.data, "epochs": args.epochs, "device": "cpu", "threads": 1}
    rows = [
        compare(model, optimizer, job, args.seeds)
        for model in args.models
        for optimizer in OPTIMIZERS
    ]
    print(tables.machine_line(tables.machine()))
    print(tables.markdown(HEAD, rows))


if __name__ == "__main__":
    main()
