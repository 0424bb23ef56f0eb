"""Every environment variable that zoo reads, in one table, and the folders that it may write to.

Nothing else in zoo looks at the environment (the Hub client reads its own ``HF_*`` variables).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLES: Final[dict[str, str]] = {
    "ZOO_CACHE": "Folder for downloads and caches; default ~/.cache/zoo.",
    "ZOO_CONFIG": "Folder for your registry.toml and plugin switches; default ~/.config/zoo.",
    "ZOO_DEBUG": "1 adds the trace to an error.",
    "ZOO_DISCOVERY": "metadata asks importlib.metadata for plugins instead of reading sys.path.",
    "ZOO_OFFLINE": "1 makes no network request at all; so does HF_HUB_OFFLINE=1.",
    "ZOO_PLUGINS": "Load only these plugins, comma-separated; empty loads none.",
    "ZOO_DISABLE_PLUGINS": "Do not load these plugins, comma-separated.",
    "ZOO_REGISTRY": "Further registry.toml overlays, separated like PATH.",
    "ZOO_RUN_NOTE": "Set by --nproc itself: file in which the first process names the run.",
    "ZOO_STRICT_PLUGINS": "1 makes a broken plugin an error (exit 4), for CI.",
}
"""Name -> what it does; the docs page is compared with this table by a test."""

_TRUE = {"1", "true", "yes", "on"}


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in _TRUE


def debug() -> bool:
    """Whether errors show their trace."""
    return _flag("ZOO_DEBUG")


def offline() -> bool:
    """Whether no network request may be made."""
    return _flag("ZOO_OFFLINE") or _flag("HF_HUB_OFFLINE")


@contextmanager
def without_network() -> Iterator[None]:
    """Be :func:`offline` for a while, whatever the environment says."""
    before = os.environ.get("ZOO_OFFLINE")
    os.environ["ZOO_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["ZOO_OFFLINE"]
        else:
            os.environ["ZOO_OFFLINE"] = before


class Hub(NamedTuple):
    """A Hub.

    Attributes:
        endpoint: Its address, without a trailing slash.
        takes_token: Whether the user's token may be sent there.
    """

    endpoint: str
    takes_token: bool


def endpoint() -> str:
    """What ``HF_ENDPOINT`` says, without a trailing slash; empty if nothing."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")


def strict_plugins() -> bool:
    """Whether a broken plugin stops everything."""
    return _flag("ZOO_STRICT_PLUGINS")


def discovery() -> str:
    """How plugins are found: ``path`` (read sys.path) or ``metadata``."""
    return os.environ.get("ZOO_DISCOVERY", "path")


def cache_dir() -> Path:
    """Folder for downloads and caches; not created here."""
    return _folder("ZOO_CACHE", "XDG_CACHE_HOME", ".cache")


def torch_checkpoints() -> Path:
    """Folder in which ``torch.hub`` keeps what torchvision downloads; may not exist."""
    own = os.environ.get("TORCH_HOME")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return base.expanduser() / "hub" / "checkpoints"


def config_dir() -> Path:
    """Folder of the user's own overlay and plugin switches; not created here."""
    return _folder("ZOO_CONFIG", "XDG_CONFIG_HOME", ".config")


def _folder(variable: str, base: str, default: str) -> Path:
    if own := os.environ.get(variable):
        return Path(own).expanduser()
    root = os.environ.get(base)
    return (Path(root) if root else Path.home() / default) / "zoo"


def allowed_plugins() -> frozenset[str] | None:
    """Names that may load, or ``None`` for all."""
    value = os.environ.get("ZOO_PLUGINS")
    return None if value is None else _names(value)


def denied_plugins() -> frozenset[str]:
    """Names that must not load: ``ZOO_DISABLE_PLUGINS`` and the switches of the user's folder."""
    denied = disabled_by_variable()
    try:
        stored = disabled_file().read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return denied
    return denied | {line.strip() for line in stored.splitlines() if line.strip()}


def disabled_by_variable() -> frozenset[str]:
    """Names in ``ZOO_DISABLE_PLUGINS``, which ``zoo plugins enable`` cannot change."""
    return _names(os.environ.get("ZOO_DISABLE_PLUGINS", ""))


def disabled_file() -> Path:
    """The file that ``zoo plugins disable`` writes: one plugin name a line."""
    return config_dir() / "disabled-plugins"


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def overlays() -> tuple[Path, ...]:
    """Registry overlays that exist, lowest precedence first."""
    extra = [Path(p) for p in os.environ.get("ZOO_REGISTRY", "").split(os.pathsep) if p]
    places = [config_dir() / "registry.toml", Path("registry.toml"), *extra]
    return tuple(path for path in places if path.is_file() or path in extra)
