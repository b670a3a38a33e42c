"""The built-in load balancers."""

from __future__ import annotations

from anabranch.core.strategies import LoadBalancer
from anabranch.hookspecs import hookimpl
from anabranch_plugins.balancing.affinity import Affinity
from anabranch_plugins.balancing.least_loaded import LeastLoaded
from anabranch_plugins.balancing.longest_first import LongestFirst
from anabranch_plugins.balancing.plan_order import PlanOrder
from anabranch_plugins.balancing.round_robin import RoundRobin
from anabranch_plugins.balancing.two_choices import TwoChoices
from anabranch_plugins.balancing.work_stealing import WorkStealing


@hookimpl
def anabranch_load_balancers() -> list[LoadBalancer]:
    return [
        *(LongestFirst(), PlanOrder()),
        *(RoundRobin(), LeastLoaded(), TwoChoices(), Affinity(), WorkStealing()),
    ]
