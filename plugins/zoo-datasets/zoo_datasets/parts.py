"""The data sets that ``registry.toml`` names: how each is opened, and which splits it has."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from zoo.plugin import DataError, UsageError
from zoo_datasets import files, library
from zoo_datasets import hub as hubs
from zoo_datasets.card import Wanted
from zoo_datasets.columns import Columns
from zoo_datasets.opened import Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo_datasets.images import Images

    Transform = Callable[[Any], Any]


@final
class Hub:
    """A data set of a Hub: ``repo``, and maybe ``config`` and ``revision``."""

    def __call__(
        self,
        root: str,
        split: str = "train",
        transform: Transform | None = None,
        download: bool = False,
        *,
        repo: str = "",
        config: str = "",
        revision: str = "",
        image: str = "",
        label: str = "",
        names: str = "",
    ) -> Images:
        """Open one split.

        Args:
            root: Where fetched and converted files lie.
            split: Its name in the data set.
            transform: Not used: zoo transforms what it decodes.
            download: Whether it may be fetched.
            repo: ``ORG/NAME``.
            config: Which of its configurations; empty = its default.
            revision: A branch, tag or commit; empty = ``main``.
            image: The column of the images; empty = find it.
            label: The column of the labels; empty = find it.
            names: What classes are called that the data only numbers: a file, or with commas.
        """
        del transform
        return self._open(root, download, repo, config, revision).images(
            split, Columns.of(image, label, names)
        )

    def splits(
        self,
        root: str,
        download: bool = False,
        *,
        repo: str = "",
        config: str = "",
        revision: str = "",
        image: str = "",
        label: str = "",
        names: str = "",
    ) -> tuple[str, ...]:
        """Name the splits, training first; arguments as for opening one."""
        del image, label, names
        return self._open(root, download, repo, config, revision).names()

    def _open(self, root: str, download: bool, repo: str, config: str, revision: str) -> Opened:
        made, fetched = library.caches(root)
        wanted = Wanted(str(repo), str(config), str(revision))
        got = hubs.get(wanted, Path(root), fetched, download=download)
        cache = made / "hub" / got.commit
        splits = _of_folder(got.folder, wanted.config, cache, wanted.repo)
        mark = f"{wanted.repo}@{got.commit}:{wanted.config}"
        note = f"{wanted.repo} at {wanted.revision or 'main'}, commit {got.commit[:12]}"
        return Opened(splits, wanted.repo, mark, (got.folder, cache), note)


@final
class Files:
    """Files of one kind, whose names say the split, or with a pattern for each split.

    Args:
        kind: What the library calls them.
        suffix: Their suffix.
    """

    def __init__(self, kind: str, suffix: str) -> None:
        self._kind, self._suffix = kind, suffix

    def __call__(
        self,
        root: str,
        split: str = "train",
        transform: Transform | None = None,
        download: bool = False,
        *,
        files: str = "",
        train: str = "",
        val: str = "",
        test: str = "",
        image: str = "",
        label: str = "",
        names: str = "",
    ) -> Images:
        """Open one split.

        Args:
            root: Where converted files lie, and where patterns are looked for if not here.
            split: ``train``, ``val`` or ``test``.
            transform: Not used: zoo transforms what it decodes.
            download: Not used: the files are here.
            files: A pattern of files whose names say the split.
            train: A pattern of the files to train on.
            val: A pattern of the files to validate on.
            test: A pattern of the files to test on.
            image: The column of the images; empty = find it.
            label: The column of the labels; empty = find it.
            names: What classes are called that the data only numbers: a file, or with commas.
        """
        del transform, download
        given = {"files": files, "train": train, "val": val, "test": test}
        return self._open(root, given).images(split, Columns.of(image, label, names))

    def splits(
        self,
        root: str,
        download: bool = False,
        *,
        files: str = "",
        train: str = "",
        val: str = "",
        test: str = "",
        image: str = "",
        label: str = "",
        names: str = "",
    ) -> tuple[str, ...]:
        """Name the splits, training first; arguments as for opening one."""
        del download, image, label, names
        return self._open(root, {"files": files, "train": train, "val": val, "test": test}).names()

    def _open(self, root: str, given: Mapping[str, str]) -> Opened:
        found = files.gather(self._kind, self._suffix, root, given)
        made, _ = library.caches(root)
        with library.still():
            digest = files.digest_of(found, made / "digests.json")
        frozen = tuple((name, tuple(paths)) for name, paths in found.items())
        splits = _of_files(self._kind, frozen, made / "files" / digest)
        folder = files.folder_of([path for paths in found.values() for path in paths])
        note = files.described(found, by_name=bool(given["files"]))
        mark = f"{self._kind}:{digest}"
        return Opened(splits, f"datasets/{self._kind}", mark, (folder,), note)


@final
class Saved:
    """What the library's ``save_to_disk`` wrote: ``folder``."""

    def __call__(
        self,
        root: str,
        split: str = "train",
        transform: Transform | None = None,
        download: bool = False,
        *,
        folder: str = "",
        image: str = "",
        label: str = "",
        names: str = "",
    ) -> Images:
        """Open one split.

        Args:
            root: Where the folder is looked for if not here.
            split: Its name in the data set.
            transform: Not used: zoo transforms what it decodes.
            download: Not used: the files are here.
            folder: What was written.
            image: The column of the images; empty = find it.
            label: The column of the labels; empty = find it.
            names: What classes are called that the data only numbers: a file, or with commas.
        """
        del transform, download
        return self._open(root, folder).images(split, Columns.of(image, label, names))

    def splits(
        self,
        root: str,
        download: bool = False,
        *,
        folder: str = "",
        image: str = "",
        label: str = "",
        names: str = "",
    ) -> tuple[str, ...]:
        """Name the splits, training first; arguments as for opening one."""
        del download, image, label, names
        return self._open(root, folder).names()

    def _open(self, root: str, folder: str) -> Opened:
        if not folder:
            raise UsageError(
                "datasets/saved needs a folder", hint="--data-option folder=my-dataset"
            )
        given = Path(str(folder)).expanduser()
        place = next((p for p in (given, Path(root) / given) if p.is_dir()), None)
        if place is None:
            raise DataError(
                f"no folder {str(given)!r} here or in {root!r}",
                hint="it is relative to where you are, or to --data-root",
            )
        if not any((place / name).is_file() for name in ("dataset_dict.json", "state.json")):
            raise DataError(
                f"{str(given)!r} was not written by save_to_disk",
                hint=f"a folder of images is --data {given}; parquet files are --data "
                f"datasets/parquet --data-option files={given}",
            )
        place = place.resolve()
        made, _ = library.caches(root)
        splits = library.from_disk(place)
        with library.still():
            digest = _digest_of_saved(place, made / "digests.json")
        note = f"read from {place}"
        return Opened(splits, f"datasets/saved {given}", f"saved:{digest}", (place,), note)


def _digest_of_saved(folder: Path, memory: Path) -> str:
    """A digest of arrow files, their description, and the order that they are read in."""
    found = sorted([*folder.rglob("*.arrow"), *folder.rglob("dataset_info.json")])
    states = sorted(folder.rglob("state.json"))
    order = [json.loads(path.read_bytes()).get("_data_files") for path in states]
    whole = hashlib.blake2b(json.dumps(order).encode(), digest_size=16)
    whole.update(files.digest_of({"": found}, memory).encode())
    return whole.hexdigest()


@functools.lru_cache(maxsize=4)
def _of_files(kind: str, found: tuple[tuple[str, tuple[Path, ...]], ...], cache: Path) -> Any:
    """As :func:`zoo_datasets.library.from_files`; ``cache`` is named after the content."""
    return library.from_files(kind, dict(found), cache)


@functools.lru_cache(maxsize=4)
def _of_folder(folder: Path, config: str, cache: Path, what: str) -> Any:
    """As :func:`zoo_datasets.library.from_folder`; ``folder`` is named after the commit."""
    return library.from_folder(folder, config, cache, what)


hub: Final = Hub()
parquet: Final = Files("parquet", ".parquet")
webdataset: Final = Files("webdataset", ".tar")
saved: Final = Saved()
