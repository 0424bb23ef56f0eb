"""Which parameters feed a module: the cone of everything upstream of its output.

Answers come from a recorded forward pass (:mod:`zoo.engine.freezing.trace`), in eval mode first. A
module that only training calls (an auxiliary head) is looked for in a second pass in train
mode. A model that cannot be recorded at all is answered by the stage order that its plugin
declares; one that declares none is an error, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.engine.freezing.trace import Trace, record
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

    from zoo.core.specs import InputSpec, Stages


@dataclass(frozen=True, slots=True)
class Cone:
    """Everything upstream of some modules.

    Attributes:
        parameters: Parameters on a path into the outputs (canonical dotted names).
        modules: Modules whose every call lies upstream, parameters or not, outermost ones too.
        end: Clock value at which the last of the targets returned; -1 if nothing was called.
        how: ``meta``, a device, or ``declared order``.
        inclusive: Whether the targets themselves belong to it.
    """

    parameters: frozenset[str]
    modules: frozenset[str]
    end: int
    how: str
    inclusive: bool = True


class Tracer:
    """Records a model lazily (eval first, train only when needed) and answers for many targets.

    Args:
        model: Any module that maps one image batch (N, C, H, W) to tensors.
        expects: Its expected input; ``None`` tries usual sizes.
        stages: Declared stage order, used only if the model cannot be recorded at all.
    """

    def __init__(
        self, model: nn.Module, expects: InputSpec | None = None, *, stages: Stages = ()
    ) -> None:
        self.model = model
        self.expects = expects
        self.stages = stages
        self._traces: dict[bool, Trace] = {}
        self._failed: dict[bool, FreezeError] = {}

    def trace(self, *, training: bool = False) -> Trace:
        """The recorded pass in eval (or train) mode.

        Raises:
            FreezeError: The model does not run on an input of the declared size.
        """
        if training in self._failed:
            raise self._failed[training]
        if training not in self._traces:
            try:
                self._traces[training] = record(self.model, self.expects, training=training)
            except FreezeError as error:
                self._failed[training] = error
                raise
        return self._traces[training]

    def traces(self) -> Iterator[Trace]:
        """Passes that work, eval first; training is recorded only if it is asked for."""
        for training in (False, True):
            try:
                yield self.trace(training=training)
            except FreezeError:
                continue

    @property
    def how(self) -> str:
        """How the model was recorded: ``meta``, a device, or ``declared order``."""
        return next((trace.how for trace in self.traces()), "declared order")

    def cone(self, paths: Iterable[str], *, before: bool = False) -> Cone:
        """The cone of modules and parameters by dotted path.

        Args:
            paths: Module or parameter paths; their cones are united.
            before: Leave the targets' own parameters and modules out.

        Raises:
            FreezeError: A path does not exist, or nothing connects it with the input.
        """
        paths = tuple(paths)
        cones = [self._one(path, before=before) for path in paths]
        parameters = frozenset[str]().union(*(c.parameters for c in cones))
        modules = frozenset[str]().union(*(c.modules for c in cones))
        if before:
            parameters -= owned(self.model, paths)
            modules = frozenset(m for m in modules if not any(inside(m, p) for p in paths))
        end = max((c.end for c in cones), default=-1)
        return Cone(parameters, modules, end, cones[0].how if cones else "meta", not before)

    def _one(self, path: str, *, before: bool) -> Cone:
        parameters = canonical_parameters(self.model)
        if path in parameters:
            own = frozenset() if before else frozenset((parameters[path],))
            return Cone(own, frozenset(), -1, "meta")
        names = _called_names(self.model, path)
        for trace in self.traces():
            found = _cone_in(trace, names, before=before)
            if found is not None:
                return found
        first = self._failed.get(False)
        declared = self._declared(path, before=before)
        if declared is not None:
            return declared
        raise first or _never_called(self.model, path, self.trace())

    def _declared(self, path: str, *, before: bool) -> Cone | None:
        """The stages up to the one that lists ``path``, as the plugin declares them."""
        seen: list[str] = []
        for _, paths in self.stages:
            if path in paths:
                kept = tuple(seen) if before else (*seen, *paths[: paths.index(path) + 1])
                return Cone(owned(self.model, kept), frozenset(), -1, "declared order")
            seen += paths
        return None


def find_cone(
    model: nn.Module,
    paths: str | Iterable[str],
    expects: InputSpec | None = None,
    *,
    stages: Stages = (),
    before: bool = False,
) -> Cone:
    """Every parameter that feeds the output of the given modules.

    Args:
        model: Any module that maps one image batch (N, C, H, W) to tensors.
        paths: One or several dotted module or parameter paths.
        expects: Expected input of the model; ``None`` tries usual sizes.
        stages: Declared stage order, used only if the model cannot be run.
        before: Leave the targets' own parameters out.

    Raises:
        FreezeError: A path does not exist, or the model cannot be run and declares no order.
    """
    targets = (paths,) if isinstance(paths, str) else tuple(paths)
    return Tracer(model, expects, stages=stages).cone(targets, before=before)


def inside(name: str, path: str) -> bool:
    """Whether the dotted ``name`` is ``path`` or lies under it."""
    return name == path or name.startswith(f"{path}.") or not path


def canonical_parameters(model: nn.Module) -> dict[str, str]:
    """Every parameter path, shared ones under each of their paths -> the first path."""
    first = {id(p): name for name, p in model.named_parameters()}
    return {n: first[id(p)] for n, p in model.named_parameters(remove_duplicate=False)}


def owned(model: nn.Module, paths: Iterable[str]) -> frozenset[str]:
    """Canonical names of the parameters under module or parameter paths."""
    paths = tuple(paths)
    names = canonical_parameters(model)
    return frozenset(c for name, c in names.items() if any(inside(name, p) for p in paths))


def _called_names(model: nn.Module, path: str) -> tuple[str, ...]:
    """``path`` under the name that the recorder used (shared modules have several paths)."""
    try:
        target = model.get_submodule(path)
    except AttributeError:
        raise FreezeError(f"{path!r} is neither a module nor a parameter of the model") from None
    first = {id(module): name for name, module in model.named_modules()}
    return (
        first[id(target)],
        *(first[id(m)] for _, m in target.named_modules() if m is not target),
    )


def _cone_in(trace: Trace, names: tuple[str, ...], *, before: bool) -> Cone | None:
    """The cone of the first name if it was called, else of everything called under it."""
    calls = list(trace.calls.get(names[0], ()))
    if not calls:  # a ModuleList, or a container that the model slices: its members are called
        calls = [call for name in names[1:] for call in trace.calls.get(name, ())]
    if not calls or not any(call.traced for call in calls):
        return None
    found = 0
    for call in calls:
        found |= call.inputs if before else call.outputs
    end = max(call.start if before else call.end for call in calls)
    modules = frozenset(
        name
        for name, made in trace.calls.items()
        if name and all(c.end <= end and c.traced and not c.outputs & ~found for c in made)
    )
    return Cone(trace.named(found), modules, end, trace.how)


def _never_called(model: nn.Module, path: str, trace: Trace) -> FreezeError:
    parts = path.split(".")
    parents = (".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
    parent = next((p for p in parents if p in trace.calls), "")
    text = f"{path!r} is never called when the model runs, so nothing can be frozen up to it"
    if not owned(model, (path,)):
        return FreezeError(text)
    hint = f"name the module that uses its weights: {parent}" if parent else ""
    return FreezeError(text, hint=hint or f"freeze its own parameters alone: --freeze '{path}.*'")
