"""The built-in convergence types."""

from __future__ import annotations

from anabranch.core.strategies import ConvergenceType
from anabranch.hookspecs import hookimpl
from anabranch_plugins.convergence.barrier import Barrier
from anabranch_plugins.convergence.checkpoint import CheckpointType
from anabranch_plugins.convergence.progressive import Progressive
from anabranch_plugins.convergence.race import Race


@hookimpl
def anabranch_convergence_types() -> list[ConvergenceType]:
    return [Barrier(), Progressive(), CheckpointType(), Race()]
