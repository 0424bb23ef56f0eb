"""What a repository's card says of its files, and which of them are data."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from zoo.plugin import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

CARD: Final = ("README.md", ".huggingface.yaml", "dataset_infos.json")
"""Files that say how the others are to be read."""
DATA: Final = frozenset(
    {".parquet", ".arrow", ".tar", ".zip", ".csv", ".tsv", ".json", ".jsonl"}
    | {".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""Suffixes of what is fetched."""


class Wanted(NamedTuple):
    """Which data set.

    Attributes:
        repo: ``ORG/NAME``.
        config: Which of its configurations; empty = its default.
        revision: A branch, tag or commit; empty = ``main``.
    """

    repo: str
    config: str
    revision: str

    @property
    def note(self) -> str:
        """Name of the file that says what was fetched."""
        return quote(f"{self.repo}@{self.revision or 'main'}[{self.config}].json", safe="@[]")


def choose(names: list[str], wanted: Wanted, folder: Path) -> list[str]:
    """The files of a configuration: those that the card names, else all files of data.

    Args:
        names: All files of the repository.
        wanted: Which data set.
        folder: Where its card lies.

    Raises:
        DataError: It is a program that would have to be run, or holds no files of data.
        UsageError: It has no such configuration, or several and none was named.
    """
    data = [name for name in names if PurePosixPath(name).suffix.lower() in DATA]
    data = [name for name in data if name not in CARD]
    script = f"{wanted.repo.rpartition('/')[2]}.py"
    if script in names:
        raise DataError(
            f"{wanted.repo} is made by a program ({script}), and zoo runs none that is fetched",
            hint="Hubs keep a converted copy: --data-option revision=refs/convert/parquet",
        )
    config = chosen(wanted, folder)
    if config is not None:
        patterns = patterns_of(config)
        data = [n for n in data if any(fnmatch.fnmatchcase(n, each) for each in patterns)]
    if not data:
        raise DataError(
            f"{wanted.repo} holds no files of data: {', '.join(names[:8]) or 'it is empty'}",
            hint="zoo reads parquet, arrow, tar and image files",
        )
    return data


def chosen(wanted: Wanted, folder: Path) -> dict[str, Any] | None:
    """What the card says of the configuration that is wanted; ``None`` = it knows of none.

    Args:
        wanted: Which data set.
        folder: Where its card lies.

    Raises:
        UsageError: It has no such configuration, or several and none was named.
    """
    configs = _said(folder).get("configs")
    listed = configs if isinstance(configs, list) else []
    named = {str(c.get("config_name", "default")): c for c in listed if isinstance(c, dict)}
    if not named:
        return None
    usual = [name for name, each in named.items() if each.get("default") or name == "default"]
    name = wanted.config or (usual or list(named))[0]
    if name not in named or (not wanted.config and not usual and len(named) > 1):
        told = f"has no configuration {name!r}" if wanted.config else "has several configurations"
        raise UsageError(
            f"{wanted.repo} {told}: {', '.join(named)}",
            hint=f"--data-option config={next(iter(named))}",
        )
    return named[name]


def patterns_of(config: dict[str, Any]) -> list[str]:
    """What a configuration's files are called.

    Args:
        config: What the card says of it.
    """
    said, below = config.get("data_files"), str(config.get("data_dir") or "").strip("/.")
    found: list[str] = []
    for each in said if isinstance(said, list) else [said] if said else ["**"]:
        paths = each.get("path") if isinstance(each, dict) else each
        found += [str(path) for path in (paths if isinstance(paths, list) else [paths])]
    full = [f"{below}/{path}" if below else path for path in found]
    return [*full, *(path.replace("**/", "") for path in full if "**/" in path)]


def alone(folder: Path, wanted: Wanted, view: Path, files: Sequence[str]) -> Path:
    """A folder in which the wanted configuration is the only one.

    The library looks at the files of the first one that a card names, wanted or not, and only the
    files of the wanted one are here. The folder holds links, and a card that says what is left.

    Args:
        folder: Where the files lie.
        wanted: Which data set.
        view: The folder to make.
        files: What was fetched.

    Returns:
        The view, or the folder itself where the card names no other configurations.
    """
    import yaml  # type: ignore[import-untyped]

    config, said = chosen(wanted, folder), _said(folder)
    if config is None or len(said["configs"]) == 1:
        return folder
    for name in files:
        link = view / name
        if name not in CARD and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            fresh = link.with_name(f"{link.name}.{os.getpid()}")
            fresh.symlink_to(os.path.relpath(folder / name, link.parent))
            fresh.replace(link)  # several processes of a run may do this at once
    info = said.get("dataset_info")
    kept: dict[str, Any] = {"configs": [config]}
    for each in info if isinstance(info, list) else [info]:
        if isinstance(each, dict) and each.get("config_name") == config.get("config_name"):
            kept["dataset_info"] = each
    text = f"---\n{yaml.safe_dump(kept)}---\n"
    card = view / CARD[0]
    if not card.exists() or card.read_text("utf-8") != text:
        fresh = card.with_name(f"{card.name}.{os.getpid()}")
        fresh.write_text(text, "utf-8")
        fresh.replace(card)
    return view


def _said(folder: Path) -> dict[str, Any]:
    """The tables of the card; a file of its own wins over the head of the text."""
    import yaml

    found: dict[str, Any] = {}
    for name in CARD[:2]:
        try:
            text = (folder / name).read_text("utf-8")
            said = yaml.safe_load(text if name.endswith(".yaml") else text.split("---\n")[1])
        except (OSError, IndexError, UnicodeDecodeError, yaml.YAMLError):
            continue
        found |= said if isinstance(said, dict) else {}
    return found
