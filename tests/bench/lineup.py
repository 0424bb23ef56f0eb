"""Who takes part in ``peers.py``: how each is started, what it freezes, where its numbers lie."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DRIVERS = Path(__file__).parent / "drivers"
Job = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way to fine-tune.

    Attributes:
        name: For ``--only`` and the raw runs.
        title: In the table.
        frozen: What it freezes when it is asked to freeze, and how.
        needs: Packages that its Python must have; the last one's version is shown.
        script: The option that names its script, if its script is in no wheel.
        command: The command line after the Python, of a job.
        top1: Shares right after each epoch, of a job that is done and its output.
        prepared: Whether ``drivers/prepare.py`` writes its pretrained file.
        bf16: Whether it was told to compute in bf16, whatever the processor makes of that.
        rate: Training images a second in the epochs after the first, reading included and
            evaluation not, of a job that is done and its output.
    """

    name: str
    title: str
    frozen: str
    command: Callable[[Job], list[str]]
    top1: Callable[[Job, str], list[float]]
    needs: tuple[str, ...] = ("torchvision", "torch")
    script: str = ""
    prepared: bool = False
    bf16: bool = False
    rate: Callable[[Job, str], float | None] = lambda _job, _output: None

    @property
    def ours(self) -> bool:
        """Whether it is zoo."""
        return self.name.startswith("zoo")


def zoo_line(job: Job, *more: str) -> list[str]:
    """``zoo finetune`` as its users type it, the job's numbers in place of the defaults."""
    weights = Path(job["weights"]).with_suffix(".safetensors")
    words = {
        "--weights": f"file:{weights}",
        "--data": job["data"],
        "--epochs": job["epochs"],
        "--size": job["size"],
        "--batch-size": job["batch"],
        "--lr": job["lr"],
        "--schedule": "constant",
        "--seed": job["seed"],
        "--threads": job["threads"],
        "--device": job["device"],
        "--out": job["out"],
        "--name": "run",
    }
    line = ["-m", "zoo", "finetune", "resnet18"]
    for flag, value in words.items():
        line += [flag, str(value)]
    if job["freeze"] != "none":
        line += ["--freeze-upto", job["freeze"]]
    return [*line, *more]


def zoo_top1(job: Job, output: str) -> list[float]:
    """Of the lines of the run's metrics.jsonl that end an epoch."""
    lines = Path(job["out"], "run", "metrics.jsonl").read_text().splitlines()
    return [row["val"]["top1"] for row in map(json.loads, lines) if row.get("kind") == "epoch"]


