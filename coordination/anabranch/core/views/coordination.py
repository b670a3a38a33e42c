"""How reliable the coordination of a run is: failures of the engine's own among its effects."""

from __future__ import annotations

from math import sqrt
from typing import Any

from anabranch.core.model.effects_done import EffectsDone

_Z95 = 1.96


def coordination_failures(effects: EffectsDone) -> dict[str, Any]:
    """Return the failures: how many of how many, their share, and what it is at most.

    ``upper95`` is the upper bound of the 95 % interval (Wilson's): none of ten may still be a
    quarter of thousands.
    """
    count, of = effects.failed, effects.all
    share = count / of if of else 0.0
    upper = round(_upper95(share, of), 6) if of else None
    return {"count": count, "of": of, "share": round(share, 6), "upper95": upper}


def _upper95(share: float, of: int) -> float:
    square = _Z95 * _Z95
    middle = share + square / (2 * of)
    spread = _Z95 * sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (middle + spread) / (1 + square / of)
