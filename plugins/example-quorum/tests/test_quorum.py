"""Quorum waits for k of n or for its deadline, and never for nobody."""

from __future__ import annotations

from anabranch_quorum.strategy import Quorum

from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import RunPhase
from anabranch.core.strategies import Abandon, Converge, PointView, WaitForMore
from anabranch.testing import assert_conforms, plan_of, point, simulate, stream


def seen(expected: int, arrived: int, departed: int = 0, **options: object) -> PointView:
    names = [StreamId(f"s{n}") for n in range(arrived + departed)]
    gone = dict.fromkeys(names[arrived:], "exit code 1")
    return PointView(PointId("final"), expected, tuple(names[:arrived]), gone, options=options)


def test_it_conforms() -> None:
    """Deterministic, total, pure, quick, and true to the laws of convergence types."""
    assert_conforms(Quorum())


def test_it_waits_for_k_of_n() -> None:
    """More than half, unless the plan names a number."""
    assert isinstance(Quorum().next_step(seen(4, 2), 1.0), WaitForMore)
    assert isinstance(Quorum().next_step(seen(4, 3), 1.0), Converge)
    assert isinstance(Quorum().next_step(seen(4, 2, k=2), 1.0), Converge)
    assert isinstance(Quorum().next_step(seen(4, 2, k=4), 1.0), WaitForMore)


def test_a_deadline_is_as_good_as_a_quorum() -> None:
    """It asks to be asked again just then."""
    early = Quorum().next_step(seen(4, 1, deadline_seconds=10.0), 9.0)
    assert isinstance(early, WaitForMore)
    assert early.look_again_at == 10.0
    late = Quorum().next_step(seen(4, 1, deadline_seconds=10.0), 10.0)
    assert isinstance(late, Converge)
    assert not late.is_final
    assert isinstance(Quorum().next_step(seen(4, 0, deadline_seconds=10.0), 11.0), WaitForMore)


def test_it_does_not_wait_for_nobody() -> None:
    """Whoever is left over at the end is merged, too."""
    assert isinstance(Quorum().next_step(seen(4, 1, departed=3), 1.0), Converge)
    assert isinstance(Quorum().next_step(seen(4, 0, departed=4), 1.0), Abandon)


def test_a_run_converges_with_it() -> None:
    """The real engine, in a simulated world."""
    plan = plan_of(stream("a"), stream("b", "a"), stream("c"), point("final", type="quorum"))
    assert simulate(plan, Quorum()).phase is RunPhase.CONVERGED
