"""Write ``zoo_timm/registry.json`` from the metadata of the installed timm.

    python write_registry.py                    # rewrite the file (minutes: builds every model)
    python write_registry.py NAME ...           # rewrite these entries and all weights (seconds)
    python write_registry.py --check NAME ...   # exit 1 if these models would be written otherwise

Everything comes from timm: names, sizes, input, head (``pretrained_cfg``), stages
(``group_matcher``), weights and their licences. Models are built on the meta device. Stages are
only declared where zoo's own tracer agrees with them: nested, complete, in order; elsewhere zoo
works names out itself. Weights that do not lie in timm's own format on the Hub are left out, and
so are weights without a classifier for an architecture that has one.
"""

from __future__ import annotations

import json
import math
import re
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models._manipulate import group_with_matcher
from timm.models._registry import _model_default_cfgs, _model_entrypoints
from torch import nn

from zoo.core.specs import InputSpec, ModelSpec
from zoo.engine.freezing.cone import Tracer
from zoo.engine.freezing.stages import problems

PLACE = Path(__file__).parent / "zoo_timm" / "registry.json"
LICENCES = {  # timm's word -> SPDX; other words are kept as they are
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "unknown": "",
}
ALIASES = (  # last part of a path -> what the stage is called
    (re.compile(r"(?:stages|layers|levels)\.(\d+)\Z"), lambda n: f"stage{n + 1}"),
    (re.compile(r"blocks\.(\d+)\Z"), lambda n: f"block{n}"),
    (re.compile(r"(?:layer|stage)_?(\d+)\Z"), None),
)


def input_of(cfg: Any) -> dict[str, Any]:
    """What weights expect to see, in the words of an input entry."""
    channels, height, width = cfg.input_size
    found: dict[str, Any] = {"size": [channels, height, width]}
    for key in ("mean", "std"):
        values = list(getattr(cfg, key) or ())
        found[key] = values * channels if len(values) == 1 else values
    found["resize"] = math.floor(min(height, width) / (cfg.crop_pct or 1.0))
    found["crop"] = min(height, width)
    if cfg.interpolation in ("bicubic", "nearest"):
        found["interpolation"] = cfg.interpolation
    if cfg.crop_mode != "center":
        found["crop_mode"] = cfg.crop_mode
    return found


def weights_of(name: str, classes: int) -> list[dict[str, Any]]:
    """Entries of the weights that lie in timm's own format on the Hub, timm's default first."""
    found = []
    table = _model_default_cfgs[name]
    for tag in table.tags:
        cfg = table.cfgs[tag]
        hub = cfg.hf_hub_id or ""
        if not (cfg.has_weights and tag and hub.startswith("timm/")) or cfg.hf_hub_filename:
            continue
        if bool(cfg.num_classes) != bool(classes):
            continue
        repository = f"{hub}{name}.{tag}" if hub.endswith("/") else hub
        entry = {
            "name": tag,
            "source": f"hub:{repository}",
            "file": "model.safetensors",
            "classes": cfg.num_classes,
            "labels": "imagenet1k" if cfg.num_classes == 1000 and "in1k" in tag.split("_") else "",
            "licence": LICENCES.get(cfg.license or "", cfg.license or ""),
            "input": input_of(cfg),
        }
        found.append({key: value for key, value in entry.items() if value})
    return found


def heads_of(model: nn.Module, cfg: Any) -> list[str]:
    """Paths of the layers that classify, or of the identity where one would be; may be none.

    Distilled models have two heads and average what they give.
    """
    paths = getattr(model, "pretrained_cfg", {}).get("classifier", cfg.classifier)
    classes = int(getattr(model, "num_classes", 0) or 0)
    for path in [paths] if isinstance(paths, str) else paths or ():
        try:
            layer = model.get_submodule(path)
        except AttributeError:
            return []
        width = getattr(layer, "out_features", getattr(layer, "out_channels", None))
        if width != classes if classes else not isinstance(layer, nn.Identity):
            return []
    return [paths] if isinstance(paths, str) else list(paths or ())


def topmost(model: nn.Module, names: list[str]) -> list[str]:
    """The outermost modules that hold these parameters and no others, in order."""
    wanted, found = set(names), []
    every = [name for name, _ in model.named_parameters()]
    for name in names:
        steps = name.split(".")
        for length in range(1, len(steps) + 1):
            path = ".".join(steps[:length])
            inside = {n for n in every if n == path or n.startswith(f"{path}.")}
            if inside <= wanted:
                if path not in found:
                    found.append(path)
                break
    return found


