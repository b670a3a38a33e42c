"""How a stream gets on: the judgement as a table, its clocks, and what the journal keeps of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.calls import Caller, Heartbeat
from anabranch.core.ids import StreamId
from anabranch.core.projections import status
from anabranch.engine.liveness import LivenessWatch, Signs, judge
from anabranch.engine.process_table import MachineLoad
from anabranch.engine.usage import UsageWatch
from anabranch.engine.vitals import Vitals
from anabranch.testing import plan_of, stream
from anabranch.testing.clock import FakeClock
from tests.core.working import Crew

SILENT = Signs(700.0, 700.0, True, None, True)

# ------------------------------------------------------------------ the judgement


@pytest.mark.parametrize(
    ("signs", "verdict", "word"),
    [
        (Signs(5.0, 5.0, True), "lively", ""),
        (Signs(5.0, 5.0, False), "lively", ""),
        (Signs(90.0, 90.0, True), "quiet", "no progress for 90 s"),
        (Signs(90.0, 1.0, True), "quiet", "but it works"),
        (SILENT, "stalled", "neither progress nor work for 12 min; its timeout is 10 min"),
        (replace(SILENT, has_progressed=False), "never_heard", "never heard from in 12 min"),
        (replace(SILENT, idle_seconds=3.0), "quiet", "but it works"),
        (replace(SILENT, idle_seconds=300.0), "quiet", "no progress"),
        (replace(SILENT, waits_for="the lock of a.py"), "quiet", "waits for the lock of a.py"),
        (replace(SILENT, is_alive=False), "lively", "its holder is gone"),
        (replace(SILENT, is_alive=None), "stalled", "neither"),
        (replace(SILENT, beat_seconds=10.0), "lively", "last heartbeat 10 s ago"),
        (Signs(0.0, 0.0, True, 130.0), "quiet", "last heartbeat"),
        (Signs(0.0, 0.0, True, 601.0), "stalled", "last heartbeat 10 min ago; its timeout"),
        (replace(SILENT, seen="2 processes"), "stalled", "(2 processes)"),
    ],
)
def test_a_stream_is_judged_by_its_signs(signs: Signs, verdict: str, word: str) -> None:
    """Progress, work, promises, and what it waits for."""
    found = judge(signs, stream("a"))
    assert found.name == verdict
    assert word in found.evidence


def test_a_stream_on_a_terminal_may_wait_for_a_person() -> None:
    """Its silence says nothing, unless it promised heartbeats."""
    plan = stream("a", tty=True)
    assert judge(SILENT, plan).name == "quiet"
    assert judge(replace(SILENT, beat_seconds=700.0), plan).name == "stalled"


def test_the_plan_says_how_long_silence_may_be() -> None:
    """By stream."""
    plan = stream("a", heartbeat_interval_seconds=1.0, heartbeat_timeout_seconds=5.0)
    assert judge(Signs(6.0, 6.0, True), plan).name == "stalled"
    assert judge(Signs(4.0, 4.0, True), plan).name == "quiet"


# ------------------------------------------------------------------ the watch


class Watching:
    """One running stream, a watch, and a clock."""

    def __init__(self, **plan: Any) -> None:
        self.clock = FakeClock()
        self.crew = Crew(plan=plan_of(stream("a", **plan)))
        self.crew.starts("a")
        self.watch = LivenessWatch(self.clock)
        self.vitals = Vitals(StreamId("a"), 1, alive=True)

    def ticks(self, count: int, seconds: float = 1.0, **seen: Any) -> list[inputs.Input]:
        """Let ticks pass; return what was news, which the engine hears at once."""
        self.vitals = replace(self.vitals, **seen)
        found: list[inputs.Input] = []
        for _ in range(count):
            self.clock.advance(seconds)
            news = self.watch.look(self.crew.state, {StreamId("a"): self.vitals})
            for fact in news:
                self.crew._step(fact)
            found += news
        return found

    def beats(self) -> None:
        caller = Caller(StreamId("a"), 1)
        self.watch.heard(Heartbeat(caller=caller, request="x"))


FAST = {"heartbeat_interval_seconds": 5.0, "heartbeat_timeout_seconds": 20.0}


def test_only_the_turns_reach_the_engine() -> None:
    """Stalled once, back once, however many ticks lie between."""
    watching = Watching(**FAST)
    watching.ticks(3, last_output_at=1.0)
    (news,) = watching.ticks(100)
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "stalled"
    assert watching.crew.state.streams[StreamId("a")].public_state == "recovering"
    (news,) = watching.ticks(10, last_output_at=99.0)
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "back"
    assert [type(e) for e in watching.crew.events(ev.StreamStalled, ev.StreamProgressed)] == [
        ev.StreamStalled,
        ev.StreamProgressed,
    ]


def test_what_was_never_heard_is_a_state_of_its_own() -> None:
    """And the first sign ends it."""
    watching = Watching(**FAST)
    watching.ticks(100)
    (event,) = watching.crew.events(ev.StreamStalled)
    assert event.verdict == "never_heard"
    watching.ticks(1, last_change_at=5.0)
    assert watching.crew.state.streams[StreamId("a")].public_state == "running"


def test_work_excuses_silence() -> None:
    """For as long as it goes on."""
    watching = Watching(**FAST)
    assert not watching.ticks(100, busy=True)
    assert watching.ticks(30, busy=False)


def test_a_heartbeat_is_a_promise() -> None:
    """From then on output counts no more, and a missing beat is a stall."""
    watching = Watching(**FAST)
    watching.beats()
    for second in range(15):
        watching.ticks(1, last_output_at=float(second))
    assert not watching.crew.events(ev.StreamStalled)
    for second in range(15, 30):
        watching.ticks(1, last_output_at=float(second))
    (event,) = watching.crew.events(ev.StreamStalled)
    assert "last heartbeat" in event.evidence
    watching.beats()
    watching.ticks(1)
    assert watching.crew.state.streams[StreamId("a")].public_state == "running"


def test_time_in_which_nobody_looked_makes_no_stream_older() -> None:
    """The console was stopped for five minutes; nobody is declared stalled for it."""
    watching = Watching(**FAST)
    watching.ticks(3, last_output_at=1.0)
    assert not watching.ticks(5, seconds=300.0)


def test_another_engine_does_not_take_a_stall_back_without_a_sign() -> None:
    """It has only begun to look."""
    watching = Watching(**FAST)
    watching.ticks(30)
    watching.watch = LivenessWatch(watching.clock)
    assert not watching.ticks(10)
    assert watching.crew.state.streams[StreamId("a")].public_state == "recovering"


def test_who_waits_at_a_point_is_not_stalled() -> None:
    """Others are late, not he."""
    watching = Watching(**FAST)
    watching.crew = Crew("a", "b")
    watching.crew.arrives("a")
    assert not [n for n in watching.ticks(100) if n.verdict]  # type: ignore[attr-defined]
    assert watching.watch.verdicts[StreamId("a")].evidence == "waits for the others at final"


def test_an_outside_stream_lives_by_its_calls() -> None:
    """Silent for longer than the plan's timeout, it has left."""
    watching = Watching(**FAST)
    watching.crew.registers("scout")
    scout = Heartbeat(caller=Caller(StreamId("scout"), 1), request="x")
    for _ in range(5):
        watching.watch.heard(scout)
        watching.ticks(100, last_output_at=watching.clock())
    assert not watching.crew.events(ev.StreamLeft)
    watching.ticks(700)
    (left,) = watching.crew.events(ev.StreamLeft)
    assert "the timeout is 10 min" in left.reason


