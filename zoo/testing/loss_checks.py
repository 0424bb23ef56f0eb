"""Questions about losses, metrics, optimizers and schedules.

Shapes: N images, K classes, D outputs, M targets of one image.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.core import registry
from zoo.core.protocols import Metric
from zoo.testing.checks import Check, Settings, blame, checks_of, require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.core.specs import (
        LossSpec,
        MetricSpec,
        OptimizerSpec,
        PartSpec,
        SchedulerSpec,
    )

_TOTAL = 20


def loss_checks(spec: LossSpec, settings: Settings) -> list[Check]:
    """Questions about one loss."""
    asked = [
        ("gives one number that can be differentiated", _is_differentiable),
        ("does not change what it is given", _leaves_inputs_alone),
    ]
    return checks_of(f"loss {spec.name}", spec, settings, asked)


def metric_checks(spec: MetricSpec, settings: Settings) -> list[Check]:
    """Questions about one metric."""
    asked = [("counts batch by batch and forgets on reset", _counts_in_pieces)]
    return checks_of(f"metric {spec.name}", spec, settings, asked)


def optimizer_checks(spec: OptimizerSpec, settings: Settings) -> list[Check]:
    """Questions about one optimizer."""
    asked = [
        ("lowers a loss", _lowers_a_loss),
        ("goes on from its saved state exactly", _resumes),
    ]
    return checks_of(f"optimizer {spec.name}", spec, settings, asked)


def scheduler_checks(spec: SchedulerSpec, settings: Settings) -> list[Check]:
    """Questions about one schedule."""
    asked = [("keeps the rate finite and resumes from its state", _schedules)]
    return checks_of(f"scheduler {spec.name}", spec, settings, asked)


def _cases(task: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs and targets of the shapes that a task may have."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(6, 4, generator=generator)
    if task != "regression":
        yield outputs, torch.arange(6) % 4
        yield outputs, torch.rand(6, 4, generator=generator).softmax(dim=1)
        yield outputs, (torch.rand(6, 4, generator=generator) > 0.5).float()
    if task != "classification":
        yield outputs, torch.randn(6, 4, generator=generator)
        yield outputs, torch.randn(6, 3, 4, generator=generator)
        yield outputs.sigmoid(), torch.rand(6, 4, generator=generator)


def _is_differentiable(spec: LossSpec, settings: Settings) -> None:
    del settings
    loss = registry.load().build("loss", spec.qualified)
    reasons: list[str] = []
    for outputs, targets in _cases(spec.task):
        own = outputs.clone().requires_grad_()
        try:
            value = loss(own, targets)
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
            continue
        require(isinstance(value, Tensor), f"it gives a {type(value).__name__}")
        require(value.shape == (), f"it gives a tensor {tuple(value.shape)}, not one number")
        require(bool(torch.isfinite(value)), f"it gives {value.item()} for ordinary outputs")
        require(value.requires_grad, "its value cannot be differentiated")
        value.backward()
        gradient = own.grad
        require(gradient is not None and gradient.abs().sum() > 0, "its gradient is zero")
        return
    raise blame(spec, f"takes none of the usual targets: {reasons[0] if reasons else ''}")


def _leaves_inputs_alone(spec: LossSpec, settings: Settings) -> None:
    del settings
    loss = registry.load().build("loss", spec.qualified)
    for outputs, targets in _cases(spec.task):
        before = outputs.clone(), targets.clone()
        try:
            loss(outputs, targets)
        except Exception:  # noqa: S112 - shapes that it does not take are asked elsewhere
            continue
        same = torch.equal(before[0], outputs) and torch.equal(before[1], targets)
        require(same, "it writes into its outputs or targets")


def _counts_in_pieces(spec: MetricSpec, settings: Settings) -> None:
    del settings
    metric = registry.load().build("metric", spec.qualified, classes=4)
    require(isinstance(metric, Metric), "it has no update, compute and reset")
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(24, 4, generator=generator)
    targets = torch.arange(24) % 4
    metric.update(outputs, targets)
    whole = _numbers(metric.compute())
    metric.reset()
    for start in (0, 5, 16):
        stop = {0: 5, 5: 16, 16: 24}[start]
        metric.update(outputs[start:stop], targets[start:stop])
    pieces = _numbers(metric.compute())
    require(whole.keys() == pieces.keys(), "it gives other names after a reset")
    apart = [
        key
        for key in whole
        if not math.isclose(whole[key], pieces[key], rel_tol=1e-5, abs_tol=1e-6)
    ]
    require(not apart, f"{', '.join(apart)}: whole and in pieces differ")


def _numbers(value: Any) -> dict[str, float]:
    if isinstance(value, Mapping):
        return {str(key): float(number) for key, number in value.items()}
    return {"value": float(value)}


def _problem() -> tuple[torch.nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    return model, torch.randn(64, 6), torch.randn(64, 2)


def _step(model: torch.nn.Module, optimizer: Any, x: Tensor, y: Tensor) -> float:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = (model(x) - y).square().mean()
        torch.autograd.backward(loss)
        return loss

    if "closure" in _needed(optimizer, "step"):
        return float(optimizer.step(closure))
    loss = closure()
    optimizer.step()
    return loss.item()


def _needed(found: Any, method: str) -> list[str]:
    """Arguments that a method cannot be called without."""
    import inspect

    parameters = inspect.signature(getattr(type(found), method)).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.name != "self"]


def _optimizer(spec: PartSpec, model: torch.nn.Module, lr: float = 0.01) -> Any:
    return registry.load().build("optimizer", spec.qualified, list(model.parameters()), lr=lr)


def _lowers_a_loss(spec: OptimizerSpec, settings: Settings) -> None:
    del settings
    with torch.random.fork_rng(devices=[]):
        model, x, y = _problem()
        optimizer = _optimizer(spec, model)
        losses = [_step(model, optimizer, x, y) for _ in range(30)]
    require(
        losses[-1] < losses[0], f"30 steps take a loss from {losses[0]:.3f} to {losses[-1]:.3f}"
    )


def _resumes(spec: OptimizerSpec, settings: Settings) -> None:
    del settings
    with torch.random.fork_rng(devices=[]):
        model, x, y = _problem()
        optimizer = _optimizer(spec, model)
        for _ in range(3):
            _step(model, optimizer, x, y)
        twin = copy.deepcopy(model)
        other = _optimizer(spec, twin)
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for _ in range(3):
            _step(model, optimizer, x, y)
            _step(twin, other, x, y)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    require(all(torch.equal(a, b) for a, b in pairs), "resumed from its state it goes elsewhere")


def _schedules(spec: SchedulerSpec, settings: Settings) -> None:
    del settings
    one, two = _rates(spec, stop=None), _rates(spec, stop=_TOTAL // 2)
    require(all(math.isfinite(r) and r >= 0 for r in one), f"its rates are {one}")
    require(one == two, "resumed from its state it gives other rates")


def _rates(spec: SchedulerSpec, stop: int | None) -> list[float]:
    """Rates over a whole schedule, put away and taken up again after ``stop`` steps."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    build = registry.load().build
    schedule = build("scheduler", spec.qualified, optimizer, total=_TOTAL)
    rates = []
    for step in range(_TOTAL):
        if step == stop:
            state, groups = schedule.state_dict(), optimizer.state_dict()
            optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
            schedule = build("scheduler", spec.qualified, optimizer, total=_TOTAL)
            optimizer.load_state_dict(groups)
            schedule.load_state_dict(state)
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        watching = _needed(schedule, "step")  # a plateau's steps look at a loss that stands still
        schedule.step(*[1.0] * len(watching))
    return rates
