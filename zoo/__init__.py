"""zoo: a plugin-based model zoo for PyTorch.

The public names are imported when they are used (PEP 562): ``import zoo`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import (
        create_model,
        evaluate,
        export,
        freeze_upto,
        list_models,
        load,
        model_info,
        predict,
        summary,
    )
    from zoo.engine.throughput import benchmark
    from zoo.engine.verbs import find_lr, finetune, fit, resume, train
    from zoo.errors import ZooError
    from zoo.explaining.verbs import embed, explain
    from zoo.hub.verbs import pull, push
    from zoo.report.preview import preview

__version__ = "0.1.0"

_LAZY = {
    "benchmark": "zoo.engine.throughput",
    "create_model": "zoo.api",
    "embed": "zoo.explaining.verbs",
    "evaluate": "zoo.api",
    "explain": "zoo.explaining.verbs",
    "export": "zoo.api",
    "find_lr": "zoo.engine.verbs",
    "finetune": "zoo.engine.verbs",
    "fit": "zoo.engine.verbs",
    "freeze_upto": "zoo.api",
    "list_models": "zoo.api",
    "load": "zoo.api",
    "model_info": "zoo.api",
    "predict": "zoo.api",
    "preview": "zoo.report.preview",
    "pull": "zoo.hub.verbs",
    "push": "zoo.hub.verbs",
    "resume": "zoo.engine.verbs",
    "summary": "zoo.api",
    "train": "zoo.engine.verbs",
    "ZooError": "zoo.errors",
}

__all__ = [
    "ZooError",
    "__version__",
    "benchmark",
    "create_model",
    "embed",
    "evaluate",
    "explain",
    "export",
    "find_lr",
    "finetune",
    "fit",
    "freeze_upto",
    "list_models",
    "load",
    "model_info",
    "predict",
    "preview",
    "pull",
    "push",
    "resume",
    "summary",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Give the public names."""
    return sorted(__all__)
