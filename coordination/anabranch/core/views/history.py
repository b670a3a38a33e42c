"""Going through a run's history: the states that its events lead to.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.folds.evolve import evolve, first_state

__all__ = [
    "evolve",
    "first_state",
]
