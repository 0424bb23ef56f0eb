"""Where each view's outputs of a run are kept: the entries' names, and how they are opened.

An entry is a folder named by a digest of everything that decides what lies in it, and in which
order. They are opened when they are first needed.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch

from zoo import __version__
from zoo.engine.prefix.budget import disk_budget, entry_size, memory_budget, prune
from zoo.engine.prefix.store import FileStore, MemoryStore, Store
from zoo.errors import BusyError, DiskError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.data.loaders import Loader
    from zoo.engine.prefix.setting import Setting, Where
    from zoo.engine.prefix.source import PrefixSource

Part = Literal["train", "val"]
_AUTO = 16 << 30
"""Bytes above which ``auto`` deletes what other runs have left behind."""


class Entries:
    """The entries of one run.

    Args:
        setting: What the run's prefix gives, and where it computes.
        train: Loader of training images.
        val: Loader of validation images.
        where: Where the outputs of each are kept.
        views: Views of the training images.
    """

    def __init__(
        self, setting: Setting, train: Loader, val: Loader, where: tuple[Where, Where], views: int
    ) -> None:
        self.setting = setting
        self._loaders: dict[Part, Loader] = {"train": train, "val": val}
        self._where: dict[Part, Where] = {"train": where[0], "val": where[1]}
        self._views: dict[Part, int] = {"train": views, "val": 1}

    @cached_property
    def _prefix(self) -> str:
        """A digest of the frozen part, which stays what it is."""
        return self.setting.made.digest()

    def about(self, part: Part, view: int) -> dict[str, Any]:
        """Everything that decides what an entry holds, and in which order."""
        setting, loader = self.setting, self._loaders[part]
        return {
            "prefix": self._prefix,
            "images": setting.identity[part],
            "view": view,
            "seed": loader.seed if loader.train else None,
            "process": [setting.world.rank, setting.world.size],
            "precision": setting.place.precision,
            "folded": setting.folded,
            "fused": setting.fused,
            "nhwc": setting.nhwc,
            "channels_last": setting.place.channels_last,
            "torch": torch.__version__,
            "zoo": __version__,
        }

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all entries on the disk, of every process."""
        size = self.setting.world.size
        return frozenset(
            name_of({**self.about(part, view), "process": [rank, size]})
            for part, where in self._where.items()
            for view in range(self._views[part] if where == "disk" else 0)
            for rank in range(size)
        )

    def opener(self, part: Part) -> Callable[[int, PrefixSource], Store | None]:
        """Opens the store of a view; gives ``None``, and says why, if that cannot be done."""

        def open_store(view: int, source: PrefixSource) -> Store | None:
            chunks = [len(rows) for rows in source.indices(view)]
            setting = self.setting
            shape, dtype = setting.seen if part == "train" else setting.row, setting.stored
            where = self._where[part]
            if where != "disk":
                device = setting.place.device if where == "device" else None
                return MemoryStore(chunks, shape, dtype, device)
            about, need = self.about(part, view), sum(chunks) * self._row_bytes(part)
            name = name_of(about)
            self._make_room(setting.root / name, need)
            try:
                return FileStore(
                    setting.root / name, about, chunks, shape, dtype, lasting=setting.lasting
                )
            except (BusyError, DiskError) as error:
                alone = setting.world.size == 1 or part == "val"
                if setting.wish.mode == "auto" and alone and need <= memory_budget():
                    return MemoryStore(chunks, shape, dtype)
                source.say(f"{error.message}: {part} outputs are computed anew each time")
                return None

        return open_store

    def _row_bytes(self, part: Part) -> int:
        return self.setting.row_bytes(train=part == "train")

    def _make_room(self, entry: Path, need: int) -> None:
        """Delete entries of other runs where the folder would grow too large with this one.

        A size that was asked for is what this run may take, and no limit to what others have left.
        """
        wish, root = self.setting.wish, self.setting.root
        limit = disk_budget(root)
        if wish.mode == "auto":
            limit = min(limit, _AUTO)
        limit = max(limit, wish.size or 0)
        prune(root, limit=limit, need=max(0, need - entry_size(entry)), keep=self.names)


def name_of(about: dict[str, Any]) -> str:
    """The name of an entry, 32 hex digits.

    Args:
        about: What decides its content.
    """
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
