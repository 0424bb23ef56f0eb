"""``zoo import``: somebody's .pth turned into our checkpoint, without running what it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.metadata import CheckpointInfo, read_header
from zoo.engine.saving.checkpoint import load_weights, save_weights
from zoo.errors import CheckpointError, UsageError
from zoo.hub import fit
from zoo.hub.convert import read_pickle
from zoo.hub.files import is_pickle, sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A checkpoint that was made.

    Attributes:
        path: Where it lies.
        model: Model that it is of.
        num_classes: Outputs of its head.
        classes: Class names, if they were given.
        tensors: Number of tensors.
        source_sha256: Digest of the file that it was made from.
        notes: What was done to find the weights, one line each.
    """

    path: Path
    model: str
    num_classes: int | None
    classes: tuple[str, ...]
    tensors: int
    source_sha256: str
    notes: tuple[str, ...]


def import_weights(
    source: Path,
    *,
    model: str,
    registry: Registry,
    classes: int | None = None,
    labels: tuple[str, ...] = (),
    key: str = "",
    options: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> Imported:
    """Turn a ``torch.save`` file, or anybody's safetensors, into a checkpoint of zoo.

    Args:
        source: A state dict, or a checkpoint dict that holds one.
        model: Model that the weights are of.
        registry: Where it is looked up.
        classes: Outputs of the head; ``None`` = as many as the weights have.
        labels: Class names in the order of the outputs.
        key: Entry of a checkpoint dict that holds the weights; empty = find it.
        options: Builder options of the model.
        out: File to write; ``None`` = beside the source, with ``.safetensors``.

    Raises:
        CheckpointError: A whole pickled module, damaged, or it does not fit the model.
        UsageError: The numbers of classes contradict each other, or another file is there already.
        DiskError: The disk refuses.
    """
    if not source.is_file():
        raise CheckpointError(f"no file {source}")
    spec = registry.model(model)
    tensors, notes = _read(source, key)
    count = _count(spec, tensors, classes, labels)
    expected = fit.expected_shapes(
        registry, spec.qualified, num_classes=count, options=options or {}
    )
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    fit.require(fit.compare(found, expected), what=source.name, model=spec.qualified)
    target = out or source.with_suffix(".safetensors")
    digest = sha256_file(source)
    _require_free(target, source, digest)
    info = CheckpointInfo(
        model=spec.qualified,
        plugin=spec.plugin,
        options=dict(options or {}),
        num_classes=count,
        classes=labels,
        input=spec.input,
        base={"source": f"file:{source.name}", "sha256": digest},
    )
    save_weights(target, tensors, info)
    return Imported(
        path=target,
        model=spec.qualified,
        num_classes=count,
        classes=labels,
        tensors=len(tensors),
        source_sha256=digest,
        notes=notes,
    )


def _require_free(target: Path, source: Path, digest: str) -> None:
    """Overwrite nothing but what an import of the same file wrote."""
    if not target.exists():
        return
    if target.samefile(source):
        raise UsageError(f"{source} would overwrite itself", hint="--to FILE")
    try:
        info = read_header(target).info
    except CheckpointError:
        info = None
    if info is None or info.recipe or info.base.get("sha256") != digest:
        raise UsageError(f"{target} is there already and stays as it is", hint="--to FILE")


def _read(source: Path, key: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    if is_pickle(source):
        found = read_pickle(source, key=key)
        return found.tensors, found.notes
    if source.suffix != ".safetensors":
        found = read_pickle(source, key=key)  # the oldest torch.save files have no signature
        return found.tensors, found.notes
    return load_weights(source)[0], ()


def _count(
    spec: ModelSpec, tensors: Mapping[str, Tensor], classes: int | None, labels: tuple[str, ...]
) -> int | None:
    """Outputs of the head: the weights say it, and what was typed must agree."""
    head = tensors.get(f"{spec.head}.weight") if spec.head else None
    outputs = int(head.shape[0]) if head is not None else None
    for said, number in (("--classes", classes), ("--labels", len(labels) or None)):
        if number is not None and outputs is not None and number != outputs:
            raise UsageError(
                f"the weights' head has {outputs} outputs, {said} says {number}",
                hint=f"leave --classes out, or give {outputs} labels",
            )
    return outputs or classes or len(labels) or None


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names from a file: one a line, a JSON list, or a JSON table id -> name.

    Raises:
        UsageError: Unreadable, not that, with gaps, or with a name twice.
    """
    try:
        text = path.read_text("utf-8-sig")
        data = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read labels from {path}: {error}") from error
    if isinstance(data, dict):
        keys = {str(i) for i in range(len(data))}
        data = [data[str(i)] for i in range(len(data))] if set(data) == keys else None
    if not isinstance(data, list):
        raise UsageError(f"{path} is not a list of labels", hint="one a line, or a JSON list")
    names = tuple(str(name).strip() for name in data if str(name).strip())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{path} has a label twice: {', '.join(twice[:3])}")
    return names
