"""Follow a run in TensorBoard: ``zoo finetune ... --set output.trackers=tensorboard``.

A plugin in code instead of a manifest: zoo imports this module to learn what it brings, so it
imports nothing heavy at its top. Then ``tensorboard --logdir runs`` shows every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugin import TrackerSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

ZOO_API = ">=1,<2"


@hookimpl
def zoo_trackers() -> Iterator[TrackerSpec]:
    """The one tracker."""
    yield TrackerSpec(
        name="tensorboard",
        target="zoo_tensorboard:TensorBoard",
        summary="Numbers, images and the model's graph as TensorBoard event files",
        requires=("tensorboard",),
    )


class TensorBoard:
    """Writes event files into ``tensorboard/`` in the run's folder.

    Args:
        run_dir: The run's folder.
        flush_secs: Seconds between writes to the disk.
    """

    def __init__(self, run_dir: str | Path, flush_secs: int = 10) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(run_dir, "tensorboard")
        self._writer = SummaryWriter(str(folder), flush_secs=flush_secs)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at an optimizer step; a name with a slash is a group and a curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, uint8 (C, H, W)."""
        self._writer.add_image(name, image, step)

    def graph(self, model: Any, example: Tensor) -> None:
        """Log the model's graph for an example input (N, C, H, W), traced in eval mode."""
        import warnings

        training = model.training
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's tracer is deprecated, its viewer is not
                self._writer.add_graph(model.eval(), example)
        finally:
            model.train(training)

    def close(self) -> None:
        """Flush and finish."""
        self._writer.close()
