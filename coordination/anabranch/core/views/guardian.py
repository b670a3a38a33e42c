"""What the guardian does and would do, as the console shows it.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.guardian.brakes import INTENSITY_SECONDS, held_until, most_at_once
from anabranch.core.deciding.guardian.by_hand import (
    FALLBACK,
    REMEDIES,
    Forecast,
    evidence_of,
    forecast,
    in_words,
)
from anabranch.core.deciding.guardian.diagnosis import WAITS, WELL, held_up_by
from anabranch.core.strategies.rungs import RUNGS

__all__ = [
    "FALLBACK",
    "INTENSITY_SECONDS",
    "REMEDIES",
    "RUNGS",
    "WAITS",
    "WELL",
    "Forecast",
    "evidence_of",
    "forecast",
    "held_until",
    "held_up_by",
    "in_words",
    "most_at_once",
]
