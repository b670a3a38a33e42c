"""Going through a run's history: the states that its events lead to, by the engine's own fold."""

from __future__ import annotations

from anabranch.core.folds.evolve import evolve, first_state

__all__ = [
    "evolve",
    "first_state",
]
