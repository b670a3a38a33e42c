"""How a stream gets on: the judgement as a table, its clocks, and what the journal keeps of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.calls import Caller, Heartbeat, Renew, StateSet
from anabranch.core.deciding.streams.heartbeats import MOST_NEWS, NEWS_SECONDS
from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import AskPlan
from anabranch.core.views.projections import status, wall_time
from anabranch.engine.interference import Interference
from anabranch.engine.liveness import LivenessWatch, Signs, judge
from anabranch.engine.machine_memory import MachineMemory
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
        (Signs(3599.0, 1.0, True), "quiet", "but it works, which excuses it for 60 min"),
        (Signs(3600.0, 1.0, True), "stalled", "its work excuses 60 min"),
        (Signs(3600.0, 1.0, False), "stalled", "its work excuses 60 min"),
        (Signs(3600.0, 1.0, True, waits_for="the lock"), "quiet", "waits for"),
        (SILENT, "stalled", "neither progress nor work for 11 min; its timeout is 10 min"),
        (replace(SILENT, has_progressed=False), "never_heard", "never heard from in 11 min"),
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
    """Its silence says nothing, unless it promised heartbeats; a person is told of it."""
    plan = stream("a", tty=True)
    assert judge(SILENT, plan).name == "unclear"
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
        job = (stream("job"),) if plan.get("kind") == "service" else ()  # it has to be needed
        self.crew = Crew(plan=plan_of(stream("a", **plan), *job))
        self.crew.starts("a")
        self.watch = LivenessWatch(self.clock, Interference(self.clock))
        self.vitals = Vitals(StreamId("a"), 1, alive=True)

    def ticks(self, count: int, seconds: float = 1.0, **seen: Any) -> list[inputs.Input]:
        """Let ticks pass; return what was news, which the engine hears at once."""
        self.vitals = dataclasses.replace(self.vitals, **seen)
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


def test_a_service_may_be_silent_unless_it_has_said_that_it_would_not() -> None:
    watching = Watching(**FAST, kind="service")
    assert not watching.ticks(100, last_output_at=1.0)
    watching.beats()
    watching.ticks(30)
    (event,) = watching.crew.events(ev.StreamStalled)
    assert "last heartbeat" in event.evidence


def test_nobody_is_ended_under_a_persons_hands() -> None:
    """While somebody is attached to its terminal a silent stream is not stalled, but afterwards."""
    watching = Watching(**FAST, tty=True, ask=AskPlan(line="?"))
    watching.watch.is_visited = lambda stream, attempt: True
    (news,) = watching.ticks(100, last_output_at=1.0)
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "unclear"
    assert "a person is attached" in news.evidence
    watching.watch.is_visited = lambda stream, attempt: False
    (news,) = watching.ticks(3)
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "stalled"


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


def test_work_excuses_silence_up_to_a_bound() -> None:
    """One that computes and never says a word is asked some time, and more work is no answer."""
    watching = Watching(**FAST)
    (news,) = watching.ticks(200, busy=True)
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "stalled"
    assert news.silent_seconds >= 6 * FAST["heartbeat_timeout_seconds"]
    (news,) = watching.ticks(1, last_output_at=watching.clock())
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "back"


def asked_and_stalled() -> Watching:
    watching = Watching(**FAST)
    watching.ticks(3, last_output_at=1.0)
    watching.ticks(21)
    assert watching.crew.state.streams[StreamId("a")].care.remedy == "soft"
    return watching


def test_a_stir_after_a_touch_is_no_work_and_work_that_lasts_is() -> None:
    """The handler of a signal that was sent takes processor time, whatever the stream hangs in."""
    watching = asked_and_stalled()
    watching.watch.interference.touched(StreamId("a"))
    assert not watching.ticks(2, busy=True)
    assert not watching.ticks(2, busy=False)
    assert not watching.ticks(2, busy=True)
    (news,) = watching.ticks(2, busy=True)
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "quiet"


def test_the_question_itself_is_a_touch() -> None:
    """A message in the inbox wakes who waits for one."""
    watching = asked_and_stalled()
    assert watching.watch.interference.is_settling(StreamId("a"))


def test_only_a_sign_since_the_question_answers_it() -> None:
    """Also where nothing was wrong: a person asked, or others wait at a point."""
    watching = Watching(**FAST)
    watching.ticks(3, last_output_at=1.0)
    watching.crew._step(inputs.RecoverStream(stream=StreamId("a"), remedy="soft"))
    assert not watching.ticks(5)
    (news,) = watching.ticks(1, last_output_at=50.0)
    assert isinstance(news, inputs.LivenessSeen)
    assert news.verdict == "back"
    (finished,) = watching.crew.events(ev.RecoveryFinished)
    assert finished.outcome == "recovered"


def test_a_lock_that_is_kept_for_another_command_is_no_sign_of_it() -> None:
    """``ab-stream lock PATH -- COMMAND`` renews the lease, whether or not the command hangs."""
    watching = Watching(**FAST)
    renewal = Renew(caller=Caller(StreamId("a"), 1), request="x")
    for _ in range(30):
        watching.watch.heard(renewal)
        watching.ticks(1)
    (event,) = watching.crew.events(ev.StreamStalled)
    assert event.verdict == "never_heard"


def test_silence_on_a_terminal_is_told_once_and_until_it_ends() -> None:
    """Nobody can tell whether it waits for a person or hangs."""
    watching = Watching(tty=True, **FAST)
    watching.ticks(3, last_output_at=1.0)
    watching.ticks(100)
    (alert,) = watching.crew.events(ev.GuardianAlerted)
    assert "may wait for a person" in alert.reason
    assert not watching.crew.events(ev.StreamStalled, ev.RecoveryStarted)
    watching.ticks(1, last_output_at=99.0)
    assert not watching.crew.state.streams[StreamId("a")].care.alert
    watching.ticks(100)
    assert len(watching.crew.events(ev.GuardianAlerted)) == 2


def test_a_promise_is_kept_over_a_change_of_engines() -> None:
    """Who has sent a heartbeat to the engine before is judged by heartbeats by the next one too."""
    watching = Watching(**FAST)
    watching.crew.beats("a", "busy")
    for second in range(30):
        watching.ticks(1, last_output_at=float(second))
    (event,) = watching.crew.events(ev.StreamStalled)
    assert "last heartbeat" in event.evidence


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
    assert watching.watch.verdicts[StreamId("a")].evidence == "waits for b at final"


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


def said(crew: Crew) -> list[tuple[str, float | None]]:
    return [(e.status, e.progress) for e in crew.events(ev.StreamHeartbeat)]


def test_the_last_heartbeat_is_known_at_once() -> None:
    """Its status and its progress, each as it was said last; nothing is folded away."""
    crew = Crew("a")
    crew.call(Heartbeat, "a", status="one", progress=0.1)
    crew.now = 4.0
    crew.call(Heartbeat, "a", progress=0.5)
    crew.now = 8.0
    crew.call(Heartbeat, "a", status="two", progress=0.9)
    crew.now = 12.0
    crew.call(Heartbeat, "a", progress=0.95)
    crew.call(Heartbeat, "a", info={"chapter": 2})
    assert said(crew) == [("one", 0.1), ("one", 0.5), ("two", 0.9), ("two", 0.95), ("two", 0.95)]
    (row,) = status(crew.state, True, None)["streams"]
    assert row["heartbeat"] == {
        "status": "two",
        "progress": 0.95,
        "info": {"chapter": 2},
        "at": wall_time(crew.state, 12.0),
    }


def test_heartbeats_that_say_nothing_new_are_written_down_now_and_then() -> None:
    """Often enough to know how old the last one is."""
    crew = Crew("a")
    for second in range(31):
        crew.now = float(second)
        assert crew.beats("a").outcome == "done"
    assert [r.at for r in crew.records if isinstance(r.event, ev.StreamHeartbeat)] == [
        0.0,
        10.0,
        20.0,
        30.0,
    ]


def test_a_flood_of_news_is_coalesced_and_its_last_is_never_lost() -> None:
    """The journal gets ten, then one a second; the watch tells the last until it stands there."""
    watching = Watching(**FAST)
    crew, a = watching.crew, StreamId("a")

    def floods(first: int, last: int) -> None:
        for number in range(first, last):
            beat = Heartbeat(caller=Caller(a, 1), request="", status=f"step {number}")
            crew._step(beat)
            watching.watch.heard(beat)

    floods(0, 500)
    assert len(said(crew)) == MOST_NEWS
    watching.ticks(2)
    crew.now = NEWS_SECONDS
    watching.ticks(1)
    assert said(crew)[-1] == ("step 499", None)
    assert len(said(crew)) == MOST_NEWS + 1
    assert not watching.ticks(3)
    floods(500, 1000)
    seen = len(crew.records)
    exited = inputs.ProcessExited(
        stream=a, attempt=1, exit_code=0, signal=None, error=None, happened_at=crew.now
    )
    crew._step(exited)
    (last,) = watching.watch.last_words(crew.state, crew.records[seen:])
    crew._step(last)
    assert said(crew)[-1] == ("step 999", None)
    assert not list(watching.watch.last_words(crew.state, crew.records[seen:]))


def test_what_a_stream_reports_all_the_time_is_never_old() -> None:
    """Four a second for a minute: what is shown is of the last second, the journal stays small."""
    crew = Crew("a")
    for quarter in range(240):
        crew.now = quarter / 4
        crew.beats("a", f"step {quarter}")
        newest = [r.at for r in crew.records if isinstance(r.event, ev.StreamHeartbeat)][-1]
        assert crew.now - newest < 1.0
    assert len(said(crew)) <= 60 + MOST_NEWS


def test_an_answer_to_a_question_is_written_down_at_once() -> None:
    """However little it says; and nobody has to look for it, it calls the question off at once."""
    crew = Crew("a")
    crew.starts("a")
    crew.beats("a")
    crew.is_judged("a", "stalled")
    crew.now = 1.0
    crew.beats("a")
    assert len(said(crew)) == 2
    (finished,) = crew.events(ev.RecoveryFinished)
    assert (finished.outcome, finished.reason) == ("recovered", "it sent a heartbeat")
    assert crew.state.streams[StreamId("a")].public_state == "running"


def test_a_heartbeat_takes_the_place_of_no_answer() -> None:
    """What a call was answered is remembered, however many heartbeats follow."""
    crew = Crew("a")
    first = crew.call(StateSet, "a", "q", key="k", value=1)
    for second in range(100):
        crew.now = float(second * 10)
        crew.beats("a", f"step {second}")
    assert crew.call(StateSet, "a", "q", key="k", value=1) == first


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
    watch = UsageWatch()
    found = []
    for free in (4000, 3990, 3900, 3500, 450, 399, 398, 401):
        for fact in watch.look(crew.state, {}, MachineMemory(free, 8000)):
            crew._step(fact)
            found.append(free)
    assert found == [4000, 3500, 450, 399, 401]


def test_a_stream_above_its_grant_is_told_until_it_is_below() -> None:
    """Memory at once; processors on average over some ticks."""
    crew = Crew(plan=plan_of(stream("a", resources={"memory_mb": 100, "cpu_cores": 1})))
    crew.starts("a")
    watch = UsageWatch()

    def looks(megabytes: int, percent: float) -> int:
        vitals = Vitals(StreamId("a"), 1, memory_bytes=megabytes << 20, cpu_percent=percent)
        found = watch.look(crew.state, {StreamId("a"): vitals}, MachineMemory(4096, 8192))
        for fact in found:
            crew._step(fact)
        return sum(isinstance(f, inputs.UsageSeen) for f in found)

    assert looks(90, 100) == 0
    assert looks(150, 100) == 1
    assert (looks(90, 100), looks(90, 100)) == (1, 0)
    assert looks(90, 300) == 0
    assert sum(looks(90, 300) for _ in range(10)) > 5
    assert {e.resource for e in crew.events(ev.ResourcesExceeded)} == {"memory_mb", "cpu_cores"}
