"""Metrics that give a number for each class, told by the classes' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from zoo.core.protocols import Metric
    from zoo.core.registry import Registry

BETWEEN = ">"
"""Stands between two classes in a key of a confusion: true, then predicted."""


class ByName:
    """A metric whose keys are class indices, or several with ``>`` between them, by name.

    Metrics know no names. One whose keys are to be read so says ``class_keys = True``.

    Args:
        metric: The metric.
        classes: The names, in the order of the outputs.
    """

    def __init__(self, metric: Metric, classes: Sequence[str]) -> None:
        self.metric = metric
        self._names = {str(index): _quoted(name) for index, name in enumerate(classes)}

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take one batch: outputs ``(N, K)``, targets ``(N,)``."""
        self.metric.update(outputs, targets)

    def compute(self) -> float | Mapping[str, float]:
        """The metric's value; keys have names where there are any, ``#7`` where there are not."""
        value = self.metric.compute()
        if not isinstance(value, Mapping):
            return value
        return {self._named(key): item for key, item in value.items()}

    def reset(self) -> None:
        """Forget everything seen."""
        self.metric.reset()

    def _named(self, key: str) -> str:
        return BETWEEN.join(self._names.get(part, f"#{part}") for part in key.split(BETWEEN))


def by_name(metric: Metric, classes: Sequence[str]) -> Metric:
    """The metric itself, or by class names if its keys are classes and the names are known."""
    told = getattr(metric, "class_keys", False) is True and len(classes) > 0
    return ByName(metric, classes) if told else metric


def build_metrics(
    names: Iterable[str], registry: Registry, classes: int, labels: Sequence[str] = ()
) -> dict[str, Metric]:
    """Build metrics by registry name.

    Args:
        names: Qualified names.
        registry: Where they are.
        classes: Number of classes.
        labels: Their names, for metrics that give a number for each class.

    Raises:
        UnknownNameError: No plugin has one of them.
    """
    built = {name: registry.build("metric", name, classes=classes) for name in names}
    return {name: by_name(metric, labels) for name, metric in built.items()}


def _quoted(name: str) -> str:
    """A name with the sign between two names in it is quoted, so that no two keys are alike."""
    return repr(name) if BETWEEN in name else name
