"""The ``datasets`` library, asked quietly: no request, no bars in files, its caches where zoo's are.

Only formats that hold data are read: parquet, arrow, tar and image files. The library runs no code
of a data set (since its version 4), and none is ever fetched for it to run.
"""

from __future__ import annotations

import glob
import os
import sys
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zoo.plugin import DataError, UsageError, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

READ: Final = ("arrow", "imagefolder", "parquet", "webdataset")
"""The library's formats that hold images and nothing that is run."""


def caches(root: str) -> tuple[Path, Path]:
    """Where the library converts data to, and where a Hub's files lie.

    Args:
        root: Folder of named data sets; the library's own variables win over it.
    """
    home = os.environ.get("HF_HOME")
    base = Path(home) if home else Path(root) / "huggingface"
    made = Path(os.environ.get("HF_DATASETS_CACHE") or base / "datasets").expanduser()
    fetched = Path(os.environ.get("HF_HUB_CACHE") or base / "hub").expanduser()
    return made, fetched


@contextmanager
def still() -> Iterator[None]:
    """Have the library make no request, and show progress on a terminal only."""
    import datasets
    from huggingface_hub import constants

    config, log = datasets.config, datasets.utils.logging
    before = config.HF_HUB_OFFLINE, config.HF_UPDATE_DOWNLOAD_COUNTS, constants.HF_HUB_OFFLINE
    verbosity, bars = log.get_verbosity(), datasets.are_progress_bars_disabled()
    config.HF_HUB_OFFLINE, config.HF_UPDATE_DOWNLOAD_COUNTS = True, False
    constants.HF_HUB_OFFLINE = True
    log.set_verbosity(log.CRITICAL)
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, config.HF_UPDATE_DOWNLOAD_COUNTS, constants.HF_HUB_OFFLINE = before
        log.set_verbosity(verbosity)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def explained(what: str, cache: Path) -> Iterator[None]:
    """Raise what the library raises about files as an error of one line.

    Args:
        what: What is opened.
        cache: Where the library writes.

    Raises:
        DataError: What went wrong underneath, by its own words.
    """
    try:
        yield
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # files of strangers, read by a library: it raises whatever it likes
        cause: BaseException = error
        while type(cause).__name__ == "DatasetGenerationError" and cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).strip().partition("\n")[0] or type(cause).__name__
        hint = "look at it with the datasets library itself, which says more"
        if isinstance(cause, PermissionError) or "disk space" in reason or "space left" in reason:
            hint = f"it is converted in {cache}: --data-root FOLDER names another place"
        raise DataError(f"{what} cannot be read: {reason}", hint=hint) from error


def from_files(kind: str, files: Mapping[str, Sequence[Path]], cache: Path) -> Any:
    """Convert files once, and give what the library maps into memory, by split.

    Args:
        kind: ``parquet`` or ``webdataset``.
        files: Split -> files, in order.
        cache: Where the converted copy lies.
    """
    import datasets

    named = {split: [glob.escape(str(path)) for path in paths] for split, paths in files.items()}
    try:
        with explained(f"data set of {kind} files", cache), still():
            return datasets.load_dataset(kind, data_files=named, cache_dir=str(cache))
    except DataError as error:
        _blame(kind, [path for paths in files.values() for path in paths], error)
        raise


def _blame(kind: str, files: Sequence[Path], error: DataError) -> None:
    """Name the file that is not whole, if one is not: the library does not say which it was."""
    import pyarrow.parquet as pq

    for path in files:
        try:
            if kind == "parquet":
                pq.read_metadata(path)
                continue
            with tarfile.open(path) as archive:
                for _ in archive:
                    pass
        except Exception as found:  # what is wrong with a file is found out by reading it
            reason = str(found).strip().partition("\n")[0] or type(found).__name__
            raise DataError(
                f"{path} cannot be read: {reason}", hint="repair it, or leave it out of the pattern"
            ) from error


def from_folder(folder: Path, config: str, cache: Path, what: str) -> Any:
    """Open a repository's files as its card says they are to be read.

    Args:
        folder: Where they lie.
        config: Which of its configurations; empty = its default.
        cache: Where the converted copy lies.
        what: What it is called.

    Raises:
        DataError: There is no such configuration, or nothing of a format that is read.
    """
    import datasets

    with explained(what, cache), still():
        try:
            builder = datasets.load_dataset_builder(
                str(folder), config or None, cache_dir=str(cache)
            )
        except ValueError as error:
            raise _which(error, what, config) from error
        kind = type(builder).__module__.rpartition(".")[2]
        if kind not in READ:
            raise DataError(
                f"{what} is of the format {kind}", hint=f"zoo reads {', '.join(READ)} with images"
            )
        _stay_inside(builder, folder, what)
        builder.download_and_prepare()
        return builder.as_dataset()


def _which(error: ValueError, what: str, config: str) -> ZooError:
    """The library's words on configurations, in ours."""
    text = str(error).partition("\n")[0]
    if "Config name is missing" in text or "BuilderConfig" in text:
        known = str(error).partition("[")[2].partition("]")[0].replace("'", "")
        told = f"has no configuration {config!r}" if config else "has several configurations"
        one = known.partition(",")[0] or "NAME"
        return UsageError(f"{what} {told}: {known}", hint=f"--data-option config={one}")
    return DataError(f"{what} cannot be read: {text}", hint="look at its page on the Hub")


def _stay_inside(builder: Any, folder: Path, what: str) -> None:
    """Refuse a card that names files elsewhere: on this machine, or on another server."""
    root = os.path.realpath(folder)
    for files in (builder.config.data_files or {}).values():
        for name in map(str, files):
            path = os.path.normpath(name.partition("::")[2] or name)
            if not Path(path).is_absolute() or os.path.commonpath([root, path]) != root:
                raise DataError(
                    f"{what} names files outside of itself: {name}",
                    hint="only what lies in the repository is read",
                )


def from_disk(folder: Path) -> Any:
    """Open what ``save_to_disk`` wrote: arrow files and their description in JSON.

    Args:
        folder: Where it lies.

    Raises:
        DataError: Nothing of the kind lies there.
    """
    import datasets

    with explained(f"data set {folder}", folder), still():
        found = datasets.load_from_disk(str(folder))
    if isinstance(found, datasets.DatasetDict):
        return found
    return datasets.DatasetDict({str(found.split or "train"): found})
