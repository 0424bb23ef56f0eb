"""What a freeze request names: stage names, module paths and globs, as parameter names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from zoo.core.names import suggest
from zoo.core.unfreezing import parse_unfreeze_at
from zoo.engine.freezing.cone import Cone, Tracer, canonical_parameters, inside, owned
from zoo.engine.freezing.held import norm_layers
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from zoo.core.recipe import FreezePart
    from zoo.engine.freezing.stages import Layout


class FreezeRequest:
    """One request on one model.

    Args:
        tracer: The model.
        layout: Its named parts.
        part: The request.
    """

    def __init__(self, tracer: Tracer, layout: Layout, part: FreezePart) -> None:
        self.tracer = tracer
        self.model = tracer.model
        self.layout = layout
        self.part = part
        self.parameters = canonical_parameters(self.model)
        self.cones: list[Cone] = []
        self.affine = frozenset[str]()

    def frozen(self) -> frozenset[str]:
        """Everything that is frozen at the start; also sets ``cones`` and ``affine``.

        Raises:
            FreezeError: A name or a glob matches nothing, or nothing is frozen.
        """
        part = self.part
        if part.upto and part.before:
            raise FreezeError("freeze up to and before were both given", hint="give one of them")
        if not (part.upto or part.before or part.freeze):
            raise FreezeError(
                "nothing is frozen, so there is nothing to unfreeze or hold",
                hint=f"add --freeze-upto {self.layout.names[0]}",
            )
        names = self._cone(part.upto) if part.upto else frozenset[str]()
        if part.before:
            names |= self._cone(part.before, before=True)
        for pattern in part.freeze:
            names |= self.match(pattern, "--freeze")
        if not names:
            raise FreezeError(
                f"no parameter comes before {part.before or part.upto}, so nothing would be frozen",
                hint=f"the stages are {', '.join(self.layout.names)}",
            )
        # What the model's author keeps fixed stays fixed unless it is unfrozen by name.
        names |= self.fixed()
        for pattern in part.unfreeze:
            names -= self.match(pattern, "--unfreeze")
        norms = [name for name, _ in norm_layers(self.model)]
        self.affine = owned(self.model, norms) & names if norms else frozenset()
        return names - self.affine if part.frozen_bn == "affine" else names

    def fixed(self) -> frozenset[str]:
        """What the model's author keeps fixed."""
        return frozenset(n for n, p in self.model.named_parameters() if not p.requires_grad)

    def _cone(self, target: str, *, before: bool = False) -> frozenset[str]:
        if target == "backbone" and before:
            raise FreezeError("nothing comes before the backbone", hint="--freeze-upto backbone")
        if target == "backbone":
            return self.backbone()
        paths = self.layout.resolve(self.model, target)
        self.cones.append(self.tracer.cone(paths, before=before))
        own = frozenset[str]() if before else self._own(paths)
        return self.cones[-1].parameters | own

    def later(self, frozen: frozenset[str]) -> list[tuple[int, frozenset[str]]]:
        """Frozen names from each epoch on at which something starts to train.

        Raises:
            FreezeError: A target matches nothing, or is not frozen at that time.
        """
        wanted: dict[int, list[str]] = {}
        for text in self.part.unfreeze_at:
            epoch, target = parse_unfreeze_at(text)
            wanted.setdefault(epoch, []).append(target)
        phases = []
        for epoch in sorted(wanted):
            for target in wanted[epoch]:
                released = self.match(target, "--unfreeze-at") & frozen
                if not released:
                    raise FreezeError(
                        f"--unfreeze-at {epoch}:{target}: it is not frozen at that time",
                        hint="name a part that the freeze flags freeze",
                    )
                frozen -= released
            phases.append((epoch, frozen))
        return phases

    def match(self, pattern: str, flag: str) -> frozenset[str]:
        """Parameters of a stage name, a module path or an anchored glob.

        Raises:
            FreezeError: It matches nothing.
        """
        if pattern == "backbone":
            return self.backbone()
        paths = self.layout.paths(pattern)
        if not paths:
            modules = [name for name, _ in self.model.named_modules() if name]
            known = (*self.parameters, *modules, *self.layout.names)
            matched = [name for name in known if fnmatchcase(name, pattern)]
            paths = tuple(p for name in matched for p in self.layout.paths(name) or (name,))
        found = self._own(paths) if paths else frozenset[str]()
        if not found:
            close = suggest(pattern.rstrip(".*"), [*self.layout.names, *self.parameters])
            parts = ", ".join(close or self.layout.names)
            raise FreezeError(f"{flag} {pattern!r} matches no parameter", hint=f"try {parts}")
        return found

    def _own(self, paths: tuple[str, ...]) -> frozenset[str]:
        """Parameters under paths; auxiliary heads only if a path lies inside one."""
        named = owned(self.model, paths)
        aux = [a for a in self.layout.aux if not any(inside(p, a) for p in paths)]
        return named - owned(self.model, aux) if aux else named

    def backbone(self) -> frozenset[str]:
        """Everything but the head and the auxiliary heads."""
        heads = [p for p in (self.layout.head, *self.layout.aux) if p]
        return frozenset(self.parameters.values()) - owned(self.model, heads)
