"""Whether a timeline is in order, and what is said of one that is not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.views.order import MOST_NAMED, OrderCheck
from anabranch.testing import stream
from tests.core.given import given

A = StreamId("a")


def checked(records: list[ev.Recorded]) -> dict[str, object]:
    check = OrderCheck()
    for record in records:
        check.take(record)
    return check.found()


def run_of_one() -> list[ev.Recorded]:
    run = given(stream("a", spread_seconds=10.0))
    run.at(run.stream("a").not_before)
    run.ready("a")
    run.clock.advance(1.0)
    run.started("a")
    run.clock.advance(1.0)
    run.exited("a")
    run.kept("a")
    run.merged()
    return run.records


def changed(records: list[ev.Recorded], kind: type[ev.Event], **changes: object) -> int:
    """Change the first event of a kind, or its place; return its number."""
    index = next(i for i, r in enumerate(records) if isinstance(r.event, kind))
    record = records[index]
    of_event = {k: v for k, v in changes.items() if k in record.event.__struct_fields__}
    of_record = {k: v for k, v in changes.items() if k not in of_event}
    records[index] = replace(record, event=replace(record.event, **of_event), **of_record)
    return record.seq


def test_a_run_is_in_order() -> None:
    records = run_of_one()
    assert checked(records) == {
        "events": len(records),
        "windows": 0,
        "late": 0,
        "out_of_order": 0,
        "check": "ok",
        "faults": [],
    }


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (ev.StreamStarted, {"happened_at": 0.0}, "a goes back by"),
        (ev.StreamStarted, {"happened_at": 1e6}, "tells of a what happens"),
        (ev.StreamExited, {"happened_at": 0.5}, "a goes back by"),
        (ev.StreamAdmitted, {"at": 0.0}, "a was let in"),
        (ev.StreamExited, {"at": 0.0}, "was decided"),
        (ev.StreamExited, {"cause": 999}, "was caused by event 999, which came later"),
    ],
)
def test_what_is_out_of_order_is_named(
    kind: type[ev.Event], changes: dict[str, object], words: str
) -> None:
    records = run_of_one()
    seq = changed(records, kind, **changes)
    found = checked(records)
    assert isinstance(found["faults"], list)
    assert any(f"event {seq} " in fault and words in fault for fault in found["faults"]), found
    assert words in str(found["check"])


def test_timed_events_that_are_sent_out_of_order_are_named() -> None:
    def sent(seq: int, stamp: int) -> ev.Recorded:
        event = ev.MessageSent(A, 1, "", to=None, body=1, recipients=1, stamp_us=stamp)
        return ev.Recorded(seq, 1.0, None, event)

    closed = ev.WindowClosed(window_us=10, end_us=10, released=2, late=1)
    found = checked(
        [
            ev.Recorded(1, 1.0, None, closed),
            sent(2, 5),
            sent(3, 4),
            ev.Recorded(4, 1.0, None, closed),
            sent(5, 1),
        ]
    )
    assert (found["windows"], found["late"], found["out_of_order"]) == (2, 2, 2)
    assert found["faults"] == [
        "event 3 was sent after what was stamped later",
        "event 4 closes a window that was closed before",
    ]


def test_of_many_faults_the_first_are_named_and_all_are_counted() -> None:
    records = run_of_one()
    found = checked([replace(record, cause=record.seq) for record in records * 3])
    assert isinstance(found["out_of_order"], int)
    assert found["out_of_order"] >= 3 * len(records)
    assert isinstance(found["faults"], list)
    assert len(found["faults"]) == MOST_NAMED
