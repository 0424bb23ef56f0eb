"""What a kept view costs in accuracy: fine-tunes with K cached views against fresh ones.

    python tests/bench/views.py --out views.json --write docs/explanation/views.md

Data sets, none of them downloaded and none seen by the base: ``digits`` (the handwritten ones that
ship with zoo, enlarged; 16 a class), ``shapes`` (20 of the demo's classes, 8 each), ``twins`` (12
classes that share colour and texture and differ in shape, 16 each), and ``more-digits`` and
``more-twins`` (96 and 80 images a class). The base is the model trained for a few epochs on other
shapes and on gratings. Each fine-tune is what ``zoo finetune`` runs, assembled from the same recipe,
without saving; the seed decides the new head, the order and the views. Fresh views are run as
one kept view per epoch, which is the run without a cache bit for bit, so that the first K of them
need not be computed again for K views. What is compared is the top-1 of the last epoch on
the same validation images, seed by seed: mean, spread over the seeds, and the mean difference to
fresh views of the same seed with its standard error. ``--out`` is written after each run, and a
call with the same file goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import zoo
from zoo.builtin.demo import render, traits
from zoo.builtin.digits import Digits
from zoo.core import registry as registries
from zoo.core.request import request
from zoo.engine.assemble import assemble, early_place, freeze_model
from zoo.engine.loop import fit
from zoo.engine.parts import build
from zoo.engine.plan import open_recipe_data
from zoo.engine.processes.distributed import ALONE
from zoo.engine.reports import EpochReport
from zoo.engine.start.weights import find_start

SIDE = 96
SETS = {
    "digits": "shift",
    "shapes": "standard",
    "twins": "standard",
    "more-digits": "shift",
    "more-twins": "standard",
}
"""Name -> training transform."""
BEGIN, END = "<!-- table: tests/bench/views.py -->", "<!-- end -->"


def grating(label: int, number: int) -> np.ndarray:
    """Two overlapping gratings, partly hidden by those of other classes; uint8 (SIDE, SIDE, 3)."""
    own = np.random.default_rng((7, 1, label))
    draw = np.random.default_rng((11, 1, label, number))
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5

    def field(generator: np.random.Generator) -> np.ndarray:
        total = np.zeros((SIDE, SIDE))
        for _ in range(2):
            angle = generator.uniform(0, np.pi) + np.deg2rad(draw.normal(0, 5))
            pitch = generator.uniform(25, 75) * (1 + draw.normal(0, 0.05))
            wave = x * np.cos(angle) + y * np.sin(angle)
            total += np.sin(pitch * wave + draw.uniform(0, 2 * np.pi))
        return total

    pattern = field(own)
    for _ in range(3):  # patches of something else
        left, top = draw.uniform(-0.5, 0.3, 2)
        patch = (x > left) & (x < left + 0.3) & (y > top) & (y < top + 0.3)
        pattern = np.where(
            patch, field(np.random.default_rng(int(draw.integers(1 << 30)))), pattern
        )
    dark, light = draw.uniform(20, 120, 3), draw.uniform(130, 240, 3)
    share = (np.tanh(pattern * draw.uniform(0.6, 2.0)) + 1) / 2
    image = dark + (light - dark) * share[..., None] + draw.normal(0, 22, (SIDE, SIDE, 3))
    return image.clip(0, 255).astype(np.uint8)


def twin(label: int, number: int) -> np.ndarray:
    """The demo's shapes in one colour and texture: only the shape tells classes apart."""
    same = [k for k in range(1008) if traits(k)[:2] == ("plain", "teal")]
    return render(same[label], number, size=SIDE)


def draw_sets(root: Path) -> None:
    """Write every image: ``root/SET/train|val/CLASS/N.png``."""
    plans = {
        "base": (60, 40, 4, lambda k, n: render(300 + k, n, size=SIDE) if k < 36
                 else grating(k, n)),
        "shapes": (20, 8, 12, lambda k, n: render(k, n, size=SIDE)),
        "twins": (12, 16, 20, twin),
        "more-twins": (12, 80, 20, twin),
    }  # fmt: skip
    for name, (classes, few, many, make) in plans.items():
        for label in range(classes):
            for number in range(few + many):
                part = "train" if number < few else "val"
                _write(root / name / part / f"c{label:02d}" / f"{number}.png", make(label, number))
    for name, few in (("digits", 16), ("more-digits", 96)):
        seen: dict[int, int] = defaultdict(int)
        for image, label in Digits(split="train"):
            seen[label] += 1
            part = "train" if seen[label] <= few else "val"
            if seen[label] <= few + 30:
                grey = Image.fromarray(np.asarray(image)).resize((SIDE, SIDE), 3)
                path = root / name / part / f"c{label:02d}" / f"{seen[label]}.png"
                _write(path, np.stack([np.asarray(grey)] * 3, -1))
    (root / "drawn").touch()


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def pretrain(root: Path, options: argparse.Namespace) -> Path:
    """Train the base; gives its run folder."""
    done = root / "runs" / options.model
    if not (done / "result.json").is_file():
        result = _last(
            zoo.fit(
                "train", options.model, data=str(root / "base"), size=options.size, epochs=12, lr=0.05,
                seed=100, out=str(root / "runs"), name=options.model, threads=1, precision=options.precision,
            )
        )  # fmt: skip
        print(f"base: top-1 {result.metrics['top1']:.3f} on its own classes", flush=True)
    return done


