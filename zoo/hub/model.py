"""A model on the Hub: resolved, told what it is, checked against its architecture, then fetched.

The order matters: one request for the commit, the small files, the header (100 kB), the check;
only what fits is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.metadata import CheckpointInfo, Header, read_header
from zoo.core.specs import InputSpec
from zoo.errors import HubError
from zoo.hub import pull, weights
from zoo.hub.address import Address, parse_address
from zoo.hub.choose import choose, named
from zoo.hub.files import read_json
from zoo.hub.layouts import Kind, Layout, read_layout
from zoo.hub.repo import Repo, open_repo
from zoo.hub.ways import ways_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo.core.registry import Registry
    from zoo.hub.stream import Progress

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
MAX_CONFIG = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model from the Hub, on this machine and verified.

    Attributes:
        path: Its weights, a safetensors file.
        sha256: Digest of that file.
        repo: ``org/repo``.
        revision: Commit.
        file: File inside the repository.
        endpoint: Hub that served it.
        layout: ``zoo``, ``timm``, ``transformers``, ``mixin`` or ``plain``.
        architecture: What the repository calls it; empty = it does not say.
        model: Qualified name in the registry that the tensors fit; empty = none was found.
        options: Builder options.
        num_classes: Outputs of the weights' head.
        classes: Class names in the order of the outputs; empty = not stated.
        input: Preprocessing as the repository states it; ``None`` = it does not.
        rename: Name in the file -> name in the model, where they differ.
        tied: Name that the file leaves out -> name in the file of the same tensor.
        info: zoo's own record, where zoo wrote the file.
        licence: The card's licence, or empty.
        notes: What a person should know, one line each.
    """

    path: Path
    sha256: str
    repo: str
    revision: str
    file: str
    endpoint: str
    layout: Kind
    architecture: str = ""
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    num_classes: int | None = None
    classes: tuple[str, ...] = ()
    input: InputSpec | None = None
    rename: dict[str, str] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    info: CheckpointInfo | None = None
    licence: str = ""
    origin_sha256: str = ""
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names; another word for :attr:`classes`."""
        return self.classes

    def named(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The file's tensors under the model's names, tied ones filled in.

        Args:
            tensors: Name in the file -> anything (tensors of any shape).
        """
        return named(tensors, self.rename, self.tied)

    def record(self) -> dict[str, str]:
        """What a checkpoint remembers of its starting weights (no local path)."""
        entries = {
            "source": f"hub:{self.repo}",
            "file": self.file,
            "revision": self.revision,
            "sha256": self.sha256,
            "origin_sha256": self.origin_sha256,
            "endpoint": self.endpoint,
            "licence": self.licence,
        }
        return {key: value for key, value in entries.items() if value}


def fetch_hub(
    reference: str,
    *,
    model: str = "",
    registry: Registry | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    allow_pickle: bool = False,
    file: str = "",
    sha256: str = "",
    any_model: bool = False,
    ways: str = "",
) -> HubModel:
    """Fetch a model from the Hub.

    Args:
        reference: ``hub:org/repo[@revision]``.
        model: Model that the weights must fit; empty = the one that the repository names.
        registry: Where models are looked up; ``None`` = this process's.
        progress: Called with (bytes so far, total or ``None``).
        note: Told about waits and retries, one line each.
        allow_pickle: Accept a pickle (read with ``weights_only``, converted once).
        file: Weights file inside the repository; empty = the usual one.
        sha256: Digest that the file must have.
        any_model: Fetch it even if nothing here can build its model; it is noted.
        ways: Ways on for the hint; empty = those of a command that trains.

    A reference that ``zoo lock`` has pinned is fetched at its commit, with its digest.

    Raises:
        HubError: Not found, no access, unreachable, damaged, or refused.
        CheckpointError: The tensors do not fit the model, or nobody says which model it is.
        UsageError: The reference is malformed.
    """
    from zoo.core import registry as registries

    known = registry or registries.load()
    address = parse_address(reference)
    pin = known.pins.get(reference)
    if pin is not None:
        address, file, sha256 = Address(address.repo, pin.revision), pin.file, pin.sha256
    repo = open_repo(address, ways=ways or ways_on(model), note=note)
    name = weights.weights_file(repo, file, allow_pickle=allow_pickle)
    header = _header(repo, name, note)
    layout = _layout(repo, header, note) if header else None
    what = str(repo.address)
    if layout and header:
        model, layout = choose(known, layout, header, wanted=model, what=what, any_model=any_model)
    pulled = weights.pull_weights(
        repo, name, progress=progress, note=note, allow_pickle=allow_pickle, wanted=sha256
    )
    if layout is None:  # a pickle has no header to read beforehand
        header = read_header(pulled.path)
        layout = _layout(repo, header, note)
        model, layout = choose(known, layout, header, wanted=model, what=what, any_model=any_model)
    return HubModel(
        path=pulled.path,
        sha256=pulled.sha256,
        repo=repo.name,
        revision=repo.commit,
        file=pulled.file,
        endpoint=repo.endpoint,
        layout=layout.kind,
        architecture=layout.architecture,
        model=model,
        options=layout.options,
        num_classes=layout.num_classes,
        classes=layout.classes,
        input=layout.input,
        rename=layout.rename,
        tied=layout.tied,
        info=layout.info,
        licence=repo.licence,
        origin_sha256=pulled.origin_sha256,
        notes=(*repo.notes, *_unpinned(repo), *layout.notes),
    )


def _unpinned(repo: Repo) -> tuple[str, ...]:
    if repo.address.pinned or not repo.online:
        return ()
    name = repo.address.revision or "the default branch"
    return (f"{repo.name}: {name} may move; it is commit {repo.commit[:12]} now",)


def _header(repo: Repo, name: str, note: Callable[[str], None] | None) -> Header | None:
    if name.endswith(".index.json"):
        from zoo.hub.shards import joined_header

        return joined_header(repo, name, note=note)
    if not name.endswith(".safetensors"):
        return None
    return pull.remote_header(repo, name, note=note)


def _layout(repo: Repo, header: Header, note: Callable[[str], None] | None) -> Layout:
    config = _small(repo, CONFIG, note)
    processor = _small(repo, PROCESSOR, note) if config and "model_type" in config else None
    stated = repo.card.get("tags")
    tags = [*repo.tags, *(stated if isinstance(stated, list) else ())]
    return read_layout(config, header, processor=processor, tags=tags)


def _small(repo: Repo, name: str, note: Callable[[str], None] | None) -> dict[str, Any] | None:
    entry = repo.files.get(name)
    if entry is None:
        return None
    if (entry.size or 0) > MAX_CONFIG:
        raise HubError(f"{repo.name}: {name} has {entry.size} bytes, which no such file needs")
    return read_json(pull.pull_file(repo, name, note=note))
