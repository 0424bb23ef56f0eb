"""What the parts of the prefix cache's decision share: the wish, and what the prefix gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from zoo.engine.place import DTYPES, Place, autocast
from zoo.engine.prefix.cut import Cut, Prefix
from zoo.engine.prefix.feed import pack
from zoo.engine.prefix.windows import HEAD_SHARE, SHARE, Windows, accepts, windows
from zoo.engine.processes.distributed import World

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.core.specs import InputSpec
    from zoo.data.loaders import Loader
    from zoo.engine.feed import Feed

Where = Literal["device", "ram", "disk", ""]


@dataclass(frozen=True, slots=True)
class Views:
    """What training is shown behind the cut. It stays so for a whole run, whatever fits later.

    Attributes:
        count: Random views of each training image, taken in turn; 0 = fresh ones every epoch.
        parts: Whether a head's come back in parts of the map that it pools.
    """

    count: int
    parts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheWish:
    """What was asked for.

    Attributes:
        mode: ``auto``, ``ram``, ``disk`` or ``off`` (the model is not cut at all).
        size: Bytes that may be taken; ``None`` = a third of the free memory, half of the disk.
        dtype: ``auto`` (what the prefix gives), ``fp32``, ``bf16`` or ``fp16``.
        views: Random views of each training image that are kept; 0 = fresh ones every epoch;
            ``None`` = as :func:`zoo.engine.prefix.choice.auto_views` says.
        crop: Least share of a map's sides that is shown when its view comes back; ``None`` =
            :data:`zoo.engine.prefix.windows.SHARE`, if what follows takes such maps (a head's views
            come back whole).
        begun: What was decided when the run began, if it goes on.
        against: Why the model cannot be cut, for a reason that lies elsewhere; or empty.
    """

    mode: Literal["auto", "ram", "disk", "off"] = "auto"
    size: int | None = None
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    views: int | None = 0
    crop: float | None = None
    begun: Views | None = None
    against: str = ""


@dataclass(slots=True, kw_only=True)
class Setting:
    """What the parts of the decision share.

    Attributes:
        made: The cut model.
        place: Where and how precisely.
        wish: What was asked for.
        natural: Type of what the prefix gives.
        stored: Type of what is kept.
        row: Shape of one validation image's output as it is kept.
        seen: The same of a training image, which may be of another size.
        fits: Whether what follows takes the outputs of training images.
        nhwc: Rows are kept as (H, W, C).
        prefix: The part before the cut, as it runs.
        folded: Batch norms are part of the convolutions before them.
        windows: Parts of training maps that are shown when views come back, if any.
        root: Folder of cache entries.
        identity: Texts that change whenever the images or their transforms do.
        world: The processes.
        lasting: Whether later runs may use what is kept.
        fused: Convolutions of the prefix do what follows them.
        budget: Bytes that are left, by place.
    """

    made: Cut
    place: Place
    wish: CacheWish
    natural: torch.dtype
    stored: torch.dtype
    row: tuple[int, ...]
    seen: tuple[int, ...]
    fits: bool
    nhwc: bool
    prefix: Prefix
    folded: bool
    windows: Windows | None
    root: Path
    identity: Mapping[str, str]
    world: World
    lasting: bool = True
    fused: bool = False
    budget: dict[str, int] = field(default_factory=dict)

    def row_bytes(self, *, train: bool) -> int:
        """Bytes of one image's output."""
        return math.prod(self.seen if train else self.row) * self.stored.itemsize


def look(
    made: Cut,
    place: Place,
    wish: CacheWish,
    feed: Feed,
    root: Path,
    identity: Mapping[str, str],
    world: World,
    train: Loader,
    seen: InputSpec | None = None,
    *,
    head: bool = False,
    lasting: bool = True,
) -> Setting:
    """Look at what the prefix gives under the place's precision; ``head``: nothing else follows."""
    folded = place.precision != "fp32" and bool(made.folds)
    prefix, own = made.prefix(fold=folded), seen is None or seen.size == made.image

    def outputs(size: tuple[int, int, int]) -> Tensor:
        with torch.no_grad(), autocast(place):
            return prefix(feed.images(torch.zeros((2, *size), dtype=torch.uint8)))

    out = outputs(made.image)
    trained = out if own or seen is None else outputs(seen.size)
    nhwc = (
        out.ndim == 4
        and out.is_contiguous(memory_format=torch.channels_last)
        and not out.is_contiguous()
    )
    least = HEAD_SHARE if head else SHARE
    share = 1.0 if train.fixed else least if wish.crop is None else wish.crop
    return Setting(
        made=made,
        place=place,
        wish=wish,
        natural=out.dtype,
        stored=out.dtype if wish.dtype == "auto" else DTYPES[wish.dtype],
        row=tuple(pack(out, nhwc=nhwc).shape[1:]),
        seen=tuple(pack(trained, nhwc=nhwc).shape[1:]),
        fits=own or accepts(made, out, [trained], place),
        nhwc=nhwc,
        prefix=prefix,
        folded=folded,
        windows=windows(made, trained, place, seed=train.seed, share=share),
        root=root,
        identity=dict(identity),
        world=world,
        lasting=lasting,
    )


def fuse(setting: Setting, feed: Feed) -> None:
    """Have convolutions of the prefix do what follows them, on processors that compute in bf16."""
    place = setting.place
    if place.device.type != "cpu" or place.precision != "bf16" or not place.channels_last:
        return
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, 256, (2, *setting.made.image), dtype=torch.uint8, generator=generator)
    with torch.no_grad(), autocast(place):
        setting.fused = setting.prefix.fuse(feed.images(drawn))
