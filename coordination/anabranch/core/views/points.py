"""Who meets at a point, and since when the others wait.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.points.convergence import participants, waiting_since

__all__ = [
    "participants",
    "waiting_since",
]
