"""Changing a model's ends: its head, its last layer, its first convolution.

Every change is made in place, keeps the module's path (so stage names, freezing and state_dict
keys elsewhere stay valid), and is reported in words together with the parameters that are newly
initialised. New layers take torch's default initialisation from a seed of their own, so the
result does not depend on what ran before.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from zoo.engine.freezing.cone import Tracer, inside
from zoo.engine.freezing.stages import guess_head
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from zoo.core.recipe import SurgeryPart
    from zoo.core.specs import ModelSpec

Head = nn.Linear | nn.Conv2d


@dataclass(frozen=True, slots=True)
class SurgeryReport:
    """What was changed.

    Attributes:
        head: Path of the head (a projection and an identity keep it), or empty.
        changes: One sentence per change; empty if the model is as it was.
        fresh: Parameters that are newly initialised.
        outputs: Width of the output: classes, or features (N, D); ``None`` if nobody asked.
    """

    head: str
    changes: tuple[str, ...]
    fresh: tuple[str, ...]
    outputs: int | None


def operate(
    model: nn.Module,
    spec: ModelSpec | None,
    part: SurgeryPart,
    *,
    classes: int | None = None,
    seed: int = 0,
) -> SurgeryReport:
    """Fit the model's ends to the task, in place.

    Args:
        model: The model with its weights loaded.
        spec: Its registry entry; ``None`` looks for the head and first convolution itself.
        part: What to change.
        classes: Classes that the data has; ``part.classes`` if that is given.
        seed: Seed of the new layers' initialisation.

    Raises:
        UsageError: The model's ends are not of a kind that can be changed, or the request
            contradicts itself.
    """
    wanted = part.classes or classes
    if part.project and wanted and part.project[-1] != wanted:
        raise UsageError(
            f"the projection ends in {part.project[-1]} outputs but there are {wanted} classes",
            hint=f"--project {','.join(map(str, (*part.project[:-1], wanted)))}",
        )
    changes: list[str] = []
    if part.in_channels:
        changes += _adapt_input(Tracer(model, spec.input if spec else None), part.in_channels)
    path = spec.head if spec else ""
    if not (wanted or part.project or part.drop_last or part.reset_head):
        return SurgeryReport(path, tuple(changes), (), None)
    path = path or guess_head(model, Tracer(model).trace())
    head, old = _head_at(model, path, spec)
    if not (part.project or part.drop_last or part.reset_head or wanted != old):
        return SurgeryReport(path, tuple(changes), (), old)
    if not old and part.drop_last and not part.project:  # it has none to drop
        return SurgeryReport(path, tuple(changes), (), _width(head))
    with torch.random.fork_rng(devices=[]):  # drawn on the CPU, so equal on every device
        torch.manual_seed(seed)
        new, text, outputs = _new_head(head, part, wanted or _width(head))
        further = _further_heads(model, spec, old, part)
        if part.drop_last and not part.project:
            _check_alike([(path, head), *further])
        _replace(model, path, new)
        replaced, said = [path], [f"{path}: {text if old else 'added, ' + _say(new)}"]
        for inner, layer in further:
            other = _like(layer, outputs) if part.project or not part.drop_last else nn.Identity()
            _replace(model, inner, other)
            replaced.append(inner)
            said.append(f"{inner}: {_say(layer)} -> {_say(other)}")
    for name in _parents(path):
        module = model.get_submodule(name)
        if getattr(module, "num_classes", None) == old:
            setattr(module, "num_classes", outputs)  # noqa: B010 - a plain number, not a tensor
    fresh = tuple(n for n, _ in model.named_parameters() if any(inside(n, p) for p in replaced))
    return SurgeryReport(path, (*changes, *said), fresh, outputs)


def is_bare(model: nn.Module, spec: ModelSpec) -> bool:
    """Whether an identity stands where the registry entry says that the head is."""
    modules = dict(model.named_modules())
    return bool(spec.head) and isinstance(modules.get(spec.head), nn.Identity)


def _head_at(model: nn.Module, path: str, spec: ModelSpec | None) -> tuple[Head, int]:
    """The head, or one that would fit where an identity holds its place; and its outputs (or 0)."""
    if not path:
        raise UsageError(
            f"cannot tell which layer of {type(model).__name__} is its head",
            hint='declare it in the registry entry: head = "fc"',
        )
    try:
        head = model.get_submodule(path)
    except AttributeError:
        raise UsageError(f"the model has no head at {path!r}") from None
    if isinstance(head, nn.Identity):
        return _in_its_place(model, path, spec), 0
    if isinstance(head, nn.Linear | nn.Conv2d):
        return head, _width(head)
    raise UsageError(
        f"the head {path} is a {type(head).__name__}; only Linear and Conv2d heads are replaced",
        hint="build the model with the right number of classes by its own options",
    )


def _in_its_place(model: nn.Module, path: str, spec: ModelSpec | None) -> nn.Linear:
    """A layer that takes the features (N, D) that pass an identity."""
    calls = Tracer(model, spec.input if spec else None).trace().calls.get(path, ())
    shapes = {shape[1:] for call in calls for shape in call.shapes}
    if len(shapes) != 1 or len(*shapes) != 1:
        given = ", ".join(f"(N, {', '.join(map(str, shape))})" for shape in shapes) or "nothing"
        raise UsageError(
            f"the model has no head, and {path} is given {given}, not features (N, D)",
            hint="an option of its own may pool them (zoo info); timm: "
            "--set model.options.global_pool=avg",
        )
    like = next(model.parameters(), torch.empty(0))
    ((width,),) = shapes
    return nn.Linear(width, width, device=like.device, dtype=like.dtype)


def _new_head(head: Head, part: SurgeryPart, outputs: int) -> tuple[nn.Module, str, int]:
    """The layer in place of ``head``, what happened in words, and its width."""
    if part.project:
        layers: list[nn.Module] = [_like(head, part.project[0])]
        for before, after in pairwise(part.project):
            layers += [nn.ReLU(), _like(head, after, width=before)]
        words = " ReLU ".join(_say(layer) for layer in layers[::2])
        return nn.Sequential(*layers), f"{_say(head)} -> {words}", part.project[-1]
    if part.drop_last:
        width = _inputs(head)
        words = f"{_say(head)} dropped, the model gives features (N, {width})"
        return nn.Identity(), words, width
    new = _like(head, outputs)
    return new, f"{_say(head)} -> {_say(new)}", outputs


def _like(head: Head, outputs: int, *, width: int | None = None) -> Head:
    """A new layer of the same kind; ``width`` inputs means that it follows another new one."""
    bias, dtype = head.bias is not None, head.weight.dtype
    if isinstance(head, nn.Linear):
        new: Head = nn.Linear(width or head.in_features, outputs, bias=bias, dtype=dtype)
    elif width:
        new = nn.Conv2d(width, outputs, 1, bias=bias, dtype=dtype)
    else:
        inputs, kernel = head.in_channels, head.kernel_size
        new = nn.Conv2d(inputs, outputs, (kernel[0], kernel[1]), bias=bias, dtype=dtype)
        new.stride, new.padding, new.dilation = head.stride, head.padding, head.dilation
    return new.to(head.weight.device)


def _replace(model: nn.Module, path: str, new: nn.Module) -> None:
    model.set_submodule(path, new.train(model.get_submodule(path).training))


def _parents(path: str) -> list[str]:
    steps = path.split(".")
    return [".".join(steps[:n]) for n in range(len(steps))]


def _width(head: Head) -> int:
    return head.out_features if isinstance(head, nn.Linear) else head.out_channels


def _inputs(head: Head) -> int:
    return head.in_features if isinstance(head, nn.Linear) else head.in_channels


def _check_alike(heads: list[tuple[str, Head]]) -> None:
    """Refuse to drop heads whose outputs the model adds up where their inputs differ in width."""
    if len({_inputs(head) for _, head in heads}) > 1:
        said = ", ".join(f"{path} {_inputs(head)}" for path, head in heads)
        raise UsageError(
            f"the model adds up what its heads give, and they take features of several widths: {said}",
            hint="leave --drop-last out, or put layers of one width in their place: --project N",
        )


def _say(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return f"Linear({layer.in_features}, {layer.out_features})"
    if isinstance(layer, nn.Conv2d):
        return f"Conv2d({layer.in_channels}, {layer.out_channels})"
    return type(layer).__name__


def _further_heads(
    model: nn.Module, spec: ModelSpec | None, old: int, part: SurgeryPart
) -> list[tuple[str, Head]]:
    """The last layer of each further head that gives as many outputs as the head did.

    Without the last layer only those matter whose outputs are averaged with the head's.
    """
    if not (spec and spec.aux and old):
        return []
    called: Collection[str] = ()
    if part.drop_last and not part.project:
        called = Tracer(model, spec.input).trace().calls
    modules = dict(model.named_modules())
    found: list[tuple[str, Head]] = []
    for aux in spec.aux:
        layers = [
            (name, module)
            for name, module in modules.items()
            if inside(name, aux)
            and isinstance(module, nn.Linear | nn.Conv2d)
            and _width(module) == old
            and (name in called or part.project or not part.drop_last)
        ]
        found += layers[-1:]
    return found


def _adapt_input(tracer: Tracer, channels: int) -> list[str]:
    """Make every convolution on the image take ``channels``, its weights kept.

    One channel: the weights of the old ones are summed, so a grey image gives what it gave as
    three equal channels. More: they are repeated in turn and scaled to the same total.
    """
    model, changes = tracer.model, list[str]()
    shown = tracer.trace().size[0]
    for name in _on_image(tracer):
        layer = model.get_submodule(name)
        if not isinstance(layer, nn.Conv2d) or layer.groups > 1:
            kind = "a grouped convolution" if isinstance(layer, nn.Conv2d) else _say(layer)
            raise UsageError(
                f"the first layer {name} is {kind}: its input channels cannot be changed",
                hint="only ungrouped Conv2d inputs can; see the model's own options (zoo info)",
            )
        old = layer.in_channels
        if old != shown:
            raise UsageError(
                f"the first layer {name} takes {old} channels, which the model makes of the "
                f"image's {shown}: they cannot be changed",
                hint="see the model's own options (zoo info)",
            )
        if old == channels:
            continue
        weight, before = layer.weight.detach(), _on_grey(layer)
        if channels == 1:
            new = weight.float().sum(dim=1, keepdim=True)
        else:
            turn = torch.arange(channels, device=weight.device) % old
            new = weight.float()[:, turn] * (old / channels)
        layer.weight = nn.Parameter(new.to(weight.dtype), requires_grad=layer.weight.requires_grad)
        layer.in_channels = channels
        how = "summed" if channels == 1 else "repeated and scaled"
        same = weight.is_meta or torch.allclose(_on_grey(layer), before, rtol=1e-2, atol=1e-3)
        if channels == 1 and not same:
            how += " (it scales them itself, so grey images give other numbers than before)"
        changes.append(f"{name}: {old} -> {channels} input channels, weights {how}")
    for name, module in model.named_modules():
        if changes and getattr(module, "transform_input", False) is True:
            setattr(module, "transform_input", False)  # noqa: B010 - a plain flag
            changes.append(f"{name or 'model'}: transform_input off (it needs 3 channels)")
    return changes


@torch.no_grad()
def _on_grey(layer: nn.Conv2d) -> torch.Tensor:
    """What a convolution gives (1, K, H, W) for one grey image in as many channels as it takes."""
    height, width = (
        2 * size * step for size, step in zip(layer.kernel_size, layer.dilation, strict=True)
    )
    like = layer.weight
    image = torch.linspace(-1, 1, height * width, device=like.device, dtype=like.dtype).sin()
    found: torch.Tensor = layer(
        image.view(1, 1, height, width).expand(1, layer.in_channels, -1, -1)
    )
    return found


def _on_image(tracer: Tracer) -> list[str]:
    """Called leaf layers with parameters whose input is the image itself."""
    model, trace = tracer.model, tracer.trace()
    found = [
        name
        for name, calls in trace.calls.items()
        if any(trace.shows_image(call) for call in calls)
        and not any(True for _ in model.get_submodule(name).children())
        and any(True for _ in model.get_submodule(name).parameters())
    ]
    if not found:
        raise UsageError("no layer of the model takes the image itself, so its channels stay")
    return found
