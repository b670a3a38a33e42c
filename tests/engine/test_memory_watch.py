"""What streams are seen to have of memory: what counts, and when it is news."""

from __future__ import annotations

import os

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.engine.machine_memory import MachineMemory
from anabranch.engine.memory_watch import MemoryWatch, proportional_mb
from anabranch.engine.vitals import Vitals
from anabranch.testing import ByHand, stream
from tests.core.given import given

PLENTY, LITTLE = MachineMemory(9000, 16000), MachineMemory(500, 16000)


class Watch:
    """A watch on a machine and streams whose figures a test gives."""

    def __init__(self, *, is_kept: bool = False, closely: float | None = None) -> None:
        self.memory = PLENTY
        self.looked: list[int] = []
        self._watch = MemoryWatch(lambda *_: is_kept, self._closely)
        self._proportional = closely

    def _closely(self, holder: int) -> float | None:
        self.looked.append(holder)
        return self._proportional

    def look(self, state: State, attempt: int = 1, **mb: float) -> list[inputs.MemorySeen]:
        vitals = {
            StreamId(name): Vitals(
                StreamId(name), Attempt(attempt), memory_bytes=int(used * (1 << 20))
            )
            for name, used in mb.items()
        }
        found = list(self._watch.look(state, vitals, self.memory))
        assert all(isinstance(fact, inputs.MemorySeen) for fact in found)
        return found  # type: ignore[return-value]


def running() -> ByHand:
    run = given(stream("a", limits={"memory_mb": 100}), stream("b"))
    run.run("a", "b")
    return run


def test_who_is_above_its_ceiling_at_two_looks_in_a_row_is_told_of_with_the_less_of_both() -> None:
    state, watch = running().state, Watch()
    assert watch.look(state, a=500, b=50) == []
    assert watch.look(state, a=90, b=50) == []
    assert watch.look(state, a=200, b=50) == []
    (seen,) = watch.look(state, a=150, b=60)
    assert {use.stream: use.memory_mb for use in seen.uses} == {"a": 150, "b": 50}
    assert not seen.is_short
    assert watch.look(state, attempt=2, a=150) == []  # another attempt begins anew


def test_shared_pages_are_counted_once_before_anybody_is_ended() -> None:
    """Only then is it looked at so closely."""
    state, watch = running().state, Watch(closely=80)
    watch.look(state, a=90)
    watch.look(state, a=95)
    assert watch.looked == []
    watch.look(state, a=300)
    assert watch.look(state, a=300) == []
    assert watch.looked == [11]


def test_whom_the_kernel_keeps_below_its_ceiling_is_not_told_of() -> None:
    state, watch = running().state, Watch(is_kept=True)
    watch.look(state, a=300)
    assert watch.look(state, a=300) == []
    assert watch.looked == []


def test_a_machine_is_short_when_two_looks_in_a_row_say_so() -> None:
    state, watch = running().state, Watch()
    for memory, is_short in ((LITTLE, 0), (PLENTY, 0), (LITTLE, 0), (LITTLE, 1), (PLENTY, 0)):
        watch.memory = memory
        assert len(watch.look(state, b=50)) == is_short
    run = running()
    run.exited("a")
    run.kept("a")
    run.exited("b")
    run.kept("b")
    run.merged()
    assert run.state.has_ended
    watch.memory = LITTLE
    watch.look(run.state)
    assert watch.look(run.state) == []


def test_processes_of_this_machine_can_be_looked_at() -> None:
    assert proportional_mb(os.getppid()) is None or proportional_mb(os.getppid()) > 0  # type: ignore[operator]
    assert proportional_mb(1 << 22) is None
