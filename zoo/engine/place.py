"""Where a run computes: device, precision, memory format, threads; and every seed.

:func:`choose` only decides; :func:`settle` sets what torch keeps per process. Randomness is
derived, not stored: :func:`derive` makes a seed of integers, and :func:`seed_step` reseeds before
each forward, so that a resumed run draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import hashlib
import os
import random
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from zoo.core.devices import check_device, no_device
from zoo.engine.allocator import keep_freed, return_freed
from zoo.engine.cores import usable_cores
from zoo.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zoo.core.recipe import DevicePart

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how a run computes.

    Attributes:
        device: The device, with an index where it has one.
        precision: What autocast computes in; parameters are always fp32.
        channels_last: Whether images and convolution weights lie as NHWC in memory.
        threads: CPU threads of this process.
        deterministic: Whether only deterministic algorithms are allowed.
        compile: Whether the forward of training steps is compiled.
        why: Why something else was chosen than the device suggests.
    """

    device: torch.device
    precision: Precision = "fp32"
    channels_last: bool = False
    threads: int = 1
    deterministic: bool = False
    compile: bool = False
    why: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what must be equal for the same bits."""
        return {
            "device": str(self.device),
            "precision": self.precision,
            "channels_last": self.channels_last,
            "threads": self.threads,
            "deterministic": self.deterministic,
            "compile": self.compile,
        }

    def line(self) -> str:
        """One line for people."""
        parts = [str(self.device), self.precision]
        parts += ["channels_last"] if self.channels_last else []
        parts += [f"{self.threads} thread{'s' if self.threads > 1 else ''}"]
        parts += ["compiled"] if self.compile else []
        parts += ["deterministic"] if self.deterministic else []
        said = ", ".join(parts)
        return f"{said} ({'; '.join(self.why)})" if self.why else said


def choose(
    part: DevicePart, *, conv: bool = True, local_rank: int = 0, local_size: int = 1
) -> Place:
    """Decide where to compute; touches nothing.

    Args:
        part: The recipe's device section.
        conv: Whether the model is convolutional (decides the memory format's default).
        local_rank: This process among those on this machine.
        local_size: Processes on this machine; CPU threads are shared between them.

    Raises:
        UsageError: The device's name is malformed, or one device is asked for many processes.
        DeviceError: The device or the precision is not there; says what is.
    """
    device = _device(part.device, local_rank, local_size)
    return Place(
        device=device,
        precision=_precision(part.precision, device),
        channels_last=conv if part.channels_last is None else part.channels_last,
        threads=part.threads or _share_of_cores(local_size),
        deterministic=part.deterministic,
        compile=part.compile,
    )


def available() -> tuple[str, ...]:
    """Devices that exist here, best first; always ends with ``cpu``."""
    found: list[str] = []
    if torch.cuda.is_available():
        found += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and accelerator.type not in ("cuda", "mps"):
        found += [f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count())]
    return (*found, "cpu")


def _device(name: str, local_rank: int, local_size: int) -> torch.device:
    here = available()
    if name == "auto":
        name = here[0].partition(":")[0]
    check_device(name)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise no_device(name) from None
    index: int | None = device.index  # torch's stubs leave the None out
    if index is not None and local_size > 1:
        raise UsageError(
            f"--device {name} names one device, but {local_size} processes run here",
            hint=f"--device {device.type} gives each process its own",
        )
    if device.type == "cpu":
        return torch.device("cpu")
    indexed = any(entry.startswith(f"{device.type}:") for entry in here)
    wanted = local_rank if index is None else index
    full = f"{device.type}:{wanted}" if indexed else device.type
    if full not in here:
        raise DeviceError(
            f"device {full} is not there; this machine has {', '.join(here)}",
            hint="--device auto takes the fastest there is",
        )
    return torch.device(full)


def _precision(wanted: str, device: torch.device) -> Precision:
    if wanted == "auto":
        return "bf16" if computes_bf16(device) else "fp32"
    if wanted == "fp16" and device.type not in ("cuda", "mps"):
        raise DeviceError(
            f"fp16 is not for {device.type}: it needs a cuda or mps device",
            hint="--precision bf16, or auto",
        )
    if wanted == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError(f"{device} does not compute in bf16", hint="--precision fp16, or auto")
    return wanted  # type: ignore[return-value]  # the recipe allows only these


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 arithmetic, so that autocast makes it faster, not slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, bool)() for name in probes)
    return False


def _share_of_cores(local_size: int) -> int:
    """Threads of one of several processes; alone, ``OMP_NUM_THREADS`` is the user's word.

    torchrun sets that variable to 1 for every rank, which is nobody's word.
    """
    wished = os.environ.get("OMP_NUM_THREADS", "") if local_size == 1 else ""
    cores = max(1, usable_cores() // local_size)
    return min(cores, int(wished)) if wished.isdecimal() and int(wished) else cores


def settle(place: Place, *, spare: bool = False) -> None:
    """Set what is kept per process: threads, freed memory, determinism, the current device.

    Args:
        place: Where the process computes.
        spare: Give freed memory back to the system, which takes time (a tenth of a step of
            resnet18 in fp32) and spares some.
    """
    torch.set_num_threads(place.threads)
    if place.device.type == "cpu":
        (return_freed if spare else keep_freed)()
    if place.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if place.deterministic != torch.are_deterministic_algorithms_enabled():  # it imports a compiler
        torch.use_deterministic_algorithms(place.deterministic)
    if place.device.type == "cuda":
        torch.cuda.set_device(place.device)


def tune(place: Place) -> None:
    """Let cuDNN try which algorithms are fastest from now on: it pays where shapes come again.

    Not before training: each shape that is tried out costs some tenths of a second.
    """
    if place.device.type == "cuda":
        torch.backends.cudnn.benchmark = not place.deterministic


def autocast(place: Place) -> AbstractContextManager[Any]:
    """The autocast context of the place; nothing in fp32."""
    if place.precision == "fp32":
        return nullcontext()
    return torch.autocast(place.device.type, dtype=DTYPES[place.precision])


def make_scaler(place: Place) -> torch.amp.GradScaler | None:
    """A gradient scaler where fp16 needs one, else ``None``."""
    if place.precision == "fp16" and place.device.type == "cuda":
        return torch.amp.GradScaler("cuda")
    return None


def derive(*numbers: int) -> int:
    """A seed of 63 bits that depends on every one of the numbers and their order."""
    text = ",".join(str(int(number)) for number in numbers).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def seed_all(seed: int) -> None:
    """Seed python, numpy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_step(place: Place, *numbers: int) -> None:
    """Seed python, numpy, torch's CPU generator and the place's own, from the numbers.

    Much cheaper than :func:`seed_all`, which also queues seeding for devices that are not used.
    """
    seed = derive(*numbers)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if place.device.type != "cpu":
        torch.get_device_module(place.device).manual_seed(seed)
