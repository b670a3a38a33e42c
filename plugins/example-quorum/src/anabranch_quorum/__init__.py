"""A convergence type for Anabranch: merges once a majority of streams has arrived."""

from __future__ import annotations

from anabranch.core.strategies import ConvergenceType
from anabranch.hookspecs import hookimpl
from anabranch_quorum.strategy import Quorum


@hookimpl
def anabranch_convergence_types() -> list[ConvergenceType]:
    return [Quorum()]
