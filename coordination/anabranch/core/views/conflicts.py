"""Conflicts that are open or foreseen, as they are shown.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.conflicts.radar import foreseen_with, in_order
from anabranch.core.folds.resolutions import key_of, open_conflicts, resolution_of, undecided

__all__ = [
    "foreseen_with",
    "in_order",
    "key_of",
    "open_conflicts",
    "resolution_of",
    "undecided",
]
