"""A freeze plan at work: who is frozen now, who thaws at which epoch, and the proof at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.engine.freezing import freeze, proof
from zoo.errors import VerificationError

if TYPE_CHECKING:
    from torch import nn

    from zoo.engine.freezing.plan import FreezePlan
    from zoo.engine.freezing.proof import Proof


class Frozen:
    """The frozen part of a model during a run.

    Args:
        model: The bare model.
        plan: Its plan; is applied at once.
    """

    def __init__(self, model: nn.Module, plan: FreezePlan) -> None:
        self.model = model
        self.plan = plan
        self._now = plan.at_epoch(0)
        self._before: Proof | None = None
        self.line = ""
        freeze.apply(model, self._now)

    @property
    def later(self) -> tuple[str, ...]:
        """Parameters that are frozen now and will train: their optimizer groups exist already."""
        frozen = set(self.plan.frozen)
        return tuple(name for name in self.plan.ever_trainable if name in frozen)

    def hold(self, model: nn.Module) -> None:
        """Put the frozen part in eval mode; for after each ``model.train()``."""
        freeze.hold(model, self._now)

    def thaw(self, epoch: int) -> bool:
        """Unfreeze what is due before an epoch; whether anything changed."""
        due = self.plan.at_epoch(epoch)
        if due.frozen == self._now.frozen:
            return False
        self._now = due
        freeze.apply(self.model, due)
        return True

    def begin(self) -> dict[str, Any]:
        """Digest what must not change; for the checkpoint's metadata."""
        self._before = proof.take(self.model, self.plan)
        return self._before.to_dict()

    def prove(self, expected: str = "") -> dict[str, Any]:
        """Compare with the beginning.

        Args:
            expected: Digest of the beginning as a resumed run's checkpoint states it.

        Returns:
            What the checkpoint's metadata keeps.

        Raises:
            VerificationError: A frozen tensor changed.
        """
        if not self.plan.frozen or self._before is None:
            return {}
        result = proof.check(self._before, self.model, self.plan)
        self.line = result.line
        if not result.ok:
            raise VerificationError(
                f"the freeze proof failed: {result.line}",
                hint="a plugin or a hook changed frozen weights; run with --strict to find it",
            )
        if expected and result.proof.digest != expected:
            raise VerificationError(
                "frozen weights are not those that the run began with "
                f"({result.proof.digest[:12]}, not {expected[:12]})",
                hint="the checkpoint that was resumed is of another beginning",
            )
        return result.to_dict()

    def record(self, proof_record: dict[str, Any]) -> dict[str, Any]:
        """The plan and its proof as a checkpoint's metadata keeps them; empty if nothing froze."""
        if not self.plan.frozen:
            return {}
        return {
            "line": self.plan.line(),
            "adapters": self.plan.adapters,
            "frozen": list(self.plan.frozen),
            "frozen_size": self.plan.frozen_size,
            "trainable_size": self.plan.trainable_size,
            "frozen_bn": self.plan.frozen_bn,
            "later": [[plan.epoch, list(plan.frozen)] for plan in self.plan.later],
            "proof": proof_record,
        }
