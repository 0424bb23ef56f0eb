"""``zoo list --hub``: image models on the Hub, with what zoo could load of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.hub import client
from zoo.hub.failures import translated
from zoo.hub.layouts import MIXIN_TAG
from zoo.hub.repo import patiently
from zoo.hub.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One repository.

    Attributes:
        id: ``org/repo``.
        task: The Hub's pipeline tag.
        library: Library that its card names.
        licence: Licence, or empty.
        downloads: Downloads of the last month.
        likes: Likes.
        loadable: Whether it has safetensors and is of a kind that zoo reads.
        gated: Whether access has to be asked for.
    """

    id: str
    task: str = ""
    library: str = ""
    licence: str = ""
    downloads: int = 0
    likes: int = 0
    loadable: bool = False
    gated: bool = False


def search(
    query: str,
    *,
    limit: int = 30,
    task: str = "image-classification",
    note: Callable[[str], None] | None = None,
) -> list[Found]:
    """Search the Hub, most downloaded first.

    Args:
        query: Words of a name.
        limit: How many at most.
        task: The Hub's pipeline tag; empty = any.
        note: Told about waits.

    Raises:
        HubError: Offline, or the Hub cannot be reached.
    """
    with translated(Subject(repo=f"search {query!r}")):
        client.reach()
        found = patiently(
            lambda: list(
                client.api().list_models(
                    search=query,
                    pipeline_tag=task or None,
                    sort="downloads",
                    limit=limit,
                    full=True,
                    cardData=True,
                )
            ),
            note=note,
        )
    return [_read(info) for info in found]


def _read(info: Any) -> Found:
    card = info.card_data.to_dict() if info.card_data else {}
    files = [s.rfilename for s in info.siblings or ()]
    tags = list(info.tags or ())
    tagged = next((t.removeprefix("license:") for t in tags if t.startswith("license:")), "")
    licence = card.get("license") or tagged
    library = info.library_name or str(card.get("library_name") or "")
    known = library in ("zoo", "timm", "transformers") or MIXIN_TAG in tags
    return Found(
        id=info.id,
        task=info.pipeline_tag or "",
        library=library,
        licence=licence if isinstance(licence, str) else ", ".join(map(str, licence)),
        downloads=info.downloads or 0,
        likes=info.likes or 0,
        loadable=known and any(f.endswith(".safetensors") for f in files),
        gated=bool(info.gated),
    )
