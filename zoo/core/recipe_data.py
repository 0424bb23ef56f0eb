"""The section of a recipe that says which images, and how they are read: its longest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

MAX_PIXELS = 89_000_000
"""Images of more pixels are refused unless a recipe says otherwise."""
Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0.0, le=1.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPart:
    """Which images, how they are split, read and augmented."""

    source: Annotated[
        str | None,
        Meta(
            description="A folder of images (one folder per class, or train/ and val/), or a "
            "data set's name; default: ./data if it is there, else the generated demo set."
        ),
    ] = None
    val: Annotated[
        str | None, Meta(description="A folder of validation images; default: val/ or a split.")
    ] = None
    val_fraction: Annotated[
        float,
        Meta(gt=0.0, lt=1.0, description="Share held out per class when there is no val set."),
    ] = 0.2
    fold: Annotated[
        str | None,
        Meta(
            description="N/K, e.g. 2/5: hold out fold N of K instead of a share; every image is in "
            "one fold."
        ),
    ] = None
    batch_size: Annotated[int, Meta(ge=1, description="Images per optimizer micro-batch.")] = 32
    workers: Annotated[
        Natural | None,
        Meta(description="Loader processes; default: by the cores that zoo may use."),
    ] = None
    size: Annotated[
        Count | None,
        Meta(description="Image height and width in pixels; default: the model's."),
    ] = None
    train_size: Annotated[
        int | str | None,
        Meta(
            description="Height and width in training: pixels, same (as in evaluation), or auto: "
            "a little less where layers train behind a frozen part."
        ),
    ] = "auto"
    shrink: Annotated[
        Count | None,
        Meta(
            description="Reduce images to this many pixels on their shorter side as they are read, "
            "once; default: no."
        ),
    ] = None
    train_transform: Annotated[
        str, Meta(description="Training transform by name (zoo list --kind transform).")
    ] = "auto"
    train_options: Annotated[
        dict[str, Any], Meta(description="Options of the training transform.")
    ] = field(default_factory=dict)
    eval_transform: Annotated[str, Meta(description="Evaluation transform by name.")] = "auto"
    eval_options: Annotated[
        dict[str, Any], Meta(description="Options of the evaluation transform.")
    ] = field(default_factory=dict)
    batch_transforms: Annotated[
        tuple[str, ...], Meta(description="Whole-batch transforms by name: mixup, cutmix.")
    ] = ()
    options: Annotated[
        dict[str, Any], Meta(description="Options of the data set, name = value.")
    ] = field(default_factory=dict)
    download: Annotated[
        bool, Meta(description="Let a named data set download itself into --data-root.")
    ] = False
    root: Annotated[
        str | None, Meta(description="Folder in which named data sets lie; default: the cache.")
    ] = None
    on_bad_image: Annotated[
        Literal["error", "skip"],
        Meta(description="Unreadable images: error (list them all and stop) or skip."),
    ] = "error"
    allow_empty: Annotated[bool, Meta(description="Accept class folders without images.")] = False
    cache: Annotated[
        Literal["auto", "ram", "disk", "off"],
        Meta(
            description="Where outputs of the frozen part are kept: auto (memory, else disk, as "
            "they fit), ram, disk, or off: the model runs whole."
        ),
    ] = "auto"
    cache_size: Annotated[
        str | None,
        Meta(
            description="Most that a run keeps, e.g. 4GB; default: a third of the free memory, "
            "half of the free disk."
        ),
    ] = None
    cache_dtype: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        Meta(description="Type of what is kept; auto: what the frozen part computes."),
    ] = "auto"
    views: Annotated[
        int | str,
        Meta(
            description="Random views of each training image that are kept: a number, fresh (new "
            "ones every epoch), or auto: by images and epochs, as the plan says."
        ),
    ] = "auto"
    view_crop: Annotated[
        Share | None,
        Meta(
            description="Least share of a kept map's sides that is shown when its view comes back; "
            "1 = all of it; default: 0.75 where layers train on maps, 1 for a head."
        ),
    ] = None
    max_pixels: Annotated[
        int, Meta(ge=1, description="Refuse images with more pixels than this.")
    ] = MAX_PIXELS
