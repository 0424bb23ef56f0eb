"""What a part is: frozen records that plugins hand over and the registry shelves.

Standard library only, no torch. A record never holds code: ``target`` is a ``"module:attr"``
string that :mod:`zoo.core.resolve` turns into an object when the part is first used.
Sizes are pixels, ``(C, H, W)``; ``params`` is a number of scalars; ``bytes`` a file's size.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

Stages = tuple[tuple[str, tuple[str, ...]], ...]
"""Ordered ``(alias, dotted module or parameter paths)`` pairs, first executed first."""


# What every record can do, written once: a dataclass that makes it for each class anew costs every
# start of the command line a third of a millisecond a class.


def _values(record: Any) -> tuple[Any, ...]:
    return tuple([getattr(record, item.name) for item in fields(record)])


def _said(record: Any) -> str:
    """A record as a dataclass writes itself."""
    said = (f"{item.name}={getattr(record, item.name)!r}" for item in fields(record))
    return f"{type(record).__qualname__}({', '.join(said)})"


def _same(record: Any, other: object) -> Any:
    """Whether the other is of the same class and holds the same."""
    if type(other) is not type(record):
        return NotImplemented
    return _values(record) == _values(other)


def _hashed(record: Any) -> int:
    """The hash of what a record holds, if all of it has one."""
    return hash(_values(record))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class InputSpec:
    """What a model expects to see, and how an image is brought there.

    Attributes:
        size: ``(C, H, W)`` in pixels.
        mean: Per-channel mean of values in 0..1; empty means that nobody stated it.
        std: Per-channel standard deviation; empty means that nobody stated it.
        resize: Shorter edge in pixels before the centre crop; ``None`` = the crop's own size.
        crop: Centre-crop size in pixels; ``None`` = no crop.
        interpolation: ``bilinear``, ``bicubic`` or ``nearest``.
        crop_mode: How an image becomes that size. ``center``: its shorter edge is resized, the
            centre is cut out. ``squash``: both edges are resized, proportions lost. ``border``:
            the longer edge is resized, the rest is filled with the mean's colour.
    """

    __repr__ = _said
    __eq__ = _same
    __hash__ = _hashed

    size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: int | None = None
    crop: int | None = None
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    crop_mode: Literal["center", "squash", "border"] = "center"

    @property
    def zoom(self) -> float:
        """How much larger than the crop an image is made before it is cut; at least 1."""
        crop = self.crop or min(self.size[1:])
        return max((self.resize or crop) / crop, 1.0)

    @property
    def padding(self) -> tuple[int, ...]:
        """Colour around images that do not fill the input, 0 to 255: a value a channel, or one."""
        if self.crop_mode == "border" and self.mean:
            return tuple(round(255 * value) for value in self.mean)
        return (0,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class WeightsSpec:
    """One set of pretrained weights of a model.

    Attributes:
        name: Tag, as in ``resnet18:imagenet1k_v1``.
        source: ``hub:org/repo``, ``url:https://...``, ``package:module/file`` or ``file:PATH``.
        file: File inside the source (``model.safetensors``).
        revision: Commit, 40 hex digits; empty = nobody pinned it.
        sha256: Digest of the file, 64 hex digits, or the prefix that the publisher states.
        format: ``safetensors``, or ``pickle``: read with ``weights_only`` and converted once. One of
            a ``url:`` is converted when it is used; one of a ``hub:`` is refused until ``zoo pull
            NAME:TAG --allow-pickle`` has converted it; one of a ``file:`` or ``package:`` is
            refused in a run: name the file that ``zoo import`` makes of it.
        bytes: Size of the file.
        classes: Number of outputs of the head that these weights carry.
        labels: Data set whose class names the outputs have (``imagenet1k``), or empty.
        trained_on: Data set that they were trained on.
        metrics: Published numbers, e.g. ``{"imagenet1k/top1": 69.758}`` in percent.
        licence: SPDX identifier; empty = not verified.
        input: Overrides the model's :class:`InputSpec` (weights carry their preprocessing).
        options: Model options that these weights need.
        url: A page about them.
    """

    __repr__ = _said
    __eq__ = _same
    __hash__ = _hashed

    name: str
    source: str
    file: str = ""
    revision: str = ""
    sha256: str = ""
    format: Literal["safetensors", "pickle"] = "safetensors"
    bytes: int | None = None
    classes: int | None = None
    labels: str = ""
    trained_on: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    licence: str = ""
    input: InputSpec | None = None
    options: dict[str, Any] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PartSpec:
    """What every kind of part has.

    Attributes:
        name: Unique within its kind and plugin: lower case, ``[a-z0-9._-]``.
        target: ``"module:attr"``, called as the kind's contract says.
        summary: One line for people.
        tags: Free words for searching.
        aliases: Other names that mean this part.
        options: Option name -> default value, passed to ``target`` as keyword arguments.
        requires: Distributions that must be installed to use it.
        deprecated: Why and what to use instead; empty = current.
        plugin: Stamped by the registry: the entry point that brought it (``zoo`` = built in).
    """

    __repr__ = _said
    __eq__ = _same
    __hash__ = _hashed

    name: str
    target: str
    summary: str = ""
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    deprecated: str = ""
    plugin: str = ""

    @property
    def qualified(self) -> str:
        """``name`` for built-ins, ``plugin/name`` for everything else."""
        return self.name if self.plugin in ("", "zoo") else f"{self.plugin}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ModelSpec(PartSpec):
    """A model architecture; ``target(num_classes=, **options) -> nn.Module``, random weights.

    Attributes:
        task: ``classification``, ``features``, ``regression`` ...
        family: Group for listing (``resnet``).
        head: Dotted path of the classifier's last layer; an identity there takes one.
        stages: Ordered :data:`Stages`; includes ``stem`` where there is one.
        neck: Paths between the last stage and the head.
        aux: Paths of further heads: those that only training uses, and those whose outputs are
            averaged with the head's (distilled transformers).
        input: Expected input.
        classes: Number of outputs when ``num_classes`` is not given.
        params: Number of parameters with ``classes`` outputs.
        stage_params: Parameters by stage, and of ``neck``, ``aux`` and ``head``, counted as
            ``params`` is; empty = not stated.
        paper: URL or arXiv id of the method.
        weights: Pretrained weights; the first one is the default.
        recipe: Suggested recipe overrides, dotted key -> value (``{"optim.lr": 0.01}``).
    """

    task: str = "classification"
    family: str = ""
    head: str = ""
    stages: Stages = ()
    neck: tuple[str, ...] = ()
    aux: tuple[str, ...] = ()
    input: InputSpec | None = None
    classes: int | None = None
    params: int | None = None
    stage_params: dict[str, int] = field(default_factory=dict)
    paper: str = ""
    weights: tuple[WeightsSpec, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DatasetSpec(PartSpec):
    """A data set; ``target(root=, split=, transform=, download=, **options) -> Dataset``.

    Attributes:
        task: What its targets are.
        classes: Number of classes; ``None`` = depends on the options or is not stated.
        splits: Names that ``split`` accepts, training first; empty = they depend on the data, and
            ``target.splits(root=, download=, **options)`` gives them.
        paths: Options that name files or folders, or patterns of them: a resumed run finds relative
            ones where it was started, and the fingerprint is of what they lead to.
        size: Number of samples by split.
        channels: Channels of an image.
        download: ``none`` (needs nothing), ``auto`` (can be downloaded), ``manual``.
        licence: SPDX identifier or a sentence; empty = not verified.
        labels: ``"module:attr"`` of a function that gives the names of its classes in the order of
            the labels, for weights that were trained on it and name it.
    """

    task: str = "classification"
    classes: int | None = None
    splits: tuple[str, ...] = ("train", "test")
    paths: tuple[str, ...] = ()
    size: dict[str, int] = field(default_factory=dict)
    channels: int | None = None
    download: Literal["none", "auto", "manual"] = "none"
    licence: str = ""
    labels: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TransformSpec(PartSpec):
    """A preprocessing or augmentation; ``target(input: InputSpec, **options) -> callable``.

    The callable maps a ``uint8`` tensor ``(C, H, W)`` to a ``uint8`` tensor ``(C, H, W)`` of the
    input's size; casting and normalising happen once per batch on the device.

    Attributes:
        stage: ``train``, ``eval`` or ``batch`` (mixup and the like, on a whole batch).
    """

    stage: Literal["train", "eval", "batch"] = "train"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LossSpec(PartSpec):
    """A loss; ``target(**options) -> callable(outputs, targets) -> ()``, or a bare function.

    Attributes:
        task: What it is for: ``classification``, ``regression``, ``any``.
        form: ``factory`` if ``target`` builds the callable, ``function`` if it is the callable.
    """

    task: str = "classification"
    form: Literal["factory", "function"] = "factory"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class OptimizerSpec(PartSpec):
    """An optimizer; ``target(params, lr=, **options) -> torch.optim.Optimizer``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SchedulerSpec(PartSpec):
    """A schedule; ``target(optimizer, total=, **options)`` with torch's scheduler interface.

    Attributes:
        per: ``step`` or ``epoch``: how often ``step()`` is called; ``total`` counts the same.
    """

    per: Literal["step", "epoch"] = "step"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class MetricSpec(PartSpec):
    """A metric; ``target(classes=, **options)`` with ``update/compute/reset``.

    Attributes:
        task: What it measures.
        goal: Whether larger (``max``) or smaller (``min``) is better.
    """

    task: str = "classification"
    goal: Literal["max", "min"] = "max"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ExporterSpec(PartSpec):
    """An export format; ``target(model, example, path, **options) -> Path``.

    Attributes:
        suffix: File suffix with the dot.
    """

    suffix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TrackerSpec(PartSpec):
    """An experiment tracker; ``target(run_dir, **options)`` with ``scalars/image/graph/close``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CommandSpec(PartSpec):
    """A command of its own under ``zoo``; ``target`` is a click command."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PluginInfo:
    """One plugin as it was found, whether or not it loaded.

    Attributes:
        name: Entry point name; parts are listed as ``name/part``.
        distribution: Distribution that installs it.
        version: Version of the distribution.
        api: Range of zoo's plugin api that it was written for.
        form: ``manifest`` (declared as data), ``code`` (imported) or ``builtin``.
        target: What the entry point names.
        path: Where its manifest or module lies.
        parts: Kind -> number of parts.
        hooks: Run hooks that it implements, as far as they are known.
        hook_module: Module of the run hooks of a manifest; imported when a run starts.
        state: ``ok``, ``quarantined``, ``disabled``, or ``unloaded`` (code that nobody has run yet).
        error: Why it is quarantined, or what of it is ignored, one line.
        load_ms: Milliseconds that finding and loading took.
    """

    __repr__ = _said
    __eq__ = _same
    __hash__ = _hashed

    name: str
    distribution: str = ""
    version: str = ""
    api: str = ""
    form: Literal["manifest", "code", "builtin"] = "manifest"
    target: str = ""
    path: str = ""
    parts: dict[str, int] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    hook_module: str = ""
    state: Literal["ok", "quarantined", "disabled", "unloaded"] = "ok"
    error: str = ""
    load_ms: float = 0.0
