"""``zoo.pull`` and ``zoo.push``: the Hub's two verbs for Python, thin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.core import registry as registries

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.hub.get import Got
    from zoo.hub.publish import Pushed


def pull(
    reference: str,
    *,
    locked: bool = False,
    allow_pickle: bool = False,
    note: Callable[[str], None] | None = None,
) -> Got:
    """Fetch and verify weights.

    Args:
        reference: ``resnet18[:tag]`` or ``hub:org/repo[@revision]``.
        locked: Accept only what ``zoo lock`` has pinned.
        allow_pickle: Accept a pickle: read without running code, converted once.
        note: Told about waits and retries.

    Raises:
        HubError: They cannot be fetched or verified.
        VerificationError: ``locked``, and they are not pinned.
    """
    from zoo.hub.get import get

    return get(reference, registries.load(), locked=locked, allow_pickle=allow_pickle, note=note)


def push(
    run: str | Path,
    repo: str,
    *,
    licence: str = "",
    private: bool = False,
    revision: str = "",
    create_pr: bool = False,
    message: str = "",
    runs: str = "runs",
) -> Pushed:
    """Publish a run on the Hub in one commit; the token is the Hub client's own.

    Args:
        run: A run's name or folder, or a checkpoint file.
        repo: ``org/repo``; made if it is not there.
        licence: Licence of the weights; default: the card's that is there, or the base weights'.
        private: Make a new repository private.
        revision: Branch; default: ``main``.
        create_pr: Open a pull request instead.
        message: Title of the commit.
        runs: Folder that runs lie in.

    Raises:
        HubError: No token, no right to write, or somebody pushed first.
        UsageError: Nobody states a licence.
    """
    import tempfile

    from zoo.hub import publish, pushplan

    publish.require_token()
    source = pushplan.find_source(str(run), runs)
    with tempfile.TemporaryDirectory(prefix="zoo-push-") as staging:
        plan = pushplan.plan_push(
            source,
            repo,
            registries.load(),
            licence=licence,
            branch=revision,
            staging=Path(staging),
        )
        return publish.push(plan, private=private, create_pr=create_pr, title=message)
