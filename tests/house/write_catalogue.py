"""Keep the measured half of registry.toml in step with the installed torchvision.

    python tests/house/write_catalogue.py           # rewrite the file
    python tests/house/write_catalogue.py --check   # exit 1 if that would change it

Above the marker line everything is written by hand. Below it lie the input presets and the
models: a person writes what takes judgement (summary, family, tags, head, stages, neck, aux,
options, recipe, weights that lie on a Hub); this script fills in what torchvision states or what
can be counted (input, classes, params, paper, torchvision's own weights) and adds models that
are new. ``test_catalogue.py`` proves that the file is what this script would write.
"""

from __future__ import annotations

import functools
import json
import math
import re
import sys
import tomllib
from pathlib import Path

import torch
import torchvision
from torch.overrides import TorchFunctionMode

from zoo.core.names import natural_key
from zoo.core.resolve import resolve

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "registry.toml"
MARK = "# ==== presets and models: see tests/house/write_catalogue.py ====\n"
ORDER = [
    "name",
    "target",
    "summary",
    "family",
    "tags",
    "aliases",
    "head",
    "stages",
    "neck",
    "aux",
    "input",
    "classes",
    "params",
    "stage_params",
    "paper",
    "options",
    "recipe",
]
WEIGHTS_ORDER = [
    "name",
    "source",
    "file",
    "revision",
    "sha256",
    "format",
    "bytes",
    "classes",
    "labels",
    "trained_on",
    "metrics",
    "licence",
    "input",
    "options",
    "url",
]
DATA_SETS = {"ImageNet-1K": "imagenet1k"}
METRICS = {"acc@1": "top1", "acc@5": "top5"}
LICENCES = {  # what torchvision points at, and its SPDX name
    "https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "CC-BY-NC-4.0",
}
ALLOCATORS = {torch.empty, torch.zeros, torch.ones, torch.randn, torch.full}
FILLERS = {getattr(torch.Tensor, f"{name}_") for name in ("uniform", "normal", "fill", "zero")}


class Weightless(TorchFunctionMode):
    """Build modules on ``meta``; unlike ``torch.device("meta")`` it lets builders compute.

    (RegNet's builders work out their widths with tensors.) There is nothing to fill on ``meta``,
    and asking for it anyway takes half of the time.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in ALLOCATORS and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        if func in FILLERS and args[0].is_meta:
            return args[0]
        return func(*args, **kwargs)


def build(entry, *, classes=1000, options=True):
    """Give an entry's model without memory for its weights: one for all who ask, so to be copied."""
    own = entry.get("options", {}) if options is True else options
    return _built(entry["target"], classes, json.dumps(own, sort_keys=True))


@functools.cache
def _built(target, classes, options):
    with Weightless():
        return resolve(target)(num_classes=classes, **json.loads(options))


def preset(transforms):
    """Give the name and the table of an input preset, from torchvision's eval transforms."""
    (crop,), (resize,) = transforms.crop_size, transforms.resize_size
    table = {
        "size": [3, crop, crop],
        "mean": list(transforms.mean),
        "std": list(transforms.std),
        "resize": resize,
        "crop": crop,
        "interpolation": transforms.interpolation.value,
    }
    kind = {0.485: "imagenet", 0.5: "half", 0.48235: "caffe"}[transforms.mean[0]]
    usual = resize == (crop if crop > 224 else 256)
    name = f"{kind}-{crop}" + ("" if usual else f"-of-{resize}")
    return name + (
        "" if table["interpolation"] == "bilinear" else f"-{table['interpolation']}"
    ), table


def needed_options(name, member):
    """Give the builder options that torchvision sets by itself when these weights are asked for."""
    size = member.transforms().crop_size[0]
    if name.startswith("vit_") and size != 224:
        return {"image_size": size}
    return {"transform_input": True} if name in ("googlenet", "inception_v3") else {}


def weights_of(name):
    """Give torchvision's weights of a model as ``[[model.weights]]`` tables, its default first."""
    enum = torchvision.models.get_model_weights(name)
    found = []
    for member in sorted(enum, key=lambda member: member is not enum.DEFAULT):
        labels = "imagenet1k" if member.meta["categories"] else ""
        stated = {
            f"{DATA_SETS[where]}/{METRICS[metric]}": value
            for where, values in member.meta["_metrics"].items()
            for metric, value in values.items()
            if not math.isnan(value)
        }
        file = member.url.rpartition("/")[2]
        found.append(
            {
                "name": member.name.lower(),
                "source": f"url:{member.url}",
                "file": file,
                "sha256": torch.hub.HASH_REGEX.search(file)[1],
                "format": "pickle",
                "classes": 1000,
                "labels": labels,
                "trained_on": "imagenet1k",
                "metrics": stated,
                "licence": LICENCES[member.meta["license"]] if "license" in member.meta else "",
                "input": preset(member.transforms())[0],
                "options": needed_options(name, member),
                "url": member.meta["recipe"],
            }
        )
    return found


