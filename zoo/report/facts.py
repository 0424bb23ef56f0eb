"""What was measured: the model, its weights, the images, and how they were shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from zoo import __version__
from zoo.engine.transforms import EVALUATION
from zoo.errors import HubError
from zoo.hub.files import sha256_file
from zoo.report.markup import Markup, joined, name, tag

if TYPE_CHECKING:
    from datetime import datetime

    from zoo.engine.judging.judgement import Judgement
    from zoo.engine.start.loaded import Loaded
    from zoo.report.markup import Piece

_WAYS: Final = {
    "center-crop": "the shorter edge is resized to {edge}, the centre is cut out",
    "squash": "both edges are resized to {edge}, proportions lost",
    "letterbox": "the longer edge is resized to {edge}, the rest is filled",
}


def what_was_measured(found: Judgement, loaded: Loaded, when: datetime) -> Markup:
    """The list of facts.

    Args:
        found: The evaluation.
        loaded: The model.
        when: The moment, with its time zone.
    """
    info = loaded.info
    base, data = info.base, info.data
    trained = [f"epoch {info.epoch}"] if info.run else []
    rows: list[tuple[str, Piece]] = [
        ("model", joined(name(info.model), f" (run {info.run})" if info.run else None)),
        ("weights", joined(name(_place(loaded.path)), ", " if trained else None, *trained)),
        ("sha256", tag("code", sha256) if (sha256 := digest(loaded.path)) else None),
        ("starting weights", joined(name(str(base["weights"])), _pinned(base)))
        if base.get("weights")
        else ("", None),
        ("trained on", name(str(data["name"])) if data.get("name") else None),
        ("images", joined(name(found.data), f": {found.evaluation.n:,}")),
        ("classes", _classes(found)),
        ("shown as", how_shown(found, loaded)),
        ("computed on", found.place),
        ("when", when.strftime("%Y-%m-%d %H:%M %Z").strip()),
        ("by", f"zoo {__version__}, torch {torch.__version__}"),
    ]
    kept = [(key, value) for key, value in rows if value]
    return tag("dl", [(tag("dt", key), tag("dd", value)) for key, value in kept])


def _place(path: Path) -> str:
    """A path as it is written from here; of files elsewhere, the name alone."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return path.name


def _pinned(base: dict[str, object]) -> str:
    said = [f"{key} {str(base[key])[:12]}" for key in ("revision", "sha256") if base.get(key)]
    return f" ({', '.join(said)})" if said else ""


def _classes(found: Judgement) -> str:
    shown = sum(1 for score in found.scores if score.n)
    total = max(len(found.classes), len(found.scores))
    return f"{total:,}" if shown == total else f"{total:,}, of which {shown:,} have images here"


def digest(path: Path) -> str:
    """The sha256 of a file, as ``sha256sum`` gives it; empty if it is gone."""
    try:
        return sha256_file(path)
    except HubError:
        return ""


def how_shown(found: Judgement, loaded: Loaded) -> str:
    """How an image becomes what the model sees, in words."""
    given, data = loaded.input, found.recipe.data
    channels, high, wide = given.size
    chosen = EVALUATION[given.crop_mode] if data.eval_transform == "auto" else data.eval_transform
    edge = round((given.crop or min(high, wide)) * given.zoom)
    way = _WAYS.get(chosen, f"transform {chosen}").format(edge=f"{edge} pixels")
    said = [f"{high} x {wide} pixels, {channels} channel{'s' if channels > 1 else ''}", way]
    said += [f"options {data.eval_options}"] if data.eval_options else []
    said += [f"reduced to {data.shrink} pixels as it is read"] if data.shrink else []
    said += [given.interpolation] if chosen in _WAYS else []
    if given.mean:
        said.append(f"values 0 to 1, minus {_list(given.mean)}, over {_list(given.std)}")
    return "; ".join(said)


def _list(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:.4g}' for value in values)})"
