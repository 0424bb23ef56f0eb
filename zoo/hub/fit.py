"""Do these tensors belong to that model? Names and shapes compared, nothing loaded.

A header's ``(dtype, shape)`` table is enough, so the answer is there before the download.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from zoo.errors import CheckpointError

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
    registry: Any, model: str, *, num_classes: int | None, options: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that a model has, built without memory where it can be.

    Args:
        registry: Where the model is (:class:`zoo.core.registry.Registry`).
        model: Its name.
        num_classes: Outputs of the head; ``None`` = its own default.
        options: Builder options.

    Raises:
        UsageError: The builder does not take an option.
    """
    import torch

    wanted = dict(options)
    if num_classes is not None:
        wanted["num_classes"] = num_classes
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                built = registry.build("model", model, **wanted)
        except (NotImplementedError, RuntimeError):  # it computes with values while it is built
            built = registry.build("model", model, **wanted)
    return {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
