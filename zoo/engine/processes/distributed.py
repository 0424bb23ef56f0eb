"""Several processes as one run: torchrun's environment contract, and what ranks agree on.

A process is one of many if ``RANK``, ``LOCAL_RANK`` and ``WORLD_SIZE`` say so, whoever set them
(torchrun, Slurm through torchrun, SkyPilot ...). Counters and flags travel as fp64 on the CPU;
gradients through DDP. Only rank 0 writes.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from zoo.errors import DeviceError, UsageError, ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence


T = TypeVar("T")
_GONE = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "NCCL",
    "Timed out",
)


@dataclass(frozen=True, slots=True)
class World:
    """This process among those of the run.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
        local_rank: Number among those on this machine.
        local_size: How many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Add numbers up over all ranks, in fp64, the same result everywhere."""
        if self.size == 1:
            return [float(value) for value in values]
        total = torch.tensor(values, dtype=torch.float64)
        try:
            dist.all_reduce(total)
        except RuntimeError as error:
            lost = self.alone(error)
            if lost is not None:
                raise lost from error
            raise
        return [float(value) for value in total]

    def alone(self, error: BaseException) -> DeviceError | None:
        """What to raise for an error that says that another process is gone, else ``None``."""
        text = str(error)
        if self.size == 1 or not any(sign in text for sign in _GONE):
            return None
        return DeviceError(
            f"rank {self.rank} lost another process of the run",
            hint="its own message says why; --retries N resumes after a crash",
        )

    def sum_tensor(self, values: torch.Tensor) -> torch.Tensor:
        """Add a tensor on the CPU, of the same shape everywhere, up over all ranks, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """Everybody's value, by rank, on every rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def share(self, value: T) -> T:
        """Rank 0's value on every rank."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0)
        shared: T = box[0]
        return shared

    def share_buffers(self, model: nn.Module) -> None:
        """Give every rank rank 0's buffers (running statistics differ between shards)."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def agree(self, error: ZooError | None) -> None:
        """Let one rank's error be everybody's: all stop, one speaks.

        Args:
            error: What went wrong on this rank, or ``None``.

        Raises:
            ZooError: That of the first rank that has one.
        """
        for other in self.gather(error):
            if other is not None:
                own = error if error is not None and error.message == other.message else other
                own.everywhere = self.size > 1
                raise own

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make an error of any rank in the block everybody's error at its end.

        For blocks in which ranks do not wait for each other: each does the same for itself.

        Raises:
            ZooError: That of the first rank that has one.
        """
        try:
            yield
        except ZooError as error:
            self.agree(error)
        else:
            self.agree(None)

    def lead(self, act: Callable[[], T]) -> T:
        """Let rank 0 do something; its result, or its error, is everybody's.

        Raises:
            ZooError: Rank 0's.
        """
        if self.size == 1:
            return act()
        result: T | None = None
        trouble: ZooError | None = None
        if self.main:
            try:
                result = act()
            except ZooError as error:
                trouble = error
        given = self.share((result, trouble))
        if given[1] is not None:
            own = trouble or given[1]
            own.everywhere = True
            raise own
        shared: Any = given[0]
        found: T = shared
        return found

    def barrier(self) -> None:
        """Wait for everybody."""
        if self.size > 1:
            dist.barrier()


ALONE = World()


def from_environment() -> World:
    """Read torchrun's variables.

    Raises:
        UsageError: Only some are set, or they are not numbers.
    """
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    here = [name for name in names if name in os.environ]
    if not here or os.environ.get("WORLD_SIZE") == "1":
        return ALONE
    try:
        rank, local, size = (int(os.environ[name]) for name in names)
        local_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"the launcher's environment is incomplete: {error} (found {', '.join(here)})",
            hint="start with --nproc N, or torchrun --standalone --nproc-per-node N -m zoo ...",
        ) from error
    return World(rank, size, local, local_size)


@contextmanager
def join(world: World, device: torch.device) -> Iterator[World]:
    """Meet the other processes; leave the group at the end.

    Args:
        world: From :func:`from_environment`.
        device: What this rank computes on; decides the backend of the gradients.

    Raises:
        DeviceError: The others cannot be reached.
    """
    if world.size == 1:
        yield world
        return
    backend = "gloo"
    if device.type != "cpu":
        fast = dist.get_default_backend_for_device(device.type)
        backend = f"cpu:gloo,{device.type}:{fast}"
    try:
        dist.init_process_group(backend, rank=world.rank, world_size=world.size)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"rank {world.rank} cannot meet the other {world.size - 1} processes: {error}",
            hint="start all of them with torchrun; check MASTER_ADDR and MASTER_PORT",
        ) from error
    try:
        yield world
    finally:
        dist.destroy_process_group()


def require_accelerator(device: torch.device) -> None:
    """Refuse synchronised batch norm where torch has none.

    Raises:
        DeviceError: The device is the CPU.
    """
    if device.type == "cpu":
        raise DeviceError(
            "--sync-bn needs GPUs: torch has no synchronised batch norm for the CPU",
            hint="leave it out, or freeze the norms, e.g. --freeze-upto backbone",
        )


def synchronise_norms(
    model: nn.Module, device: torch.device, *, frozen: Container[str] = ()
) -> int:
    """Convert trainable batch norms to synchronised ones, in place.

    Args:
        model: After freezing, before wrapping. Its state_dict keys stay the same.
        device: Where it will run.
        frozen: Dotted paths of modules that are held in eval; they stay as they are.

    Returns:
        How many were converted.

    Raises:
        DeviceError: Synchronised batch norm is for accelerators only.
    """
    require_accelerator(device)
    count = 0
    for path, module in list(model.named_modules()):
        if not isinstance(module, nn.modules.batchnorm._BatchNorm) or path in frozen:
            continue
        if isinstance(module, nn.SyncBatchNorm) or not path:
            continue
        if module.affine and not module.weight.requires_grad:
            continue
        parent, _, name = path.rpartition(".")
        converted: Any = nn.SyncBatchNorm
        setattr(model.get_submodule(parent), name, converted.convert_sync_batchnorm(module))
        count += 1
    return count
