"""A run of a small plan with the built-in strategies, ready to be driven by hand."""

from __future__ import annotations

from typing import Any

from anabranch.core.plans.plan import PointPlan, StreamPlan
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of

STRATEGIES = load_plugins().strategies


def given(*members: StreamPlan | PointPlan, approve: bool = False, **fields: Any) -> ByHand:
    """Return a run whose base is known; ``fields`` are the plan's."""
    return ByHand(plan_of(*members, **fields), STRATEGIES, approve=approve)
