"""The trial of a cut: does prefix then tail give what the uncut model gives, bit for bit?"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.engine.freezing import freeze
from zoo.engine.freezing.trace import mode, tensors_in
from zoo.engine.prefix.tail import on_meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zoo.engine.freezing.plan import FreezePlan


class Trial:
    """Runs a model and its parts under equal conditions: mode, buffers, seed.

    Args:
        model: The whole model.
        plan: What is held in eval mode in training.
        path: The module at the cut.
        after: Whether the cut is its output; else its input.
        early: Modules that run before the cut.

    Attributes:
        outputs: What the early modules gave, on ``meta``, by path, one entry per call that came
            before the cut.
    """

    def __init__(
        self, model: nn.Module, plan: FreezePlan, path: str, *, after: bool, early: Iterable[str]
    ) -> None:
        self.model, self.plan = model, plan
        self.path, self.after = path, after
        self.outputs: dict[str, list[Any]] = {name: [] for name in early}
        self.device = next(model.parameters()).device
        self._buffers = {n: b.detach().clone() for n, b in model.named_buffers()}

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Put modes, buffers and random states back afterwards."""
        devices = [] if self.device.type == "cpu" else [self.device]
        kind = "cuda" if self.device.type == "cpu" else self.device.type
        with (
            torch.random.fork_rng(devices, device_type=kind),
            torch.no_grad(),
            torch.autocast(self.device.type, enabled=False),
            mode(self.model, training=False),
        ):
            try:
                yield
            finally:
                self._restore()

    def _restore(self) -> None:
        for name, buffer in self.model.named_buffers():
            buffer.copy_(self._buffers[name])

    def _begin(self, *, training: bool, seed: int) -> None:
        self._restore()
        for module in self.model.modules():
            module.training = training
        if training:
            freeze.hold(self.model, self.plan)
        torch.manual_seed(seed)

    def whole(
        self, images: Tensor, *, training: bool, seed: int
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Run the uncut model.

        Args:
            images: Normalised images (N, C, H, W).
            training: In train mode with the frozen part held, or in eval mode.
            seed: For what is random in it.

        Returns:
            The tensor at the cut, if it is one, and every output tensor.
        """
        self._begin(training=training, seed=seed)
        seen: list[Any] = []
        handles = [self._watch_cut(seen)]
        handles += [self._watch_early(name, seen) for name in self.outputs]
        for calls in self.outputs.values():
            calls.clear()
        try:
            given = self.model(images.clone())
        finally:
            for handle in handles:
                handle.remove()
        at_cut = seen[0] if len(seen) == 1 and isinstance(seen[0], Tensor) else None
        return at_cut, [t.clone() for t in tensors_in(given)]

    def _watch_cut(self, seen: list[Any]) -> Any:
        def keep(value: Any) -> None:
            # A copy: what follows may work in place.
            seen.append(value.detach().clone() if isinstance(value, Tensor) else value)

        module = self.model.get_submodule(self.path)
        if self.after:
            return module.register_forward_hook(lambda _m, _a, output: keep(output))
        return module.register_forward_pre_hook(lambda _m, args: keep(args[0] if args else None))

    def _watch_early(self, name: str, seen: list[Any]) -> Any:
        def record(_module: nn.Module, _args: object, output: object) -> None:
            if not seen:
                self.outputs[name].append(on_meta(output))

        return self.model.get_submodule(name).register_forward_hook(record)

    def behind(self, tail: nn.Module, given: Tensor, *, training: bool, seed: int) -> list[Tensor]:
        """Run the part behind the cut.

        Args:
            tail: That part.
            given: The tensor at the cut (N, ...).
            training: As in :meth:`whole`.
            seed: As in :meth:`whole`.
        """
        self._begin(training=training, seed=seed)
        return [t.clone() for t in tensors_in(tail(given.clone()))]

    def same(self, one: Tensor, other: Tensor) -> bool:
        """Equal bits (...) on the CPU; elsewhere up to what choosing another kernel changes."""
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if torch.equal(one, other):
            return True
        return self.device.type != "cpu" and torch.allclose(one, other, rtol=1e-4, atol=1e-5)
