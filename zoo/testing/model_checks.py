"""Questions about a model: it is what its registry entry says, and trains, saves and ships.

Shapes: N images, K outputs.
"""

from __future__ import annotations

import copy
import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.recipe import FreezePart, SurgeryPart
from zoo.engine import surgery
from zoo.engine.freezing import freeze, proof
from zoo.engine.freezing.cone import Tracer, owned
from zoo.engine.freezing.stages import problems
from zoo.engine.freezing.trace import tensors_in
from zoo.errors import UsageError
from zoo.testing.checks import Check, Settings, Skip, checks_of, require

if TYPE_CHECKING:
    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec

_BATCH = 3


def model_checks(spec: ModelSpec, settings: Settings) -> list[Check]:
    """Questions about one model; large ones are only built on the meta device."""
    subject = f"model {spec.name}"
    asked = [*_ON_META]
    if not spec.params or spec.params <= settings.max_params:
        asked += _ON_CPU
        asked += [
            (f"exports to {name} and computes the same", functools.partial(_exports, name))
            for name in settings.exports
        ]
    return checks_of(subject, spec, settings, asked)


def _built(reference: str) -> nn.Module:
    return _kept(registry.load(), reference)


@functools.lru_cache(maxsize=1)
def _kept(known: Registry, reference: str) -> nn.Module:
    """The model from seed 0; the last one is kept, since its questions come in a row."""
    del known  # another registry may mean another model by this name
    return build(reference, 0)


