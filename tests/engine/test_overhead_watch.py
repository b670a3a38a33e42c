"""What coordination costs is looked at once a second, however often one looks."""

from __future__ import annotations

from anabranch.core import inputs
from anabranch.engine.overhead_watch import LOOK_SECONDS, OverheadWatch
from anabranch.engine.source import Overhead
from anabranch.testing import FakeClock, stream
from tests.core.given import given


def test_a_cost_that_is_too_much_is_told_at_once_and_then_once_a_second() -> None:
    clock, state = FakeClock(), given(stream("a")).state
    asked: list[float] = []

    def cost() -> Overhead:
        asked.append(clock())
        return Overhead({"merging": 5.0}, 5.0, 0.5)

    watch = OverheadWatch(cost, clock)
    assert [type(found) for found in watch.look(state)] == [inputs.OverheadSeen]
    clock.advance(LOOK_SECONDS / 2)
    assert not list(watch.look(state))
    clock.advance(LOOK_SECONDS / 2)
    assert [type(found) for found in watch.look(state)] == [inputs.OverheadSeen]
    assert len(asked) == 2
