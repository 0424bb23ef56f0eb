"""A Hub's data set on this machine: fetched once, by commit, and used without a request from then on.

Fetched are the card and files of data; never code, and never a pickle. What was fetched is noted in
a small file of its own, so that a repository that is only half here is not taken for a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from zoo.plugin import DataError, UsageError, hub, offline
from zoo_datasets.card import CARD, Wanted, alone, choose

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?\Z")
_SIDE_BY_SIDE: Final = 8


class Got(NamedTuple):
    """What is here.

    Attributes:
        folder: Where its files lie.
        commit: The commit that they are of, 40 hex digits.
    """

    folder: Path
    commit: str


def get(wanted: Wanted, root: Path, cache: Path, *, download: bool) -> Got:
    """Give what is here; fetch it if it is not and that is allowed.

    Args:
        wanted: Which data set.
        root: Folder of named data sets; the notes lie there.
        cache: The Hub client's cache.
        download: Whether it may be fetched.

    Raises:
        DataError: It is not here, and may not or cannot be fetched.
        UsageError: No repository was named, or its name is none.
    """
    if not wanted.repo:
        raise UsageError(
            "datasets/hub needs a repository", hint="--data-option repo=ORG/NAME, as on the Hub"
        )
    if not _NAME.match(wanted.repo) or ".." in wanted.repo:
        raise UsageError(
            f"{wanted.repo!r} is not a repository",
            hint="--data-option repo=ORG/NAME, as on the Hub",
        )
    note = root / "huggingface" / "fetched" / wanted.note
    got = _here(note, wanted, cache) or _missing(note, wanted, root, cache, download=download)
    view = root / "huggingface" / "views" / f"{got.commit}-{quote(wanted.config, safe='')}"
    return Got(alone(got.folder, wanted, view, list(_noted(note))), got.commit)


def _missing(note: Path, wanted: Wanted, root: Path, cache: Path, *, download: bool) -> Got:
    """Fetch what is not here, if that is allowed."""
    if offline():
        raise DataError(
            f"{wanted.repo} is not in {root}, and no request is made (offline)",
            hint="fetch it where the network is (--download), and copy the folder: --data-root",
        )
    if not download:
        raise DataError(f"{wanted.repo} is not in {root}", hint="add --download")
    with _explained(wanted):
        return _fetch(wanted, note, cache)


def _folder(wanted: Wanted, cache: Path, commit: str) -> Path:
    return cache / f"datasets--{wanted.repo.replace('/', '--')}" / "snapshots" / commit


def _noted(note: Path) -> dict[str, int]:
    """The files that were fetched, and their sizes."""
    return dict(json.loads(note.read_bytes())["files"])


def _here(note: Path, wanted: Wanted, cache: Path) -> Got | None:
    """What was noted as fetched, if all of it is still here."""
    try:
        commit, files = str(json.loads(note.read_bytes())["commit"]), _noted(note)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = _folder(wanted, cache, commit)
    for name, size in files.items():
        try:
            if (folder / name).stat().st_size != size:
                return None
        except OSError:
            return None
    return Got(folder, commit)


def _fetch(wanted: Wanted, note: Path, cache: Path) -> Got:
    """Resolve the revision once, and fetch by that commit."""
    from huggingface_hub import HfApi

    _guard_token()
    asked = hub()
    token = None if asked.takes_token else False
    api = HfApi(endpoint=asked.endpoint, token=token, library_name="zoo")
    info = api.dataset_info(wanted.repo, revision=wanted.revision or "main", files_metadata=True)
    listed = {each.rfilename: each for each in info.siblings or []}
    commit = str(info.sha)

    def one(name: str) -> None:
        path = Path(
            api.hf_hub_download(
                wanted.repo, name, repo_type="dataset", revision=commit, cache_dir=cache
            )
        )
        _verify(path, listed[name], wanted)

    def several(names: list[str]) -> None:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            for _ in pool.map(one, names):
                pass

    with _bars():
        cards: list[str] = [name for name in CARD if name in listed]
        several(cards)
        folder = _folder(wanted, cache, commit)
        files = choose(sorted(listed), wanted, folder)
        several(files)
    sizes = {name: (folder / name).stat().st_size for name in (*cards, *files)}
    _write(note, {"repo": wanted.repo, "commit": commit, "files": sizes})
    return Got(folder, commit)


def _verify(path: Path, listed: Any, wanted: Wanted) -> None:
    """Compare what came with the digest that the Hub states; the client compares lengths only."""
    stated = getattr(listed.lfs, "sha256", None) if listed.lfs else listed.blob_id
    if not stated:
        return
    digest = hashlib.sha256() if listed.lfs else hashlib.sha1(usedforsecurity=False)
    digest.update(b"" if listed.lfs else b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != stated:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DataError(
            f"{wanted.repo}: {listed.rfilename} came damaged, and was removed",
            hint="the same command fetches it again",
        )


def _write(note: Path, content: dict[str, Any]) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    partial = note.with_name(f"{note.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=1), "utf-8")
    partial.replace(note)


def _guard_token() -> None:
    """Refuse to send a token in the clear to another machine."""
    from huggingface_hub import constants, get_token

    if not hub().takes_token:
        return
    address = urlsplit(hub().endpoint)
    local = address.hostname in ("localhost", "::1") or str(address.hostname).startswith("127.")
    silent = constants.HF_HUB_DISABLE_IMPLICIT_TOKEN
    if address.scheme == "http" and not local and not silent and get_token():
        raise DataError(
            f"refusing to send your token in the clear to {address.hostname}",
            hint="use https:// in HF_ENDPOINT, or HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to send none",
        )


@contextmanager
def _bars() -> Iterator[None]:
    """The client's bars on a terminal only."""
    from huggingface_hub import utils

    bars: Any = utils
    as_it_is = sys.stderr.isatty() or bars.are_progress_bars_disabled()
    if not as_it_is:
        bars.disable_progress_bars()
    try:
        yield
    finally:
        if not as_it_is:
            bars.enable_progress_bars()


@contextmanager
def _explained(wanted: Wanted) -> Iterator[None]:
    """Raise what the client raises as an error of one line; its own carry the token."""
    from huggingface_hub import errors

    asked = urlsplit(hub().endpoint)
    where = asked.netloc.rpartition("@")[2]
    page = f"{asked.scheme}://{where}/datasets/{wanted.repo}"
    login = "hf auth login"
    if not hub().takes_token:  # only an overlay names it
        login = f"HF_ENDPOINT={asked.scheme}://{where} to send it your token, if you trust it"
    network: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    try:
        yield
    except errors.GatedRepoError:
        raise DataError(
            f"{wanted.repo} is gated", hint=f"ask for access at {page}, then {login}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise DataError(
            f"{where} has no data set {wanted.repo}, or it is not yours to see",
            hint=f"compare the name with its page; if it is private, {login}",
        ) from None
    except errors.RevisionNotFoundError:
        raise DataError(
            f"{wanted.repo} has no revision {wanted.revision!r}",
            hint=f"see {page}",
        ) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "?")
        raise DataError(
            f"{where} answers {status} for {wanted.repo}", hint="try again later, or look there"
        ) from None
    except (network, errors.LocalEntryNotFoundError, ConnectionError) as error:
        told = str(error.__cause__ or error).strip().partition("\n")[0]
        hint = "check the network and HF_ENDPOINT; what is here already needs none"
        if "xet" in told.lower():
            hint = "set HF_HUB_DISABLE_XET=1 and try again: this Hub may not speak xet"
        raise DataError(
            f"cannot fetch {wanted.repo} from {where}: {told or type(error).__name__}", hint=hint
        ) from None
