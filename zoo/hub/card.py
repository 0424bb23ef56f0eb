"""The model card: filled from the run, never with placeholders; an existing card's prose is kept.

Of an existing README only the YAML keys that zoo owns and the block between two marks change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec
from zoo.errors import HubError
from zoo.hub.config import timm_name

BEGIN: Final = "<!-- zoo: begin -->"
END: Final = "<!-- zoo: end -->"
_SHOWN: Final = 40
_EDGES: Final = {
    "center": "the shorter edge",
    "squash": "both edges (proportions lost)",
    "border": "the longer edge (the rest is the mean's colour)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a card is about.

    Attributes:
        repo: ``org/repo``.
        info: What the checkpoint says.
        licence: SPDX identifier as the Hub writes it.
        builder: ``module:attr`` of the architecture, for the plain snippet; empty = leave it out.
        options: Keyword arguments of the builder besides the number of classes.
    """

    repo: str
    info: CheckpointInfo
    licence: str
    builder: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def make_card(subject: Subject, existing: str = "") -> str:
    """The README.

    Args:
        subject: What it is about.
        existing: The README that is there, or empty.

    Raises:
        HubError: The existing README's metadata is not YAML.
    """
    metadata, body = split(existing)
    merged = {**metadata, **_metadata(subject, metadata)}
    front = yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n{_place(body, _block(subject), subject)}"


def split(text: str) -> tuple[dict[str, Any], str]:
    """A README's metadata and its prose.

    Raises:
        HubError: The metadata is not a YAML table.
    """
    lines = text.lstrip("\ufeff").splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        return {}, "".join(lines)
    ends = [i for i, line in enumerate(lines) if i and line.strip() == "---"]
    if not ends:
        return {}, "".join(lines)
    end = ends[0]
    try:
        table = yaml.safe_load("".join(lines[1:end])) or {}
    except yaml.YAMLError as error:
        raise HubError(f"the README's metadata is not YAML: {error}") from error
    if not isinstance(table, dict):
        raise HubError("the README's metadata is not a table")
    return table, "".join(lines[end + 1 :])


def _place(body: str, block: str, subject: Subject) -> str:
    """The prose with zoo's block in it: in the old one's place, else at the end."""
    before, begin, rest = body.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        return f"{before}{block}{after}"
    if body.strip():
        return f"{body.rstrip()}\n\n{block}\n"
    return f"\n# {subject.repo.rpartition('/')[2]}\n\n{block}\n"


def _metadata(subject: Subject, old: dict[str, Any]) -> dict[str, Any]:
    """The YAML keys that zoo owns."""
    info = subject.info
    tags = ["image-classification", "pytorch", "zoo", *(["timm"] if timm_name(info) else [])]
    kept = [t for t in old.get("tags") or [] if isinstance(t, str)]
    made: dict[str, Any] = {
        "library_name": "timm" if timm_name(info) else "zoo",
        "pipeline_tag": "image-classification",
        "license": subject.licence,
        "tags": list(dict.fromkeys([*kept, *tags])),
    }
    base = str(info.base.get("source", ""))
    if base.startswith("hub:"):
        made["base_model"] = base.removeprefix("hub:").partition("@")[0]
        made["base_model_relation"] = "finetune"
    if "top1" in info.metrics:
        made["metrics"] = ["accuracy"]
        made["model-index"] = [_index(subject)]
    return made


def _index(subject: Subject) -> dict[str, Any]:
    info = subject.info
    name = str(info.data.get("name") or "data")
    shown = {"top1": "top-1 accuracy", "top5": "top-5 accuracy"}
    metrics = [
        {"type": "accuracy", "name": label, "value": round(info.metrics[key], 6)}
        for key, label in shown.items()
        if key in info.metrics and _tells(key, info)
    ]
    dataset = {"type": name, "name": name, "split": "validation"}
    task = {"type": "image-classification", "name": "Image Classification"}
    return {
        "name": subject.repo.rpartition("/")[2],
        "results": [{"task": task, "dataset": dataset, "metrics": metrics}],
    }


def _block(subject: Subject) -> str:
    parts = [
        _summary(subject.info),
        _labels(subject.info),
        _snippets(subject),
        _data(subject.info),
        _results(subject.info),
        _training(subject.info),
        _limits(subject.info),
    ]
    return "\n\n".join([BEGIN, *(p for p in parts if p), END])


def _summary(info: CheckpointInfo) -> str:
    count = f" for {info.num_classes} classes" if info.num_classes else ""
    return f"`{info.model}`{count}, {_origin(info)}"


def _origin(info: CheckpointInfo) -> str:
    base = info.base
    if not base:
        return "trained from random weights."
    what = str(base.get("weights") or base.get("source") or "other weights")
    source = str(base.get("source", ""))
    where = f" ({source})" if source and source != what else ""
    commit = f" at commit `{base['revision']}`" if base.get("revision") else ""
    digest = str(base.get("origin_sha256") or base.get("sha256") or "")
    sha = f", sha256 `{digest}`" if digest else ""
    return f"fine-tuned from {what}{where}{commit}{sha}."


