"""One recorded forward pass: which parameters are upstream of every module call.

``requires_grad`` flags, registration order and hooks over leaf modules all guess; the graph
knows. The model runs once with every parameter (and the input) requiring a gradient. Each
module call keeps the autograd nodes of its inputs and outputs, read inside the call, so that
later in-place operations cannot move them. Functional uses (attention projections), parameters
on the root (a class token), shared modules and modules registered out of order are all followed
the same way.

The pass runs on the ``meta`` device: no weights are copied and nothing is computed. A model
that needs values (data-dependent control flow, constants on another device) runs once on its
own device instead, on copies of its buffers, with the random state put back afterwards.
Neither the model's flags, its buffers nor its weights change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.core.specs import InputSpec
from zoo.engine.standins import call_with, stand_ins
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch.autograd.graph import Node

_OPAQUE = "CheckpointFunctionBackward"  # reentrant checkpointing hides what is inside
_SIZES = (224, 32, 28, 299, 64, 96, 384)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one module.

    Attributes:
        start: Position among all starts and ends of calls.
        end: The same clock when the call returned.
        inputs: Parameters upstream of the inputs, as a bit mask.
        outputs: Parameters upstream of the outputs, as a bit mask.
        before: Autograd nodes of the input tensors.
        after: Autograd nodes of the output tensors.
        shapes: Shapes of the output tensors.
        traced: Whether the outputs hang on the graph.
    """

    start: int
    end: int
    inputs: int
    outputs: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    traced: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded forward pass.

    Attributes:
        how: ``meta`` or the device that it ran on.
        training: Mode of the pass.
        names: Parameter names; bit ``i`` of a mask is ``names[i]``.
        calls: Module path -> its calls, in order of first start.
        output: Parameters upstream of the model's output, as a bit mask.
        graph: Autograd node -> the nodes that it takes from.
        image: Nodes of the input image.
        ends: Nodes of the model's output tensors.
        size: Shape of the image (C, H, W).
    """

    how: str
    training: bool
    names: tuple[str, ...]
    calls: dict[str, tuple[Call, ...]]
    output: int
    graph: dict[int, tuple[int, ...]]
    image: frozenset[int]
    ends: tuple[int, ...]
    size: tuple[int, int, int]

    def shows_image(self, call: Call) -> bool:
        """Whether a call's inputs depend on the image, with no parameter in between."""
        seen: set[int] = set()
        stack = [] if call.inputs else [*call.before]
        while stack:
            node = stack.pop()
            if node in self.image:
                return True
            if node not in seen:
                seen.add(node)
                stack += self.graph.get(node, ())
        return False

    def passes_through(self, nodes: Iterable[int]) -> bool:
        """Whether the output depends on the image only through these nodes."""
        seen = set(nodes)
        stack = [node for node in self.ends if node not in seen]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            if node in self.image:
                return False
            seen.add(node)
            stack += self.graph.get(node, ())
        return True

    def mask(self, names: Iterable[str]) -> int:
        """Bit mask of parameter names."""
        wanted = set(names)
        return sum(1 << i for i, name in enumerate(self.names) if name in wanted)

    def named(self, mask: int) -> frozenset[str]:
        """Parameter names of a bit mask."""
        return frozenset(name for i, name in enumerate(self.names) if mask >> i & 1)


def record(model: nn.Module, expects: InputSpec | None = None, *, training: bool = False) -> Trace:
    """Run ``model`` once and record every module call.

    Args:
        model: Any module that maps one image batch (N, C, H, W) to tensors.
        expects: Its expected input; ``None`` tries usual sizes.
        training: Record in train instead of eval mode.

    Raises:
        FreezeError: The model does not run on an input of that size.
    """
    # A cone does not depend on the size, so another one serves if the declared one does not run.
    sizes = list(candidate_inputs(model, expects))
    errors: list[Exception] = []
    own = next((p.device for p in model.parameters()), torch.device("cpu"))
    for device in dict.fromkeys((torch.device("meta"), own)):
        for spec in sizes:
            try:
                return _run(model, spec, device, training=training)
            except Exception as error:  # any model, any failure: the next way
                errors.append(error)
    raise FreezeError(
        f"cannot follow {type(model).__name__} on images of {sizes[0].size}: {errors[-len(sizes)]}",
        hint="declare the model's input size, or its stages in order, in its registry entry",
    ) from errors[-len(sizes)]


def tensors_in(value: object) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name, None))


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Set every ``training`` flag and put each one back (``train()`` may be overridden)."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = training
        yield
    finally:
        for module, flag in flags:
            module.training = flag


def candidate_inputs(model: nn.Module, expects: InputSpec | None = None) -> Iterator[InputSpec]:
    """The declared input, then usual sizes (C, H, W); C is the first convolution's, 3 or 1."""
    channels = next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 3)
    if expects is not None:
        yield expects
        if channels != expects.size[0]:  # after surgery on the input
            yield dataclasses.replace(expects, size=(channels, *expects.size[1:]))
    linear = next((m.in_features for m in model.modules() if isinstance(m, nn.Linear)), 0)
    for count in dict.fromkeys((channels, 3, 1)):
        for size in _SIZES:
            yield InputSpec(size=(count, size, size))
    for count in (1, 3):
        side = round((linear / count) ** 0.5)
        if side and side * side * count == linear:
            yield InputSpec(size=(count, side, side))


