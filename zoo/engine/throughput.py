"""How fast a model is on this machine: images a second answered and trained on, and one alone.

Random images of the size that the model is shown, on the device already: reading files, which is
often slower, is not in these numbers. Precision, memory format and threads are those that a run with
the same flags would take.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo.core import registry as registries
from zoo.core.request import request_as_named
from zoo.engine.evaluate import main_output
from zoo.engine.parts import build
from zoo.engine.place import autocast, choose, settle, tune
from zoo.engine.start.weights import find_start
from zoo.engine.step import backward, out_of_memory
from zoo.engine.tryout import try_out
from zoo.engine.work import suited, work_of
from zoo.errors import NumericsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from zoo.engine.parts import Built
    from zoo.engine.place import Place

WARM, LEAST = 2, 3
"""Calls before timing, and timed calls at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What was measured of one model.

    Attributes:
        model: Its name.
        size: Shape of one image (C, H, W).
        batch_size: Images of a batch.
        params: Parameters.
        macs: Multiplications by parameters for one image; ``None`` = not counted.
        predict: Images a second, forward alone, in eval mode.
        latency: Milliseconds for one image alone.
        train: Images a second with forward, backward and an SGD step; ``None`` = not measured.
        memory: Most megabytes taken: of a CUDA device by tensors, else by the whole process;
            ``None`` where that is not known.
        place: Device, precision, memory format, threads.
        note: Why training was not measured, or empty.
    """

    model: str
    size: tuple[int, int, int]
    batch_size: int
    params: int
    macs: int | None
    predict: float
    latency: float
    train: float | None
    memory: float | None
    place: dict[str, Any]
    note: str = ""


def benchmark(
    model: str | Path, *, seconds: float = 2.0, train: bool = True, **keywords: Any
) -> Throughput:
    """Measure how fast a model is here.

    Args:
        model: A name of the registry (its weights do not matter and are not fetched, unless it
            says a tag), ``run:NAME``, ``file:PATH`` or ``hub:org/repo``.
        seconds: How long each of the three measurements takes, at least.
        train: Whether training is measured, too.
        **keywords: ``batch_size``, ``size``, ``device``, ``precision``, ``threads``,
            ``channels_last``, ``classes`` ..., as in :func:`zoo.finetune`.

    Raises:
        UnknownNameError: No plugin has the model.
        UsageError: It does not take such images, or a keyword is wrong.
        DeviceError: The device is not there.
        NumericsError: A batch does not fit into memory.
    """
    known = registries.load()
    recipe = request_as_named(str(model), keywords, registry=known)
    built = build(find_start(recipe, known), recipe, known, ())
    count = recipe.data.batch_size
    try_out(built.model, built.input, name=built.spec.qualified, declared=built.spec.input)
    work = work_of(built.model, built.input)
    place = suited(choose(recipe.device), recipe.device, work, count)
    settle(place)
    tune(place)
    found = _measured(built, place, count, seconds, train=train)
    return replace(found, model=str(model), macs=work.macs if work else None)


def _measured(built: Built, place: Place, count: int, seconds: float, *, train: bool) -> Throughput:
    layout = torch.channels_last if place.channels_last else torch.preserve_format
    model: nn.Module = built.model.to(place.device, memory_format=layout)  # type: ignore[call-overload]
    images = torch.rand(count, *built.input.size).to(place.device, memory_format=layout)
    with _enough_memory(count):
        latency = _pace(_forward(model, images[:1], place), place, seconds)
        predict = count / _pace(_forward(model, images, place), place, seconds)
        rate, note = None, ""
        if train:
            try:
                rate = count / _pace(_training(model, images, place), place, seconds)
            except (RuntimeError, ValueError) as error:
                if out_of_memory(error):
                    raise
                note = f"training: {str(error).partition(chr(10))[0]}"
    return Throughput(
        model="",
        size=built.input.size,
        batch_size=count,
        params=sum(p.numel() for p in model.parameters()),
        macs=None,
        predict=predict,
        latency=1000 * latency,
        train=rate,
        memory=_memory(place),
        place=place.to_dict(),
        note=note,
    )


@contextmanager
def _enough_memory(count: int) -> Iterator[None]:
    """Say what to do where a batch of so many images does not fit."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise NumericsError(
            f"out of memory with {count} images", hint=f"--batch-size {max(1, count // 2)}"
        ) from error


def _forward(model: nn.Module, images: Tensor, place: Place) -> Callable[[], object]:
    """A call that answers for images (N, C, H, W)."""

    def answer() -> object:
        with torch.inference_mode(), autocast(place):
            return model(images)

    model.eval()
    return answer


def _training(model: nn.Module, images: Tensor, place: Place) -> Callable[[], object]:
    """A call that takes a step on images (N, C, H, W), all parameters training."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)

    def step() -> object:
        with autocast(place):
            outputs = main_output(model(images)).float()
        if outputs.ndim == 2:  # any class is as good as another
            loss = nn.functional.cross_entropy(outputs, outputs.detach().argmin(1))
        else:
            loss = outputs.square().mean()
        backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def _pace(call: Callable[[], object], place: Place, seconds: float) -> float:
    """Median seconds of a call."""

    def timed() -> float:
        start = time.perf_counter()
        call()
        if place.device.type != "cpu":
            torch.accelerator.synchronize(place.device)
        return time.perf_counter() - start

    for _ in range(WARM):
        timed()
    end, taken = time.perf_counter() + seconds, [timed() for _ in range(LEAST)]
    while time.perf_counter() < end:
        taken.append(timed())
    return statistics.median(taken)


def _memory(place: Place) -> float | None:
    """Megabytes at the peak."""
    if place.device.type == "cuda":
        return torch.cuda.max_memory_allocated(place.device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
