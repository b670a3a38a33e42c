"""The built-in load balancers."""

from __future__ import annotations

from anabranch.core.strategies import LoadBalancer
from anabranch.hookspecs import hookimpl
from anabranch_plugins.balancing.longest_first import LongestFirst
from anabranch_plugins.balancing.plan_order import PlanOrder


@hookimpl
def anabranch_load_balancers() -> list[LoadBalancer]:
    return [LongestFirst(), PlanOrder()]