def _run(model: nn.Module, spec: InputSpec, device: torch.device, *, training: bool) -> Trace:
    """Run once with substituted tensors and hooks on every module."""
    state = stand_ins(model, lambda tensor: _stand_in(tensor, device))
    parameters = {n: state[n] for n, _ in model.named_parameters()}
    dtype = next((p.dtype for p in parameters.values() if p.is_floating_point()), torch.float32)
    recorder = _Recorder()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        if device.type != "meta":
            stack.enter_context(torch.random.fork_rng())
        stack.enter_context(mode(model, training=training))
        for path, module in model.named_modules():
            stack.enter_context(recorder.watch(path, module))
        images = torch.zeros((2, *spec.size), dtype=dtype, device=device, requires_grad=True)
        # A copy, so that a model may write into its input.
        output = call_with(model, state, images.clone())
    return recorder.finish(output, images, parameters, how=str(device), training=training)


def _stand_in(tensor: Tensor, device: torch.device) -> Tensor:
    data = tensor.detach()
    if device.type == "meta":
        data = torch.empty_like(data, device=device)
    if not isinstance(tensor, nn.Parameter):
        return data if device.type == "meta" else data.clone()
    return nn.Parameter(data, requires_grad=data.is_floating_point() or data.is_complex())


class _Recorder:
    """Collects module calls while the model runs, then turns nodes into parameter masks."""

    def __init__(self) -> None:
        self.clock = 0
        self.open: list[tuple[str, int, list[Any]]] = []
        self.raw: list[tuple[str, int, int, list[Any], list[Any], tuple[tuple[int, ...], ...]]] = []

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    @contextmanager
    def watch(self, name: str, module: nn.Module) -> Iterator[None]:
        """Record each call of ``module`` while the context is open."""

        def start(_module: nn.Module, args: object, kwargs: object) -> None:
            self.open.append((name, self.tick(), _sources((args, kwargs))))

        def end(_module: nn.Module, _args: object, output: object) -> None:
            while self.open[-1][0] != name:  # a call inside raised and was caught by the model
                self.open.pop()
            _, began, sources = self.open.pop()
            shapes = tuple(tuple(t.shape) for t in tensors_in(output))
            self.raw.append((name, began, self.tick(), sources, _sources(output), shapes))

        handles = (
            module.register_forward_pre_hook(start, with_kwargs=True),
            module.register_forward_hook(end),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def finish(
        self,
        output: object,
        images: Tensor,
        parameters: Mapping[str, Tensor],
        *,
        how: str,
        training: bool,
    ) -> Trace:
        """Follow the graph once and give masks instead of nodes."""
        names = tuple(parameters)
        bits = {id(p): 1 << i for i, p in enumerate(parameters.values())}
        memo: dict[Any, int] = {}
        numbers: dict[Any, int] = {}

        def mask(sources: list[Any]) -> int:
            found = 0
            for source in sources:
                found |= (
                    bits.get(id(source), 0)
                    if isinstance(source, Tensor)
                    else (_upstream(source, bits, memo))
                )
            return found

        def ids(sources: list[Any]) -> tuple[int, ...]:
            return tuple(numbers.setdefault(s, len(numbers)) for s in sources)

        calls: dict[str, list[Call]] = {}
        for name, began, ended, before, after, shapes in sorted(self.raw, key=lambda r: r[1]):
            call = Call(
                began,
                ended,
                mask(before),
                mask(after),
                ids(before),
                ids(after),
                shapes,
                bool(after),
            )
            calls.setdefault(name, []).append(call)
        done = {name: tuple(found) for name, found in calls.items()}
        sources = _sources(output)
        total, ends = mask(sources), ids(sources)
        graph: dict[int, tuple[int, ...]] = {}
        start: set[int] = set()
        for node in memo:
            parents = [parent for parent, _ in node.next_functions if parent is not None]
            (number,) = ids([node])
            graph[number] = ids(parents)
            if getattr(node, "variable", None) is images:
                start.add(number)
        _, channels, height, width = images.shape
        size = (channels, height, width)
        return Trace(how, training, names, done, total, graph, frozenset(start), ends, size)


def _sources(value: object) -> list[Any]:
    """Autograd nodes (or leaf tensors that require a gradient) behind the tensors in ``value``."""
    found: list[Any] = []
    for tensor in tensors_in(value):
        if tensor.grad_fn is not None:
            found.append(tensor.grad_fn)
        elif tensor.requires_grad:
            found.append(tensor)
    return found


def _upstream(root: Node, bits: Mapping[int, int], memo: dict[Any, int]) -> int:
    """Parameters upstream of an autograd node, as a bit mask (iterative post-order walk)."""
    stack = [root]
    while stack:
        node = stack[-1]
        if node in memo:
            stack.pop()
            continue
        if node.name().endswith(_OPAQUE):
            raise NotImplementedError("reentrant activation checkpointing hides its parameters")
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        waiting = [parent for parent in parents if parent not in memo]
        if waiting:
            stack += waiting
            continue
        found = bits.get(id(getattr(node, "variable", None)), 0)
        for parent in parents:
            found |= memo[parent]
        memo[node] = found
        stack.pop()
    return memo[root]
