"""How much of a model's accuracy is left when the images are spoilt."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.engine.evaluate import infer
from zoo.engine.judging.corruptions import STRENGTHS, possible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

    from zoo.data.views import Batch
    from zoo.engine.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """Top-1 on spoilt images.

    Attributes:
        n: Images.
        clean: Top-1 on the images as they are.
        spoilt: Corruption -> top-1 for each of :data:`~zoo.engine.judging.corruptions.STRENGTHS`.
    """

    n: int
    clean: float
    spoilt: dict[str, tuple[float, ...]]

    @property
    def mean(self) -> float:
        """Mean top-1 over all corruptions and strengths."""
        return statistics.fmean(value for row in self.spoilt.values() for value in row)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        rows = {
            name: dict(zip(STRENGTHS, values, strict=True)) for name, values in self.spoilt.items()
        }
        return {"n": self.n, "clean": self.clean, "mean": self.mean, "corruptions": rows}


def measure(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    channels: int,
    feed: Callable[..., Any],
    place: Place,
    seen: Callable[[int], None] = lambda _images: None,
) -> Robustness | None:
    """Show a model every image as it is and spoilt in every way; each is read once.

    Args:
        model: A classifier; ``(N, K)``.
        batches: uint8 images ``(N, C, H, W)`` and class labels ``(N,)``.
        channels: C.
        feed: A :class:`zoo.engine.feed.Feed`, or alike.
        place: Where and how precisely.
        seen: Told of so many more images, each time.

    Returns:
        ``None`` if there was no image.
    """
    ways = possible(channels)
    kinds = [("", 0), *((name, k) for name in ways for k in range(len(STRENGTHS)))]
    hits, n = dict.fromkeys(kinds, 0), 0

    def spoilt() -> Iterator[Batch]:
        for batch in batches:
            images = batch.images.cpu()
            for name, strength in kinds if len(images) else ():  # all of it may be unreadable
                changed = ways[name](images, strength) if name else images
                yield batch._replace(images=changed)

    for number, (outputs, targets, batch) in enumerate(
        infer(model, spoilt(), feed=feed, place=place)
    ):
        kind = kinds[number % len(kinds)]
        right = (outputs.argmax(1) == targets) & outputs.isfinite().all(1)
        hits[kind] += int(right.sum())
        if kind == kinds[-1]:
            n += len(batch.labels)
            seen(n)
    if not n:
        return None
    rows = {
        name: tuple(hits[name, strength] / n for strength in range(len(STRENGTHS))) for name in ways
    }
    return Robustness(n=n, clean=hits["", 0] / n, spoilt=rows)
