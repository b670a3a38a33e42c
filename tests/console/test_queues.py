"""Queues of slots in the console: where a stream waits, and what was stolen."""

from __future__ import annotations

from typing import Any

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.streams.stealing import let_go
from anabranch.core.ids import StreamId
from anabranch.core.views.accounting import report
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, stream
from anabranch_console.cli.report_text import summary
from anabranch_console.lines import plain
from anabranch_console.presenters.event_lines import event_words
from anabranch_console.presenters.plan_details import plan_detail
from anabranch_console.presenters.plan_look import PlanLook, shape_of
from anabranch_console.presenters.plan_rows import PlanRow


def stolen_from() -> ByHand:
    """Return a run in which slot 2 has stolen two of four from slot 1, and started one."""
    usual: dict[str, Any] = {"estimate_seconds": 10.0, "estimate_basis": "learned"}
    webs = [stream(f"w{n}", capabilities=("web",), **usual) for n in range(4)]
    plan = plan_of(
        stream("one", priority=2, capabilities=("web",), **usual),
        stream("two", priority=1, **usual),
        *webs,
        max_parallel=2,
        balancer="work-stealing",
        balancer_options={"price_seconds": 5.0, "queue_seconds": 100.0},
    )
    run = ByHand(plan, load_plugins().strategies)
    run.run("one", "two")
    run.exited("two")
    run.kept("two")
    for effect in owed(run.state):
        if isinstance(effect, fx.AskVictim):
            run.give(let_go(effect))
    return run


def details(run: ByHand, name: str) -> str:
    look = PlanLook(shape_of(run.state, run.clock()), run.state, run.clock())
    return "\n".join(map(plain, plan_detail(look, PlanRow(StreamId(name)), 70)))


def test_the_plan_says_in_whose_queue_a_stream_waits_and_what_leaving_costs() -> None:
    run = stolen_from()
    told = " ".join(details(run, "w1").split())
    assert "queue second in the queue of slot 1: near to one, which runs there" in told
    assert "elsewhere it costs 5 s more" in told
    assert "first in the queue of slot 2: stolen from slot 1" in " ".join(
        details(run, "w3").split()
    )
    assert "queue of slot" not in details(run, "one")


def test_events_of_queues_name_slots_and_streams() -> None:
    run = stolen_from()
    kinds = (ev.StreamsAssigned, ev.StealAsked, ev.StreamsStolen)
    told = [event_words(r.event).detail for r in run.records if isinstance(r.event, kinds)]
    assert told == [
        "for slot 1: w0, w1, w2, w3; near to one, which runs there; elsewhere it costs 5 s more",
        "slot 2 asks slot 1 for w2, w3",
        "from slot 1 to 2: w2, w3",
    ]
    names = tuple(ev.QueuedAttempt(stream=StreamId(f"s{n}"), attempt=1) for n in range(6))
    back = ev.StreamsGivenBack(slot=3, version=1, queued=names, reason="slot 3 is beyond the width")
    words = event_words(back)
    assert words.detail == "for any slot: s0, s1, s2, s3 and 2 more; slot 3 is beyond the width"
    assert (words.subject, words.type) == ("run", "streams given back")
    refused = ev.StealRefused(steal=1, thief=2, victim=1, reason="it has changed")
    assert event_words(refused).detail == "from slot 1 to 2: it has changed"


def test_the_report_says_what_was_stolen_if_anything_was_asked_for() -> None:
    run = stolen_from()
    found = {
        **report(run.state, [], 1.0, {}),
        "integrity": {"journal": "ok", "events": 1, "state": "ok"},
    }
    assert dict(summary(found))["stealing"] == "2 streams in 1 steal"
    nothing = {**found, "stealing": {**found["stealing"], "asked": 0}}
    assert "stealing" not in dict(summary(nothing))
    refused = {**found, "stealing": {**found["stealing"], "refused": 3}}
    assert dict(summary(refused))["stealing"] == "2 streams in 1 steal, 3 refused"
