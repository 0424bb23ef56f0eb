"""The ways on when weights cannot be had, in one line: what an error's hint says."""

from __future__ import annotations


def ways_on(model: str) -> str:
    """The hint for weights that cannot be reached.

    Args:
        model: Model that they are for; empty = any.
    """
    return (
        "go on with --weights none --allow-random-frozen (random weights), --weights file:PATH, "
        f"--weights run:NAME, {ways_to(model)}"
    )


def ways_to(model: str) -> str:
    """The hint where only these weights will do: how to have them all the same.

    Args:
        model: Model that they are for; empty = any.
    """
    return (
        "HF_ENDPOINT=https://MIRROR for the Hub, or carry them over: "
        f"zoo mirror {model or 'MODEL'} --to DIR"
    )
