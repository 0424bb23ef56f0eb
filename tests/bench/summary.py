"""The table of ``peers.py``, from its raw runs."""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from lineup import Peer
from tables import markdown

HEAD = ("job", "version", "frozen", "wall s", "/ zoo", "CPU s", "/ zoo", "peak MB", "top-1 %")
ON_GPU = ("img/s", "zoo /", "GPU busy %")
"""Further columns where a GPU computes: see :attr:`lineup.Peer.rate` and :attr:`measure.Cost.busy`."""


def conditions(given: Namespace) -> str:
    """What was run, in a sentence or two."""
    frozen = "nothing frozen" if given.freeze == "none" else f"frozen up to {given.freeze}"
    trained = (
        f"{given.pretrain_epochs} epochs on other generated classes"
        if given.pretrain_epochs
        else "no training at all"
    )
    return (
        f"resnet18 on {given.images} training and {given.val_images} validation images of "
        f"{given.classes} generated classes,\n{given.size} px, batch {given.batch}, "
        f"{given.epochs} epochs at a constant rate, {frozen};\npretrained by {trained}.\n"
        f"{given.rounds} interleaved rounds, {given.threads} threads, {given.workers} loader "
        f"processes (zoo chooses its own), device {given.device}.\n"
        "Mean of the rounds; top-1 after the last epoch with its lowest and highest. Made by\n"
        f"`{command(given)}`."
    )


ASKED = ("freeze", "images", "val_images", "classes", "size", "pixels", "epochs", "batch", "lr", "rounds",
         "pretrain_epochs", "threads", "workers", "device")  # fmt: skip


def command(given: Namespace) -> str:
    """How to ask for the same again; where the peers are is everyone's own."""
    words = [f"--{name.replace('_', '-')} {getattr(given, name)}" for name in ASKED]
    return f"python tests/bench/peers.py {' '.join(words)}"


def mean(runs: Sequence[dict[str, Any]], key: str) -> float:
    """Of one number over a peer's runs."""
    return statistics.mean(run[key] for run in runs)


def accuracy(runs: Sequence[dict[str, Any]]) -> str:
    """Mean, and lowest to highest, of the last epochs, in percent."""
    last = [100 * run["top1"][-1] for run in runs]
    middle = f"{statistics.mean(last):.1f}"
    return middle if len(last) == 1 else f"{middle} ({min(last):.0f}..{max(last):.0f})"


def known(runs: Sequence[dict[str, Any]], key: str) -> float | None:
    """Mean of one number over those of a peer's runs that have it."""
    found = [run[key] for run in runs if run.get(key) is not None]
    return statistics.mean(found) if found else None


def speed(own: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]) -> list[str]:
    """Images a second, how many times zoo's are that, and the GPU's load."""
    rate, ours, busy = known(own, "rate"), known(base, "rate"), known(own, "busy")
    return [
        "" if rate is None else f"{rate:,.0f}",
        "" if rate is None or ours is None else f"{ours / rate:.2f}",
        "" if busy is None else f"{busy:.0f}",
    ]


def table(
    lineup: Sequence[tuple[Peer, str]], runs: Sequence[dict[str, Any]], *, gpu: bool = False
) -> str:
    """Markdown; ratios are to ``zoo finetune``, and empty if it did not take part."""
    by_peer = {peer.name: [r for r in runs if r["peer"] == peer.name] for peer, _ in lineup}
    base = by_peer.get("zoo", [])
    rows = []
    for peer, version in lineup:
        own = by_peer[peer.name]
        cells = [f"{peer.title}", version, peer.frozen]
        for key in ("wall", "cpu"):
            number = mean(own, key)
            cells += [f"{number:.1f}", f"{number / mean(base, key):.2f}" if base else ""]
        cells += [f"{max(run['rss_mb'] for run in own):,}", accuracy(own)]
        rows.append(cells + (speed(own, base) if gpu else []))
    return markdown(HEAD + (ON_GPU if gpu else ()), rows)
