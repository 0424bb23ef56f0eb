"""The only module that a plugin author imports.

A plugin names its parts as specs (in a ``registry.toml`` beside its package, or from hook
functions) and points each one at a ``"module:attr"`` target. Run hooks are functions marked
with :data:`hookimpl`; they may take any subset of their arguments.

::

    from zoo.plugin import ModelSpec, hookimpl

    @hookimpl
    def zoo_models():
        yield ModelSpec(name="tiny", target="my_plugin.models:tiny", head="fc")
"""

from __future__ import annotations

from zoo.core.hookspecs import API_VERSION, hookimpl
from zoo.core.protocols import Augmentation, BatchTransform, Loss, Metric, Tracker
from zoo.core.settings import Hub, offline
from zoo.core.specs import (
    CommandSpec,
    DatasetSpec,
    ExporterSpec,
    InputSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    OptimizerSpec,
    PartSpec,
    SchedulerSpec,
    TrackerSpec,
    TransformSpec,
    WeightsSpec,
)
from zoo.errors import DataError, Interrupted, PluginError, UsageError, ZooError

__all__ = [
    "API_VERSION",
    "Augmentation",
    "BatchTransform",
    "CommandSpec",
    "DataError",
    "DatasetSpec",
    "ExporterSpec",
    "Hub",
    "InputSpec",
    "Interrupted",
    "Loss",
    "LossSpec",
    "Metric",
    "MetricSpec",
    "ModelSpec",
    "OptimizerSpec",
    "PartSpec",
    "PluginError",
    "SchedulerSpec",
    "Tracker",
    "TrackerSpec",
    "TransformSpec",
    "UsageError",
    "WeightsSpec",
    "ZooError",
    "hookimpl",
    "hub",
    "offline",
]


def hub() -> Hub:
    """The Hub that is asked, and whether the user's token may be sent there."""
    from zoo.core import registry  # reads every plugin's manifest: not for an import

    return registry.hub()