def _last(events: Any) -> Any:
    found = None
    for event in events:
        found = event
    return found


def frozen_part(freeze: str) -> dict[str, Any]:
    """Keywords that freeze so much: the backbone, or up to a stage."""
    return {"freeze": ["backbone"]} if freeze == "head" else {"freeze_upto": freeze}


def one(
    root: Path, base: Path, case: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """One fine-tune; gives the last epoch's numbers."""
    name, cpu, start = case["set"], time.process_time(), time.monotonic()
    known = registries.load()
    recipe = request(
        "finetune", f"run:{base}", {
            "data": str(root / name / "train"), "val": str(root / name / "val"),
            "size": options.size, "epochs": case["epochs"], "seed": case["seed"],
            "views": case["epochs"] if case["views"] == "fresh" else case["views"],
            "cache": "disk", "lr": options.lr, "threads": 1, "workers": 0,
            "transform": SETS[name], "precision": options.precision, **frozen_part(case["freeze"]),
        }, registry=known,
    ).recipe  # fmt: skip
    found = find_start(recipe, known)
    splits = open_recipe_data(recipe, known, 3)
    built = build(found, recipe, known, splits.classes)
    frozen = freeze_model(built, recipe, pretrained=found.pretrained)
    place = early_place(recipe, ALONE)
    made = assemble(recipe, known, built, frozen, splits, place=place, world=ALONE)
    ends = [
        event
        for event in fit(
            made.live, made.rules, train=made.train, val=made.val, loss=made.loss,
            feed=made.feed, place=made.place, cut=made.cut, hold=frozen.hold, thaw=frozen.thaw,
        )
        if isinstance(event, EpochReport)
    ]  # fmt: skip
    made.train.close()
    made.val.close()
    last = ends[-1]
    return case | {
        "top1": last.val.top1,
        "loss": last.val.loss,
        "best": max(end.val.top1 for end in ends),
        "train_loss": last.loss,
        "cpu": round(time.process_time() - cpu, 2),
        "wall": round(time.monotonic() - start, 2),
    }


def cases(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run, seed by seed, so that what is there at any time can be compared."""
    return [
        {"seed": seed, "set": name, "freeze": freeze, "epochs": epochs, "views": views}
        for seed in range(options.seeds)
        for name in options.sets
        for freeze in options.freezes or (options.upto, "head")
        for epochs in options.epochs
        for views in options.views
        if views == "fresh" or int(views) < epochs
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The comparison as a markdown table."""
    groups: dict[tuple[str, str, int], dict[str, dict[int, float]]] = defaultdict(dict)
    for row in rows:
        key = (row["set"], row["freeze"], row["epochs"])
        groups[key].setdefault(str(row["views"]), {})[row["seed"]] = 100 * row["top1"]
    lines = [
        "| images | trains | epochs | views | seeds | top-1 % | spread | difference to fresh |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, freeze, epochs), by_views in groups.items():
        fresh = by_views.get("fresh", {})
        for views, found in by_views.items():
            paired = [found[seed] - fresh[seed] for seed in found if seed in fresh]
            said = ""
            if views != "fresh" and len(paired) > 1:
                error = statistics.stdev(paired) / len(paired) ** 0.5
                said = f"{statistics.mean(paired):+.2f} ± {error:.2f}"
            values = list(found.values())
            spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else ""
            trains = "head" if freeze == "head" else f"what follows {freeze}"
            lines.append(
                f"| {name} | {trains} | {epochs} | {views} | {len(values)} | "
                f"{statistics.mean(values):.2f} | {spread} | {said} |"
            )
    return "\n".join(lines)


def finish(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the table, and put it into the page."""
    found = table(rows)
    print(found)
    if options.write:
        page = options.write.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        options.write.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}")


def main() -> None:
    """Run what is not there yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    parser.add_argument("--root", type=Path, default=Path("views-data"), help="images and runs")
    parser.add_argument("--out", type=Path, default=Path("views.json"), help="every run, as JSON")
    parser.add_argument("--write", type=Path, help="a page whose table is replaced")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--upto", default="layer3", help="the last frozen stage")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--freezes", nargs="+", help="default: --upto, and head")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, nargs="+", default=[20, 5])
    parser.add_argument("--views", nargs="+", default=["fresh", "1", "2", "4", "8"])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.03)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    rows = json.loads(options.out.read_text()) if options.out.is_file() else []
    if options.only_table:
        finish(rows, options)
        return
    if not (options.root / "drawn").is_file():
        draw_sets(options.root)
    base = pretrain(options.root, options)
    known = {tuple(sorted((k, row[k]) for k in ("seed", "set", "freeze", "epochs", "views")))
             for row in rows}  # fmt: skip
    for case in cases(options):
        if tuple(sorted(case.items())) in known:
            continue
        rows.append(one(options.root, base, case, options))
        options.out.write_text(json.dumps(rows, indent=1))
        print({k: v for k, v in rows[-1].items() if k != "train_loss"}, flush=True)
    finish(rows, options)


if __name__ == "__main__":
    main()
