"""``config.json`` as every reader wants it: timm, transformers' TimmWrapper, and zoo itself.

timm builds from ``architecture`` and re-heads by ``pretrained_cfg``'s ``classifier`` and
``num_classes``; an architecture that timm does not have is left out, since it would fail there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zoo.core import registry
from zoo.core.specs import InputSpec
from zoo.errors import ZooError
from zoo.hub.preprocess import to_timm

if TYPE_CHECKING:
    from zoo.core.metadata import CheckpointInfo, Header

_RESNET: Final = ("conv1", "fc")
_DENSENET: Final = ("features.conv0", "classifier")
TIMM: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), _RESNET),
    **dict.fromkeys(("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"), _RESNET),
    **dict.fromkeys(("wide_resnet50_2", "wide_resnet101_2"), _RESNET),
    **dict.fromkeys(("densenet121", "densenet161", "densenet169", "densenet201"), _DENSENET),
}
"""Built-in models whose tensors timm's model of the same name takes as they are, with equal
outputs (tests/hub/test_config.py builds both): name -> (first convolution, classifier)."""


def timm_name(info: CheckpointInfo) -> str:
    """The timm architecture that loads these weights unchanged; empty if there is none."""
    bare, _, name = info.model.rpartition("/")
    plain = not info.options and not (set(info.surgery) - {"classes"})
    channels = (info.input or InputSpec()).size[0]
    if not plain or channels != 3 or not info.num_classes:
        return ""
    if bare == "timm":
        return name
    return name if not bare and name in TIMM else ""


def _fixed_size(model: str) -> bool:
    try:
        return "fixed-size" in registry.load().model(model).tags
    except ZooError:
        return False


def make_config(info: CheckpointInfo, header: Header) -> dict[str, Any]:
    """The repository's config.json.

    Args:
        info: What the checkpoint says about itself.
        header: Its tensors.
    """
    given = info.input or InputSpec()
    architecture = timm_name(info)
    config: dict[str, Any] = {}
    if architecture:
        config["architecture"] = architecture
    first, classifier = TIMM.get(architecture, ("", ""))
    head = header.tensors.get(f"{classifier}.weight") if classifier else None
    cfg: dict[str, Any] = {**to_timm(given), "tag": "zoo", "custom_load": False}
    if architecture and _fixed_size(info.model):
        cfg["fixed_input_size"] = True  # else timm builds its default size and resizes embeddings
    if info.num_classes:
        config["num_classes"] = cfg["num_classes"] = info.num_classes
    if head is not None:
        config["num_features"] = head[1][1]
        config["global_pool"] = "avg"
        size = given.crop or given.size[1]
        cfg |= {"first_conv": first, "classifier": classifier, "pool_size": [size // 32] * 2}
    if info.classes:
        config["label_names"] = list(info.classes)
    config["pretrained_cfg"] = cfg
    config["zoo"] = {
        "schema": info.format_version,
        "model": info.model,
        "plugin": info.plugin,
        "version": info.versions.get("zoo", ""),
        "options": info.options,
        "surgery": info.surgery,
    }
    return config
