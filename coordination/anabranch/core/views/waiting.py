"""Who waits for whom and for what, as it is shown.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.waiting.reasons import (
    Wait,
    called_waits,
    called_waits_for,
    keeps_waiting,
    standing,
    waits_of,
)
from anabranch.core.deciding.waiting.wording import in_short, in_words, reason_for

__all__ = [
    "Wait",
    "called_waits",
    "called_waits_for",
    "in_short",
    "in_words",
    "keeps_waiting",
    "reason_for",
    "standing",
    "waits_of",
]
