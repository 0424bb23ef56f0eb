"""What a repository on the Hub holds, told by its files: ours, timm's, transformers' or plain.

Pure functions on what was read: ``config.json``, ``preprocessor_config.json``, the card's tags
and the safetensors header. Nothing is executed and nothing of the repository is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from zoo.core.metadata import CheckpointInfo, Header
from zoo.core.specs import InputSpec
from zoo.errors import CheckpointError
from zoo.hub import preprocess

Kind = Literal["zoo", "timm", "transformers", "mixin", "plain"]
MIXIN_TAG: Final = "pytorch_model_hub_mixin"
TIMM_PREFIX: Final = "timm_model."
_RESNETS: Final = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}
_WIDTHS: Final = {"basic": (64, 128, 256, 512), "bottleneck": (256, 512, 1024, 2048)}
_RESNET_KEYS: Final = (
    (r"resnet\.embedder\.embedder\.convolution\.(.+)", r"conv1.\1"),
    (r"resnet\.embedder\.embedder\.normalization\.(.+)", r"bn1.\1"),
    (r"resnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.convolution\.(.+)", "conv"),
    (r"resnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.normalization\.(.+)", "bn"),
    (r"resnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.convolution\.(.+)", "0"),
    (r"resnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.normalization\.(.+)", "1"),
    (r"classifier\.1\.(.+)", r"fc.\1"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a repository says about its weights.

    Attributes:
        kind: Who wrote it.
        architecture: Its name there; empty = it does not say.
        options: Builder options that it states.
        num_classes: Outputs of the head, if stated.
        classes: Class names in the order of the outputs.
        input: Preprocessing, if stated.
        rename: Name in the file -> name in the model, where they differ.
        tied: Name that the file leaves out -> name that holds the same tensor.
        info: Our own record, where the file is ours.
        notes: What could not be carried over, one line each.
    """

    kind: Kind
    architecture: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    num_classes: int | None = None
    classes: tuple[str, ...] = ()
    input: InputSpec | None = None
    rename: dict[str, str] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    info: CheckpointInfo | None = None
    notes: tuple[str, ...] = ()


def read_layout(
    config: Mapping[str, Any] | None,
    header: Header,
    *,
    processor: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
) -> Layout:
    """Tell what a repository holds.

    Args:
        config: ``config.json``, or ``None`` if there is none.
        header: The weights file's header.
        processor: ``preprocessor_config.json``, or ``None``.
        tags: The card's tags.

    Raises:
        CheckpointError: It is of a kind that zoo knows, in a form that it cannot load.
    """
    info = header.info
    if info is not None and info.model:
        layout = _ours(info)
    elif config and (config.get("architecture") or "pretrained_cfg" in config):
        layout = _timm(config, header)
    elif config and "model_type" in config:
        layout = _transformers(config, header, processor or {})
    elif config is not None and (MIXIN_TAG in set(tags) or config):
        layout = Layout(kind="mixin", options=dict(config))
    else:
        layout = Layout(kind="plain")
    return replace(layout, tied=_tied(header))


def _ours(info: CheckpointInfo) -> Layout:
    return Layout(
        kind="zoo",
        architecture=info.model,
        options=dict(info.options),
        num_classes=info.num_classes,
        classes=info.classes,
        input=info.input,
        info=info,
    )


def _timm(config: Mapping[str, Any], header: Header) -> Layout:
    cfg = config.get("pretrained_cfg")
    cfg = {**config, **cfg} if isinstance(cfg, Mapping) else config
    given, notes = preprocess.from_timm(cfg)
    count = config.get("num_classes", cfg.get("num_classes"))
    prefixed = bool(header.tensors) and all(n.startswith(TIMM_PREFIX) for n in header.tensors)
    names = config.get("label_names", config.get("labels", cfg.get("label_names")))
    described = config.get("label_descriptions")
    options = config.get("model_args")
    return Layout(
        kind="timm",
        architecture=str(config.get("architecture") or cfg.get("architecture") or ""),
        options=dict(options) if isinstance(options, Mapping) else {},
        num_classes=count if isinstance(count, int) else None,
        classes=_described(_labels(names, count), described),
        input=given,
        rename={n: n.removeprefix(TIMM_PREFIX) for n in header.tensors} if prefixed else {},
        notes=notes,
    )


