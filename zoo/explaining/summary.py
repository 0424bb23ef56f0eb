"""What a model is made of: a row a module with shape, size, share that trains, and operations.

The model runs once on the meta device: nothing is computed, no weights are copied, and it stays as
it is. A floating-point operation is one multiplication or one addition, so a multiply-add counts
two; only matrix products, convolutions and attention are counted, which is all but a few percent.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.core.specs import InputSpec
from zoo.engine.freezing.trace import mode, tensors_in
from zoo.engine.standins import call_with, stand_ins
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One module.

    Attributes:
        path: Dotted path; empty for the whole model.
        kind: Name of its class.
        depth: Number of modules above it.
        shape: Shape of its (first) output for one image; ``None`` = it is never called itself.
        params: Parameters in it, its children's included; shared ones count once.
        trainable: Those of them that require a gradient.
        flops: Operations in it for one image, its children's included.
        leaf: Whether it has no children.
    """

    path: str
    kind: str
    depth: int
    shape: tuple[int, ...] | None
    params: int
    trainable: int
    flops: int
    leaf: bool

    @property
    def frozen(self) -> str:
        """``yes``, ``no``, ``part``, or nothing where there is nothing to freeze."""
        if not self.params:
            return ""
        return {0: "yes", self.params: "no"}.get(self.trainable, "part")


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole model.

    Attributes:
        input: Input of one image (C, H, W) in pixels.
        rows: Every module, in order of registration; the first is the model itself.
    """

    input: tuple[int, int, int]
    rows: tuple[Row, ...]

    @property
    def total(self) -> Row:
        """The row of the whole model."""
        return self.rows[0]

    def table(self, depth: int | None = None) -> list[Row]:
        """The rows that people want to see: down to a depth, or all layers without children.

        Args:
            depth: Deepest level, 1 = the model's own children; ``None`` = every layer.
        """
        below = self.rows[1:]
        if depth is None:
            return [row for row in below if row.leaf]
        return [row for row in below if row.depth <= depth]

    def line(self) -> str:
        """The model in one line."""
        total = self.total
        size = "x".join(map(str, self.input))
        return (
            f"{total.kind}: {total.params:,} parameters, {total.trainable:,} of them trainable; "
            f"{total.flops / 1e9:.3f} GFLOP for one image of {size}"
        )


def summarise(model: nn.Module, expects: InputSpec | None = None) -> Summary:
    """Describe a model module by module.

    Args:
        model: Any module that maps one image batch (N, C, H, W) to tensors.
        expects: Its expected input; default: three channels of 224 pixels.

    Raises:
        UsageError: The model does not run on an input of that size.
    """
    size = (expects or InputSpec()).size
    own = next((p.device for p in model.parameters()), torch.device("cpu"))
    failures: list[Exception] = []
    for device in dict.fromkeys((torch.device("meta"), own)):
        try:
            shapes, flops = _run(model, size, device)
        except Exception as error:  # any model, any failure: the next device
            failures.append(error)
            continue
        return Summary(size, tuple(_rows(model, shapes, flops)))
    raise UsageError(
        f"{type(model).__name__} does not run on an image of {size}: {failures[-1]}",
        hint="state the size that it expects",
    ) from failures[-1]


def _run(
    model: nn.Module, size: tuple[int, int, int], device: torch.device
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Run once; gives output shapes and operations by module path."""
    shapes: dict[str, tuple[int, ...]] = {}
    counts: dict[str, int] = {}
    counter = FlopCounterMode(display=False)
    state = stand_ins(model, lambda value: _stand_in(value, device))
    dtype = next((v.dtype for v in state.values() if v.is_floating_point()), torch.float32)
    open_counts: list[int] = []
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(mode(model, training=False))
        if device.type != "meta":
            stack.enter_context(torch.random.fork_rng())

        def start(*_: Any) -> None:
            open_counts.append(counter.get_total_flops())

        for name, module in model.named_modules():

            def end(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
                spent = counter.get_total_flops() - open_counts.pop()
                counts[name] = counts.get(name, 0) + spent
                first = next(tensors_in(output), None)
                if first is not None:
                    shapes[name] = tuple(first.shape)

            stack.callback(module.register_forward_pre_hook(start).remove)
            stack.callback(module.register_forward_hook(end).remove)
        images = torch.zeros((1, *size), dtype=dtype, device=device)
        stack.enter_context(counter)
        call_with(model, state, images)
    return shapes, counts


def _stand_in(value: Tensor, device: torch.device) -> Tensor:
    if device.type == "meta":
        return torch.empty_like(value, device=device)
    return value.detach().clone()


def _rows(
    model: nn.Module, shapes: dict[str, tuple[int, ...]], flops: dict[str, int]
) -> Iterator[Row]:
    for path, module in model.named_modules():
        parameters = list(module.parameters())
        children = [path + "." * bool(path) + name for name, _ in module.named_children()]
        yield Row(
            path=path,
            kind=type(module).__name__,
            depth=path.count(".") + 1 if path else 0,
            shape=shapes.get(path),
            params=sum(p.numel() for p in parameters),
            trainable=sum(p.numel() for p in parameters if p.requires_grad),
            # a container that is not called itself has what its members have
            flops=flops.get(path, sum(flops.get(child, 0) for child in children)),
            leaf=not children,
        )