def paper_of(name):
    """Give the first paper that the builder's documentation links to."""
    text = torchvision.models.get_model_builder(name).__doc__ or ""
    links = re.findall(r"<(https?://[^>]+)>", text.partition("Args:")[0])
    papers = [link for link in links if "arxiv.org" in link]
    return (papers or links)[0].replace("http://", "https://")


def refresh(entry):
    """Give the entry with its measured keys as the installed torchvision has them."""
    name = entry["name"]
    stated = weights_of(name)
    plain = next(weights for weights in stated if "image_size" not in weights["options"])
    for weights in stated:
        if weights["input"] == plain["input"]:
            weights["input"] = ""
    sizes = {path: p.numel() for path, p in build(entry).named_parameters()}
    return {
        **entry,
        "input": preset_of(name, plain["name"]),
        "classes": 1000,
        "params": sum(sizes.values()),
        "stage_params": stage_params(entry, sizes),
        "paper": paper_of(name),
        "weights": stated + [w for w in entry.get("weights", ()) if w["source"][:4] != "url:"],
    }


def stage_params(entry, sizes):
    """Count the parameters of each stage, of the neck, of auxiliary heads, and of the head."""
    groups = dict(entry.get("stages", ()))
    groups |= {"neck": entry.get("neck", ()), "aux": entry.get("aux", ())}
    groups["head"] = [entry["head"]]
    return {
        name: sum(
            size for path, size in sizes.items() if any(f"{path}.".startswith(f"{p}.") for p in own)
        )
        for name, own in groups.items()
        if own
    }


def preset_of(name, weights):
    """Give the name of the input preset of a model's weights."""
    return preset(torchvision.models.get_model_weights(name)[weights.upper()].transforms())[0]


@functools.cache
def presets():
    """Give every input preset that torchvision's weights use, by name."""
    tables = {}
    for name in torchvision.models.list_models(module=torchvision.models):
        for member in torchvision.models.get_model_weights(name):
            key, table = preset(member.transforms())
            if tables.setdefault(key, table) != table:
                raise ValueError(f"two different inputs would both be called {key}")
    return dict(sorted(tables.items(), key=lambda item: natural_key(item[0])))


def toml(value, *, key=""):
    """Write a value as TOML."""
    if key == "stages":
        return "[\n" + "".join(f"  {toml(stage)},\n" for stage in value) + "]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        pairs = (
            f"{k if re.fullmatch('[A-Za-z0-9_-]+', k) else json.dumps(k)} = {toml(v)}"
            for k, v in value.items()
        )
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return f"{value:_}" if isinstance(value, int) and value > 9999 else repr(value)


def table(header, entry, order):
    """Write one table; empty values are left out, a key that is not in ``order`` is an error."""
    lines = [f"{key} = {toml(entry[key], key=key)}\n" for key in order if entry.get(key)]
    if unknown := set(entry) - set(order) - {"weights"}:
        raise ValueError(f"{entry.get('name')}: unknown keys {sorted(unknown)}")
    return header + "\n" + "".join(lines)


def render(text):
    """Give the file's text with everything below the marker written anew."""
    head, mark, _ = text.partition(MARK)
    if not mark:
        raise ValueError(f"registry.toml has lost its marker line: {MARK!r}")
    written = {entry["name"]: entry for entry in tomllib.loads(text).get("model", ())}
    names = torchvision.models.list_models(module=torchvision.models)
    for name in names:
        written.setdefault(name, {"name": name, "target": f"torchvision.models:{name}"})
    blocks = [table(f"[input.{name}]", body, body) for name, body in presets().items()]
    for name in sorted(written, key=natural_key):
        entry = refresh(written[name]) if name in names else written[name]
        blocks.append(table("[[model]]", entry, ORDER))
        blocks += [
            table("[[model.weights]]", weights, WEIGHTS_ORDER)
            for weights in entry.get("weights", ())
        ]
    return head + MARK + "\n" + "\n".join(blocks)


def main():
    """Rewrite the catalogue, or only say whether it is current."""
    before = CATALOGUE.read_text(encoding="utf-8")
    after = render(before)
    if "--check" in sys.argv[1:]:
        return int(before != after)
    CATALOGUE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
