"""Where a model can be cut: tensors that separate its frozen part from the rest.

Read off the recorded graph; what the graph cannot show is tried out (:mod:`zoo.engine.prefix.cut`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from zoo.engine.freezing.cone import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.engine.freezing.cone import Tracer
    from zoo.engine.freezing.plan import FreezePlan
    from zoo.engine.freezing.trace import Trace

_HARMLESS = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.ReLU,
    nn.ReLU6,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Tanh,
    nn.LeakyReLU,
    nn.ELU,
    nn.Softmax,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.PixelShuffle,
    nn.Upsample,
    nn.ZeroPad2d,
)
"""Layers without parameters that do the same in train and eval mode, held or not."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place to cut.

    Attributes:
        path: The module whose output or input it is.
        after: Its output; else its input.
        clock: When in the recorded eval pass.
    """

    path: str
    after: bool
    clock: int

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.path}"


def candidates(tracer: Tracer, plan: FreezePlan, frozen: frozenset[str]) -> Iterator[Point]:
    """Places to cut, latest first, one for each tensor.

    Args:
        tracer: The model.
        plan: What is held.
        frozen: Parameters that never train.

    Raises:
        FreezeError: The model cannot be recorded.
    """
    model = tracer.model
    traces = [tracer.trace(), *(t for t in tracer.traces() if t.training)]
    trace, mask = traces[0], traces[0].mask(frozen)
    limit = _limit(model, trace, plan)
    found: dict[int, list[Point]] = {}
    for path, calls in trace.calls.items():
        if not path or len(calls) != 1 or len(calls[0].shapes) != 1:
            continue
        call = calls[0]
        # Behind no parameter at all there is nothing but the image, which is no output to keep.
        if call.end < limit and call.after and call.outputs and not call.outputs & ~mask:
            found.setdefault(call.after[0], []).append(Point(path, after=True, clock=call.end))
        # An input counts only where a module behind the edge takes it.
        crosses = call.start < limit <= call.end and len(call.before) == 1
        if crosses and call.inputs and not call.inputs & ~mask:
            found.setdefault(call.before[0], []).append(Point(path, after=False, clock=call.start))
    for points in sorted(found.values(), key=lambda p: -max(point.clock for point in p)):
        # Of one tensor: as an output if it is one (all that use it then see it), outermost module.
        points.sort(key=lambda p: (not p.after, -p.clock if p.after else p.clock))
        if all(_separates(recorded, points[0]) for recorded in traces):
            yield points[0]


def _limit(model: nn.Module, trace: Trace, plan: FreezePlan) -> int:
    """When the first layer returned that may do something else in train mode."""
    containers = {path.rpartition(".")[0] for path in trace.calls}
    loose = [
        call.end
        for path, calls in trace.calls.items()
        if path not in containers
        and not any(inside(path, held) for held in plan.eval_modules)
        and not _harmless(model.get_submodule(path))
        for call in calls
    ]
    return min(loose, default=1 << 62)


def _harmless(module: nn.Module) -> bool:
    return isinstance(module, _HARMLESS) or type(module).__name__ == "Permute"


def _separates(trace: Trace, point: Point) -> bool:
    calls = trace.calls.get(point.path, ())
    if len(calls) != 1:
        return False
    nodes = calls[0].after if point.after else calls[0].before
    return len(nodes) == 1 and nodes[0] not in trace.image and trace.passes_through(nodes)


def upstream(trace: Trace, point: Point) -> int:
    """Parameters before the point, as a bit mask of the trace."""
    call = trace.calls[point.path][0]
    return call.outputs if point.after else call.inputs


def early_modules(model: nn.Module, trace: Trace, point: Point) -> tuple[str, ...]:
    """Outermost modules that run before the cut, in part if they have parameters."""
    found: list[str] = []
    for path in sorted(trace.calls):
        calls = trace.calls[path]
        ends = [call.end < point.clock for call in calls]
        whole = all(ends)
        part = any(ends) and next(model.get_submodule(path).parameters(), None) is not None
        spans = any(call.start < point.clock <= call.end for call in calls)
        nested = any(inside(path, other) for other in (*found, point.path))
        if path and (whole or part) and not spans and not nested:
            found.append(path)
    return tuple(found)


def folds(
    model: nn.Module, trace: Trace, point: Point, plan: FreezePlan
) -> tuple[tuple[str, str], ...]:
    """Convolutions before the cut whose output goes into a held batch norm and nowhere else."""
    uses: dict[int, int] = {}
    for parents in trace.graph.values():
        for node in parents:
            uses[node] = uses.get(node, 0) + 1
    makers = {
        calls[0].after[0]: path
        for path, calls in trace.calls.items()
        if type(model.get_submodule(path)) is nn.Conv2d and len(calls) == 1 and calls[0].after
    }
    found: list[tuple[str, str]] = []
    for norm in plan.norms:
        calls = trace.calls.get(norm, ())
        if type(model.get_submodule(norm)) is not nn.BatchNorm2d or len(calls) != 1:
            continue
        call = calls[0]
        conv = makers.get(call.before[0]) if len(call.before) == 1 else None
        if conv and call.end <= point.clock and uses.get(call.before[0]) == 1:
            found.append((conv, norm))
    return tuple(found)