def test_the_plan_says_how_long_an_outside_stream_may_be_silent() -> None:
    """By ``[coordination.heartbeat] timeout``."""
    watching = Watching(**FAST)
    watching.crew = Crew(plan=plan_of(stream("a"), heartbeat_timeout_seconds=30.0))
    watching.crew.starts("a")
    watching.crew.registers("scout")
    watching.ticks(29)
    assert not watching.crew.events(ev.StreamLeft)
    watching.ticks(3)
    (left,) = watching.crew.events(ev.StreamLeft)
    assert "the timeout is 30 s" in left.reason


# ------------------------------------------------------------------ what is kept


def test_heartbeats_are_kept_in_the_journal_only_for_a_new_status() -> None:
    """And of those at most one in ten seconds."""
    crew = Crew("a")
    seen = len(crew.records)
    for _ in range(50):
        assert crew.beats("a").outcome == "done"
    assert len(crew.records) == seen
    for second in range(30):
        crew.now = float(second)
        crew.beats("a", f"step {second}")
    assert [e.status for e in crew.events(ev.StreamHeartbeat)] == ["step 0", "step 10", "step 20"]


def test_a_stalled_stream_says_so_with_its_evidence() -> None:
    """In the status, until it ends or is heard again; a new attempt begins anew."""
    crew = Crew(plan=plan_of(stream("a", max_retries=1)))
    crew.starts("a")
    crew.is_judged("a", "stalled", "nothing in 12 min")
    (row,) = status(crew.state, True, None)["streams"]
    assert (row["state"], row["reason"]) == ("recovering", "asked for a sign: nothing in 12 min")
    crew.remembers()
    crew.is_judged("a", "stalled", "nothing in 13 min")
    assert len(crew.events(ev.StreamStalled)) == 1
    crew.crashes("a")
    crew.passes(120)
    crew.starts("a")
    assert crew.state.streams[StreamId("a")].public_state == "running"


# ------------------------------------------------------------------ what is used


def test_the_machines_load_is_told_when_it_matters() -> None:
    """First, when it moved by a share of the whole, and when it crosses the floor."""
    crew = Crew("a")
    crew.measures(cpu_cores=2, memory_mb=8000)
    free = [4000]
    watch = UsageWatch(lambda: MachineLoad(2, 0.0, 0.0, free[0] << 20, 8000 << 20, 0.0))
    told = []
    for free[0] in (4000, 3990, 3900, 3500, 450, 399, 398, 401):
        for fact in watch.look(crew.state, {}):
            crew._step(fact)
            told.append(free[0])
    assert told == [4000, 3500, 450, 399, 401]


def test_a_stream_above_its_grant_is_told_until_it_is_below() -> None:
    """Memory at once; processors on average over some ticks."""
    crew = Crew(plan=plan_of(stream("a", resources={"memory_mb": 100, "cpu_cores": 1})))
    crew.starts("a")
    watch = UsageWatch(lambda: MachineLoad(2, 0.0, 0.0, 1 << 32, 1 << 33, 0.0))

    def looks(megabytes: int, percent: float) -> int:
        vitals = Vitals(StreamId("a"), 1, memory_bytes=megabytes << 20, cpu_percent=percent)
        found = watch.look(crew.state, {StreamId("a"): vitals})
        for fact in found:
            crew._step(fact)
        return sum(isinstance(f, inputs.UsageSeen) for f in found)

    assert looks(90, 100) == 0
    assert looks(150, 100) == 1
    assert (looks(90, 100), looks(90, 100)) == (1, 0)
    assert looks(90, 300) == 0
    assert sum(looks(90, 300) for _ in range(10)) > 5
    assert {e.resource for e in crew.events(ev.ResourcesExceeded)} == {"memory_mb", "cpu_cores"}