def _labels(info: CheckpointInfo) -> str:
    if not info.classes:
        return ""
    shown = ", ".join(f"{i} {name}" for i, name in enumerate(info.classes[:_SHOWN]))
    more = len(info.classes) - _SHOWN
    rest = f" and {more} more (`label_names` in config.json)" if more > 0 else ""
    return f"## Labels\n\n{shown}{rest}"


def _snippets(subject: Subject) -> str:
    repo, info = subject.repo, subject.info
    made = ["## How to load", _code(f'import zoo\n\nmodel = zoo.create_model("hub:{repo}")')]
    if timm_name(info):
        made.append(
            _code(
                f'import timm\n\nmodel = timm.create_model("hf-hub:{repo}", pretrained=True).eval()'
            )
        )
    if subject.builder:
        module, _, name = subject.builder.partition(":")
        made.append(
            _code(
                "from huggingface_hub import hf_hub_download\n"
                "from safetensors.torch import load_file\n"
                f"from {module} import {name}\n\n"
                f"model = {name}({_arguments(subject)}).eval()\n"
                f'path = hf_hub_download("{repo}", "model.safetensors")\n'
                "model.load_state_dict(load_file(path))"
            )
        )
    lines = f"zoo predict hub:{repo} IMAGE...\nzoo finetune hub:{repo} --data FOLDER"
    return "\n\n".join([*made, _code(lines, "bash")])


def _arguments(subject: Subject) -> str:
    options = {**subject.options, "num_classes": subject.info.num_classes}
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _code(text: str, language: str = "python") -> str:
    return f"```{language}\n{text}\n```"


def _data(info: CheckpointInfo) -> str:
    data, given = info.data, info.input or InputSpec()
    lines = ["## Data and preprocessing", ""]
    if data.get("name"):
        splits = ((k, data.get(k)) for k in ("train", "val", "test"))
        sizes = ", ".join(f"{size} {key}" for key, size in splits if size)
        lines.append(f"- data: {data['name']}: {sizes} images")
    if data.get("fingerprint"):
        lines.append(f"- fingerprint of the data: `{data['fingerprint']}`")
    crop = given.crop or given.size[1]
    resize = given.resize or crop
    lines += [
        f"- resize {_EDGES[given.crop_mode]} to {resize} ({given.interpolation}), "
        f"crop the centre {crop} x {crop}, values 0 to 1",
        f"- mean {list(given.mean)}, std {list(given.std)}",
    ]
    return "\n".join(lines)


def _results(info: CheckpointInfo) -> str:
    n = int(info.metrics.get("n", 0))
    if not info.metrics or not n:
        return ""
    rows = []
    for key, label in (("top1", "top-1"), ("top5", "top-5")):
        if key in info.metrics and _tells(key, info):
            low, high = interval(info.metrics[key], n)
            rows.append(f"| {label} | {info.metrics[key]:.2%} | {low:.2%} to {high:.2%} | {n} |")
    if "loss" in info.metrics:
        rows.append(f"| loss | {info.metrics['loss']:.4f} | | {n} |")
    head = "| metric | value | 95 % interval | images |\n| --- | --- | --- | --- |"
    return "## Results on the validation images\n\n" + "\n".join([head, *rows])


def _tells(key: str, info: CheckpointInfo) -> bool:
    """Whether a number says anything: among five classes, every image is in the top five."""
    return key != "top5" or not 0 < len(info.classes) <= 5


def interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``n``."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _training(info: CheckpointInfo) -> str:
    optim = info.recipe.get("optim", {})
    lines = ["## Training", ""]
    if optim:
        lines.append(
            f"- {optim.get('name')}, learning rate {optim.get('lr')}, {optim.get('schedule')}, "
            f"weight decay {optim.get('weight_decay')}; {info.epoch} of {optim.get('epochs')} epochs "
            f"({info.step} steps), batch {info.recipe.get('data', {}).get('batch_size')}"
        )
    if "seed" in info.recipe.get("device", {}):
        lines.append(f"- seed {info.recipe['device']['seed']}")
    frozen = str(info.freeze.get("line", "")) if info.freeze else ""
    if frozen:
        lines.append(f"- frozen: {frozen}")
    if info.recipe_digest:
        lines.append(f"- the whole recipe is `recipe.toml`, digest `{info.recipe_digest}`")
    if info.versions:
        lines.append("- " + ", ".join(f"{name} {v}" for name, v in info.versions.items()))
    return "\n".join(lines) if len(lines) > 2 else ""


def _limits(info: CheckpointInfo) -> str:
    said = ["## Limits", ""]
    if info.metrics.get("n"):
        said.append(
            "- The validation images also chose the epoch, so the numbers above are somewhat high."
        )
    said.append("- Nothing is known about images unlike those it was trained on.")
    return "\n".join(said)
