"""A model without its frozen beginning, and the frozen beginning alone.

Both are built from the model's own modules, not traced: any Python ``forward`` works. Containers
on the way to what is replaced are copied (the container object only), everything else is shared,
so the optimizer, hold and state_dict of the whole model keep working on the tail.

In the tail, the model's own ``forward`` runs from its first line, but what happens before the cut
happens on the ``meta`` device: the image is a meta tensor, modules before the cut give meta
tensors of the recorded shapes at once, and functional operations between them compute nothing.
At the cut the given tensor comes in. Had anything behind the cut used something from before it,
it would meet a meta tensor and fail loudly; :mod:`zoo.engine.prefix.cut` tries that before use.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Slot:
    """Where the tensor that enters at the cut waits for the module that gives it out."""

    def __init__(self) -> None:
        self.value: Tensor | None = None
        self.images = 0

    def take(self) -> Tensor:
        """Hand the tensor (N, ...) out, once per forward.

        Raises:
            RuntimeError: It was handed out already.
        """
        value, self.value = self.value, None
        if value is None:
            raise RuntimeError("the cut is passed more than once")
        return value


class StandIn(nn.Module, ABC):
    """Abstract: takes a module's place; attributes that it lacks are looked up on that module."""

    def __init__(self, stands_for: nn.Module) -> None:
        super().__init__()
        self.__dict__["stands_for"] = stands_for  # not a child: its parameters are not ours

    @abstractmethod
    def forward(self, *args: Any, **options: Any) -> Any:
        """Do what stands in the module's place."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["stands_for"], name)


class GivenOutput(StandIn):
    """Gives the waiting tensor as the module's output."""

    def __init__(self, stands_for: nn.Module, slot: Slot) -> None:
        super().__init__(stands_for)
        self.slot = slot

    def forward(self, *args: Any, **options: Any) -> Tensor:
        """Give the tensor (N, ...)."""
        del args, options
        return self.slot.take()


class GivenInput(StandIn):
    """Runs the module on the waiting tensor instead of its first argument."""

    def __init__(self, inner: nn.Module, slot: Slot) -> None:
        super().__init__(inner)
        self.inner, self.slot = inner, slot

    def forward(self, *args: Any, **options: Any) -> Any:
        """Run the module on (N, ...)."""
        return self.inner(self.slot.take(), *args[1:], **options)


class Skipped(StandIn):
    """A module before the cut: gives meta tensors of recorded shapes.

    Args:
        stands_for: The module.
        outputs: What its calls gave for ``images`` images, on ``meta``, one entry per call.
        images: Number of images at that time.
        slot: Knows how many images there are now.
        rest: Whether calls behind the cut follow; those run the module itself.
    """

    def __init__(
        self, stands_for: nn.Module, outputs: list[Any], images: int, slot: Slot, *, rest: bool
    ) -> None:
        super().__init__(stands_for)
        self.outputs, self.images, self.slot = outputs, images, slot
        self.rest = stands_for if rest else None
        self.position = 0
        self._sized: dict[int, list[Any]] = {}

    def forward(self, *args: Any, **options: Any) -> Any:
        """Give the next recorded output, or run the module behind the cut."""
        position, self.position = self.position, self.position + 1
        if position >= len(self.outputs):
            assert self.rest is not None
            return self.rest(*args, **options)
        count = self.slot.images
        if count not in self._sized:
            self._sized[count] = [resized(o, self.images, count) for o in self.outputs]
        return self._sized[count][position]


class ReachedError(Exception):
    """Not an error: carries the tensor at the cut out of the forward that is not finished."""

    def __init__(self, value: Any) -> None:
        super().__init__("the cut is reached")
        self.value = value


class StopAfter(StandIn):
    """Runs the module and ends the forward with its output."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.inner = inner

    def forward(self, *args: Any, **options: Any) -> None:
        """Run, then leave."""
        raise ReachedError(self.inner(*args, **options))


class StopBefore(StandIn):
    """Ends the forward with the module's first argument."""

    def forward(self, *args: Any, **options: Any) -> None:
        """Leave."""
        del options
        raise ReachedError(args[0])


