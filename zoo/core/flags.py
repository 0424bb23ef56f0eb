"""The short names of recipe fields: keywords in Python, flags on the command line.

``freeze_upto`` in Python is ``--freeze-upto`` on the command line and ``freeze.upto`` in a recipe.
Fields without a short name are reached by ``--set`` and by a recipe file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zoo.core.names import did_you_mean, suggest
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYWORDS: Final[dict[str, str]] = {
    "weights": "model.weights",
    "model_option": "model.options",
    "classes": "surgery.classes",
    "in_channels": "surgery.in_channels",
    "drop_last": "surgery.drop_last",
    "project": "surgery.project",
    "reset_head": "surgery.reset_head",
    "freeze_upto": "freeze.upto",
    "freeze_before": "freeze.before",
    "freeze": "freeze.freeze",
    "unfreeze": "freeze.unfreeze",
    "unfreeze_at": "freeze.unfreeze_at",
    "frozen_bn": "freeze.frozen_bn",
    "allow_random_frozen": "freeze.allow_random_frozen",
    "lora": "freeze.lora",
    "lora_alpha": "freeze.lora_alpha",
    "data": "data.source",
    "val": "data.val",
    "val_fraction": "data.val_fraction",
    "fold": "data.fold",
    "batch_size": "data.batch_size",
    "size": "data.size",
    "train_size": "data.train_size",
    "shrink": "data.shrink",
    "transform": "data.train_transform",
    "eval_transform": "data.eval_transform",
    "batch_transform": "data.batch_transforms",
    "data_option": "data.options",
    "data_root": "data.root",
    "download": "data.download",
    "on_bad_image": "data.on_bad_image",
    "allow_empty": "data.allow_empty",
    "workers": "data.workers",
    "cache": "data.cache",
    "cache_size": "data.cache_size",
    "cache_dtype": "data.cache_dtype",
    "views": "data.views",
    "view_crop": "data.view_crop",
    "loss": "loss.name",
    "loss_option": "loss.options",
    "label_smoothing": "loss.label_smoothing",
    "teacher": "loss.teacher",
    "teacher_share": "loss.teacher_share",
    "temperature": "loss.temperature",
    "epochs": "optim.epochs",
    "optimizer": "optim.name",
    "lr": "optim.lr",
    "weight_decay": "optim.weight_decay",
    "momentum": "optim.momentum",
    "optimizer_option": "optim.options",
    "schedule": "optim.schedule",
    "warmup": "optim.warmup",
    "accumulate": "optim.accumulate",
    "clip": "optim.clip",
    "head_lr_mult": "optim.head_lr_mult",
    "lr_decay_stage": "optim.stage_lr_decay",
    "ema": "optim.ema",
    "patience": "optim.patience",
    "max_time": "optim.max_time",
    "on_nan": "optim.on_nan",
    "device": "device.device",
    "precision": "device.precision",
    "channels_last": "device.channels_last",
    "compile": "device.compile",
    "deterministic": "device.deterministic",
    "seed": "device.seed",
    "threads": "device.threads",
    "nproc": "device.nproc",
    "parallel": "device.parallel",
    "sync_bn": "device.sync_bn",
    "out": "output.dir",
    "name": "output.name",
    "monitor": "output.monitor",
    "metric": "output.metrics",
    "keep": "output.keep",
    "save_every": "output.save_every",
    "verify_resume": "output.verify_resume",
    "tracker": "output.trackers",
    "strict": "output.strict",
}
"""Keyword -> dotted recipe key, in the order of the help pages."""

ORIGIN: Final = "flags"
"""Name of the layer of a recipe that they make."""

COMMA: Final = {"project", "batch_transform", "tracker", "metric"}
"""Keywords whose values may also be given in one, separated by commas."""


EITHER: Final = {"train_size", "views"}
"""Keywords that take a number or a word."""


def layer(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords to dotted recipe keys; a value of ``None`` means "not given".

    Raises:
        UsageError: A keyword does not exist.
    """
    made: dict[str, Any] = {}
    for keyword, value in values.items():
        if keyword not in KEYWORDS:
            close = did_you_mean(suggest(keyword, KEYWORDS))
            raise UsageError(f"there is no keyword {keyword!r}", hint=close or "see zoo.core.flags")
        if value is not None:
            made[KEYWORDS[keyword]] = _listed(keyword, value)
    return made


def _listed(keyword: str, value: Any) -> Any:
    from zoo.core.fields import fields

    if isinstance(fields()[KEYWORDS[keyword]].default, tuple):
        if isinstance(value, str | int):
            return [value]
        return list(value)
    return str(value) if hasattr(value, "__fspath__") else value
