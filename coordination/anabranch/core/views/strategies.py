"""Which strategies can be chosen, and for what.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.choosing import CHOICES, candidates

__all__ = [
    "CHOICES",
    "candidates",
]
