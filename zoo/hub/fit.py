"""Do these tensors belong to that model? Names and shapes compared, nothing loaded.

A header's ``(dtype, shape)`` table is enough, so the answer is there before the download.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zoo.core import settings
from zoo.errors import CheckpointError, DiskError, HubError
from zoo.hub.files import read_json, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec

Shapes = Mapping[str, tuple[int, ...]]
COUNTER: Final = "num_batches_tracked"
"""A counter that old files lack and no evaluation reads; torch fills it in by itself."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What differs between a file's tensors and a model's.

    Attributes:
        missing: Names that the model has and the file has not.
        unexpected: Names that the file has and the model has not.
        mismatched: (name, shape in the file, shape in the model).
        replaced: Names of the head that was left out of the comparison on purpose.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every tensor has its place."""
        return not (self.missing or self.unexpected or self.mismatched)

    @property
    def count(self) -> int:
        """How many names differ."""
        return len(self.missing) + len(self.unexpected) + len(self.mismatched)

    def describe(self, limit: int = 3) -> str:
        """The differences in one line, up to ``limit`` names of each kind."""
        shapes = tuple(f"{n} {_shape(a)} for {_shape(b)}" for n, a, b in self.mismatched)
        kinds = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", shapes),
        )
        said = [
            f"{len(names)} {what} ({', '.join(names[:limit])}{', …' if len(names) > limit else ''})"
            for what, names in kinds
            if names
        ]
        return ", ".join(said) or "everything fits"


def compare(found: Shapes, expected: Shapes, *, head: str = "") -> Fit:
    """Compare a file's tensors with a model's.

    Args:
        found: Name -> shape in the file, renamed as the model names them.
        expected: Name -> shape in the model.
        head: Dotted path of a head that is replaced on purpose; its tensors are not compared.
    """
    prefix = f"{head}." if head else ""

    def counted(name: str) -> bool:
        return not (prefix and name.startswith(prefix))

    missing = [n for n in expected if n not in found and counted(n) and not n.endswith(COUNTER)]
    unexpected = [n for n in found if n not in expected and counted(n)]
    shared = [n for n in expected if n in found and counted(n)]
    return Fit(
        missing=tuple(missing),
        unexpected=tuple(unexpected),
        mismatched=tuple(
            (n, tuple(found[n]), tuple(expected[n]))
            for n in shared
            if tuple(found[n]) != tuple(expected[n])
        ),
        replaced=tuple(n for n in (*expected, *found) if not counted(n)),
    )


def require(fit: Fit, *, what: str, model: str, hint: str = "") -> None:
    """Refuse tensors that do not fit.

    Args:
        fit: The comparison.
        what: The file or repository, for the message.
        model: The model.
        hint: What to do; empty = name the model that the weights are of.

    Raises:
        CheckpointError: Something differs; the message names it.
    """
    if not fit.ok:
        raise CheckpointError(
            f"{what} does not fit {model}: {fit.describe()}",
            hint=hint or "name the model that these weights are of, or other weights for this one",
        )


def shapes(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a header's table."""
    return {name: shape for name, (_, shape) in tensors.items()}


def expected_shapes(
    registry: Registry, model: str, *, num_classes: int | None, options: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that a model has.

    torchvision's are remembered by version, so that looking at a repository need not import torch.

    Args:
        registry: Where the model is.
        model: Its name.
        num_classes: Outputs of the head; ``None`` = its own default.
        options: Builder options.

    Raises:
        UsageError: The builder does not take an option.
    """
    spec = registry.model(model)
    wanted = {**options} if num_classes is None else {**options, "num_classes": num_classes}
    memory = _memory(spec, wanted)
    if memory is not None and memory.is_file():
        with contextlib.suppress(HubError):
            return {name: tuple(shape) for name, shape in read_json(memory).items()}
    found = _build_shapes(registry, model, wanted)
    if memory is not None:
        with contextlib.suppress(DiskError):
            write_atomically(memory, json.dumps(found).encode())
    return found


def _build_shapes(
    registry: Registry, model: str, options: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """Build the model without memory where that works, and read its shapes."""
    import torch

    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                built = registry.build("model", model, **options)
        except (NotImplementedError, RuntimeError):  # it computes with values while it is built
            built = registry.build("model", model, **options)
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}


def _memory(spec: ModelSpec, options: Mapping[str, Any]) -> Path | None:
    """Where the shapes of a torchvision model are remembered; other code changes unversioned."""
    from importlib.metadata import PackageNotFoundError, version

    if not spec.target.startswith("torchvision."):
        return None
    try:
        what = [spec.target, spec.options, dict(options), version("torchvision")]
        key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    except (PackageNotFoundError, TypeError):
        return None
    return settings.cache_dir() / "shapes" / f"{spec.name}-{key}.json"


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