def groups_of(model: nn.Module, heads: list[str]) -> tuple[list[list[str]], list[str]]:
    """Paths of the groups of timm's coarse matcher, and those behind the last (the neck)."""
    matcher = model.group_matcher(coarse=True)  # type: ignore[operator]
    grouped = group_with_matcher(model.named_parameters(), matcher)
    groups = [list(names) for _, names in sorted(grouped.items())]
    own = [n for n in groups[-1] if not n.startswith(tuple(f"{head}." for head in heads))]
    neck = own if len(own) < len(groups[-1]) else []
    stages = groups[:-1] if len(own) < len(groups[-1]) else groups
    return [topmost(model, names) for names in stages], topmost(model, neck)


def alias(model: nn.Module, paths: list[str], number: int) -> str:
    """What a stage is called: after its module where that has a number of its own."""
    for pattern, rename in ALIASES:
        for path in paths:
            match = pattern.search(path)
            if match is None:
                continue
            if rename is None:
                return match[0].replace("_", "")
            several = isinstance(model.get_submodule(path), nn.Sequential)
            # EfficientNet's blocks.0 is a whole stage, a transformer's is one block
            return f"stage{int(match[1]) + 1}" if several else rename(int(match[1]))
    return "stem" if number == 0 else f"stage{number}"


def stages_of(model: nn.Module, spec: ModelSpec) -> dict[str, Any]:
    """Stages and neck as an entry says them, if zoo's tracer agrees; else nothing."""
    try:
        groups, neck = groups_of(model, [path for path in (spec.head, *spec.aux) if path])
    except Exception:  # some of timm's models have no matcher, or one that does not match
        return {}
    names = [alias(model, paths, number) for number, paths in enumerate(groups)]
    if len(set(names)) < len(names):
        names = ["stem" if n == 0 else f"stage{n}" for n in range(len(groups))]
    stages = tuple((name, tuple(paths)) for name, paths in zip(names, groups, strict=True))
    whole = replace(spec, stages=stages, neck=tuple(neck))
    try:
        wrong = problems(Tracer(model, spec.input, stages=stages), whole)
    except Exception:  # a model that cannot be followed on the meta device
        return {}
    if wrong or len(stages) < 2:
        return {}
    found: dict[str, Any] = {"stages": [[name, list(paths)] for name, paths in stages]}
    if neck:
        found["neck"] = neck
    found["stage_params"] = sizes_of(model, found, spec)
    return found


def sizes_of(model: nn.Module, found: dict[str, Any], spec: ModelSpec) -> dict[str, int]:
    """Parameters by stage, and of the neck, the head and further heads."""
    ends = [["neck", found.get("neck", [])], ["head", [spec.head]], ["aux", spec.aux]]
    groups = [*found["stages"], *ends]
    counts = {
        alias: sum(
            parameter.numel()
            for name, parameter in model.named_parameters()
            if any(path and (name == path or name.startswith(f"{path}.")) for path in paths)
        )
        for alias, paths in groups
    }
    return {alias: count for alias, count in counts.items() if count}


def build(name: str) -> nn.Module:
    """Build on the meta device, or on the CPU where the model computes while it is built."""
    try:
        with torch.device("meta"):
            return timm.create_model(name)  # type: ignore[no-any-return]
    except (RuntimeError, NotImplementedError, ValueError, TypeError):
        return timm.create_model(name)  # type: ignore[no-any-return]


def summary_of(name: str) -> str:
    """First line of the builder's documentation, or the family's name."""
    text = (_model_entrypoints[name].__doc__ or "").strip().partition("\n")[0].strip().rstrip(".")
    text = re.sub(r"^Constructs an? ", "", text)
    return text[:100] or f"{family_of(name)} of timm"


def family_of(name: str) -> str:
    """The module of timm that has the architecture."""
    return _model_entrypoints[name].__module__.rpartition(".")[2]


def tags_of(cfg: Any) -> list[str]:
    """``fixed-size``: the architecture is built for one size of image (a Hub config says so)."""
    return ["fixed-size"] if cfg.fixed_input_size else []


