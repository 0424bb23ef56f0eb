"""``zoo lock``: weights held at one commit and one digest, written into a registry overlay.

Names of the registry become ``[[model]] / [[model.weights]]`` entries that add revision, digest,
size and licence to what is declared; ``hub:`` references become ``[[pin]]`` entries. Comments
and order of the file are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zoo.core import names, settings
from zoo.core.manifest import SCHEMA, read_table
from zoo.core.registry import builtin_path
from zoo.errors import HubError, UsageError
from zoo.hub.address import Address, is_commit, parse_address
from zoo.hub.files import write_atomically
from zoo.hub.ways import ways_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tomlkit.items import AoT

    from zoo.core.registry import Registry
    from zoo.core.specs import WeightsSpec
    from zoo.hub.stream import Progress

FIELDS: Final = ("revision", "file", "sha256", "bytes", "licence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One pin.

    Attributes:
        reference: ``resnet18:imagenet1k_v1`` or ``hub:org/repo@v1``.
        source: Where it comes from.
        revision: Commit, for a Hub source.
        file: File inside the source.
        sha256: Digest of what is downloaded.
        bytes: Its size.
        licence: Licence, if stated.
        before: Commit or digest that it was pinned at before; empty = new.
    """

    reference: str
    source: str
    revision: str = ""
    file: str = ""
    sha256: str = ""
    bytes: int | None = None
    licence: str = ""
    before: str = ""

    @property
    def state(self) -> str:
        """``new``, ``same`` or ``moved``."""
        if not self.before:
            return "new"
        return "same" if self.before == (self.revision or self.sha256) else "moved"

    def entries(self) -> dict[str, Any]:
        """The keys that are written, empty ones left out."""
        return {key: getattr(self, key) for key in FIELDS if getattr(self, key)}


def overlay_path() -> Path:
    """The overlay that pins are written to: the last of ``ZOO_REGISTRY``, else ``./registry.toml``.

    Raises:
        UsageError: The folder's registry.toml is the catalogue itself.
    """
    import os

    named = [p for p in os.environ.get("ZOO_REGISTRY", "").split(os.pathsep) if p]
    path = Path(named[-1]) if named else Path("registry.toml")
    if path.exists() and path.samefile(builtin_path()):
        raise UsageError(
            f"{path} is the built-in catalogue",
            hint="zoo lock --to FILE, or work in another folder",
        )
    return path


def pinned_in(path: Path) -> tuple[str, ...]:
    """The references that an overlay pins, in its order.

    Raises:
        UsageError: The file is malformed.
    """
    if not path.is_file():
        return ()
    table = read_table(path)
    found = [
        f"{model.get('name')}:{weights.get('name')}"
        for model in table.get("model", ())
        for weights in model.get("weights", ())
        if "target" not in model and len(str(weights.get("sha256", ""))) == 64
    ]
    return (*found, *(str(pin.get("source")) for pin in table.get("pin", ())))


def lock(
    references: Sequence[str],
    registry: Registry,
    path: Path,
    *,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    write: bool = True,
) -> list[Locked]:
    """Pin references at what they are now.

    Args:
        references: Models, ``model:tag`` or ``hub:org/repo[@revision]``.
        registry: Where names are looked up.
        path: Overlay to write; made if it is not there.
        progress: Called with (bytes so far, total or ``None``): a URL has to be downloaded once.
        note: Told about waits and retries.
        write: Whether the file is changed; else it is only looked.

    Raises:
        HubError: Something cannot be resolved; nothing is written.
        UsageError: A reference or the overlay is malformed.
    """
    found = []
    for reference in references:
        parsed = names.parse(reference)
        if parsed.source == "hub":
            found.append(_lock_hub(reference, registry, note))
        elif parsed.source:
            raise UsageError(
                f"{reference!r} has nothing to pin", hint="zoo lock MODEL | hub:ORG/REPO"
            )
        else:
            found.append(_lock_weights(reference, registry, progress, note))
    if write:
        _write(path, found)
    return found