class Tail(nn.Module):
    """What is behind the cut: (N, ...) at the cut to what the whole model gives.

    Args:
        model: The whole model.
        replaced: Module path -> what stands in its place.
        upstream: Parameters that only the part before the cut uses.
        slot: Where the given tensor waits.
        image: Shape of one image (C, H, W).
        bare: Containers on the way lose their buffers as well (used before the cut only).
    """

    def __init__(
        self,
        model: nn.Module,
        replaced: Mapping[str, nn.Module],
        upstream: frozenset[str],
        slot: Slot,
        image: tuple[int, int, int],
        *,
        bare: bool = False,
    ) -> None:
        super().__init__()
        self.slot, self.image, self.bare = slot, image, bare
        self._pairs: list[tuple[nn.Module, nn.Module]] = []
        self._skips = [m for m in replaced.values() if isinstance(m, Skipped)]
        owners = {name.rpartition(".")[0] for name in upstream}
        body = rebuild(model, replaced, also=owners, made=self._made)
        self._drop(model, upstream)
        self.body = body
        self.training = model.training
        self._blank: dict[int, Tensor] = {}

    def _made(self, old: nn.Module, new: nn.Module) -> None:
        self._pairs.append((old, new))

    def _drop(self, model: nn.Module, upstream: frozenset[str]) -> None:
        """Turn the containers' own upstream tensors into plain meta attributes."""
        names = {id(module): path for path, module in model.named_modules()}
        for old, new in self._pairs:
            prefix = f"{names[id(old)]}." if names[id(old)] else ""
            for key in [k for k in new._parameters if f"{prefix}{k}" in upstream]:
                _plain(new, key, new._parameters.pop(key))
            for key in list(new._buffers) if self.bare else ():
                _plain(new, key, new._buffers.pop(key))

    def train(self, mode: bool = True) -> Tail:
        """Set the mode; the whole model's containers follow, since the copies mirror them."""
        super().train(mode)
        for old, _ in self._pairs:
            old.training = mode
        return self

    def forward(self, given: Tensor) -> Any:
        """Run behind the cut.

        Args:
            given: The tensor at the cut (N, ...).
        """
        for old, new in self._pairs:
            new.training = old.training
        for skip in self._skips:
            skip.position = 0
        count = len(given)
        if count not in self._blank:
            self._blank[count] = torch.empty((count, *self.image), device="meta")
        self.slot.value, self.slot.images = given, count
        try:
            return self.body(self._blank[count])
        finally:
            self.slot.value = None


def rebuild(
    model: nn.Module,
    replaced: Mapping[str, nn.Module],
    *,
    also: Iterable[str] = (),
    made: Callable[[nn.Module, nn.Module], None] = lambda _old, _new: None,
) -> nn.Module:
    """The model with some modules replaced; containers on the way are copied, the rest is shared.

    Args:
        model: Stays as it is.
        replaced: Module path -> what stands in its place (under all of its paths).
        also: Paths of further modules to copy.
        made: Told about each (container, copy).
    """
    modules = dict(model.named_modules())
    swap = {id(modules[path]): new for path, new in replaced.items()}
    forced = {id(modules[path]) for path in also if path in modules}
    done: dict[int, nn.Module] = {}

    def visit(module: nn.Module, *, root: bool = False) -> nn.Module:
        if id(module) in swap:
            return swap[id(module)]
        if id(module) in done:
            return done[id(module)]
        children = {k: c if c is None else visit(c) for k, c in module._modules.items()}
        same = all(children[k] is c for k, c in module._modules.items())
        new = module
        if not same or root or id(module) in forced:
            new = _shallow(module, children)
            made(module, new)
        done[id(module)] = new
        return new

    return visit(model, root=True)


def _shallow(module: nn.Module, children: dict[str, nn.Module | None]) -> nn.Module:
    """A copy of the module object alone, with other children."""
    new = module.__class__.__new__(module.__class__)
    tables = {
        "_modules": children,
        "_parameters": dict(module._parameters),
        "_buffers": dict(module._buffers),
    }
    new.__dict__.update({**module.__dict__, **tables})
    return new


def _plain(module: nn.Module, key: str, value: Tensor | None) -> None:
    blank = None if value is None else torch.empty_like(value, device="meta", requires_grad=False)
    module.__dict__[key] = blank


def on_meta(value: Any) -> Any:
    """The same structure with every tensor as an empty one on ``meta``."""
    return _mapped(value, lambda t: torch.empty_like(t, device="meta", requires_grad=False))


def resized(value: Any, before: int, now: int) -> Any:
    """The same structure with the first axis scaled from ``before`` images to ``now``."""

    def scale(tensor: Tensor) -> Tensor:
        if not tensor.ndim or tensor.shape[0] % before:
            return tensor
        return tensor.new_empty((tensor.shape[0] // before * now, *tensor.shape[1:]))

    return _mapped(value, scale)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(item, change) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, change) for item in value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: _mapped(getattr(value, f.name), change) for f in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **fields)
    return value
