"""What adapters cannot be asked for together with; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import FreezeError

if TYPE_CHECKING:
    from zoo.core.recipe import Recipe


def check_adapters(recipe: Recipe) -> None:
    """Check that what was asked of adapters can be done.

    Raises:
        FreezeError: An alpha without a rank, or adapters together with weights that join the
            training later or are shared out between processes.
    """
    part = recipe.freeze
    if part.lora is None:
        raise FreezeError(
            "--lora-alpha scales adapters, and there are none", hint="--lora 8, or leave it out"
        )
    if part.unfreeze_at:
        raise FreezeError(
            f"--unfreeze-at {part.unfreeze_at[0]}: with --lora no weight joins the training later",
            hint="leave one of them out",
        )
    if recipe.device.parallel == "fsdp":
        raise FreezeError(
            "--lora with --parallel fsdp is not supported: what trains is small anyway",
            hint="--parallel ddp",
        )
