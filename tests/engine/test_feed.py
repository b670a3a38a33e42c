"""The feed: whoever pulls gets the newest state, and is told what he missed."""

from __future__ import annotations

import threading

import pytest

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.json_values import raw_of
from anabranch.core.model.state import State
from anabranch.engine import feed as feeds
from anabranch.engine.feed import Feed
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, stream
from anabranch.testing.memory_store import replay

RUN = ByHand(plan_of(stream("a"), stream("b", "a")), load_plugins().strategies)
RUN.succeed("a", "b")
RUN.merged()
RECORDS = RUN.records


def after(count: int) -> State:
    state = replay(RECORDS[:count])
    assert state is not None
    return state


def full_feed() -> Feed:
    return Feed(after(len(RECORDS)), RECORDS)


def test_a_reader_from_the_start_gets_everything() -> None:
    frame = full_feed().take(0)
    assert list(frame.events) == RECORDS
    assert frame.streams == {"a", "b"}
    assert (frame.cursor, frame.missed) == (len(RECORDS), 0)


def test_a_reader_gets_only_what_is_new() -> None:
    """Frame by frame, each event comes once."""
    feed = Feed(after(5), RECORDS[:5])
    cursor = feed.take(0).cursor
    seen: list[ev.Recorded] = []
    for count in range(6, len(RECORDS) + 1):
        feed.publish(after(count), RECORDS[count - 1 : count])
        frame = feed.take(cursor)
        assert frame.state == after(count)
        cursor, seen = frame.cursor, [*seen, *frame.events]
    assert seen == RECORDS[5:]


def test_when_nothing_happened_the_frame_is_empty() -> None:
    feed = full_feed()
    frame = feed.take(len(RECORDS))
    assert (frame.events, frame.streams, frame.missed) == ((), frozenset(), 0)
    assert frame.state is feed.state


def test_streams_whose_vitals_moved_count_as_changed() -> None:
    dirty = [RECORDS[1].event.stream] if isinstance(RECORDS[1].event, ev.StreamEvent) else []
    assert full_feed().take(len(RECORDS), dirty).streams == {"a"}


def test_a_reader_who_comes_late_is_told_what_he_missed() -> None:
    """The events that are still kept come, and the number of those that are not."""
    feed = Feed(after(len(RECORDS)), RECORDS[10:])
    frame = feed.take(3)
    assert frame.missed == 7
    assert frame.events[0].seq == 11
    assert frame.cursor == len(RECORDS)


def test_a_feed_without_history_counts_all_as_missed() -> None:
    feed = Feed(after(len(RECORDS)))
    frame = feed.take(0)
    assert (frame.events, frame.missed) == ((), len(RECORDS))


def test_a_frame_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader far behind gets the newest events, not all of them at once."""
    monkeypatch.setattr(feeds, "FRAME_LIMIT", 4)
    frame = full_feed().take(0)
    assert [r.seq for r in frame.events] == [r.seq for r in RECORDS[-4:]]
    assert frame.missed == len(RECORDS) - 4


def test_the_ring_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "KEPT", 3)
    feed = Feed(after(5), RECORDS[:5])
    assert [r.seq for r in feed.take(0).events] == [3, 4, 5]


def test_readers_on_other_threads_never_see_a_gap() -> None:
    """While one thread publishes, what another adds up is the row of events."""
    feed = Feed(after(1), RECORDS[:1])
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        cursor = 0
        while cursor < len(RECORDS):
            frame = feed.take(cursor)
            assert frame.missed == 0
            seen.extend(r.seq for r in frame.events)
            cursor = frame.cursor
        done.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for count in range(2, len(RECORDS) + 1):
        feed.publish(after(count), RECORDS[count - 1 : count])
    assert done.wait(10)
    reader.join(10)
    assert seen == list(range(1, len(RECORDS) + 1))


def test_large_values_take_no_more_memory_than_there_is_for_them() -> None:
    """Two thousand versions of 60 KB stood in memory whole; who wants them reads the journal."""
    state = after(len(RECORDS))
    feed = Feed(state)
    large = raw_of('"' + "x" * (feeds.KEPT_BYTES // 8 - len("null") - 2) + '"')
    changes = [
        ev.Recorded(
            n,
            0.0,
            None,
            ev.StateChanged(
                StreamId("a"),
                1,
                "q",
                version=1,
                key="k",
                before=raw_of(None),
                after=large,
                hash="h",
            ),
        )
        for n in range(state.seq - 19, state.seq + 1)
    ]
    for change in changes:
        feed.publish(state, [change])
    frame = feed.take(state.seq - 20)
    assert list(frame.events) == changes[-8:]
    assert frame.missed == 12
