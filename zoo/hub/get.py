"""``zoo pull``: anything that can be named, brought here and verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.core import names
from zoo.core.names import did_you_mean, suggest
from zoo.errors import UnknownNameError, UsageError, VerificationError
from zoo.hub.address import is_commit, without_secrets
from zoo.hub.ways import ways_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec, WeightsSpec
    from zoo.hub.stream import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What was pulled.

    Attributes:
        reference: As it was asked for, with its weights tag or revision.
        model: Model that the weights are of; empty = nobody says.
        path: The local safetensors file.
        bytes: Its size.
        sha256: Its digest.
        source: Where it came from.
        file: File inside the source.
        revision: Commit, for a Hub source.
        endpoint: Hub that served it.
        licence: Licence, if known.
        classes: Outputs of the head.
        notes: What a person should know, one line each.
    """

    reference: str
    path: Path
    bytes: int
    sha256: str
    source: str
    model: str = ""
    file: str = ""
    revision: str = ""
    endpoint: str = ""
    licence: str = ""
    classes: int | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


def find_weights(spec: ModelSpec, tag: str = "") -> WeightsSpec:
    """The weights of a tag; without one, the first.

    Raises:
        UnknownNameError: The model has no such weights.
        UsageError: The model has none at all.
    """
    if not spec.weights:
        raise UsageError(
            f"{spec.qualified} has no published weights", hint=f"zoo train {spec.qualified}"
        )
    for weights in spec.weights:
        if tag in ("", "default", weights.name):
            return weights
    tags = [w.name for w in spec.weights]
    close = suggest(tag, tags)
    raise UnknownNameError(
        f"{spec.qualified} has no weights {tag!r}",
        hint=did_you_mean(close) or f"it has {', '.join(tags)}",
        suggestions=close,
    )


def get(
    reference: str,
    registry: Registry,
    *,
    locked: bool = False,
    allow_pickle: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Got:
    """Fetch and verify what a reference names.

    Args:
        reference: ``resnet18[:tag]``, ``plugin/name[:tag]`` or ``hub:org/repo[@revision]``.
        registry: Where names are looked up.
        locked: Accept only what ``zoo lock`` has pinned.
        allow_pickle: Accept a pickle (read with ``weights_only``, converted once).
        progress: Called with (bytes so far, total or ``None``).
        note: Told about waits and retries, one line each.

    Raises:
        VerificationError: ``locked``, and it is not pinned.
        HubError: It cannot be fetched or verified.
        CheckpointError: It does not fit its model.
        UsageError: The reference is malformed.
    """
    parsed = names.parse(reference)
    if parsed.source == "hub":
        return _from_hub(reference, registry, locked, allow_pickle, progress, note)
    if parsed.source:
        raise UsageError(f"{reference!r} is here already", hint="zoo pull MODEL or hub:ORG/REPO")
    from zoo.hub.fetch import fetch_weights

    spec = registry.model(parsed.qualified)
    weights = find_weights(spec, parsed.weights)
    label = f"{spec.qualified}:{weights.name}"
    if locked:
        require_lock(label, weights)
    got = fetch_weights(
        weights,
        model=spec.qualified,
        progress=progress,
        note=note,
        allow_pickle=allow_pickle,
        ways=ways_to(spec.qualified),
    )
    return Got(
        reference=label,
        model=spec.qualified,
        path=got.path,
        bytes=got.path.stat().st_size,
        sha256=got.sha256,
        source=without_secrets(weights.source),
        file=got.file,
        revision=got.revision,
        endpoint=got.endpoint,
        licence=got.licence,
        classes=weights.classes,
        notes=got.notes,
    )


def require_lock(label: str, weights: WeightsSpec) -> None:
    """Refuse weights whose content is not pinned by a full digest and, on the Hub, a commit.

    Raises:
        VerificationError: They are not.
    """
    hub = weights.source.startswith("hub:")
    commit = is_commit(weights.revision) or is_commit(weights.source.partition("@")[2])
    if len(weights.sha256) != 64 or (hub and not commit):
        raise VerificationError(f"{label} is not locked", hint=f"zoo lock {label}")


def _from_hub(
    reference: str,
    registry: Registry,
    locked: bool,
    allow_pickle: bool,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> Got:
    from zoo.hub.fetch import fetch_hub

    pin = registry.pins.get(reference)
    if locked and pin is None:
        raise VerificationError(f"{reference} is not locked", hint=f"zoo lock {reference}")
    got = fetch_hub(
        reference,
        registry=registry,
        progress=progress,
        note=note,
        allow_pickle=allow_pickle,
        any_model=True,
        ways=ways_to(reference),
    )
    return Got(
        reference=reference,
        model=got.model,
        path=got.path,
        bytes=got.path.stat().st_size,
        sha256=got.sha256,
        source=f"hub:{got.repo}",
        file=got.file,
        revision=got.revision,
        endpoint=got.endpoint,
        licence=got.licence,
        classes=got.num_classes,
        notes=got.notes,
    )
