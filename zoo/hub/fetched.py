"""Weights that were brought to this machine, and what a checkpoint remembers of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.core.metadata import Header, read_header
from zoo.hub.address import without_secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Weights on this machine, verified.

    Attributes:
        path: A safetensors file.
        sha256: Digest of that file.
        source: Where it came from, as the registry spells it.
        file: File inside the source.
        revision: Commit, for a Hub source.
        endpoint: Hub that served it, for a Hub source.
        origin_sha256: Digest of the file that was downloaded, where it was converted.
        licence: Licence, if the registry or the repository states one.
        notes: What a person should know, one line each (a stale copy, an unpinned branch).
    """

    path: Path
    sha256: str
    source: str
    file: str = ""
    revision: str = ""
    endpoint: str = ""
    origin_sha256: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> Header:
        """The file's header: tensor names, shapes, metadata."""
        return read_header(self.path)

    def record(self) -> dict[str, str]:
        """What a checkpoint remembers of its starting weights (no local path, no signature)."""
        entries = {
            "source": without_secrets(self.source),
            "file": self.file,
            "revision": self.revision,
            "sha256": self.sha256,
            "origin_sha256": self.origin_sha256,
            "endpoint": self.endpoint,
            "licence": self.licence,
        }
        return {key: value for key, value in entries.items() if value}