def build(reference: str, seed: int, **options: Any) -> nn.Module:
    """Build a model from a seed, without leaving a trace in the random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = registry.load().build("model", reference, **options)
    require(isinstance(found, nn.Module), f"its target gave a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _model(spec: ModelSpec) -> nn.Module:
    return copy.deepcopy(_built(spec.qualified))


def _images(spec: ModelSpec, count: int = _BATCH) -> Tensor:
    if spec.input is None:
        raise Skip("it declares no input")
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, *spec.input.size, generator=generator)


def _declares_input(spec: ModelSpec, settings: Settings) -> None:
    del settings
    hint = "[model.input] with size = [3, 224, 224]"
    require(spec.input is not None, "it does not say what input it expects", hint=hint)
    assert spec.input is not None
    channels = spec.input.size[0]
    for name, values in (("mean", spec.input.mean), ("std", spec.input.std)):
        require(len(values) in (0, channels), f"{name} has {len(values)} values, not {channels}")


def _builds_on_meta(spec: ModelSpec, settings: Settings) -> None:
    del settings
    try:
        with torch.device("meta"):
            model = build(spec.qualified, 0)
    except (NotImplementedError, RuntimeError) as error:
        if spec.params and spec.params > 50_000_000:
            raise
        raise Skip(f"it computes with its weights while it is built ({error})") from error
    _has_params(spec, model)


def _has_params(spec: ModelSpec, model: nn.Module) -> None:
    count = sum(parameter.numel() for parameter in model.parameters())
    require(spec.params is not None, "it does not say its size", hint=f"params = {count}")
    require(spec.params == count, f"it has {count} parameters, declared are {spec.params}")


def _builds(spec: ModelSpec, settings: Settings) -> None:
    del settings
    _has_params(spec, _built(spec.qualified))


def _any_classes(spec: ModelSpec, settings: Settings) -> None:
    del settings
    if spec.task != "classification":
        raise Skip(f"its task is {spec.task}")
    with torch.device("meta"):
        model = build(spec.qualified, 0, num_classes=7)
    width = getattr(_head(spec, model), "out_features", None) or getattr(
        _head(spec, model), "out_channels", None
    )
    require(width == 7, f"with num_classes=7 its head has {width} outputs")


def _head(spec: ModelSpec, model: nn.Module) -> nn.Module:
    require(spec.head, "it does not name its head", hint='head = "fc"')
    try:
        return model.get_submodule(spec.head)
    except AttributeError as error:
        raise UsageError(f"it has no module {spec.head!r}, its declared head") from error


def _is_declared_right(spec: ModelSpec, settings: Settings) -> None:
    del settings
    if not spec.stages:
        raise Skip("it declares no stages: their names are worked out")
    with torch.device("meta"):
        model = build(spec.qualified, 0)
    found = problems(Tracer(model, spec.input, stages=spec.stages), spec)
    require(not found, "; ".join(found[:3]), hint="stages, neck, head and aux in its entry")


def _sizes_are_right(spec: ModelSpec, settings: Settings) -> None:
    """Parameters by stage, neck, aux and head, where the entry states them."""
    del settings
    if not spec.stage_params:
        raise Skip("it does not state the sizes of its stages")
    with torch.device("meta"):
        model = build(spec.qualified, 0)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    groups = {"neck": spec.neck, "aux": spec.aux, "head": (spec.head,), **dict(spec.stages)}
    for name, declared in spec.stage_params.items():
        require(name in groups, f"it states the size of {name!r}, which it does not have")
        count = sum(sizes[each] for each in owned(model, groups[name]))
        require(count == declared, f"{name} has {count} parameters, declared are {declared}")


def _answers_alike(spec: ModelSpec, settings: Settings) -> None:
    """Batch 1 and batch N give the same rows, and nothing is infinite."""
    del settings
    model, images = _model(spec).eval(), _images(spec)
    with torch.inference_mode():
        whole = model(images)
        single = model(images[:1])
    require(isinstance(whole, Tensor), f"in eval mode it gives a {type(whole).__name__}")
    require(whole.shape[0] == _BATCH, f"{_BATCH} images give {tuple(whole.shape)}")
    if spec.task == "classification" and spec.classes:
        require(whole.shape == (_BATCH, spec.classes), f"it gives {tuple(whole.shape)}")
    require(bool(torch.isfinite(whole).all()), "some outputs are not finite")
    gap = (whole[:1] - single).abs().max().item()
    allowed = 1e-4 * max(whole.abs().max().item(), 1e-6)
    require(gap <= allowed, f"an image alone and in a batch differ by {gap:.1e}")


def _evaluates_quietly(spec: ModelSpec, settings: Settings) -> None:
    """Two passes in eval mode are equal and change no buffer."""
    del settings
    model, images = _model(spec).eval(), _images(spec)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        first, second = model(images), model(images)
    require(torch.equal(first, second), "two passes in eval mode differ")
    moved = [n for n, v in model.state_dict().items() if not _equal(before[n], v)]
    require(not moved, f"a pass in eval mode changes {', '.join(moved[:3])}")


def _is_seeded(spec: ModelSpec, settings: Settings) -> None:
    del settings
    one, two = _built(spec.qualified).state_dict(), build(spec.qualified, 0).state_dict()
    differ = [name for name in one if not _equal(one[name], two[name])]
    hint = "take random numbers from torch's global generator only"
    require(not differ, f"the same seed gives another {', '.join(differ[:3])}", hint=hint)


def _learns_everywhere(spec: ModelSpec, settings: Settings) -> None:
    """Every trainable parameter gets a finite gradient in train mode."""
    del settings
    model = _model(spec).train()
    torch.manual_seed(0)
    outputs = model(_images(spec))
    # Random directions: a plain sum is blind to whatever normalises.
    torch.autograd.backward([(t * torch.randn_like(t)).sum() for t in tensors_in(outputs)])
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    missing = [name for name, p in trainable if p.grad is None]
    require(not missing, f"no gradient reaches {', '.join(missing[:3])}")
    wild = [n for n, p in trainable if p.grad is not None and not torch.isfinite(p.grad).all()]
    require(not wild, f"the gradient of {', '.join(wild[:3])} is not finite")


def _survives_saving(spec: ModelSpec, settings: Settings) -> None:
    del settings
    from safetensors.torch import load_file, save_file

    model, other = _model(spec), build(spec.qualified, 1)
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        save_file(state, Path(folder, "w.safetensors"))
        other.load_state_dict(load_file(Path(folder, "w.safetensors")), strict=True)
    loaded = other.state_dict()
    differ = [name for name, value in model.state_dict().items() if not _equal(value, loaded[name])]
    require(not differ, f"not bit for bit: {', '.join(differ[:3])}")
    images = _images(spec)
    with torch.inference_mode():
        same = torch.equal(model.eval()(images), other.eval()(images))
    require(same, "with the same state_dict it computes something else: state outside of it?")


def _takes_a_new_head(spec: ModelSpec, settings: Settings) -> None:
    del settings
    model = _model(spec)
    if not spec.head or not (_trains(spec) or surgery.is_bare(model, spec)):
        raise Skip("it has no head" if not spec.head else f"its task is {spec.task}")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = surgery.operate(model, spec, SurgeryPart(classes=7))
    with torch.inference_mode():
        outputs = model.eval()(_images(spec))
    require(outputs.shape == (_BATCH, 7), f"seven classes give {tuple(outputs.shape)}")
    kept = {n: v for n, v in model.state_dict().items() if n not in report.fresh}
    moved = [n for n, v in kept.items() if n not in before or not _equal(before[n], v)]
    require(not moved, f"changing the head also changed {', '.join(moved[:3])}")


def _trains(spec: ModelSpec) -> bool:
    return spec.task in ("classification", "regression")


def _stays_frozen(spec: ModelSpec, settings: Settings) -> None:
    """Frozen up to its middle stage, a training step moves nothing of it."""
    del settings
    if len(spec.stages) < 2:
        raise Skip("it declares fewer than two stages")
    if not _trains(spec):
        raise Skip(f"its task is {spec.task}")
    model = _model(spec)
    target = spec.stages[(len(spec.stages) - 1) // 2][0]
    plan = freeze.plan_freeze(model, spec, FreezePart(upto=target))
    freeze.apply(model, plan)
    before = proof.take(model, plan)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    freeze.hold(model.train(), plan)
    torch.manual_seed(0)
    outputs = model(_images(spec))
    torch.autograd.backward([tensor.square().sum() for tensor in tensors_in(outputs)])
    optimizer.step()
    result = proof.check(before, model, plan)
    require(result.ok, f"frozen up to {target}, yet {result.line}")


def _exports(name: str, spec: ModelSpec, settings: Settings) -> None:
    del settings
    from zoo.exporting import write

    images = _images(spec, 2)
    info = CheckpointInfo(model=spec.qualified, input=spec.input)
    with tempfile.TemporaryDirectory() as folder:
        try:
            write(_model(spec), name, Path(folder), info=info, example=images)
        except UsageError as error:
            if "not installed" in error.message:
                raise Skip(error.message) from error
            raise


def _equal(one: Tensor, two: Tensor) -> bool:
    """Bit for bit, so that a NaN equals itself."""
    return (
        one.dtype == two.dtype
        and one.shape == two.shape
        and torch.equal(one.contiguous().view(torch.uint8), two.contiguous().view(torch.uint8))
        if one.ndim
        else one.dtype == two.dtype and torch.equal(one, two)
    )


_ON_META = [
    ("says what input it expects", _declares_input),
    ("builds on the meta device with the declared size", _builds_on_meta),
    ("its head takes any number of classes", _any_classes),
    ("its declared stages, neck, head and aux are the real ones", _is_declared_right),
    ("its stages have the declared sizes", _sizes_are_right),
]
_ON_CPU = [
    ("builds with the declared size", _builds),
    ("the same seed builds the same weights", _is_seeded),
    ("answers one image as it answers it in a batch", _answers_alike),
    ("evaluates the same twice and changes nothing", _evaluates_quietly),
    ("gradients reach every trainable parameter", _learns_everywhere),
    ("its weights survive safetensors bit for bit", _survives_saving),
    ("takes a new head", _takes_a_new_head),
    ("stays frozen where it is frozen", _stays_frozen),
]