def _described(labels: tuple[str, ...], described: Any) -> tuple[str, ...]:
    """Synsets as words, where the repository describes them all and differently."""
    if not isinstance(described, Mapping) or not all(name in described for name in labels):
        return labels
    words = tuple(str(described[name]) for name in labels)
    return words if len(set(words)) == len(words) else labels


def _labels(value: Any, count: Any = None) -> tuple[str, ...]:
    """Class names from a list, or from a table id -> name without gaps."""
    if isinstance(value, list | tuple):
        return tuple(str(name) for name in value)
    if isinstance(value, Mapping):
        table = {int(k): str(v) for k, v in value.items() if str(k).isdigit()}
        whole = set(table) == set(range(len(table))) and len(table) == len(value)
        if whole and (not isinstance(count, int) or len(table) == count):
            return tuple(table[i] for i in range(len(table)))
    return ()


def _transformers(
    config: Mapping[str, Any], header: Header, processor: Mapping[str, Any]
) -> Layout:
    kind = str(config["model_type"])
    classes = _labels(config.get("id2label"))
    generic = all(re.fullmatch(r"LABEL_\d+", name) for name in classes)
    channels = config.get("num_channels")
    channels = channels if isinstance(channels, int) else 3
    given, notes = (
        preprocess.from_transformers(processor, channels=channels) if processor else (None, ())
    )
    head = header.tensors.get("classifier.1.weight", header.tensors.get("classifier.weight"))
    layout = Layout(
        kind="transformers",
        architecture=kind,
        num_classes=head[1][0] if head else (len(classes) or None),
        classes=() if generic else classes,
        input=given,
        notes=notes,
    )
    if kind != "resnet":
        return layout
    return replace(layout, architecture=_resnet(config), rename=rename_resnet(header.tensors))


def _resnet(config: Mapping[str, Any]) -> str:
    """Give torchvision's name of a transformers ResNet.

    Raises:
        CheckpointError: torchvision has no such ResNet.
    """
    kind = str(config.get("layer_type", "bottleneck"))
    depths = tuple(config.get("depths", (3, 4, 6, 3)))
    name = _RESNETS.get((kind, depths), "")
    same = (
        tuple(config.get("hidden_sizes", _WIDTHS["bottleneck"])) == _WIDTHS.get(kind)
        and config.get("embedding_size", 64) == 64
        and config.get("hidden_act", "relu") == "relu"
        and not config.get("downsample_in_first_stage")
        and not config.get("downsample_in_bottleneck")
    )
    if not (name and same):
        raise CheckpointError(
            f"this transformers ResNet ({kind} {list(depths)}) is not one of torchvision's",
            hint="resnet18, 34, 50, 101 and 152 in their usual form can be read",
        )
    return name


def rename_resnet(names: Iterable[str]) -> dict[str, str]:
    """Map transformers' ResNet tensor names to torchvision's; others are left out."""
    made = {}
    for name in names:
        for pattern, target in _RESNET_KEYS:
            match = re.fullmatch(pattern, name)
            if match:
                made[name] = _resnet_name(match, target)
                break
    return made


def _resnet_name(match: re.Match[str], target: str) -> str:
    groups = match.groups()
    if len(groups) == 1:
        return match.expand(target)
    block = f"layer{int(groups[0]) + 1}.{groups[1]}"
    if target in ("conv", "bn"):
        return f"{block}.{target}{int(groups[2]) + 1}.{groups[3]}"
    return f"{block}.downsample.{target}.{groups[2]}"


def _tied(header: Header) -> dict[str, str]:
    """Names that ``safetensors.save_model`` dropped, as its metadata records them."""
    return {
        name: kept
        for name, kept in header.metadata.items()
        if name not in header.tensors and kept in header.tensors
    }
