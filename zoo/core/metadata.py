"""What a zoo checkpoint says about itself: one JSON object in the safetensors metadata.

The safetensors header's ``__metadata__`` holds ``{"format": "pt", "zoo": <this as JSON>}``.
It is data: names, numbers, labels; never an import path, never code. Standard library and
msgspec only, so that the Hub room reads it without torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from zoo.core.specs import InputSpec
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS_FILE = "model.safetensors"
"""Name of a run's best weights, and of a repository's."""
FORMAT_VERSION = 1
MAX_CLASSES = 1_000_000
MAX_SIDE = 4096
"""Pixels of an input's edge: what a file may ask for, lest one image fill the memory."""
MAX_HEADER = 100_000_000
"""The safetensors format's own limit on the header, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """Everything that travels with the weights.

    Attributes:
        format_version: Version of this record.
        model: Qualified model name.
        plugin: Plugin that brought the model, its version behind ``==`` if known.
        options: Builder options.
        num_classes: Outputs of the head; ``None`` for a feature extractor.
        classes: Class names in the order of the outputs.
        surgery: Changes to the architecture, in the recipe's words.
        input: What the weights expect to see.
        recipe: The whole recipe, nested.
        recipe_digest: Its digest.
        metrics: Numbers on the validation set, with ``n``.
        freeze: Freeze plan and proof, or empty.
        base: Starting weights: source, revision, sha256.
        teacher: The model that it learnt from: source, sha256 of its tensors; or empty.
        data: Data set: name, fingerprint, counts.
        versions: zoo, torch, torchvision, python, plugins.
        git: State of the user's repository: commit, dirty.
        run: Run's name.
        epoch: Epochs done.
        step: Optimizer steps done.
    """

    format_version: int = FORMAT_VERSION
    model: str = ""
    plugin: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    num_classes: int | None = None
    classes: tuple[str, ...] = ()
    surgery: dict[str, Any] = field(default_factory=dict)
    input: InputSpec | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    recipe_digest: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    freeze: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    teacher: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    git: dict[str, Any] = field(default_factory=dict)
    run: str = ""
    epoch: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class Header:
    """A safetensors header: tensor names with dtype and shape, and the metadata.

    Attributes:
        tensors: Name -> (dtype, shape), as ``("F32", (64, 3, 7, 7))``.
        metadata: The free ``str -> str`` part.
    """

    tensors: dict[str, tuple[str, tuple[int, ...]]]
    metadata: dict[str, str]

    @property
    def info(self) -> CheckpointInfo | None:
        """The record that zoo wrote, or ``None`` if the file is not from zoo.

        Raises:
            CheckpointError: The record is there but is not one that this zoo can read.
        """
        text = self.metadata.get("zoo")
        return None if text is None else loads(text)


def dumps(info: CheckpointInfo) -> str:
    """Encode the record as compact JSON."""
    return json.dumps(asdict(info), separators=(",", ":"), allow_nan=False)


def loads(text: str) -> CheckpointInfo:
    """Decode the record.

    Raises:
        CheckpointError: Not JSON, a wrong type, or written by a newer zoo.
    """
    try:
        data = json.loads(text)
        version = data.get("format_version", 0) if isinstance(data, dict) else 0
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint format {version} is newer than this zoo reads ({FORMAT_VERSION})",
                hint="pip install -U zoo-registry",
            )
        info = msgspec.convert(data, CheckpointInfo)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint metadata is damaged: {error}") from error
    if wrong := _senseless(info):
        raise CheckpointError(f"checkpoint metadata is damaged: {wrong}")
    return info


def _senseless(info: CheckpointInfo) -> str:
    """What a record says that no model has: sizes that would fill the memory, for one."""
    if info.num_classes is not None and not 1 <= info.num_classes <= MAX_CLASSES:
        return f"{info.num_classes:.6g} classes"
    if len(info.classes) > MAX_CLASSES:
        return f"{len(info.classes):,} class names"
    if info.input is None:
        return ""
    given = info.input
    channels, *sides = given.size
    sides += [side for side in (given.resize, given.crop) if side is not None]
    if not 1 <= channels <= 1024 or not all(1 <= side <= MAX_SIDE for side in sides):
        return f"an input of {' x '.join(map(str, given.size))}"
    values = (*given.mean, *given.std)
    if not len(given.mean) == len(given.std) in (0, channels):
        return "mean and std are of another number of channels"
    if not all(-1e6 < value < 1e6 for value in values) or 0 in given.std:
        return "mean and std are no numbers to normalise by"
    return ""


def read_header(path: Path) -> Header:
    """Read a safetensors file's header without reading tensors.

    Raises:
        CheckpointError: The file is missing, is something else (a pickle, an HTML page, a
            git-lfs pointer), or its header is damaged or larger than the format allows.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            kind = foreign_kind(head + file.read(120))
            if kind:
                raise CheckpointError(f"{path} is {kind}, not a safetensors file", hint=_way(kind))
            if len(head) < 8 or length > min(MAX_HEADER, size - 8):
                raise CheckpointError(
                    f"{path} is truncated or not a safetensors file",
                    hint="copy or download it again; zoo import FILE reads other formats",
                )
            file.seek(8)
            raw = file.read(length)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    return parse_header(raw, name=str(path))


def parse_header(raw: bytes, *, name: str) -> Header:
    """Parse the JSON part of a safetensors header; ``name`` is used in messages.

    Raises:
        CheckpointError: It is not what the format says.
    """
    try:
        table = json.loads(raw)
        metadata = table.pop("__metadata__", {})
        tensors = {
            key: (str(value["dtype"]), _shape(value["shape"])) for key, value in table.items()
        }
        if not all(isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()):
            raise TypeError("metadata is not text")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{name} has a damaged safetensors header", hint="copy or download it again"
        ) from error
    return Header(tensors, metadata)


def _shape(value: Any) -> tuple[int, ...]:
    if not (isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)):
        raise TypeError("a shape is a list of sizes")
    return tuple(value)


def foreign_kind(start: bytes) -> str:
    """Say what a file's first bytes belong to, if it is plainly not safetensors; else ``""``."""
    if start[4:9] == b"\0\0\0\0{":
        return ""  # a header whose length starts like a pickle: 640 bytes are 80 02 00 00 ...
    if start.startswith(b"PK\x03\x04") or start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04"):
        return "a pickle (torch.save)"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "an HTML page"
    if start.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer"
    return "empty" if not start else ""


def _way(kind: str) -> str:
    ways = {
        "a pickle (torch.save)": "zoo import FILE --as MODEL converts it once, without running code",
        "an HTML page": "the download gave a page instead of the file; download it again",
        "a git-lfs pointer": "git lfs pull",
        "empty": "copy or download it again",
    }
    return ways.get(kind, "")
