"""What the console knows of a run: it pulls frames from the source and tells what changed.

The source lives on other threads; everything here runs on the console's own. A pull never waits
and never raises: if the source fails, the last picture stays and the failure is shown once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from anabranch.core.events import Recorded
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.state import State
from anabranch.core.views.outlook import Rest, rest_of
from anabranch.core.views.spells import Spells
from anabranch.engine.handlers import HandlerTally
from anabranch_console.attentions import Attentions
from anabranch_console.presenters.handler_events import is_noise
from anabranch_console.presenters.stream_row import StreamRow, stream_row
from anabranch_console.time_travel import TimeSource

if TYPE_CHECKING:
    from anabranch.engine.source import Frame, Overhead, Source
    from anabranch.engine.vitals import Vitals

EVENTS_KEPT = 20_000
EVENTS_KEPT_PER_SUBJECT = 500


@dataclass(slots=True)
class Changes:
    """What a pull brought."""

    rows: set[StreamId] = field(default_factory=set)
    events: tuple[Recorded, ...] = ()
    missed: int = 0
    is_new_second: bool = False
    is_other_time: bool = False
    problem: str | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to paint."""
        return not (
            self.rows
            or self.events
            or self.missed
            or self.is_new_second
            or self.is_other_time
            or self.problem
        )


