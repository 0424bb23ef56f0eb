"""What a push would change: the repository as it is, beside the files that a run would put there.

Looking writes nothing and needs no token where the repository is public.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zoo.core import compose
from zoo.core.metadata import WEIGHTS_FILE, read_header
from zoo.errors import CheckpointError, HubError, UnknownNameError, UsageError
from zoo.hub.address import Address, parse_address
from zoo.hub.card import Subject as Card
from zoo.hub.card import make_card, split
from zoo.hub.config import make_config
from zoo.hub.files import git_blob_sha1, sha256_file
from zoo.hub.repo import Repo, open_repo
from zoo.hub.stamp import is_public, public, restamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.core.metadata import CheckpointInfo
    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec

State = Literal["new", "changed", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file of a push.

    Attributes:
        path: Path in the repository.
        content: Its bytes, or the file that holds them.
        size: Its size in bytes.
        state: ``new``, ``changed`` or ``same`` as what is there.
    """

    path: str
    content: bytes | Path = field(repr=False)
    size: int
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """What a push would do; nothing has been written.

    Attributes:
        repo: ``org/repo``.
        branch: Branch that it goes to.
        exists: Whether the repository exists.
        has_branch: Whether the branch exists.
        parent: Head of the branch that was seen; empty for a new repository.
        changes: The files.
        card: The README.
        licence: The licence that the card states.
        title: The commit's title.
        notes: What a person should know, one line each.
    """

    repo: str
    branch: str
    exists: bool
    has_branch: bool
    parent: str
    changes: tuple[Change, ...]
    card: str
    licence: str
    title: str
    notes: tuple[str, ...] = ()

    @property
    def nothing_new(self) -> bool:
        """Whether every file is there already."""
        return all(change.state == "same" for change in self.changes)


def find_source(reference: str, runs: str = "runs") -> Path:
    """The weights file of a run (by name or folder) or of a path, without importing torch.

    Raises:
        CheckpointError: There is none.
    """
    text = reference.removeprefix("run:").removeprefix("file:")
    for path in (Path(text).expanduser(), Path(runs) / text):
        if path.is_file():
            return path
        if (path / WEIGHTS_FILE).is_file():
            return path / WEIGHTS_FILE
        if path.is_dir() and path.name:
            raise CheckpointError(f"{path} has no {WEIGHTS_FILE} yet", hint=f"zoo resume {path}")
    raise CheckpointError(f"no run and no file {reference!r}", hint="zoo runs")


def plan_push(
    source: Path,
    target: str,
    registry: Registry,
    *,
    licence: str = "",
    branch: str = "",
    staging: Path | None = None,
    note: Callable[[str], None] | None = None,
) -> PushPlan:
    """Look at the repository and say what a push would change.

    Args:
        source: A checkpoint that zoo wrote.
        target: ``org/repo``.
        registry: Where its model is looked up.
        licence: Licence of the weights; empty = the card's that is there, or the base weights'.
        branch: Branch; empty = ``main``.
        staging: Folder for a cleaned copy of the weights; ``None`` = the system's.
        note: Told about waits.

    Raises:
        CheckpointError: The file is not from zoo.
        UsageError: The target is malformed, or nobody states a licence.
        HubError: The repository cannot be seen.
    """
    address = _target(target, branch)
    header = read_header(source)
    info = header.info
    if info is None or not info.model:
        raise CheckpointError(
            f"{source} was not written by zoo", hint=f"zoo import {source} --as MODEL"
        )
    seen, has_branch = _look(address, note)
    old = _old_card(seen, note)
    notes: list[str] = []
    if not is_public(info):
        notes.append("paths, addresses and notes of this machine are left out of what is published")
        source = _cleaned(source, public(info), staging)
        info = public(info)
    chosen = _licence(licence, old, info, registry)
    spec = _spec(registry, info)
    about = Card(
        repo=address.repo,
        info=info,
        licence=chosen,
        builder=_builder(spec, info),
        options={**(spec.options if spec else {}), **info.options},
    )
    card = make_card(about, old)
    contents = _contents(source, info, card)
    pickles = [f for f in (seen.files if seen else ()) if f.endswith((".bin", ".pt", ".pth"))]
    if pickles:
        notes.append(f"left as it is there: {', '.join(sorted(pickles)[:3])}")
    return PushPlan(
        repo=address.repo,
        branch=address.revision,
        exists=seen is not None,
        has_branch=has_branch,
        parent=seen.commit if seen else "",
        changes=tuple(_change(path, content, seen) for path, content in contents.items()),
        card=card,
        licence=chosen,
        title=_title(info),
        notes=tuple(notes),
    )


