"""Where a model looks in images: a map and a picture for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.engine.evaluate import main_output
from zoo.engine.freezing.trace import mode
from zoo.engine.judging.showing import class_name, explained, moved, show
from zoo.explaining.gradcam import grad_cam
from zoo.explaining.layers import find_layer
from zoo.explaining.picture import draw
from zoo.explaining.target import check_folder, find_class, write_new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn

    from zoo.core.recipe import DevicePart
    from zoo.core.registry import Registry
    from zoo.engine.start.loaded import Loaded
    from zoo.explaining.maps import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Where a model looks in one image.

    Attributes:
        image: The file.
        label: The class that is explained.
        probability: Its probability.
        predicted: The most likely class.
        layer: Path of the layer whose maps are weighed.
        heat: fp32 ``(h, w)`` from 0 on, over what the model saw of the image; all 0 = nothing at
            that layer speaks for the class.
        file: The picture; ``None`` = none was asked for.
    """

    image: str
    label: str
    probability: float
    predicted: str
    layer: str
    heat: Tensor
    file: Path | None = None


def look(
    loaded: Loaded,
    registry: Registry,
    paths: Sequence[str | Path],
    *,
    label: str | None = None,
    layer: str | None = None,
    out: Path | None = None,
    device: DevicePart | None = None,
    on_bad_image: str = "error",
    note: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Look]:
    """Explain images, in the order given.

    Args:
        loaded: The model.
        registry: Where its architecture and transform are.
        paths: Files and folders.
        label: Class to explain; ``None`` = the most likely one of each image.
        layer: Path of a module, or a stage's name; ``None`` = the deepest that gives maps.
        out: Folder for pictures, made if it is not there; nothing in it is written over.
        device: Where to compute; default: as ``auto`` says.
        on_bad_image: ``error`` or ``skip``.
        note: Told what should be known, one line each.
        progress: Called with images done and images in all.

    Yields:
        One look an image.

    Raises:
        DataError: Nothing there, or unreadable files.
        UnknownNameError: The model has no such class or layer.
        UsageError: No layer gives maps, or the model is no classifier.
    """
    if out is not None:
        check_folder(out)
    if label is not None and loaded.classes:
        find_class(label, loaded.classes, len(loaded.classes))
    shown = show(loaded, registry, paths, device=device, on_bad_image=on_bad_image)
    model = moved(loaded, shown.place)
    spec = registry.model(loaded.info.model) if loaded.info.model else None
    chosen: Layer | None = None
    done = empty = 0
    with explained(loaded), mode(model, training=False):
        model.train()  # some keep what they worked out of their weights in eval mode until then
        model.eval()
        for batch in shown.loader.epoch(0):
            if not len(batch.labels):
                continue  # every image of it was unreadable and left out
            images = shown.feed.images(batch.images)
            chosen = chosen or find_layer(model, images[:2], spec, layer)
            heats, shares, classes = _of_batch(model, chosen, images, loaded, label)
            for row, index in enumerate(batch.indices.tolist()):
                one = Look(
                    image=shown.images.keys[index],
                    label=class_name(loaded, int(classes[row])),
                    probability=float(shares[row, classes[row]]),
                    predicted=class_name(loaded, int(shares[row].argmax())),
                    layer=chosen.path,
                    heat=heats[row],
                )
                empty += not bool(one.heat.any())
                yield one if out is None else _drawn(one, batch.images[row], out)
            done += len(batch.labels)
            if progress is not None:
                progress(done, len(shown.images))
    if note is not None:
        for text in (*shown.notes, *_empty(empty, done, chosen)):
            note(text)


def _of_batch(
    model: nn.Module, layer: Layer, images: Tensor, loaded: Loaded, label: str | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Heat ``(N, h, w)``, probabilities ``(N, K)`` and classes ``(N,)``, on the CPU."""
    classes = None
    if label is not None:
        with torch.no_grad():
            outputs = 0 if loaded.classes else main_output(model(images[:1])).shape[-1]
        index = find_class(label, loaded.classes, outputs)
        classes = torch.full((len(images),), index)
    heats, scores = grad_cam(model, layer, images, classes)
    chosen = scores.argmax(1) if classes is None else classes
    return heats.cpu(), scores.softmax(1).cpu(), chosen.cpu()


def _drawn(one: Look, image: Tensor, out: Path) -> Look:
    name = Path(one.image)
    said = f"{100 * one.probability:.1f} %  {one.label}"  # a name may be cut off
    data = draw(image.cpu(), one.heat, left=name.name, right=said)
    path = write_new(out, name.stem, ".png", data)
    return replace(one, file=path)


def _empty(count: int, total: int, layer: Layer | None) -> tuple[str, ...]:
    if not count or layer is None:
        return ()
    empty = f"{count} of {total} maps {'is' if count == 1 else 'are'} empty"
    return (f"{empty}: nothing at {layer.path} speaks for the class",)