def _lock_hub(
    reference: str, registry: Registry, note: Callable[[str], None] | None, file: str = ""
) -> Locked:
    from zoo.hub.repo import open_repo
    from zoo.hub.weights import weights_file

    repo = open_repo(parse_address(reference), note=note, fresh=True)
    name = weights_file(repo, file, allow_pickle=True)
    entry = repo.files.get(name)
    if entry is None or len(entry.digest) not in (40, 64):
        raise HubError(f"{repo.endpoint} states no digest for {name} of {repo.name}")
    pin = registry.pins.get(reference)
    return Locked(
        reference=reference,
        source=reference,
        revision=repo.commit,
        file=name,
        sha256=entry.digest if len(entry.digest) == 64 else "",
        bytes=entry.size,
        licence=repo.licence,
        before=pin.revision if pin else "",
    )


def _lock_weights(
    reference: str,
    registry: Registry,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> Locked:
    from zoo.hub.get import find_weights

    parsed = names.parse(reference)
    spec = registry.model(parsed.qualified)
    weights = find_weights(spec, parsed.weights)
    label = f"{spec.qualified}:{weights.name}"
    if weights.source.startswith("hub:"):
        return _lock_declared(label, weights, registry, note)
    return _lock_content(label, spec.qualified, weights, progress, note)


def _lock_declared(
    label: str, weights: WeightsSpec, registry: Registry, note: Callable[[str], None] | None
) -> Locked:
    """Weights of the registry that lie on the Hub: resolved anew, not from their own pin."""
    declared = parse_address(weights.source)
    found = _lock_hub(str(Address(declared.repo, declared.revision)), registry, note, weights.file)
    return Locked(
        reference=label,
        source=weights.source,
        revision=found.revision,
        file=found.file,
        sha256=found.sha256,
        bytes=found.bytes,
        licence=weights.licence or found.licence,
        before=weights.revision if is_commit(weights.revision) else "",
    )


def _lock_content(
    label: str,
    model: str,
    weights: WeightsSpec,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> Locked:
    """A URL or a file: it has to be here once, since only its content tells the whole digest."""
    from zoo.hub import store
    from zoo.hub.fetch import fetch_weights

    got = fetch_weights(weights, model=model, progress=progress, note=note, ways=ways_to(model))
    record = store.record_of(got.path)
    size = record.get("origin_bytes") or weights.bytes
    return Locked(
        reference=label,
        source=weights.source,
        sha256=got.origin_sha256 or got.sha256,
        bytes=size if isinstance(size, int) else got.path.stat().st_size,
        licence=weights.licence,
        before=weights.sha256 if len(weights.sha256) == 64 else "",
    )


def _write(path: Path, found: Sequence[Locked]) -> None:
    """Change the overlay in place, or make it.

    Raises:
        UsageError: It is malformed.
        DiskError: The disk refuses.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(path.read_text("utf-8-sig")) if path.is_file() else _new()
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    for locked in found:
        if locked.reference.startswith("hub:"):
            entry = _entry(document, "pin", "source", locked.reference)
        else:
            parsed = names.parse(locked.reference)
            model = _entry(document, "model", "name", parsed.qualified)
            entry = _entry(model, "weights", "name", parsed.weights)
        for key, value in locked.entries().items():
            if entry.get(key) != value:
                entry[key] = value
    write_atomically(path, tomlkit.dumps(document).encode())


def _new() -> Any:
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("Weights held by zoo lock: commit, digest, size and licence."))
    document["schema"] = SCHEMA
    return document


def _entry(parent: Any, kind: str, key: str, value: str) -> Any:
    """The table of an array whose ``key`` is ``value``, made if it is not there."""
    import tomlkit

    array: AoT = parent.setdefault(kind, tomlkit.aot())
    for entry in array:
        if entry.get(key) == value:
            return entry
    made = tomlkit.table()
    made[key] = value
    array.append(made)
    return array[len(array) - 1]


def lock_all(path: Path) -> tuple[str, ...]:
    """What ``zoo lock`` without names means: everything that the overlay pins already.

    Raises:
        UsageError: It pins nothing.
    """
    found = pinned_in(path)
    if not found:
        raise UsageError(f"{path} pins nothing yet", hint="zoo lock MODEL ...")
    return found


def is_user_overlay(path: Path) -> bool:
    """Whether zoo reads this overlay by itself when it is started here."""
    return any(path.exists() and path.samefile(p) for p in settings.overlays() if p.exists())
