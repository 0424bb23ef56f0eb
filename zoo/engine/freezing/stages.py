"""What the parts of a model are called: stem, stages, neck, head, auxiliary heads.

A plugin declares them; the names are then checked against the cones (:func:`problems`). A model
that declares nothing gets names that are worked out from its recorded forward pass: the children
of the container that does most of the work, grouped by the size of what they put out. Module
paths (``layer3.0``, ``features.5``) always work beside the names.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from zoo.core.names import suggest
from zoo.core.specs import Stages
from zoo.engine.freezing.cone import canonical_parameters, inside, owned
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.core.specs import ModelSpec
    from zoo.engine.freezing.cone import Tracer
    from zoo.engine.freezing.trace import Trace

_NUMBERED = re.compile(r"(?:stage|layer|block)_?(\d+)\Z")
_NUMBER = re.compile(r"(?<=[a-z])_?(\d+)\Z", re.IGNORECASE)
_HEADS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.LazyLinear, nn.Bilinear)


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the parts of one model.

    Attributes:
        stages: Ordered (alias, dotted paths), first executed first.
        neck: Paths between the last stage and the head.
        head: Path of the classifier's last layer; empty if there is none.
        aux: Paths of heads that only training uses.
        automatic: Worked out here instead of declared by the plugin.
    """

    stages: Stages = ()
    neck: tuple[str, ...] = ()
    head: str = ""
    aux: tuple[str, ...] = ()
    automatic: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that stands for a part, in order of execution."""
        neck = ("neck",) if self.neck else ()
        return (*(alias for alias, _ in self.stages), *neck, "backbone")

    def parts(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every part with its paths: stages, neck, head (under its path), auxiliary heads."""
        yield from self.stages
        if self.neck:
            yield "neck", self.neck
        if self.head:
            yield self.head, (self.head,)
        yield from ((path, (path,)) for path in self.aux)

    def paths(self, name: str) -> tuple[str, ...]:
        """Paths that an alias stands for, or ``()`` if it is none.

        ``stage3`` (also ``layer3``, ``block3``) means the stage with that number, whatever the
        model calls it.
        """
        table = dict(self.stages)
        if name in table:
            return table[name]
        if name == "neck":
            return self.neck
        if name == "head":
            return (self.head,) if self.head else ()
        match = _NUMBERED.match(name)
        if match is None:
            return ()
        same = [a for a in table if (m := _NUMBER.search(a)) and m[1] == match[1]]
        return table[same[0]] if len(same) == 1 else ()

    def resolve(self, model: nn.Module, name: str) -> tuple[str, ...]:
        """Paths of an alias, a module path or a parameter path.

        Raises:
            FreezeError: There is no such part; lists the stages and close module paths.
        """
        paths = self.paths(name)
        if paths:
            return paths
        modules = [m for m, _ in model.named_modules() if m]
        if name in modules or name in canonical_parameters(model):
            return (name,)
        known = ", ".join(self.names)
        if name == "neck":
            raise FreezeError("this model has no neck", hint=f"its stages are {known}")
        close = suggest(name, [*self.names, *modules])
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        raise FreezeError(
            f"the model has no stage or module {name!r}", hint=f"{meant}its stages are {known}"
        )


def layout_of(tracer: Tracer, spec: ModelSpec | None = None) -> Layout:
    """The declared layout, completed by what can be worked out.

    Args:
        tracer: The model, recorded when it is needed.
        spec: The model's registry entry, if it has one.

    Raises:
        FreezeError: Nothing is declared and the model cannot be run.
    """
    model = tracer.model
    head = spec.head if spec else ""
    if spec is not None and spec.stages:
        return Layout(spec.stages, spec.neck, head, spec.aux)
    head = head or guess_head(model, tracer.trace())
    aux = spec.aux if spec else ()
    neck = spec.neck if spec else ()
    return _automatic(tracer, Layout(neck=neck, head=head, aux=aux, automatic=True))


def guess_head(model: nn.Module, trace: Trace) -> str:
    """The last layer with weights that the whole output passes through, or an empty path."""
    last, found = -1, ""
    for name, calls in trace.calls.items():
        module = model.get_submodule(name)
        whole = calls[-1].outputs == trace.output
        if name and isinstance(module, _HEADS) and whole and calls[-1].end > last:
            last, found = calls[-1].end, name
    return found


def problems(tracer: Tracer, spec: ModelSpec) -> tuple[str, ...]:
    """What a declared layout gets wrong; empty if it is right.

    Checked: every path exists, stages are nested (the cone of each holds the one before), and
    every parameter lies in exactly one of stages, neck, head and auxiliary heads.

    Args:
        tracer: The model.
        spec: Its registry entry.
    """
    layout, model = Layout(spec.stages, spec.neck, spec.head, spec.aux), tracer.model
    names = canonical_parameters(model)
    modules = {m for m, _ in model.named_modules()}
    parts = list(layout.parts())
    missing = [p for _, ps in parts for p in ps if p not in modules and p not in names]
    if missing:
        return tuple(f"there is no module or parameter {path!r}" for path in missing)
    found: list[str] = []
    homes: dict[str, list[str]] = {name: [] for name in dict.fromkeys(names.values())}
    for label, paths in parts:
        for name in owned(model, paths):
            homes[name].append(label)
    for name, labels in homes.items():
        if len(labels) != 1:
            where = f"in {' and '.join(labels)}" if labels else "in no stage, neck, head or aux"
            found.append(f"parameter {name} is {where}")
    previous, upstream = "", frozenset[str]()
    for alias, paths in (*spec.stages, *((("neck", spec.neck),) if spec.neck else ())):
        cone = tracer.cone(paths).parameters
        if not upstream < cone:
            found.append(f"stage {alias} does not come after {previous}")
        if not owned(model, paths) <= cone:
            found.append(f"stage {alias} has parameters outside of its own cone")
        previous, upstream = alias, cone
    return tuple(found)


