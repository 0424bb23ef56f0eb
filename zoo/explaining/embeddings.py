"""Images as vectors: what a model gives its last layer, for search and for other programs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from zoo.engine.evaluate import infer
from zoo.engine.judging.showing import explained, folder_of, moved, show
from zoo.engine.parts import headless
from zoo.engine.saving import atomic, tensorfile
from zoo.engine.saving.newfile import written
from zoo.errors import DataError, UsageError
from zoo.explaining.target import EMBEDDINGS, check_file
from zoo.hub.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo.core.recipe import DevicePart
    from zoo.core.registry import Registry
    from zoo.engine.start.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An image that a model takes for alike.

    Attributes:
        image: The file.
        label: The folder that it was found in; empty if that says nothing.
        similarity: Cosine of the angle between both vectors, -1 to 1.
    """

    image: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Images as vectors.

    Attributes:
        vectors: fp32 ``(N, D)``, on the CPU.
        paths: The files.
        labels: The folder that each was found in; empty where that says nothing.
        model: Run or model that made them.
        digest: SHA-256 of its weights' file, or empty.
        nearest: What is most like the image that was asked about.
        file: Where they were written to.
    """

    vectors: Tensor
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    model: str
    digest: str = ""
    nearest: tuple[Neighbour, ...] = ()
    file: Path | None = None

    def like(self, vector: Tensor, top: int = 5, *, but: str = "") -> tuple[Neighbour, ...]:
        """The images that are most like a vector, by cosine similarity; what is no number is last.

        Args:
            vector: ``(D,)``.
            top: How many, at most.
            but: An image to leave out, by its path: the one that is asked about.
        """
        cosine = functional.normalize(self.vectors, dim=1) @ functional.normalize(vector, dim=0)
        known = cosine.nan_to_num(-2)  # else nan is the largest of all
        order = torch.argsort(known, descending=True, stable=True).tolist()
        asked = Path(but).resolve() if but else None
        kept = (row for row in order if asked is None or Path(self.paths[row]).resolve() != asked)
        return tuple(
            Neighbour(self.paths[row], self.labels[row], float(cosine[row].clamp(-1, 1)))
            for row, _ in zip(kept, range(top), strict=False)
        )


def embed(
    loaded: Loaded,
    registry: Registry,
    paths: Sequence[str | Path],
    *,
    device: DevicePart | None = None,
    on_bad_image: str = "error",
    note: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embeddings:
    """Give each image's vector, in the order given.

    Args:
        loaded: The model.
        registry: Where its architecture and transform are.
        paths: Files and folders.
        device: Where to compute; default: as ``auto`` says.
        on_bad_image: ``error`` or ``skip``.
        note: Told what should be known, one line each.
        progress: Called with images done and images in all.

    Raises:
        DataError: Nothing there, or unreadable files.
        UsageError: The model has no head that can be dropped, or gives no vectors without it.
    """
    shown = show(loaded, registry, paths, device=device, on_bad_image=on_bad_image)
    moved(loaded, shown.place)
    try:
        model = headless(loaded.model, loaded.info, registry)
    except UsageError as error:
        error.hint = "only a model with one head, a linear layer or a convolution, gives vectors"
        raise
    vectors: list[Tensor] = []
    rows: list[int] = []
    with explained(loaded):
        for outputs, _, batch in infer(
            model, shown.loader.epoch(0), feed=shown.feed, place=shown.place
        ):
            if outputs.ndim != 2:
                raise UsageError(
                    f"without its head the model gives (N, {', '.join(map(str, outputs.shape[1:]))}), "
                    "not one vector an image (N, D)",
                    hint="an option of its own may pool them (zoo info)",
                )
            vectors.append(outputs.cpu())
            rows += batch.indices.tolist()
            if progress is not None:
                progress(len(rows), len(shown.images))
    for text in shown.notes:
        if note is not None:
            note(text)
    if not vectors:
        raise DataError("not one image could be read")
    keys = tuple(shown.images.keys[row] for row in rows)
    return Embeddings(
        vectors=torch.cat(vectors),
        paths=keys,
        labels=_labels(keys, paths, set(loaded.classes)),
        model=loaded.info.run or str(loaded.info.base.get("weights", "")) or loaded.info.model,
        digest=sha256_file(loaded.path) if loaded.path.is_file() else "",
    )


def _labels(keys: Sequence[str], given: Sequence[str | Path], classes: set[str]) -> tuple[str, ...]:
    """The folder of each image that lies in one below a folder that was given, or in a class's."""
    tops = {str(path) for path in map(Path, given) if path.is_dir()}
    found = []
    for key in keys:
        folder, above = Path(key).parent, {str(path) for path in Path(key).parent.parents}
        known = folder_of(key)
        found.append(
            known if (tops & above and str(folder) not in tops) or known in classes else ""
        )
    return tuple(found)


def write(found: Embeddings, path: Path) -> None:
    """Write embeddings to a new file, by its suffix.

    A ``.safetensors`` file holds the tensor ``embeddings`` fp32 ``(N, D)``, and as text ``paths``
    and ``labels`` (JSON lists), ``model`` and ``digest``. A ``.csv`` file holds one image a line:
    path, label if any image has one, and the values.

    Args:
        found: What to write.
        path: A file that is not there.

    Raises:
        UsageError: A folder, of another suffix, there already, or in no folder.
        DiskError: The system refused.
    """
    check_file(path)
    with written(path, EMBEDDINGS):
        if path.suffix.lower() == ".safetensors":
            metadata = {
                "paths": json.dumps(found.paths),
                "labels": json.dumps(found.labels),
                "model": found.model,
                "digest": found.digest,
            }
            tensorfile.write(path, {"embeddings": found.vectors}, metadata, new=True)
        else:
            lines = _lines(found).encode(errors="surrogateescape")
            atomic.write_bytes(path, lines, new=True)


def _lines(found: Embeddings) -> str:
    """Comma-separated lines, one an image."""
    labelled = any(found.labels)
    stream = io.StringIO()
    lines = csv.writer(stream, lineterminator="\n")
    columns = [str(column) for column in range(found.vectors.shape[1])]
    lines.writerow(["path", *["label"] * labelled, *columns])
    for file, label, vector in zip(found.paths, found.labels, found.vectors, strict=True):
        values = [f"{value:.9g}" for value in vector.tolist()]
        lines.writerow([file, *[label] * labelled, *values])
    return stream.getvalue()