def zoo_rate(job: Job, output: str) -> float | None:
    """Of the steps' own clock: what the whole run took less what its first epoch took."""
    lines = Path(job["out"], "run", "metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, lines) if row.get("kind") == "step"]
    first = [row for row in steps if row["epoch"] == 0]
    if len(first) == len(steps):
        return None
    ends = [
        (sum(row["n"] for row in rows), rows[-1]["images_per_second"]) for rows in (first, steps)
    ]
    (early, slow), (late, mean_rate) = ends
    return (late - early) / (late / mean_rate - early / slow)


def timm_line(job: Job, *more: str) -> list[str]:
    """timm's train.py: same optimizer and crops; its own extras (jitter, smoothing) off."""
    words = f"""
        --model resnet18 --pretrained --pretrained-path {job["weights"]}
        --num-classes {job["classes"]} --input-size 3 {job["size"]} {job["size"]}
        --val-split val --epochs {job["epochs"]} --batch-size {job["batch"]} --lr {job["lr"]}
        --opt momentum --weight-decay 1e-4 --sched step --decay-epochs 10000
        --warmup-epochs 0 --interpolation bilinear --train-interpolation bilinear --color-jitter 0
        --smoothing 0 --crop-pct 0.875 --workers {job["workers"]} --seed {job["seed"]}
        --device {job["device"]} --output {job["out"]} --experiment run
    """
    return [job["timm_script"], job["data"], *words.split(), *more]


def timm_top1(job: Job, output: str) -> list[float]:
    """Of its summary.csv."""
    with Path(job["out"], "run", "summary.csv").open() as file:
        return [float(row["eval_top1"]) / 100 for row in csv.DictReader(file)]


def timm_rate(job: Job, output: str) -> float | None:
    """Of the mean that it prints at each epoch's end."""
    found = re.findall(r"Train: (\d+) \[.*?\(\s*[\d.]+s,\s*([\d.]+)/s\)", output)
    ends = {int(epoch): float(rate) for epoch, rate in found}  # the last line of each epoch
    later = [rate for epoch, rate in ends.items() if epoch]
    return len(later) / sum(1 / rate for rate in later) if later else None


def torchvision_line(job: Job) -> list[str]:
    """torchvision's references/classification/train.py, resumed from the prepared checkpoint."""
    words = f"""
        --model resnet18 --resume {job["out"]}/start.pth --epochs {job["epochs"]}
        --batch-size {job["batch"]} --lr {job["lr"]} --lr-step-size 10000
        --workers {job["workers"]} --train-crop-size {job["size"]} --val-crop-size {job["size"]}
        --val-resize-size {job["size"] * 256 // 224} --device {job["device"]}
        --output-dir {job["out"]}
    """
    script = Path(job["torchvision_references"], "train.py")
    return [str(script), "--data-path", job["data"], *words.split()]


def torchvision_top1(job: Job, output: str) -> list[float]:
    """Of what it printed after each epoch."""
    return [float(share) / 100 for share in re.findall(r"^Test:\s+Acc@1 ([\d.]+)", output, re.M)]


def driven(driver: str) -> Callable[[Job], list[str]]:
    """One of our drivers, with the job in a file."""
    return lambda job: [str(DRIVERS / f"{driver}.py"), f"{job['out']}/job.json"]


def driven_top1(job: Job, output: str) -> list[float]:
    """As the driver handed it over."""
    return json.loads(Path(job["out"], "top1.json").read_text())


def driven_rate(job: Job, output: str) -> float | None:
    """As the driver's own clock had it."""
    kept = Path(job["out"], "rate.json")
    return json.loads(kept.read_text()) if kept.exists() else None


HELD = "stages and their norms, held and proved"
LINEUP = (
    Peer(
        name="zoo",
        title="zoo finetune",
        frozen=HELD,
        command=zoo_line,
        top1=zoo_top1,
        rate=zoo_rate,
    ),
    Peer(
        name="zoo-same",
        title="zoo finetune --train-size same",
        frozen=HELD,
        command=lambda job: zoo_line(job, "--train-size", "same"),
        top1=zoo_top1,
        rate=zoo_rate,
    ),
    Peer(
        name="zoo-shrink",
        title="zoo finetune --shrink 512",
        frozen=HELD,
        command=lambda job: zoo_line(job, "--shrink", "512"),
        top1=zoo_top1,
        rate=zoo_rate,
    ),
    Peer(
        name="plain",
        title="plain PyTorch loop",
        frozen="parameters; norms drift",
        command=driven("plain_loop"),
        top1=driven_top1,
        rate=driven_rate,
    ),
    Peer(
        name="split",
        title="the same by an expert: split, bf16, channels_last",
        frozen="modules, by hand",
        command=driven("split_loop"),
        top1=driven_top1,
        rate=driven_rate,
    ),
    Peer(
        name="timm",
        title="timm train.py",
        frozen="nothing: it cannot",
        command=timm_line,
        top1=timm_top1,
        rate=timm_rate,
        needs=("torch", "timm"),
        script="timm_script",
    ),
    Peer(
        name="timm-amp",
        title="timm train.py --amp --channels-last",
        frozen="nothing: it cannot",
        command=lambda job: timm_line(job, "--amp", "--amp-dtype", "bfloat16", "--channels-last"),
        top1=timm_top1,
        rate=timm_rate,
        needs=("torch", "timm"),
        script="timm_script",
        bf16=True,
    ),
    Peer(
        name="torchvision",
        title="torchvision references",
        frozen="nothing: it cannot",
        command=torchvision_line,
        top1=torchvision_top1,
        needs=("torch", "torchvision"),
        script="torchvision_references",
        prepared=True,
    ),
    Peer(
        name="lightning",
        title="Lightning",
        frozen="modules, by hand",
        command=driven("with_lightning"),
        top1=driven_top1,
        rate=driven_rate,
        needs=("torch", "torchvision", "lightning"),
    ),
    Peer(
        name="fastai",
        title="fastai",
        frozen="parameter groups; norms train",
        command=driven("with_fastai"),
        top1=driven_top1,
        rate=driven_rate,
        needs=("torch", "torchvision", "fastai"),
    ),
    Peer(
        name="transformers",
        title="transformers Trainer",
        frozen="parameters; norms drift",
        command=driven("with_transformers"),
        top1=driven_top1,
        rate=driven_rate,
        needs=("torch", "torchvision", "accelerate", "transformers"),
        prepared=True,
    ),
)
