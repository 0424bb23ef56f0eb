"""Writing a model in a format by name, and the check that the file computes the same.

A file is staged, read back with its own runtime, run at batch sizes other than the one that it
was written with, and compared. Only then does it get its name: a file that does not hold up is
never left behind.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import torch

from zoo.core import metadata, registry
from zoo.core.resolve import target_of
from zoo.core.specs import ExporterSpec, InputSpec
from zoo.errors import DiskError, PluginError, UsageError, VerificationError, ZooError
from zoo.exporting.agreement import Agreement
from zoo.exporting.preprocess import steps_of
from zoo.exporting.target import choose_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    from zoo.core.metadata import CheckpointInfo

BATCHES = (1, 5)
"""Batch sizes at which a file is compared; it is written with a batch of two."""
_SMALLEST = 1e-6


@runtime_checkable
class Readable(Protocol):
    """An exporter that can read its files back; what cannot be read back is not verified."""

    def load(self, path: Path, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """Open the file with its own runtime: images (N, C, H, W) to outputs (N, K)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """One file that was written.

    Attributes:
        path: The file.
        format: Exporter by its qualified name.
        bytes: Size of the file.
        sha256: Digest of the file.
        max_diff: Largest absolute difference of an output; ``None`` = the format has no reader.
        scale: Largest absolute output of the model in that comparison.
        tolerance: What was allowed, as a share of ``scale``.
        batches: Batch sizes that were compared.
        agreement: Labels of real images, from file to label; ``None`` = none were compared.
        notes: What a reader should know.
    """

    path: Path
    format: str
    bytes: int
    sha256: str
    max_diff: float | None
    scale: float
    tolerance: float
    batches: tuple[int, ...]
    agreement: Agreement | None = None
    notes: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the file was read back and compared."""
        return self.max_diff is not None

    def line(self) -> str:
        """The result in one line."""
        size = f"{self.path} ({self.bytes / 1e6:.1f} MB)"
        if self.max_diff is None:
            return f"{size}: written, not verified"
        sizes = " and ".join(map(str, self.batches))
        labels = f"; {self.agreement.line()}" if self.agreement else ""
        return f"{size}: max |diff| {self.max_diff:.1e} at batch {sizes}{labels}"


def write(
    model: nn.Module,
    format: str,  # noqa: A002 - the word that people type
    path: Path,
    *,
    info: CheckpointInfo,
    source: Path | None = None,
    example: Tensor | None = None,
    tolerance: float = 1e-4,
    options: Mapping[str, Any] | None = None,
    confirm: Callable[[Path], Agreement | str] | None = None,
) -> ExportResult:
    """Write a model in a format, read the file back, and compare.

    The model itself is not touched: a copy on the CPU in eval mode is written.

    Args:
        model: The model.
        format: Exporter by name (``zoo list --kind exporter``).
        path: File to write, or a folder (then it is named after the model).
        info: Labels, input and origin; stored in the file.
        source: The file that the model was read from, which is never written over.
        example: Float input (N, C, H, W), N >= 2; default: random, as ``info.input`` says.
        tolerance: Largest difference allowed, as a share of the largest output.
        options: Options of the exporter.
        confirm: A last question about the file before it gets its name; raises to refuse it.

    Raises:
        UsageError: Unknown format or option, packages missing, no input size is known, or the
            file is a checkpoint.
        VerificationError: The model cannot be written in this format, or the file computes
            something else.
        PluginError: The exporter cannot be imported or called, or wrote no file.
        DiskError: The file cannot be written.
    """
    shelf = registry.load()
    spec = cast("ExporterSpec", shelf.find("exporter", format))
    exporter = target_of(spec)
    if not callable(exporter):
        raise PluginError(
            f"exporter {spec.qualified}: target {spec.target} is not callable",
            hint=f"zoo plugins check {spec.plugin}",
        )
    given = dict(options or {})
    if _takes(exporter, "metadata"):
        given["metadata"] = describe(info)
    plain = copy.deepcopy(model).cpu().eval()
    images = _example(example, info)
    target = choose_target(path, spec, info, source)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
            staged = Path(folder, target.name)
            with _explained(plain, spec):
                shelf.build("exporter", format, plain, images, staged, **given)
            if not staged.is_file():
                raise PluginError(f"exporter {spec.qualified} wrote no file where it was told to")
            max_diff, scale, notes = _compare(exporter, plain, images, staged, spec)
            if max_diff is not None and not max_diff <= tolerance * max(scale, _SMALLEST):
                raise VerificationError(
                    f"{spec.qualified}: the file's outputs differ by {max_diff:.2e} where the "
                    f"largest output is {scale:.2e} (allowed: {tolerance:g} of it)",
                    hint="--tolerance allows more; the file was not kept",
                )
            agreed = confirm(staged) if confirm else None
            size, digest = staged.stat().st_size, _sha256(staged)
            staged.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise DiskError(f"cannot write {target}: {reason}", hint="--out PATH") from error
    return ExportResult(
        path=target,
        format=spec.qualified,
        bytes=size,
        sha256=digest,
        max_diff=max_diff,
        scale=scale,
        tolerance=tolerance,
        batches=BATCHES if max_diff is not None else (),
        agreement=agreed if isinstance(agreed, Agreement) else None,
        notes=(*notes, agreed) if isinstance(agreed, str) else notes,
    )


def describe(info: CheckpointInfo) -> dict[str, str]:
    """What is stored inside a file: the whole record, and plainly the labels, input and steps."""
    stored = {"zoo": metadata.dumps(info), "labels": json.dumps(list(info.classes))}
    if info.input is not None:
        stored["input"] = json.dumps(asdict(info.input))
        data = info.recipe.get("data", {})
        transform = str(data.get("eval_transform", "auto"))
        if steps := steps_of(info.input, transform, data.get("eval_options")):
            stored["preprocess"] = json.dumps(steps)
    return stored


def _takes(exporter: object, name: str) -> bool:
    parameters = inspect.signature(cast("Callable[..., Any]", exporter)).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _example(example: Tensor | None, info: CheckpointInfo) -> Tensor:
    if example is None:
        if info.input is None:
            raise UsageError(
                "the model's input size is not known", hint="give an example batch (N, C, H, W)"
            )
        example = _images(2, info.input.size, seed=0)
    if example.ndim != 4 or example.shape[0] < 2:
        raise UsageError(
            f"an example is a batch (N, C, H, W) of at least two, not {tuple(example.shape)}"
        )
    return example.detach().cpu()


def _images(count: int, size: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(seed))


@contextmanager
def _explained(model: nn.Module, spec: ExporterSpec) -> Iterator[None]:
    """Turn whatever a converter raises into one line; our own errors and the disk's pass."""
    try:
        yield
    except (ZooError, OSError):
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise VerificationError(
            f"{type(model).__name__} cannot be written as {spec.qualified}: "
            f"{type(error).__name__}: {reason}",
            hint="ZOO_DEBUG=1 shows where; --format safetensors writes the weights alone",
        ) from error


