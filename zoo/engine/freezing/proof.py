"""Proof that frozen means unchanged: digests of every frozen tensor before and after.

Only what no epoch trains can be proved: with ``unfreeze_at`` those are the parameters that stay
frozen to the end. Buffers of held modules (running means, variances, counters) are part of the
proof, unless ``frozen_bn=update`` lets them move, which the line then says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from zoo.engine.freezing.cone import inside
from zoo.engine.processes.sharded import whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from zoo.engine.freezing.plan import FreezePlan


@dataclass(frozen=True, slots=True)
class Proof:
    """Digests of one moment.

    Attributes:
        parameters: Frozen parameter -> sha256 of dtype, shape and bytes.
        norm_buffers: Running statistics of held norm layers -> the same.
        buffers: Other buffers of held modules -> the same.
        note: What is left out of the proof, or empty.
    """

    parameters: dict[str, str]
    norm_buffers: dict[str, str]
    buffers: dict[str, str]
    note: str = ""

    @property
    def digest(self) -> str:
        """One sha256 over all names and digests, 64 hex digits."""
        found = hashlib.sha256()
        for name, value in sorted({**self.parameters, **self.norm_buffers, **self.buffers}.items()):
            found.update(f"{name}={value}\n".encode())
        return found.hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint's metadata keeps: counts, digest, note."""
        counts = {
            "tensors": len(self.parameters),
            "norm_buffers": len(self.norm_buffers),
            "buffers": len(self.buffers),
        }
        return {"sha256": self.digest, **counts, "note": self.note}


@dataclass(frozen=True, slots=True)
class ProofResult:
    """Comparison of two moments.

    Attributes:
        ok: Nothing changed.
        changed: Names of what did.
        proof: The later moment.
        line: One line for people.
    """

    ok: bool
    changed: tuple[str, ...]
    proof: Proof
    line: str

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint's metadata keeps."""
        return {**self.proof.to_dict(), "unchanged": self.ok, "changed": list(self.changed)}


def take(model: nn.Module, plan: FreezePlan) -> Proof:
    """Digest every tensor that the plan keeps frozen to the end.

    Args:
        model: The model, or the bare module inside DDP or compile.
        plan: Its freeze plan.
    """
    wanted = set(plan.ever_frozen)
    parameters = {n: digest(p) for n, p in model.named_parameters() if n in wanted}
    last = plan.later[-1] if plan.later else plan
    norms = _under(model, last.norms)
    others = {n: b for n, b in _under(model, last.eval_modules).items() if n not in norms}
    moving = bool(last.update_modules)
    note = f"{len(norms)} BN buffers move (frozen_bn=update)" if moving and norms else ""
    return Proof(
        parameters,
        {} if moving else {n: digest(b) for n, b in norms.items()},
        {n: digest(b) for n, b in others.items()},
        note,
    )


def check(before: Proof, model: nn.Module, plan: FreezePlan) -> ProofResult:
    """Compare the model with an earlier proof; the caller decides what a failure means.

    Args:
        before: What :func:`take` gave before training.
        model: The same model after training.
        plan: The same plan.
    """
    after = take(model, plan)
    old = {**before.parameters, **before.norm_buffers, **before.buffers}
    new = {**after.parameters, **after.norm_buffers, **after.buffers}
    changed = tuple(sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n)))
    if not new and not changed:
        return ProofResult(True, (), after, "frozen: nothing to the end, so nothing is proved")
    counts = [f"{len(after.parameters)} tensors"] if after.parameters else []
    counts += [f"{len(after.norm_buffers)} BN buffers"] if after.norm_buffers else []
    counts += [f"{len(after.buffers)} other buffers"] if after.buffers else []
    verdict = "unchanged ✓" if not changed else f"{len(changed)} changed ✗ ({_few(changed)})"
    note = f" | {after.note}" if after.note else ""
    return ProofResult(not changed, changed, after, f"frozen: {', '.join(counts)}, {verdict}{note}")


def digest(tensor: Tensor) -> str:
    """sha256 over a tensor's dtype, shape and bytes, 64 hex digits; any device and layout."""
    dense = whole(tensor.detach()).to("cpu").contiguous()
    found = hashlib.sha256(f"{dense.dtype}{tuple(dense.shape)}".encode())
    if dense.numel():
        found.update(dense.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _under(model: nn.Module, modules: tuple[str, ...]) -> dict[str, Tensor]:
    return {n: b for n, b in _buffers(model) if any(inside(n, m) for m in modules)}


def _buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((n, b) for n, b in model.named_buffers() if b.numel() or b.ndim)


def _few(names: tuple[str, ...], count: int = 3) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
