"""``--find-lr``: which learning rates were tried, how the loss went, and the rate to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from zoo.cli.output import Out

_ROWS: Final = 20
_WIDTH: Final = 40


def show_rates(out: Out, found: Any) -> None:
    """Print the curve as rows of bars, and the suggestion.

    Args:
        out: Where words go.
        found: A :class:`zoo.engine.rangetest.RangeTest`.
    """
    if out.form == "json":
        out.json(found.to_dict())
        return
    taken = _nearest(found.rates, found.suggestion)
    every = -(-len(found.rates) // _ROWS)
    shown = sorted({*range(0, len(found.rates), every), *([] if taken is None else [taken])})
    low = min(found.smooth)
    high = max(found.smooth[: found.smooth.index(low) + 1])
    rows = [
        (
            f"{found.rates[k]:.1e}",
            f"{found.smooth[k]:.3f}",
            _bar((found.smooth[k] - low) / (high - low or 1.0)) + ("  <-" if k == taken else ""),
        )
        for k in shown
    ]
    out.table(("rate", "loss", ""), rows, right=("rate", "loss"))
    end = f"at {found.rates[-1]:.2g}, where the loss "
    falling = found.lowest > 0.8 * found.rates[-1]
    why = "grew out of bounds" if found.diverged else "was still falling" if falling else ""
    out.pairs(
        [
            ("lowest", f"loss {low:.3f} at {found.lowest:.2g}"),
            ("ended", end + why if why else ""),
            (
                "suggested",
                f"--lr {found.suggestion:g}"
                if found.suggestion
                else "none: at no rate did the loss fall by more than it scatters",
            ),
        ]
    )


def _bar(share: float) -> str:
    """A bar as long as the loss is high; what is higher than where it began ends in ``+``."""
    return "#" * round(_WIDTH * min(share, 1.0)) + ("+" if share > 1.05 else "")


def _nearest(rates: tuple[float, ...], wanted: float | None) -> int | None:
    if wanted is None:
        return None
    return min(range(len(rates)), key=lambda k: abs(rates[k] - wanted) / rates[k])
