"""Cutting a model at the edge of its frozen part, so that the frozen part runs once per image.

A place to cut is a tensor: the output of a module before the edge, or the input of one behind it.
It has to hold that

- everything upstream of it is frozen for the whole run and held in eval mode,
- the model's output depends on the image only through it (in train mode too, where auxiliary
  heads run), which is read off the recorded graph,
- nothing random or batch-dependent lies before it.

Candidates are tried from the latest on, and a candidate counts only after a trial on the real
model: prefix then tail must give the uncut model's outputs bit for bit, in train and in eval
mode, and other images in the batch must not change what an image gives at the cut.
So a ``forward`` that the graph does not show completely (values taken out of tensors, functional
dropout) is found out, and the model is run uncut, with the reason in :attr:`Cut.why`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from zoo.engine.freezing.cone import Tracer, inside
from zoo.engine.freezing.proof import digest
from zoo.engine.freezing.trace import Trace
from zoo.engine.prefix.fused import fused
from zoo.engine.prefix.point import Point, candidates, early_modules, folds, upstream
from zoo.engine.prefix.tail import (
    GivenInput,
    GivenOutput,
    ReachedError,
    Skipped,
    Slot,
    StopAfter,
    StopBefore,
    Tail,
    rebuild,
)
from zoo.engine.prefix.trial import Trial
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from zoo.core.specs import InputSpec
    from zoo.engine.freezing.plan import FreezePlan

_IMAGES = 2
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A model in two parts, or the reason why it stays in one.

    Attributes:
        model: The whole model.
        why: Why it is not cut; empty if it is.
        point: Where it is cut.
        shape: Shape at the cut for one image.
        dtype: Its type in fp32 arithmetic.
        image: Shape of one image (C, H, W).
        skipped: Modules before the cut with what their calls give, on ``meta``.
        mixed: Those among them that are called behind the cut as well.
        upstream: Parameters before the cut.
        folds: (convolution, batch norm) pairs before the cut that can be made one.
        bare: Containers on the way use their buffers before the cut only.
        trace: The recorded pass that it was read off.
        others: Places behind the same parameters, latest first, this one included.
    """

    model: nn.Module
    why: str = ""
    point: Point | None = None
    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32
    image: tuple[int, int, int] = (0, 0, 0)
    skipped: Mapping[str, list[Any]] = field(default_factory=dict)
    mixed: frozenset[str] = frozenset()
    upstream: frozenset[str] = frozenset()
    folds: tuple[tuple[str, str], ...] = ()
    bare: bool = False
    trace: Trace | None = field(default=None, repr=False)
    others: tuple[Point, ...] = field(default=(), repr=False)

    @property
    def possible(self) -> bool:
        """Whether the model is cut."""
        return self.point is not None

    @property
    def map(self) -> bool:
        """Whether a map (C, H, W) of more than one place is at the cut."""
        return len(self.shape) == 3 and min(self.shape[1:]) > 1

    def prefix(self, *, fold: bool = False) -> Prefix:
        """The part before the cut.

        Args:
            fold: Make convolutions and the batch norms behind them one: faster, equal up to
                rounding.
        """
        return Prefix(self, self.folds if fold else ())

    def tail(self, model: nn.Module | None = None) -> Tail:
        """The part behind the cut.

        Args:
            model: An equal model (an averaged copy) to take it from; default: the one cut.
        """
        assert self.point is not None, self.why
        model = self.model if model is None else model
        modules, slot = dict(model.named_modules()), Slot()
        replaced: dict[str, nn.Module] = {
            path: Skipped(modules[path], outputs, _IMAGES, slot, rest=path in self.mixed)
            for path, outputs in self.skipped.items()
        }
        target = modules[self.point.path]
        replaced[self.point.path] = (
            GivenOutput(target, slot) if self.point.after else GivenInput(target, slot)
        )
        return Tail(model, replaced, self.upstream, slot, self.image, bare=self.bare)

    def digest(self) -> str:
        """sha256 of everything that decides what the prefix gives: place, structure, numbers."""
        assert self.point is not None, self.why
        found = hashlib.sha256(f"{self.point} {self.shape} {self.image}\n".encode())
        for path, module in self.model.named_modules():
            if any(inside(path, p) for p in (*self.skipped, self.point.path)):
                found.update(f"{path} {type(module).__qualname__} {module.extra_repr()}\n".encode())
            elif not (self.bare and inside(self.point.path, path)):
                continue
            for name, buffer in module.named_buffers(recurse=False):
                found.update(f"{path}.{name} {digest(buffer)}\n".encode())
        for name, parameter in self.model.named_parameters():
            if name in self.upstream:
                found.update(f"{name} {digest(parameter)}\n".encode())
        return found.hexdigest()


