"""Which file an export may be written to: never over what a run, or another model, lives from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.core.metadata import WEIGHTS_FILE, read_header
from zoo.errors import CheckpointError, DiskError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.core.metadata import CheckpointInfo
    from zoo.core.specs import ExporterSpec


def choose_target(
    path: Path, spec: ExporterSpec, info: CheckpointInfo, source: Path | None = None
) -> Path:
    """The file to write; its folder is made.

    A file that a former export left is replaced.

    Args:
        path: A file, or a folder: then it is named after the run or the model.
        spec: The exporter.
        info: What the model says about itself.
        source: The file that the model was read from.

    Raises:
        UsageError: The suffix is another format's, or the file is a checkpoint of zoo's.
        DiskError: The folder cannot be made.
    """
    if path.is_dir():
        stem = (info.run or info.model or "model").replace("/", "-")
        path, folder = path / f"{stem}{spec.suffix}", path
        if _taken(path, source):
            path = folder / f"{stem}-export{spec.suffix}"
    if spec.suffix and path.suffix != spec.suffix:
        raise UsageError(
            f"{spec.qualified} writes {spec.suffix} files, not {path.name}",
            hint=f"--out {path.with_suffix(spec.suffix)}",
        )
    if taken := _taken(path, source):
        other = path.with_name(f"{path.stem}-export{path.suffix}")
        if path.parent.name == "checkpoints":
            other = path.parent.parent / other.name
        raise UsageError(f"{path} is {taken}; an export does not replace it", hint=f"--out {other}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"cannot make {path.parent}: {error.strerror or error}") from error
    return path


def _taken(path: Path, source: Path | None) -> str:
    """What a file is that must not be written over; ``""`` if it may be."""
    real = path.resolve()
    if source is not None and real == source.resolve():
        return "the file that the model is read from"
    if real.name == WEIGHTS_FILE and _is_run(real.parent):
        return "where a run keeps its best weights"
    if real.parent.name == "checkpoints" and _is_run(real.parent.parent):
        return "among the checkpoints of a run"
    return "a checkpoint" if real.is_file() and _states_digest(real) else ""


def _is_run(folder: Path) -> bool:
    return (folder / "checkpoints").is_dir() or (folder / "result.json").is_file()


def _states_digest(path: Path) -> bool:
    """Whether training wrote a file: an export states no digest of itself."""
    try:
        return "verify" in read_header(path).metadata
    except CheckpointError:
        return False
