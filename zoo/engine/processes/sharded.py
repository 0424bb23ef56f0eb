"""FSDP2: parameters, gradients and optimizer state shared out between the ranks.

Each rank holds a slice of every tensor (a ``DTensor``) and gathers a part of the model, one unit,
just before that unit computes. Units are the model's stages, as far as its forward calls them;
what is left is the last unit. Files hold whole tensors, so that a run goes on sharded or not, on
any number of ranks. Nothing here is imported by a run that does not shard.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from zoo.core.recipe import Recipe
    from zoo.engine.processes.distributed import World


def is_sharded(module: nn.Module) -> bool:
    """Whether a module is FSDP2's."""
    return hasattr(module, "set_requires_gradient_sync")


def whole(tensor: Tensor) -> Tensor:
    """A tensor with all of its slices; every rank has to ask, and gets the same.

    Args:
        tensor: Of any shape; one that is not sharded is given back as it is.
    """
    gather: Callable[[], Tensor] | None = getattr(tensor, "full_tensor", None)
    return gather() if gather else tensor


def local(tensor: Tensor) -> Tensor:
    """This rank's slice, sharing its memory; a tensor that is not sharded as it is.

    Args:
        tensor: Of any shape; slices are cut along its first dimension.
    """
    slice_of: Callable[[], Tensor] | None = getattr(tensor, "to_local", None)
    return slice_of() if slice_of else tensor


def spread(value: Tensor, like: Any) -> Tensor:
    """A whole tensor, sharded as another one is; no rank hears of the others.

    Args:
        value: Of any shape, the same on every rank.
        like: Sharded, or not: then ``value`` is given back as it is. A value of another shape
            (an optimizer's factored moments) is kept whole on every rank.
    """
    if not hasattr(like, "full_tensor"):
        return value
    from torch.distributed.tensor import Replicate, distribute_tensor

    same = value.shape == like.shape
    placements = like.placements if same else [Replicate()] * like.device_mesh.ndim
    moved = value.to(local(like).device)
    return distribute_tensor(moved, like.device_mesh, placements, src_data_rank=None)


def require_shardable(recipe: Recipe, world: World, *, precision: str) -> None:
    """Refuse what does not go together with sharded parameters.

    Args:
        recipe: The recipe.
        world: The ranks; one alone does not shard.
        precision: The one that was chosen.

    Raises:
        UsageError: Says what, and what to do.
    """
    device = recipe.device
    if device.parallel != "fsdp" or world.size == 1:
        return
    found = {
        "--compile": device.compile,
        "--precision fp16": precision == "fp16",
        "--channels-last": device.channels_last is True,
    }
    cures = {"--precision fp16": "--precision bf16"}
    for flag, given in found.items():
        if given:
            raise UsageError(
                f"{flag} does not go together with --parallel fsdp",
                hint=f"{cures.get(flag, f'leave {flag} out')}, or --parallel ddp",
            )


def units(
    model: nn.Module, stages: Sequence[tuple[str, Sequence[str]]], run: Callable[[], object]
) -> tuple[str, ...]:
    """Stages that can be gathered one by one: modules that a forward calls exactly once.

    Args:
        model: The model.
        stages: ``(alias, module paths)`` in order.
        run: Runs the model's forward once.

    Returns:
        Dotted paths. Stages of several modules, stages that a forward reaches into, and those
        that share parameters with others are left to the rest of the model.
    """
    calls: Counter[str] = Counter()
    owners = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))
    handles = []
    for _, paths in stages:
        if len(paths) != 1 or not paths[0]:
            continue
        module = model.get_submodule(paths[0])
        own = list(module.parameters())
        if own and all(owners[id(p)] == 1 for p in own):
            handles.append(
                module.register_forward_pre_hook(lambda *_, path=paths[0]: calls.update([path]))
            )
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    alone = [paths[0] for _, paths in stages if len(paths) == 1]
    return tuple(path for path in alone if calls[path] == 1)


def shard(model: nn.Module, parts: Sequence[str], world: World) -> None:
    """Share a model's parameters out between the ranks, in place.

    Call it after freezing and moving, before the optimizer is built; every rank holds the same
    values.

    Args:
        model: Its names stay the same.
        parts: Paths of modules that are gathered on their own.
        world: The ranks.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (world.size,))
    for path in parts:
        fully_shard(model.get_submodule(path), mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Hold a sharded model whole, so that each rank may run it as often as it likes.

    Ranks have different numbers of validation images, so their forwards must not wait for each
    other. A model that is not sharded is left alone.
    """
    pieces: list[Any] = [module for module in model.modules() if is_sharded(module)]
    keep = {id(piece): piece is not model for piece in pieces}
    for piece in pieces:
        piece.set_reshard_after_forward(False, recurse=False)
        piece.unshard()
    try:
        yield
    finally:
        for piece in pieces:
            piece.reshard()
            piece.set_reshard_after_forward(keep[id(piece)], recurse=False)
