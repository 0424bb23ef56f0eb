"""Which file of a repository holds its weights, and how it becomes one safetensors file here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zoo.core.metadata import WEIGHTS_FILE, read_header
from zoo.errors import CheckpointError, HubError
from zoo.hub import shards, store
from zoo.hub.failures import MissingError
from zoo.hub.files import is_pickle, sha256_file
from zoo.hub.pull import Pulled, pull_file

if TYPE_CHECKING:
    from zoo.hub.repo import Note, Repo
    from zoo.hub.stream import Progress

INDEX: Final = f"{WEIGHTS_FILE}.index.json"
PICKLES: Final = ("pytorch_model.bin", "model.bin", "model.pth", "model.pt")


def weights_file(repo: Repo, file: str = "", *, allow_pickle: bool = False) -> str:
    """Which file holds the weights: the one named, safetensors, shards, or a pickle if allowed.

    Raises:
        HubError: There is none, several could be meant, or only a pickle that is not allowed.
    """
    if file:
        return file
    for name in (WEIGHTS_FILE, INDEX):
        if name in repo.files:
            return name
    safe = sorted(f for f in repo.files if f.endswith(".safetensors") and "/" not in f)
    if len(safe) == 1:
        return safe[0]
    if safe:
        raise HubError(
            f"{repo.name} has several weight files: {', '.join(safe[:6])}",
            hint="name one as file = in a registry.toml entry",
        )
    pickles: list[str] = [f for f in PICKLES if f in repo.files]
    pickles += sorted(
        f for f in repo.files if f.endswith((".bin", ".pt", ".pth")) and f not in pickles
    )
    agreed = [f for f in pickles if allow_pickle or _converted_before(repo, f)]
    if agreed:
        return agreed[0]
    if pickles:
        raise HubError(
            f"{repo.name} has only a pickle ({pickles[0]}), which can hold code",
            hint="--allow-pickle reads it with weights_only and converts it once",
        )
    has = f"it has {', '.join(sorted(repo.files)[:8]) or 'no files'}"
    if not repo.online:
        raise MissingError(
            f"{repo.name} has no weights in the cache at {repo.commit[:12]}", hint=has
        )
    raise HubError(f"{repo.name} has no weights at {repo.commit[:12]}", hint=has)


def _converted_before(repo: Repo, name: str) -> bool:
    """Whether this very pickle was allowed and converted before, so that it need not be again."""
    digest = repo.files[name].digest if name in repo.files else ""
    record = store.record_of(shards.converted_path(name, digest))
    return len(digest) == 64 and record.get("origin_sha256") == digest


def pull_weights(
    repo: Repo,
    file: str = "",
    *,
    progress: Progress | None = None,
    note: Note | None = None,
    allow_pickle: bool = False,
    wanted: str = "",
) -> Pulled:
    """The repository's weights as one verified safetensors file.

    Shards are joined and a pickle is converted into zoo's own cache; a plain safetensors file
    is used where it lies.

    Raises:
        HubError: As :func:`pull_file` and :func:`weights_file` say.
        CheckpointError: The file is not what its name says, or a pickle was refused.
    """
    name = weights_file(repo, file, allow_pickle=allow_pickle)
    if name.endswith(".index.json"):
        return shards.pull_joined(repo, name, progress=progress, note=note)
    allow_pickle = allow_pickle or _converted_before(repo, name)
    if name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")) and not allow_pickle:
        raise HubError(
            f"{repo.name}: {name} is a pickle, which can hold code",
            hint="--allow-pickle reads it with weights_only and converts it once",
        )
    path = pull_file(repo, name, progress=progress, note=note, wanted=wanted)
    digest = repo.files[name].digest
    if not is_pickle(path):
        read_header(path)
        return Pulled(
            path=path, sha256=digest if len(digest) == 64 else sha256_file(path), file=name
        )
    if not allow_pickle:
        raise CheckpointError(f"{repo.name}: {name} is a pickle under a safetensors name")
    return shards.pull_converted(path, name, digest)
