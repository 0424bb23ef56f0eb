"""What a device may be called, without asking torch, which takes seconds to import."""

from __future__ import annotations

import re
from typing import Final

from zoo.core.names import did_you_mean, suggest
from zoo.errors import UsageError

USUAL: Final = ("auto", "cpu", "cuda", "mps")
"""Names that a misspelt one is compared with."""
_OTHERS: Final = (
    "xpu", "ipu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla",
    "lazy", "vulkan", "hpu", "mtia", "privateuseone",
)  # fmt: skip
"""Further types of device that torch knows by name."""


def check_device(name: str) -> None:
    """Refuse what is no device's name. Whether the device is there is another question.

    Args:
        name: As typed: ``auto``, a type of device, or one with a number (``cuda:1``).

    Raises:
        UsageError: It is malformed, or of a type that neither torch nor an installed backend of
            it (entry points of the group ``torch.backends``) may know.
    """
    kind, colon, _ = name.partition(":")
    shaped = re.fullmatch(r"[a-z]+(:\d+)?", name) and not (kind == "auto" and colon)
    if shaped and (kind in {*USUAL, *_OTHERS} or (kind != "meta" and _has_backends())):
        return
    raise no_device(name)


def no_device(name: str) -> UsageError:
    """The error of a name that is none."""
    kind = name.partition(":")[0].lower()
    near = ("cuda",) if kind == "gpu" else suggest(kind, USUAL, 1) if kind else ()
    close = did_you_mean(near)
    usual = "--device auto, cpu, cuda, cuda:0 or mps"
    return UsageError(f"{name!r} is not a device", hint=f"{close} ({usual})" if close else usual)


def _has_backends() -> bool:
    """Whether something is installed that may add types of device to torch."""
    from importlib.metadata import entry_points

    return bool(entry_points(group="torch.backends"))
