"""Runs of a few steps on the demo images, finished or left in the middle."""

from zoo.core import registry
from zoo.core.request import request
from zoo.engine.reports import SavedReport
from zoo.engine.result import RunResult
from zoo.engine.run import conduct

QUICK = {
    "classes": 4, "data": "demo", "workers": 0, "threads": 1, "precision": "fp32",
    "device": "cpu", "batch_size": 4, "epochs": 3, "weights": "none",
}  # fmt: skip


def begun(stop_after, **values):
    """A run that was left after so many saves, as by a crash."""
    known = registry.load()
    recipe = request("train", "tutorials/lenet", {**QUICK, **values}, registry=known).recipe
    events = conduct(recipe, known)
    saves = 0
    for event in events:
        saves += isinstance(event, SavedReport)
        if stop_after and saves == stop_after:
            folder = event.path.parent.parent
            events.close()
            return folder
        if isinstance(event, RunResult):
            return event.dir
    raise AssertionError("it never saved")