class Prefix:
    """The part of a model before the cut, in eval mode, without gradients.

    Args:
        cut: Where.
        folds: (convolution, batch norm) pairs to make one.
    """

    def __init__(self, cut: Cut, folds: tuple[tuple[str, str], ...] = ()) -> None:
        assert cut.point is not None, cut.why
        self.cut = cut
        modules = dict(cut.model.named_modules())
        replaced: dict[str, nn.Module] = {}
        for conv, norm in folds:
            replaced[conv] = _folded(modules[conv], modules[norm])
            replaced[norm] = nn.Identity()
        path = cut.point.path
        target = modules[path]
        if cut.point.after:
            under = {k[len(path) + 1 :]: v for k, v in replaced.items() if inside(k, path)}
            own = under.pop("", None) or (
                rebuild(target, under, made=_in_eval) if under else target
            )
            replaced = {k: v for k, v in replaced.items() if not inside(k, path)}
            replaced[path] = StopAfter(own)
        else:
            replaced[path] = StopBefore(target)
        self.body = rebuild(cut.model, replaced, made=_in_eval)
        early = (*cut.skipped, *((path,) if cut.point.after else ()))
        self._shared = [m for n, m in modules.items() if any(inside(n, e) for e in early)]
        self._fused: nn.Module | None = None

    @torch.no_grad()
    def fuse(self, images: Tensor) -> bool:
        """Have convolutions do what follows them from now on, under bf16 autocast on a processor.

        Args:
            images: Normalised images (N, C, H, W) to try it on.

        Returns:
            Whether it can be done (:mod:`zoo.engine.prefix.fused`).
        """
        with self._in_eval():
            self._fused = fused(self.body, images)
        return self._fused is not None

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Run the prefix.

        Args:
            images: Normalised images (N, C, H, W).

        Returns:
            The tensor at the cut (N, ...).
        """
        with self._in_eval():
            if self._fused is not None:
                found: Tensor = self._fused(images)
                return found
            try:
                self.body(images)
            except ReachedError as reached:
                found = reached.value
                return found.detach()
        raise RuntimeError(f"the forward ended without reaching {self.cut.point}")

    @contextmanager
    def _in_eval(self) -> Iterator[None]:
        """Shared layers in eval mode: between train() and hold(), or where only others are held."""
        training = [module for module in self._shared if module.training]
        for module in training:
            module.training = False
        try:
            yield
        finally:
            for module in training:
                module.training = True


def cut(model: nn.Module, plan: FreezePlan, expects: InputSpec, *, maps: bool = False) -> Cut:
    """Cut a model at the edge of what its plan freezes for the whole run.

    Nothing about the model changes: modes and buffers are put back after the trial.

    Args:
        model: The model, with the plan applied, on its device.
        plan: Its freeze plan.
        expects: Its input (C, H, W).
        maps: Of the places behind the last parameter that is frozen, take the last one with a
            map instead of the last one, if there is one: in front of the pooling, for a head.
    """
    final = plan.later[-1] if plan.later else plan
    frozen = frozenset(plan.ever_frozen)
    if not frozen:
        return Cut(model=model, why="nothing stays frozen for the whole run")
    if final.frozen_bn != "eval" and final.norms:
        said = "move" if final.frozen_bn == "update" else "are followed by scales that train"
        return Cut(model=model, why=f"statistics of the frozen batch norms {said}")
    tracer = Tracer(model, expects)
    try:
        points = list(candidates(tracer, final, frozen))
    except FreezeError as error:
        return Cut(model=model, why=str(error))
    why = "no single tensor separates the frozen part from the rest"
    trace = tracer.trace()
    for point in points[:_TRIES]:
        try:
            made = _tried(model, final, expects, trace, point)
        except _RefusedError as refused:
            why = f"{point}: {refused}"
            continue
        same = [p for p in points if upstream(trace, p) == upstream(trace, point)]
        made = dataclasses.replace(made, trace=trace, others=tuple(same))
        return with_map(made, plan, expects) if maps else made
    return Cut(model=model, why=why)


def with_map(made: Cut, plan: FreezePlan, expects: InputSpec) -> Cut:
    """The last place behind the same parameters that has a map; the same cut if none has.

    Args:
        made: A cut of this plan.
        plan: The model's freeze plan.
        expects: Its input (C, H, W).
    """
    final = plan.later[-1] if plan.later else plan
    if made.map or made.trace is None:
        return made
    for point in made.others:
        if point == made.point:
            continue
        try:
            found = _tried(made.model, final, expects, made.trace, point)
        except _RefusedError:
            continue
        if found.map:
            return dataclasses.replace(found, trace=made.trace, others=made.others)
    return made


def _in_eval(_old: nn.Module, new: nn.Module) -> None:
    new.training = False


class _RefusedError(Exception):
    """A trial of a cut did not hold."""


def _tried(
    model: nn.Module, plan: FreezePlan, expects: InputSpec, trace: Trace, point: Point
) -> Cut:
    """Cut there and prove on random images that nothing changes."""
    early = early_modules(model, trace, point)
    trial = Trial(model, plan, point.path, after=point.after, early=early)
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(_IMAGES + 1, *expects.size, generator=generator).to(trial.device, dtype)
    images, other = drawn[:_IMAGES], drawn[[0, *range(2, _IMAGES + 1)]]
    with trial.undisturbed():
        try:
            at_cut, outputs = trial.whole(images, training=False, seed=1)
            in_train, trained = trial.whole(images, training=True, seed=1)
        except Exception as error:  # any model, any failure
            text = str(error).partition("\n")[0]
            raise _RefusedError(f"the model does not run on {expects.size}: {text}") from error
        if at_cut is None or in_train is None or len(at_cut) != _IMAGES:
            raise _RefusedError("it is not a tensor with one entry per image")
        if not trial.same(at_cut, in_train):
            raise _RefusedError("something before it is random or differs in train mode")
        made = Cut(
            model=model,
            point=point,
            shape=tuple(at_cut.shape[1:]),
            dtype=at_cut.dtype,
            image=expects.size,
            skipped=dict(trial.outputs),
            mixed=frozenset(p for p in early if trace.calls[p][-1].end > point.clock),
            upstream=trace.named(upstream(trace, point)),
            folds=folds(model, trace, point, plan),
        )
        return _proved(
            made, trial, (images, other), {False: (at_cut, outputs), True: (at_cut, trained)}
        )


def _proved(
    made: Cut,
    trial: Trial,
    batches: tuple[Tensor, Tensor],
    known: Mapping[bool, tuple[Tensor, list[Tensor]]],
) -> Cut:
    """Compare the two parts with the whole."""
    (images, other), at_cut, prefix = batches, known[False][0], made.prefix()
    if not trial.same(prefix(images.clone()), at_cut):
        raise _RefusedError("the prefix alone gives something else")
    if not torch.allclose(prefix(other.clone())[0], at_cut[0], rtol=1e-3, atol=1e-4):
        raise _RefusedError("something before it mixes the images of a batch")
    if made.folds:
        folded = made.prefix(fold=True)(images.clone())
        if not torch.allclose(folded, at_cut, rtol=1e-2, atol=1e-3 * float(at_cut.abs().max())):
            made = dataclasses.replace(made, folds=())
    reason = ""
    for bare in (False, True):
        made = dataclasses.replace(made, bare=bare)
        try:
            tail = made.tail()
            for training, (given, expected) in known.items():
                got = trial.behind(tail, given, training=training, seed=1)
                if len(got) != len(expected) or not all(map(trial.same, got, expected)):
                    raise _RefusedError("the parts together give something else")
        except _RefusedError:
            raise
        except Exception as error:  # a forward fails on meta tensors in its own way
            reason = f"what follows needs something else from before it ({_first_line(error)})"
        else:
            return made
    raise _RefusedError(reason)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:120] or type(error).__name__


def _folded(conv: nn.Module, norm: nn.Module) -> nn.Module:
    """One convolution that does what a convolution and its batch norm do in eval mode."""
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    new = rebuild(conv, {})
    new._parameters = {"weight": _frozen(weight), "bias": _frozen(bias)}
    return new


def _frozen(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach(), requires_grad=False)