def _compare(
    exporter: object, model: nn.Module, example: Tensor, path: Path, spec: ExporterSpec
) -> tuple[float | None, float, tuple[str, ...]]:
    """Largest difference and largest output over the batch sizes, and notes."""
    if not isinstance(exporter, Readable):
        return None, 0.0, (f"{spec.qualified} cannot read its files back: nothing was compared",)
    diffs: list[Tensor] = []
    outputs: list[Tensor] = []
    with torch.inference_mode(), _explained(model, spec):
        run = exporter.load(path, model)
        for count in BATCHES:
            images = _images(count, tuple(example.shape[1:]), seed=count).to(example.dtype)
            expected, given = model(images), run(images)
            if expected.shape != given.shape:
                raise VerificationError(
                    f"{spec.qualified}: at batch {count} the file gives {tuple(given.shape)}, "
                    f"the model {tuple(expected.shape)}"
                )
            diffs.append((expected - given).abs().max())
            outputs.append(expected)
    every = torch.cat(outputs)
    scale = every.abs().max().item()
    constant = (every - every[:1]).abs().max().item() <= 1e-7 * max(scale, _SMALLEST)
    notes = ("the outputs do not depend on the input: equality says little",) if constant else ()
    return torch.stack(diffs).max().item(), scale, notes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_input(stored: Mapping[str, str]) -> InputSpec | None:
    """The input spec in a file's metadata, if there is one."""
    if "input" not in stored:
        return None
    import msgspec

    return msgspec.convert(json.loads(stored["input"]), InputSpec)
