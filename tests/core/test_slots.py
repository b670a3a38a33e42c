"""Slots as values: who runs where, in which lease, and who did before; also in old journals."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.slots import Slot, free_slots
from anabranch.core.model.state import State
from anabranch.core.promises.slots import broken_leases
from anabranch.core.views.projections import stream_status
from anabranch.testing import ByHand, stream
from anabranch.testing.memory_store import replay
from tests.core.given import given


def leases(run: ByHand) -> dict[int, tuple[str | None, int, str | None]]:
    """Return of each slot who runs in it, in which lease, and who ran there last."""
    return {n: (s.runs, s.incarnation, s.last) for n, s in sorted(run.state.slots.items())}


def status(run: ByHand, name: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = stream_status(run.state, run.stream(name))["slot"]
    return found


def test_slots_are_numbered_leased_and_leased_again() -> None:
    run = given(stream("a", priority=1), stream("b"), stream("c", "b"), max_parallel=2)
    assert leases(run) == {1: ("a", 1, None), 2: ("b", 1, None)}
    run.clock.advance(5.0)
    run.succeed("b")
    assert leases(run) == {1: ("a", 1, None), 2: ("c", 2, "b")}
    assert run.state.slots[2].busy_seconds == pytest.approx(5.0)
    told = status(run, "c")
    assert told is not None
    assert (told["number"], told["incarnation"], told["before"]) == (2, 2, "b")
    assert told["because"] == "the first that may start, by longest-first"
    assert status(run, "b") is None
    admitted = [r.event for r in run.records if isinstance(r.event, ev.StreamAdmitted)]
    assert [(e.stream, e.slot, e.incarnation) for e in admitted][-1] == ("c", 2, 2)


def test_who_waits_to_be_tried_again_holds_no_slot() -> None:
    run = given(stream("a", max_retries=1), stream("b"), max_parallel=1)
    run.fail("a")
    assert run.phase("a") == "retrying"
    assert leases(run) == {1: ("b", 2, "a")}
    assert status(run, "a") is None


def test_slots_beyond_a_narrower_width_run_out() -> None:
    streams = [stream(n) for n in "abcdef"]
    run = given(*streams, max_parallel=3)
    run.give(inputs.RecoverStream(stream=StreamId("a"), remedy="fallback", reason="alone"))
    assert run.state.max_parallel == 1
    assert {s.runs for s in run.state.slots.values()} >= {StreamId("b"), StreamId("c")}
    run.ready("a")
    run.kept("a", "")
    run.succeed("b")
    assert run.state.slots[2].is_free
    run.succeed("c")
    assert [n for n, s in run.state.slots.items() if not s.is_free] == [1]


def test_work_that_is_kept_once_more_takes_no_slot() -> None:
    run = given(stream("a"), stream("b"), stream("c", "a", "b"), max_parallel=2)
    run.succeed("a", "b")
    run.conflicted("c", "a", "b")
    run.give(inputs.ResumeRun(reason="again", adopted=0, retry_failed=True))
    assert run.phase("a") == "capturing"
    assert run.state.slots[1].runs != "a"
    assert not list(broken_leases(run.state))


def test_a_journal_from_before_there_were_slots_loads() -> None:
    """Each stream has the first slot that was free, and what it does from then on goes on."""
    run = given(stream("a", priority=1), stream("b"), stream("c", "b"), max_parallel=2)
    run.succeed("b")
    old = [replace(r, event=without_slot(r.event)) for r in run.records]
    state = replay(old)
    assert state is not None
    assert {n: s.runs for n, s in state.slots.items()} == {1: "a", 2: "c"}
    assert not list(broken_leases(state))


def without_slot(event: ev.Event) -> ev.Event:
    if not isinstance(event, ev.StreamAdmitted):
        return event
    written = msgspec.to_builtins(event)
    for name in ("slot", "incarnation", "placed_because"):
        del written[name]
    return msgspec.convert(written, ev.StreamAdmitted)


def test_a_slot_that_somebody_has_is_given_to_nobody_else() -> None:
    run = given(stream("a"), stream("b"), max_parallel=2)
    records = [r for r in run.records if not is_admission(r.event, "b")]
    wrong = replace(run.records[-1], event=ev.StreamAdmitted(StreamId("b"), attempt=1, slot=1))
    state = replay([*records, wrong])
    assert state is not None
    assert {n: s.runs for n, s in state.slots.items()} == {1: "a", 2: "b"}


def is_admission(event: ev.Event, name: str) -> bool:
    return isinstance(event, ev.StreamAdmitted) and event.stream == name


def with_slot(state: State, slot: Slot) -> State:
    return replace(state, slots=state.slots.insert(slot.number, slot))


@pytest.mark.parametrize(
    "slot",
    [
        Slot(2, 1, StreamId("a")),
        Slot(2, 2, StreamId("b")),
        Slot(2, 1),
        Slot(3, 1),
    ],
)
def test_the_promise_sees_slots_that_do_not_fit(slot: Slot) -> None:
    run = given(stream("a"), stream("b"), max_parallel=2)
    assert not list(broken_leases(run.state))
    assert list(broken_leases(with_slot(run.state, slot)))


def test_free_slots_are_those_of_the_width() -> None:
    slots = {1: Slot(1, 1, StreamId("a")), 4: Slot(4, 3)}
    assert [s.number for s in free_slots(slots, 5)] == [2, 3, 4, 5]
    assert [s.incarnation for s in free_slots(slots, 4)] == [0, 0, 3]