class RunModel:
    """The newest state, the rows of all streams, and the events that are still kept.

    The ``rest`` that is expected is worked out once a second, and only of the present.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.time = TimeSource(source)
        self.state: State = source.state
        self.now = source.now()
        self.overhead: Overhead | None = None
        self.rest: Rest | None = None
        self.rows: dict[StreamId, StreamRow] = {}
        self.attentions = Attentions()
        self.events: deque[Recorded] = deque(maxlen=EVENTS_KEPT)
        self.missed = 0
        self.spells = Spells()
        self._by_seq: dict[Seq, Recorded] = {}
        self._by_subject: dict[str, deque[Recorded]] = {}
        self._vitals: Mapping[StreamId, Vitals] = {}
        self._vitals_seen: dict[StreamId, float] = {}
        self._tallies: dict[StreamId, HandlerTally] = {}
        self._tallied: set[StreamId] = set()
        self._cursor: Seq = 0
        self._second = -1
        self._problem: str | None = None
        self._shown: State | None = None
        self._waits_are_old = False

    @property
    def live_state(self) -> State:
        """The newest state, also while the past is shown."""
        return self.source.state

    @property
    def vitals(self) -> Mapping[StreamId, Vitals]:
        """The newest live facts of all streams."""
        return self._vitals

    def pull(self) -> Changes:
        """Take what is new from the source and return what changed since the last pull."""
        try:
            return self._pull()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            is_news = problem != self._problem
            self._problem = problem
            return Changes(problem=problem if is_news else None)

    def vitals_of(self, stream: StreamId) -> Vitals | None:
        """Return the newest live facts of a stream, as old as they are now; None for none."""
        vitals, seen = self._vitals.get(stream), self._vitals_seen.get(stream, self.now)
        if vitals is None or vitals.progress_age_seconds is None:
            return vitals
        age = vitals.progress_age_seconds + max(0.0, self.now - seen)
        return replace(vitals, progress_age_seconds=age)

    def tally_of(self, stream: StreamId) -> HandlerTally | None:
        """Return how far a stream's handlers are, None if nobody knows.

        How they ended is what was written down of that; the pace is known of the present only.
        """
        known, current = self.state.handlers.get(stream), self.state.streams.get(stream)
        said = None if self.time.past is not None else self._tallies.get(stream)
        if known is None or current is None or known.attempt != current.attempt:
            return said
        said = said or HandlerTally(0, 0, 0, 0)
        ended = known.succeeded + known.failed
        return structs.replace(
            said,
            total=max(said.total, ended),
            succeeded=known.succeeded,
            failed=known.failed,
        )

    def has_handlers(self, stream: StreamId) -> bool:
        """Return whether a stream fans out, or its program has handlers of its own."""
        state = self.state
        is_planned = stream in state.streams and state.stream_plan(stream).fan is not None
        return is_planned or stream in self._tallies

    def take_tallies(self, found: Mapping[StreamId, HandlerTally]) -> None:
        """Take how far the handlers of some streams are; the next pull tells what changed."""
        self._tallied |= {s for s, tally in found.items() if self._tallies.get(s) != tally}
        self._tallies.update(found)

    def take_spells(self, spells: Spells) -> None:
        """Take what streams did when from the whole journal, and go on with it."""
        for record in self.events:
            spells.take(record)
        self.spells = spells

    def event(self, seq: Seq | None) -> Recorded | None:
        """Return an event by its number, if it is still kept."""
        return None if seq is None else self._by_seq.get(seq)

    def story(self, subject: str) -> list[Recorded]:
        """Return the kept events about one stream or point, oldest first, up to the state shown."""
        until = self.state.seq
        return [r for r in self._by_subject.get(subject, ()) if r.seq <= until]

    def _pull(self) -> Changes:
        frame = self.time.take(self._cursor)
        vitals = self.time.vitals()
        self.now = self.time.now()
        second = int(self.now)
        is_new_second = second != self._second and not frame.state.has_ended
        is_first = self._cursor == 0
        dirty = set(frame.state.streams) if is_first else set(frame.streams)
        fresh = {s for s, v in vitals.items() if self._vitals.get(s) is not v}
        self._vitals_seen.update(dict.fromkeys(fresh, self.now))
        dirty |= fresh
        if is_new_second:
            dirty |= {s for s, row in self.rows.items() if row.elapsed_seconds is not None}
        dirty |= self._tallied
        self._tallied = set()
        dirty |= self._whose_waits_are_old(frame, is_new_second)
        is_other_time = self.time.past is not self._shown
        if is_other_time:
            self._shown = self.time.past
            self.rows.clear()
            self.attentions.forget()
            dirty |= set(frame.state.streams)
        if is_new_second or is_first or is_other_time or frame.events:
            self.overhead = self.time.overhead()
        if is_new_second or is_other_time:
            self.rest = rest_of(frame.state, self.now) if self.time.past is None else None
        self.state, self._vitals, self._cursor = frame.state, dict(vitals), frame.cursor
        self._second = second
        self._problem = None
        self.missed += frame.missed
        for record in frame.events:
            self.spells.take(record)
        events = tuple(record for record in frame.events if not is_noise(record.event))
        for record in events:
            self._keep(record)
        is_hosted = self.time.past is not None or self.source.hosting != "nobody"
        dirty |= self.attentions.take(self.state, dirty, is_hosted=is_hosted)
        rows = self._refreshed(dirty)
        return Changes(rows, events, frame.missed, is_new_second, is_other_time)

    def _whose_waits_are_old(self, frame: Frame, is_new_second: bool) -> set[StreamId]:
        """Return the streams that have not begun, once a second in which anything has happened.

        What such a stream waits for changes by what others do, and no event of that names it.
        """
        self._waits_are_old |= bool(frame.events or frame.missed)
        if not self._waits_are_old or not (is_new_second or frame.state.has_ended):
            return set()
        self._waits_are_old = False
        return {s.id for s in frame.state.streams.values() if not (s.is_active or s.has_ended)}

    def _refreshed(self, dirty: set[StreamId]) -> set[StreamId]:
        changed: set[StreamId] = set()
        for stream_id in dirty:
            stream = self.state.streams.get(stream_id)
            if stream is None:
                continue
            vitals, tally = self.vitals_of(stream_id), self.tally_of(stream_id)
            attention = self.attentions.known.get(stream_id)
            row = stream_row(self.state, stream, vitals, self.now, tally, attention)
            if self.rows.get(stream_id) != row:
                self.rows[stream_id] = row
                changed.add(stream_id)
        return changed

    def _keep(self, record: Recorded) -> None:
        if len(self.events) == EVENTS_KEPT:
            self._by_seq.pop(self.events[0].seq, None)
        self.events.append(record)
        self._by_seq[record.seq] = record
        event = record.event
        for subject in {getattr(event, "stream", None), getattr(event, "point", None)} - {None}:
            kept = self._by_subject.setdefault(str(subject), deque(maxlen=EVENTS_KEPT_PER_SUBJECT))
            kept.append(record)
