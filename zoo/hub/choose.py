"""Which registered model do a repository's tensors belong to? Answered from the header alone.

A timm name may be a built-in's of the same tensors (resnet, densenet): the built-in is taken
where everything fits, timm's own model where the plugin is installed, else it is an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo.errors import CheckpointError, UnknownNameError
from zoo.hub import fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.core.metadata import Header
    from zoo.core.registry import Registry
    from zoo.hub.layouts import Layout


def choose(
    registry: Registry,
    layout: Layout,
    header: Header,
    *,
    wanted: str = "",
    what: str,
    any_model: bool = False,
) -> tuple[str, Layout]:
    """Find the registered model that a repository's tensors fit.

    Args:
        registry: Where models are looked up.
        layout: What the repository says.
        header: What its weights are.
        wanted: Model that was asked for; empty = the one that the repository names.
        what: The repository, for messages.
        any_model: Accept a repository that nothing here can build; it is noted.

    Returns:
        The model's qualified name, and the layout with the head's size filled in.

    Raises:
        CheckpointError: The tensors do not fit, or nobody says which model it is.
        UnknownNameError: No plugin here has the architecture.
    """
    try:
        names = _candidates(registry, layout, wanted)
        if not names:
            raise _unnamed(registry, layout, what)
    except (UnknownNameError, CheckpointError) as error:
        if not any_model or wanted:
            raise
        return "", replace(layout, notes=(*layout.notes, str(error)))
    found = named(fit.shapes(header.tensors), layout.rename, layout.tied)
    first: CheckpointError | None = None
    for name in names:
        try:
            return _fitting(registry, layout, found, name, what)
        except CheckpointError as error:
            first = first or error
    assert first is not None
    raise first


def named(
    values: Mapping[str, Any], rename: Mapping[str, str], tied: Mapping[str, str]
) -> dict[str, Any]:
    """Values under the model's names.

    Args:
        values: Name in the file -> anything.
        rename: Name in the file -> name in the model, where they differ.
        tied: Name that the file leaves out -> name in the file of the same tensor.
    """
    whole = {**values, **{name: values[kept] for name, kept in tied.items() if kept in values}}
    return {rename.get(name, name): value for name, value in whole.items()}


def _candidates(registry: Registry, layout: Layout, wanted: str) -> list[str]:
    """Models that could be meant, best first; a timm name may be a built-in's of the same tensors."""
    if wanted:
        return [registry.model(wanted).qualified]
    name = layout.architecture
    names = [name, f"timm/{name}"] if layout.kind == "timm" else [name]
    if layout.kind == "timm" and layout.options:
        names.reverse()  # its own options mean nothing to a built-in
    shelf = registry.shelf("model")
    if layout.kind in ("zoo",) and name:
        return [registry.model(name).qualified]
    return [n for n in names if n in shelf]


def _unnamed(registry: Registry, layout: Layout, what: str) -> Exception:
    if layout.kind == "timm":
        try:
            registry.model(f"timm/{layout.architecture}")
        except UnknownNameError as error:
            return UnknownNameError(
                f"{what} is timm's {layout.architecture}, which no plugin here has",
                hint=error.hint or "pip install zoo-timm",
            )
    if layout.architecture:
        return CheckpointError(
            f"{what} is a {layout.kind} {layout.architecture}, which zoo cannot build",
            hint=f"if you know the model: zoo finetune MODEL --weights {what}",
        )
    return CheckpointError(
        f"{what} does not say which model it is of", hint=f"zoo finetune MODEL --weights {what}"
    )


def _fitting(
    registry: Registry, layout: Layout, found: Mapping[str, tuple[int, ...]], name: str, what: str
) -> tuple[str, Layout]:
    spec = registry.model(name)
    if layout.info is not None and layout.info.surgery:
        return spec.qualified, layout  # its head was changed on purpose; the engine rebuilds it
    head = found.get(f"{spec.head}.weight") if spec.head else None
    count = head[0] if head else layout.num_classes
    options = layout.options if layout.kind in ("zoo", "timm") else {}
    expected = fit.expected_shapes(registry, name, num_classes=count, options=options)
    lacking = layout.kind == "timm" and f"timm/{layout.architecture}" not in registry.shelf("model")
    fit.require(
        fit.compare(found, expected),
        what=what,
        model=spec.qualified,
        hint="pip install zoo-timm, which builds timm's own model" if lacking else "",
    )
    classes = layout.classes if not count or len(layout.classes) == count else ()
    said: tuple[str, ...] = ()
    if layout.classes and not classes:
        said = (f"{len(layout.classes)} labels for {count} outputs: the labels are left out",)
    return spec.qualified, replace(
        layout, num_classes=count, classes=classes, options=options, notes=(*layout.notes, *said)
    )