def entry(name: str) -> dict[str, Any]:
    """The whole entry of one architecture."""
    warnings.simplefilter("ignore")
    model = build(name)
    cfg = _model_default_cfgs[name].default
    expects = input_of(cfg)
    classes = int(getattr(model, "num_classes", 0) or 0)
    head, *aux = heads_of(model, cfg) or [""]
    made = {key: tuple(v) if isinstance(v, list) else v for key, v in expects.items()}
    spec = ModelSpec(name=name, target="", head=head, aux=tuple(aux), input=InputSpec(**made))
    paper = str(cfg.paper_ids or "") if isinstance(cfg.paper_ids, str) else ""
    found = {
        "name": name,
        "target": f"zoo_timm.models:{name}",
        "summary": summary_of(name),
        "task": "classification" if classes else "features",
        "family": family_of(name),
        "tags": tags_of(cfg),
        "head": head,
        "aux": aux,
        **stages_of(model, spec),
        "input": expects,
        "classes": classes,
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "paper": paper,
        "weights": weights_of(name, classes),
    }
    if found["task"] == "classification":
        del found["task"]
    return {key: value for key, value in found.items() if value not in ("", 0, [], None)}


def preset(table: dict[str, Any], value: Any, name: str) -> str:
    """The name of a preset, made where it is new."""
    for known, shared in table.items():
        if known.rpartition("-")[0] == name and shared == value:
            return known
    fresh = f"{name}-{sum(known.rpartition('-')[0] == name for known in table)}"
    table[fresh] = value
    return fresh


def size_of(expects: dict[str, Any]) -> str:
    """What the presets of an input are called after."""
    _, height, width = expects["size"]
    return f"i{height}" if height == width else f"i{height}x{width}"


def document(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole registry: inputs and lists of stages become presets, which entries share."""
    inputs: dict[str, Any] = {}
    layouts: dict[str, Any] = {}
    for found in entries:
        for weights in found.get("weights", ()):
            if weights["input"] == found["input"]:
                del weights["input"]
            else:
                weights["input"] = preset(inputs, weights["input"], size_of(weights["input"]))
        found["input"] = preset(inputs, found["input"], size_of(found["input"]))
        if "stages" in found:
            found["stages"] = preset(layouts, found["stages"], found["family"])
    return {
        "schema": 1,
        "plugin": {
            "summary": f"Architectures and weights of timm {timm.__version__}",
            "api": ">=1,<2",
        },
        "input": inputs,
        "stages": layouts,
        "model": entries,
    }


def write(found: dict[str, Any], place: Path) -> None:
    """One line a model, so that a change of timm is a readable difference."""
    lines = ["{", f'"schema": {found["schema"]},', f'"plugin": {json.dumps(found["plugin"])},']
    for key in ("input", "stages"):
        presets = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found[key].items()]
        lines += [f'"{key}": {{', ",\n".join(presets), "},"]
    lines.append('"model": [')
    lines += [",\n".join(json.dumps(e, separators=(",", ":")) for e in found["model"]), "]", "}"]
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")


def stored(place: Path = PLACE) -> dict[str, dict[str, Any]]:
    """The entries of the file by name, with their inputs written out."""
    table = json.loads(place.read_text("utf-8"))
    entries = {found["name"]: found for found in table["model"]}
    for found in entries.values():
        found["input"] = table["input"][found["input"]]
        if isinstance(found.get("stages"), str):
            found["stages"] = table["stages"][found["stages"]]
        for weights in found.get("weights", ()):
            weights["input"] = (
                table["input"][weights["input"]] if "input" in weights else (found["input"])
            )
    return entries


def renewed(names: list[str]) -> list[dict[str, Any]]:
    """All entries: those of ``names`` made anew, of the others what costs nothing to know."""
    known = stored()
    for name in timm.list_models():
        if name in names or name not in known:
            known[name] = entry(name)
            continue
        found, cfg = known[name], _model_default_cfgs[name].default
        found["input"] = input_of(cfg)
        for key in ("tags", "weights"):
            found.pop(key, None)
        if tags := tags_of(cfg):
            found["tags"] = tags
        if weights := weights_of(name, found.get("classes", 0)):
            found["weights"] = weights
    return [known[name] for name in timm.list_models()]


def main() -> int:
    """Write the file, or compare some of its entries."""
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    if "--check" in sys.argv:
        known = stored()
        wrong = [name for name in names if known.get(name) != entry(name)]
        sys.stdout.write("".join(f"{name}\n" for name in wrong) or "as timm says\n")
        return int(bool(wrong))
    torch.set_num_threads(1)
    if names:
        entries = renewed(names)
    else:
        with ProcessPoolExecutor() as pool:
            entries = list(pool.map(entry, timm.list_models(), chunksize=8))
    write(document(entries), PLACE)
    count = sum(len(found.get("weights", ())) for found in entries)
    sys.stdout.write(f"{len(entries)} models, {count} weights\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