def _target(target: str, branch: str) -> Address:
    address = parse_address(target.removeprefix("hub:"))
    if "/" not in address.repo or (address.revision and branch):
        raise UsageError(
            f"{target!r} is not where a push goes", hint="org/repo [--revision BRANCH]"
        )
    if branch:
        address = parse_address(f"{address.repo}@{branch}")
    if address.pinned:
        raise UsageError(f"{address.revision} is a commit", hint="--revision BRANCH")
    return Address(address.repo, address.revision or "main")


def _look(address: Address, note: Callable[[str], None] | None) -> tuple[Repo | None, bool]:
    """The branch as it is, and whether it exists; a new branch starts from the default one."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    for asked in (address, Address(address.repo)):
        try:
            return open_repo(asked, note=note, fresh=True), asked is address
        except HubError as error:
            cause = error.__cause__
            status = getattr(getattr(cause, "response", None), "status_code", 0)
            if isinstance(cause, RevisionNotFoundError):
                continue
            gated = type(cause).__name__ == "GatedRepoError"
            if isinstance(cause, RepositoryNotFoundError) and not gated and status != 403:
                return None, False
            raise
    return None, False


def _old_card(seen: Repo | None, note: Callable[[str], None] | None) -> str:
    if seen is None or "README.md" not in seen.files:
        return ""
    from zoo.hub.pull import pull_file

    return pull_file(seen, "README.md", note=note).read_text("utf-8")


def _cleaned(source: Path, info: CheckpointInfo, staging: Path | None) -> Path:
    folder = staging or Path(tempfile.mkdtemp(prefix="zoo-push-"))
    target = folder / WEIGHTS_FILE
    restamp(source, target, info)
    return target


def _licence(given: str, old: str, info: CheckpointInfo, registry: Registry) -> str:
    """The licence: given, the card's, or the base weights'; never guessed.

    Raises:
        UsageError: Nobody states one.
    """
    if given:
        return given.lower()
    stated = split(old)[0].get("license")
    if isinstance(stated, str) and stated:
        return stated
    if found := str(info.base.get("licence", "")):
        return found
    label = str(info.base.get("weights", ""))
    name, _, tag = label.partition(":")
    try:
        weights = registry.model(name).weights if name else ()
    except (UsageError, UnknownNameError):
        weights = ()
    for spec in weights:
        if spec.name == tag and spec.licence:
            return spec.licence.lower()
    raise UsageError(
        "nobody states a licence for these weights",
        hint="--licence apache-2.0 (or mit, cc-by-4.0, other ...): yours to choose",
    )


def _spec(registry: Registry, info: CheckpointInfo) -> ModelSpec | None:
    try:
        return registry.model(info.model)
    except (UsageError, UnknownNameError):
        return None


def _builder(spec: ModelSpec | None, info: CheckpointInfo) -> str:
    """What the plain snippet imports: a torchvision builder whose model was not cut."""
    if spec is None or not spec.target.startswith("torchvision.models:"):
        return ""
    changed = set(info.surgery) - {"classes"}
    own_loading = spec.family == "mnasnet"  # refuses tensors without its version beside them
    return "" if changed or own_loading or not info.num_classes else spec.target


def _contents(source: Path, info: CheckpointInfo, card: str) -> dict[str, bytes | Path]:
    config = json.dumps(make_config(info, read_header(source)), indent=2, ensure_ascii=False)
    found: dict[str, bytes | Path] = {
        WEIGHTS_FILE: source,
        "config.json": (config + "\n").encode(),
        "README.md": card.encode(),
    }
    if info.recipe:
        try:
            found["recipe.toml"] = compose.dump_recipe(compose.from_dict(info.recipe)).encode()
        except UsageError:
            found["recipe.json"] = json.dumps(info.recipe, indent=2).encode()
    return found


def _change(path: str, content: bytes | Path, seen: Repo | None) -> Change:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    there = seen.files.get(path) if seen else None
    state: State = "new"
    if there is not None:
        state = "same" if _digest(content, there.digest) == there.digest else "changed"
    return Change(path=path, content=content, size=size, state=state)


def _digest(content: bytes | Path, like: str) -> str:
    if isinstance(content, Path):
        return sha256_file(content) if len(like) == 64 else git_blob_sha1(content)
    if len(like) == 64:
        return hashlib.sha256(content).hexdigest()
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def _title(info: CheckpointInfo) -> str:
    data = info.data.get("name")
    return f"Add {info.model}" + (f" trained on {data}" if data else "") + " (zoo)"
