"""The layer whose maps say where a model looks: the deepest one whose places still count.

The model runs once, and every output that is a map of the image is remembered. Of the last stage
the output is taken, if what it says of the places reaches the answer. In a transformer that reads
its class token alone it does not: there the last norm layer before the attention is taken, through
which the class token looks at the patches.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.core.names import did_you_mean, suggest
from zoo.engine.evaluate import main_output
from zoo.engine.freezing.cone import Tracer, inside
from zoo.engine.freezing.stages import Layout, layout_of
from zoo.errors import FreezeError, UnknownNameError, UsageError
from zoo.explaining.gradcam import check_scores, plain
from zoo.explaining.maps import Grid, Layer, first_tensor, spatial

if TYPE_CHECKING:
    from zoo.core.specs import ModelSpec


@dataclass(frozen=True, slots=True)
class _Pass:
    """One pass: outputs by path, in the order in which modules returned, and the answer (N, K)."""

    outputs: dict[str, Tensor]
    found: dict[str, Layer]
    answer: Tensor

    def first_that_counts(self, paths: list[str]) -> str:
        """The first path on whose places the answer depends, tokens without a place left out."""
        hanging = [path for path in paths if self.outputs[path].requires_grad]
        if not (hanging and self.answer.requires_grad):
            return ""
        generator = torch.Generator().manual_seed(0)
        weights = torch.randn(self.answer.shape, generator=generator).to(self.answer)
        tensors = [self.outputs[path] for path in hanging]
        grads: tuple[Tensor | None, ...] = torch.autograd.grad(
            self.answer, tensors, weights, allow_unused=True, retain_graph=True
        )
        pairs = zip(hanging, grads, strict=True)
        return next((p for p, g in pairs if g is not None and self._maps(p, g).any()), "")

    def _maps(self, path: str, tensor: Tensor) -> Tensor:
        return self.found[path].spatial.maps(tensor)


def find_layer(
    model: nn.Module, images: Tensor, spec: ModelSpec | None = None, wanted: str | None = None
) -> Layer:
    """Choose the layer that is looked at.

    Args:
        model: In eval mode; gives ``(N, K)`` for images.
        images: A few images ``(N, C, H, W)`` as it is shown them.
        spec: Its registry entry, for the names of its stages.
        wanted: A module's path or a stage's name; ``None`` = the deepest that counts.

    Raises:
        UnknownNameError: The model has no such layer.
        UsageError: That layer, or every layer, gives no map of the image.
    """
    tracer = Tracer(model, spec.input if spec else None)
    try:
        layout = layout_of(tracer, spec)
    except FreezeError:  # it runs, but cannot be followed
        layout = Layout()
    done = _run(model, images)
    if wanted is None:
        return _deepest(model, done, layout)
    paths = layout.paths(wanted) or (wanted,)
    modules = dict(model.named_modules())
    if not set(paths) & set(modules):
        close = suggest(wanted, [*dict(layout.stages), *filter(None, modules)])
        text = f"the model has no layer {wanted!r}"
        hint = did_you_mean(close) or f"its stages are {', '.join(layout.names)}"
        raise UnknownNameError(text, hint=hint, suggestions=close)
    last = [path for path in done.outputs if path in paths][-1:]
    if last and last[0] in done.found:
        return done.found[last[0]]
    if not last:
        what = "is never called by itself"
    else:
        shape = ", ".join(map(str, done.outputs[last[0]].shape[1:]))
        what = f"gives (N, {shape}), which is no map of the image"
    raise UsageError(f"layer {wanted!r} {what}", hint=_other(model, done, layout))


def _other(model: nn.Module, done: _Pass, layout: Layout) -> str:
    try:
        return f"--layer {_deepest(model, done, layout).path}, or leave it out"
    except UsageError:
        return ""


def _deepest(model: nn.Module, done: _Pass, layout: Layout) -> Layer:
    stages = [*(paths for _, paths in layout.stages), layout.neck] if layout.stages else [("",)]
    deepest = ""
    for paths in reversed(stages):
        called = [p for p in reversed(done.outputs) if p and any(inside(p, s) for s in paths)]
        within = [path for path in called if path in done.found]
        deepest = deepest or next(iter(within), "")
        if best := done.first_that_counts(_candidates(model, done, called, within)):
            return done.found[best]
    if deepest:  # its answer is always the same
        return done.found[deepest]
    raise UsageError(
        f"no layer of {type(model).__name__} gives a map of the image",
        hint="Grad-CAM needs a layer with places: convolutions, or tokens of patches",
    )


def _candidates(model: nn.Module, done: _Pass, called: list[str], within: list[str]) -> list[str]:
    """Maps of a stage to try, the deepest first; of tokens, what a block or a norm layer gives."""
    if not within:
        return []
    inner = any(inside(within[0], path) for path in called if path != within[0])
    first = [] if inner else within[:1]
    modules = {path: model.get_submodule(path) for path in within[len(first) :]}
    return first + [
        path
        for path, module in modules.items()
        if done.found[path].spatial.axes != "NLC" or "norm" in type(module).__name__.lower()
    ]


def _run(model: nn.Module, images: Tensor) -> _Pass:
    """Run once, hanging on the images, whatever the parameters are."""
    outputs: dict[str, Tensor] = {}
    found: dict[str, Layer] = {}
    grids: list[Grid] = []
    lengths: set[int] = set()
    shown = (int(images.shape[-2]), int(images.shape[-1]))

    def ends(path: str) -> Any:
        def hook(module: nn.Module, _args: object, output: object) -> None:
            tensor = first_tensor(output)
            if tensor is None or isinstance(module, nn.RNNBase):
                return
            for table in (outputs, found):
                table.pop(path, None)  # a module that is called again: at its last place
            outputs[path] = tensor
            if tensor.ndim == 3:
                lengths.add(tensor.shape[1])
            how = spatial(tensor.shape, shown, grids)
            if how is None or (tensor.ndim == 4 and {*tensor.shape[2:]} <= lengths):
                return  # the latter is how much tokens attend to each other
            grids.append(how.grid)
            if len(tensor) == len(images):  # else of windows or heads
                found[path] = Layer(path, how)

        return hook

    with ExitStack() as stack:
        stack.enter_context(plain(model))
        for path, module in model.named_modules():
            stack.callback(module.register_forward_hook(ends(path)).remove)
        source = images.detach().clone().requires_grad_()
        answer = main_output(model(source.clone()))
    check_scores(model, answer)
    return _Pass(outputs, found, answer)
