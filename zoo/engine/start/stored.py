"""Where trained weights lie, and what they say about themselves. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.core import names
from zoo.core.metadata import WEIGHTS_FILE, read_header
from zoo.errors import CheckpointError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from zoo.core.metadata import CheckpointInfo
    from zoo.core.registry import Registry


def run_folder(name: str, runs: str) -> Path:
    """The folder of a run by name, or by path.

    Raises:
        CheckpointError: There is no such run.
    """
    for path in (Path(runs, name), Path(name).expanduser()):
        if path.is_dir():
            return path
    known = [p.parent.name for p in Path(runs).glob("*/recipe.toml")]
    close = names.did_you_mean(names.suggest(name, known))
    raise CheckpointError(f"no run {name!r} in {runs}/", hint=close or "zoo runs")


def weights_path(reference: str, runs: str = "runs") -> Path:
    """The weights file of a run (by name or folder), a file, or ``file:``/``run:`` spelled out.

    Raises:
        CheckpointError: There is no such run or file, or the run has no weights yet.
    """
    text = reference
    if reference.startswith(("run:", "file:")):
        text = names.parse(reference).name
    path = Path(text).expanduser()
    if path.is_file() and not reference.startswith("run:"):
        return path
    if reference.startswith("file:") or path.suffix == ".safetensors":
        raise CheckpointError(f"no file {path}")
    folder = run_folder(text, runs)
    found = folder / WEIGHTS_FILE
    if not found.is_file():
        raise _no_weights(folder)
    return found


def _no_weights(folder: Path) -> CheckpointError:
    """The error for a run without weights: they are to come, or were lost."""
    if not (folder / "recipe.toml").is_file():
        return CheckpointError(f"{folder} has no {WEIGHTS_FILE}", hint="zoo runs")
    if not (folder / "result.json").is_file():
        return CheckpointError(f"{folder} has no {WEIGHTS_FILE} yet", hint=f"zoo resume {folder}")
    from zoo.engine.saving.repair import way_back

    text = f"{folder} is finished, but its {WEIGHTS_FILE} is gone"
    return CheckpointError(text, hint=way_back(folder / WEIGHTS_FILE))


def read_info(reference: str, runs: str = "runs") -> tuple[Path, CheckpointInfo]:
    """What a run's weights say about themselves, without loading them.

    Raises:
        CheckpointError: Missing, damaged, or not from zoo.
    """
    path = weights_path(reference, runs)
    info = read_header(path).info
    if info is None:
        raise not_ours(path)
    return path, info


def not_ours(path: Path) -> CheckpointError:
    """The error for a file that zoo did not write."""
    return CheckpointError(
        f"{path} was not written by zoo: it does not say which model and classes it is of",
        hint=f"zoo import {path} --as MODEL --labels FILE",
    )


def find_trained(reference: str, registry: Registry, runs: str = "runs") -> Path | None:
    """The weights file of a run or a path; ``None`` for a published model of the registry.

    A run is taken before a model of the same name.

    Args:
        reference: A run's name or folder, a file, or a model of the registry.
        registry: Where models are looked up.
        runs: Folder that runs lie in.

    Raises:
        CheckpointError: It is none of them; names those that are close.
    """
    try:
        return weights_path(reference, runs)
    except CheckpointError as error:
        if Path(runs, reference).is_dir() or Path(reference).is_dir():
            raise
        if not published(reference, registry):
            raise _neither(reference, registry, error) from error
    return None


def published(reference: str, registry: Registry) -> bool:
    """Whether a reference names a model of the registry, rather than a run or a file."""
    try:
        parsed = names.parse(reference)
        return not parsed.source and bool(registry.model(parsed.qualified))
    except (UnknownNameError, UsageError):
        return False


def _neither(reference: str, registry: Registry, error: CheckpointError) -> CheckpointError:
    """The error for what is no run, no file and no model; names models that are close."""
    if reference.startswith(("run:", "file:")) or "/" in reference:
        return error
    close = names.suggest(reference.partition(":")[0], list(registry.shelf("model")))
    if not close or error.hint.startswith("did you mean"):
        return error
    return CheckpointError(
        error.message, hint=f"{names.did_you_mean(close)}; runs are listed by zoo runs"
    )
