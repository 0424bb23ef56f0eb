"""A new plugin: a project that installs, tests green and shows in ``zoo list`` at once."""

from __future__ import annotations

import re
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

from zoo.core.names import did_you_mean, suggest
from zoo.errors import DiskError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MODULES: Final = {
    "model": "models",
    "loss": "losses",
    "dataset": "datasets",
    "transform": "transforms",
    "optimizer": "optimizers",
    "scheduler": "schedulers",
    "metric": "metrics",
    "tracker": "trackers",
    "exporter": "exporters",
    "command": "commands",
    "hooks": "hooks",
}
"""What a new plugin may bring -> the module that it is written in."""

_WORDS: Final = {"dataset": "data set", "hooks": "run hooks"}
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


def new_plugin(name: str, brings: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Write a plugin's project.

    Args:
        name: Entry point name; the distribution is ``zoo-NAME``, the package ``zoo_NAME``.
        brings: Keys of :data:`MODULES`.
        folder: Where to write it; made if it is not there.

    Returns:
        The files that were written.

    Raises:
        UsageError: The name or a kind is not possible, or the folder is not empty.
        DiskError: The folder cannot be written.
    """
    name = name.removeprefix("zoo-")
    if not _NAME.match(name) or name == "zoo":
        raise UsageError(
            f"{name!r} cannot be a plugin's name", hint="lower-case words joined by '-': my-models"
        )
    for kind in brings:
        if kind not in MODULES:
            hint = did_you_mean(suggest(kind, MODULES)) or f"possible: {', '.join(MODULES)}"
            raise UsageError(f"a plugin cannot bring {kind!r}", hint=hint)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty", hint="--dir FOLDER")
    written: list[Path] = []
    try:
        for place, text in _files(name, [kind for kind in MODULES if kind in brings]):
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    except OSError as error:
        raise DiskError(f"cannot write {folder}: {error.strerror or error}") from error
    return tuple(written)


def _files(name: str, brings: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every file of the project: place and text."""
    package = f"zoo_{name.replace('-', '_')}"
    words = {
        "name": name,
        "Name": name.replace("-", " ").capitalize(),
        "package": package,
        "distribution": f"zoo-{name}",
        "look": _look(name, brings),
        "what": _listed([_WORDS.get(kind, kind) for kind in brings]),
    }
    for source, place in (
        ("pyproject.toml", "pyproject.toml"),
        ("README.md", "README.md"),
        ("gitignore", ".gitignore"),
        ("tests.yml", ".github/workflows/tests.yml"),
        ("test_contract.py", "tests/test_contract.py"),
        ("init.py", f"{package}/__init__.py"),
    ):
        yield place, _fill(f"project/{source}", words)
    for kind in brings:
        yield f"{package}/{MODULES[kind]}.py", _fill(f"parts/{MODULES[kind]}.py", words)
    yield f"{package}/registry.toml", _manifest(brings, words)


def _look(name: str, brings: Sequence[str]) -> str:
    """The command that shows what the plugin brings."""
    kinds = [kind for kind in brings if kind != "hooks"]
    if not kinds:
        return f"zoo plugins show {name}"
    of_kind = "" if "model" in kinds else f"--kind {kinds[0]} "
    return f"zoo list {of_kind}--plugin {name}"


def _manifest(brings: Sequence[str], words: dict[str, str]) -> str:
    head = _fill("project/registry.toml", words)
    if "hooks" in brings:
        head += f'hooks = "{words["package"]}.hooks"\n'
    entries = [_fill(f"parts/{kind}.toml", words) for kind in brings if kind != "hooks"]
    return "\n".join((head, *entries))


def _fill(source: str, words: dict[str, str]) -> str:
    text = resources.files("zoo.testing").joinpath("templates", f"{source}.txt").read_text("utf-8")
    return Template(text).substitute(words)


def _listed(words: Sequence[str]) -> str:
    """``a model, a loss and run hooks``."""
    named = [word if word.endswith("hooks") else f"{_article(word)} {word}" for word in words]
    if not named:
        return "nothing yet"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