def _automatic(tracer: Tracer, layout: Layout) -> Layout:
    """Name the parts of an undeclared model, then place what was left over."""
    model, trace = tracer.model, tracer.trace()
    groups, late = _groups(model, trace, layout)
    stages: list[tuple[str, tuple[str, ...]]] = []
    upstream = 0
    for group in groups:
        mask = upstream
        for path in group:
            mask |= trace.calls[path][-1].outputs
        nested = upstream & ~trace.calls[group[-1]][-1].outputs == 0
        if stages and not nested:  # parallel branches are one stage
            stages[-1] = ("", (*stages[-1][1], *group))
        else:
            stages.append(("", group))
        upstream = mask
    simple = bool(stages) and all(not any(model.get_submodule(p).children()) for p in stages[0][1])
    stem = simple and len(stages) > 1
    named = [
        ("stem" if stem and i == 0 else f"stage{i + (not stem)}", paths)
        for i, (_, paths) in enumerate(stages)
    ]
    return _complete(tracer, dataclasses.replace(layout, stages=tuple(named), neck=late))


def _groups(
    model: nn.Module, trace: Trace, layout: Layout
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Units of work grouped by output size, and those behind the pooling (the neck)."""
    units = _units(model, trace, layout)
    sizes = [_size(trace, path) for path in units]
    spatial = [s for s in sizes if s]
    if len(set(spatial)) <= 2:  # plain stacks: no size tells stages apart, so each unit is one
        sizes = [(*s, i) if s or not spatial else s for i, s in enumerate(sizes)]
    neck = tuple(p for p, s in zip(units, sizes, strict=True) if not s)
    groups: list[tuple[str, ...]] = []
    last: tuple[int, ...] | None = None
    for path, size in zip(units, sizes, strict=True):
        if size and size == last:
            groups[-1] = (*groups[-1], path)
        elif size:
            groups.append((path,))
        last = size or last
    return groups, (*layout.neck, *neck)


def _units(model: nn.Module, trace: Trace, layout: Layout) -> list[str]:
    """Called modules with parameters, in order, that together do the work of the backbone."""
    skipped = tuple(p for p in (layout.head, *layout.aux, *layout.neck) if p)

    def members(path: str) -> list[str]:
        prefix = f"{path}." if path else ""
        module = model.get_submodule(path)
        return [prefix + n for n, c in module.named_children() if any(True for _ in c.parameters())]

    def leaves(path: str) -> int:
        return sum(
            1
            for name in trace.calls
            if inside(name, path)
            and not any(inside(name, s) for s in skipped)
            and next(model.get_submodule(name).parameters(recurse=False), None) is not None
        )

    def expand(path: str) -> list[str]:
        if any(inside(path, s) for s in skipped):
            return []
        holds_skipped = any(inside(s, path) for s in skipped)
        if path in trace.calls and not holds_skipped:
            return [path]
        return [unit for child in members(path) for unit in expand(child)]

    units = [u for child in members("") for u in expand(child)]
    while True:
        units.sort(key=lambda path: trace.calls[path][0].start)
        count = sum(map(leaves, units))
        big = max(units, key=leaves, default="")
        inner = [u for child in members(big) for u in expand(child)] if big else []
        wrapper = len(units) == len(inner) == 1
        few = len([u for u in units if _size(trace, u)] or units) <= 4  # a head may have many
        dominates = len(inner) > 1 and few and leaves(big) * 2 > count
        if not (wrapper or dominates):
            return units
        units = [u for u in units if u != big] + inner


def _size(trace: Trace, path: str) -> tuple[int, ...]:
    """What tells stages apart: the spatial size or number of tokens put out; ``()`` for (N, D)."""
    shapes = trace.calls[path][-1].shapes
    shape = shapes[0] if shapes else ()
    if len(shape) == 4:
        # Channels-first (N, C, H, W) and channels-last (N, H, W, C) maps are both square here.
        return shape[2:] if shape[2] == shape[3] else shape[1:3]
    return shape[1:2] if len(shape) == 3 else ()


def _complete(tracer: Tracer, layout: Layout) -> Layout:
    """Give parameters that no part lists (a class token) to the first stage that they feed."""
    model, trace = tracer.model, tracer.trace()
    listed = owned(model, [path for _, paths in layout.parts() for path in paths])
    stages = [(alias, list(paths)) for alias, paths in layout.stages]
    neck = list(layout.neck)
    unused: list[str] = []
    for name in dict.fromkeys(canonical_parameters(model).values()):
        if name in listed:
            continue
        bit = trace.mask((name,))
        homes = (
            paths
            for _, paths in stages
            if any(bit & call.outputs for p in paths for call in trace.calls.get(p, ()))
        )
        next(homes, neck if bit & trace.output else unused).append(name)
    aux = (*layout.aux, *_topmost(model, frozenset(unused)))
    done = tuple((alias, tuple(paths)) for alias, paths in stages)
    return dataclasses.replace(layout, stages=done, neck=tuple(neck), aux=aux)


def _topmost(model: nn.Module, names: frozenset[str]) -> tuple[str, ...]:
    """The outermost modules whose parameters are all among ``names``, and single parameters."""
    found: list[str] = []
    for name in sorted(names):
        parts = name.split(".")
        ways = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        found.append(next(way for way in ways if owned(model, (way,)) <= names))
    return tuple(dict.fromkeys(found))
