"""Which commands of a plan are asked about, and what they are remembered by."""

from __future__ import annotations

from anabranch.core.ids import FINAL_POINT, PointId
from anabranch.core.plans.consent import PlanCommand, commands_of, to_be_asked
from anabranch.core.plans.plan import Plan, PointPlan, ReadyPlan
from anabranch.testing import plan_of, stream


def plan(*points: PointPlan) -> Plan:
    return Plan("shop", (), points, max_parallel=1)


def test_the_commands_of_a_plan_are_those_of_its_points_by_kind() -> None:
    made = plan(
        PointPlan(PointId("unit"), verify="pytest", resolver="settle"),
        PointPlan(FINAL_POINT, verify="make check"),
    )
    assert commands_of(made) == (
        PlanCommand("verify", "convergence.unit", "pytest"),
        PlanCommand("verify", "convergence.final", "make check"),
        PlanCommand("resolver", "convergence.unit", "settle"),
    )
    assert commands_of(plan(PointPlan(FINAL_POINT))) == ()


def test_how_a_service_is_seen_to_be_ready_is_asked_about_where_it_is_a_command() -> None:
    made = plan_of(
        stream("api", kind="service", ready=ReadyPlan(command="./ready.sh")),
        stream("db", kind="service", ready=ReadyPlan(log="up")),
        stream("job"),
    )
    assert commands_of(made) == (PlanCommand("ready", "streams.api", "./ready.sh"),)


def test_only_what_nobody_has_agreed_to_is_asked_about() -> None:
    """Whatever is said of a command counts: another text, place, kind or template is another."""
    known = PlanCommand("verify", "convergence.final", "make")
    others = [
        PlanCommand("resolver", "convergence.final", "make"),
        PlanCommand("verify", "convergence.unit", "make"),
        PlanCommand("verify", "convergence.final", "make "),
        PlanCommand("verify", "convergence.final", "make", "{}"),
        PlanCommand("verify", "convergence", ".finalmake"),
    ]
    assert to_be_asked([known, *others, others[0]], {known.digest}) == tuple(others)
    assert len({command.digest for command in (known, *others)}) == 6
