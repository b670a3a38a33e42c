"""Which strategies can be chosen.

The query is the one that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.choosing import candidates, why_not_chosen

__all__ = ["candidates", "why_not_chosen"]
