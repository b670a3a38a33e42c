"""What each stream did when: spells of running, waiting and the engine's own work, from events.

Fed with every event of a run once, in its order; a moment of the past is what was so until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, PointId, Seq, StreamId
from anabranch.core.views.density import Density

Sort = Literal["ran", "wait", "work", "merge"]

MOST_SPELLS = 2_000
"""How many are kept of one stream; the oldest give way."""


class Spell(msgspec.Struct, frozen=True, gc=False):
    """One thing that a stream did from ``begin`` to ``end`` (run seconds); None: it goes on.

    ``kind`` is what a wait is for, or which work of the engine it is; ``name`` what was waited for.
    An attempt has its number, and whether it was good once that is known.
    """

    sort: Sort
    kind: str
    begin: float
    end: float | None = None
    name: str = ""
    attempt: Attempt = 0
    is_good: bool | None = None


PHASES: Mapping[type[ev.Event], tuple[Sort, str]] = {
    ev.StreamRegistered: ("wait", "dependency"),
    ev.StreamRequeued: ("wait", "dependency"),
    ev.StreamBlocked: ("wait", "operator"),
    ev.RetryScheduled: ("wait", "retry"),
    ev.StreamQueued: ("wait", "queue"),
    ev.StreamAdmitted: ("work", "workspace"),
    ev.WorkspacePrepared: ("work", "process"),
    ev.SetupStarted: ("work", "setup"),
    ev.StreamStarted: ("ran", "attempt"),
    ev.StreamExited: ("work", "result"),
    ev.StreamLost: ("work", "result"),
    ev.RecaptureRequested: ("work", "result"),
}
"""What a stream does from an event on, until the next one of these."""

_ENDS = (
    (ev.StreamSucceeded | ev.StreamFailed | ev.StreamSkipped | ev.StreamStopped)
    | ev.StreamQuarantined
    | ev.StreamPassedOver
)


class Spells:
    """The spells of all streams.

    ``has_gap`` says that events are missing from them: what was before is not known.
    """

    def __init__(self) -> None:
        self.seq: Seq = 0
        self.has_gap = False
        self.versions: dict[StreamId, int] = {}
        self.densities: dict[StreamId, Density] = {}
        self._over: dict[StreamId, deque[Spell]] = {}
        self._phase: dict[StreamId, Spell] = {}
        self._beside: dict[StreamId, dict[object, Spell]] = {}
        self._merged: dict[PointId, set[StreamId]] = {}
        self._copies: dict[StreamId, Attempt] = {}

    def of(self, stream: StreamId) -> list[Spell]:
        """Return the spells of a stream; those that lie within others come after them."""
        found = [*self._over.get(stream, ())]
        if stream in self._phase:
            found.append(self._phase[stream])
        return [*found, *self._beside.get(stream, {}).values()]

    def take(self, record: ev.Recorded) -> None:
        """Take an event up, unless it is known already."""
        if record.seq <= self.seq:
            return
        self.has_gap |= record.seq != self.seq + 1
        self.seq = record.seq
        event, at = record.event, record.at
        taken = _TAKERS.get(type(event))
        if isinstance(event, ev.StreamEvent) and not self._is_of_copy(event, at):
            self._follow(event, at)
        if taken is not None:
            taken(self, record, event)

    # --- one after the other ---------------------------------------------------------------------

    def _follow(self, event: ev.StreamEvent, at: float) -> None:
        entered = PHASES.get(type(event))
        if entered is None and not isinstance(event, _ENDS):
            return
        stream = event.stream
        self._leave(stream, at, event)
        if entered is not None:
            sort, kind = entered
            attempt = getattr(event, "attempt", 0) if sort == "ran" else 0
            self._phase[stream] = Spell(sort, kind, at, attempt=attempt)
        if isinstance(event, ev.StreamQueued) and event.not_before > at:
            self._keep(stream, Spell("wait", "time", at, event.not_before))
            self._phase[stream] = Spell("wait", "queue", event.not_before)
        if isinstance(event, _ENDS):
            attempt = getattr(event, "attempt", None)
            self._judge(stream, isinstance(event, ev.StreamSucceeded), attempt)
        elif isinstance(event, ev.RetryScheduled):
            self._judge(stream, False, event.attempt)

    def _leave(self, stream: StreamId, at: float, event: ev.StreamEvent) -> None:
        for key, spell in [*self._beside.get(stream, {}).items()]:
            if spell.sort == "wait":
                self._end_beside(stream, key, at)
        before = self._phase.pop(stream, None)
        if before is not None and before.begin < at:
            self._keep(stream, msgspec.structs.replace(before, end=at))
        self._touch(stream)

    def _judge(self, stream: StreamId, is_good: bool, attempt: Attempt | None) -> None:
        """Note how an attempt ended, now that it is known; None is the newest."""
        kept = self._over.get(stream, ())
        for index in range(len(kept) - 1, -1, -1):
            if kept[index].sort == "ran" and attempt in (None, kept[index].attempt):
                if kept[index].is_good is None:
                    judged = msgspec.structs.replace(kept[index], is_good=is_good)
                    self._over[stream][index] = judged
                return

    def _keep(self, stream: StreamId, spell: Spell) -> None:
        self._over.setdefault(stream, deque(maxlen=MOST_SPELLS)).append(spell)

    def _touch(self, stream: StreamId) -> None:
        self.versions[stream] = self.versions.get(stream, 0) + 1

    # --- beside what it does ---------------------------------------------------------------------

    def begin_beside(self, stream: StreamId, key: object, spell: Spell) -> None:
        """Note that something begins within what a stream does."""
        self._beside.setdefault(stream, {})[key] = spell
        self._touch(stream)

    def _end_beside(self, stream: StreamId, key: object, at: float) -> None:
        spell = self._beside.get(stream, {}).pop(key, None)
        if spell is not None:
            self._keep(stream, msgspec.structs.replace(spell, end=at))
            self._touch(stream)

    def _lock_queued(self, record: ev.Recorded, event: ev.LockQueued) -> None:
        spell = Spell("wait", "lock", record.at, name=event.path)
        self.begin_beside(event.stream, record.seq, spell)

    def _resources_queued(self, record: ev.Recorded, event: ev.ResourcesQueued) -> None:
        spell = Spell("wait", "resource", record.at, name=", ".join(sorted(event.amounts)))
        self.begin_beside(event.stream, record.seq, spell)

    def _asked(self, record: ev.Recorded, event: ev.QuestionAsked) -> None:
        if event.waits:
            spell = Spell("wait", "operator", record.at, name="an answer")
            self.begin_beside(event.stream, record.seq, spell)

    def _ticket_served(self, record: ev.Recorded, event: _Served) -> None:
        self._end_beside(event.stream, event.ticket, record.at)

    def _arrived(self, record: ev.Recorded, event: ev.ConvergenceArrived) -> None:
        if event.waits:
            self._waits_at_point(record, event)

    def _waits_at_point(
        self, record: ev.Recorded, event: ev.ConvergenceArrived | ev.ArrivalWaitBegan
    ) -> None:
        spell = Spell("wait", "point", record.at, name=event.point)
        self.begin_beside(event.stream, event.point, spell)

    def _goes_on(self, record: ev.Recorded, event: _GoesOn) -> None:
        self._end_beside(event.stream, event.point, record.at)

    def _held(self, record: ev.Recorded, event: ev.StreamHeld) -> None:
        self.begin_beside(event.stream, "disk", Spell("wait", "disk", record.at, name=event.reason))

    def _let_go(self, record: ev.Recorded, event: ev.StreamLetGo) -> None:
        self._end_beside(event.stream, "disk", record.at)

    # --- copies ----------------------------------------------------------------------------------

    def _is_of_copy(self, event: ev.StreamEvent, at: float) -> bool:
        """Follow an event of the attempt beside a stream's own; false if it is of none."""
        stream, copy = event.stream, self._copies.get(event.stream)
        match event:
            case ev.StreamCopied(attempt=attempt):
                self._copies[stream] = attempt
                return True
            case ev.CommitGranted(attempt=attempt, over=over) if attempt == copy:
                self._change_places(stream, at, over, "result")
                return True
            case ev.CopyTookOver(attempt=attempt, of=of) if attempt == copy:
                self._change_places(stream, at, of, "workspace")
                return True
        if copy is None or getattr(event, "attempt", None) != copy:
            return False
        match event:
            case ev.StreamStarted():
                self.begin_beside(stream, "copy", Spell("ran", "attempt", at, attempt=copy))
            case ev.StreamExited() | ev.StreamLost():
                self._end_beside(stream, "copy", at)
            case ev.CopyEnded():
                self._end_beside(stream, "copy", at)
                self._judge(stream, False, copy)
                del self._copies[stream]
        return True

    def _change_places(self, stream: StreamId, at: float, other: Attempt, does: str) -> None:
        """Let the attempt beside be the stream's own; it ``does`` that if it does not run."""
        own = self._phase.pop(stream, None)
        copy = self._beside.get(stream, {}).pop("copy", None)
        if own is not None and own.sort == "ran":
            self.begin_beside(stream, "copy", own)
        elif own is not None and own.begin < at:
            self._keep(stream, msgspec.structs.replace(own, end=at))
        self._phase[stream] = copy or Spell("work", does, at)
        self._copies[stream] = other
        self._touch(stream)

    # --- merging ---------------------------------------------------------------------------------

    def _merge_began(self, record: ev.Recorded, event: ev.ConvergenceStarted) -> None:
        """What was merged there before is not merged once more."""
        self._merge_ended(record, event)
        new = set(event.streams) - self._merged.get(event.point, set())
        for stream in new:
            spell = Spell("merge", "merge", record.at, name=event.point)
            self.begin_beside(stream, (event.point, "merge"), spell)

    def _merge_ended(self, record: ev.Recorded, event: ev.PointEvent) -> None:
        key = (event.point, "merge")
        for stream in [s for s, beside in self._beside.items() if key in beside]:
            self._end_beside(stream, key, record.at)
        if isinstance(event, ev.ConvergenceMerged):
            self._merged.setdefault(event.point, set()).update(event.merged)

    def _handler(self, record: ev.Recorded, event: ev.HandlerFinished) -> None:
        density = self.densities.setdefault(event.stream, Density())
        density.note(event.began_at, event.seconds)


_Served = (
    (ev.LockGranted | ev.LockWithdrawn | ev.ResourcesGranted | ev.ResourcesWithdrawn)
    | ev.QuestionAnswered
    | ev.QuestionWithdrawn
)
_GoesOn = ev.ArrivalReleased | ev.ArrivalWaitEnded | ev.ConvergenceWithdrawn
_TAKERS: Mapping[type[ev.Event], Callable[[Spells, ev.Recorded, Any], None]] = {
    ev.LockQueued: Spells._lock_queued,
    ev.ResourcesQueued: Spells._resources_queued,
    ev.LockGranted: Spells._ticket_served,
    ev.LockWithdrawn: Spells._ticket_served,
    ev.ResourcesGranted: Spells._ticket_served,
    ev.ResourcesWithdrawn: Spells._ticket_served,
    ev.QuestionAsked: Spells._asked,
    ev.QuestionAnswered: Spells._ticket_served,
    ev.QuestionWithdrawn: Spells._ticket_served,
    ev.ConvergenceArrived: Spells._arrived,
    ev.ArrivalWaitBegan: Spells._waits_at_point,
    ev.ArrivalReleased: Spells._goes_on,
    ev.ArrivalWaitEnded: Spells._goes_on,
    ev.ConvergenceWithdrawn: Spells._goes_on,
    ev.StreamHeld: Spells._held,
    ev.StreamLetGo: Spells._let_go,
    ev.ConvergenceStarted: Spells._merge_began,
    ev.ConvergenceMerged: Spells._merge_ended,
    ev.ConvergenceBlocked: Spells._merge_ended,
    ev.ConvergenceAbandoned: Spells._merge_ended,
    ev.ConvergenceReopened: Spells._merge_ended,
    ev.HandlerFinished: Spells._handler,
}


def until(spells: list[Spell], now: float) -> Iterator[Spell]:
    """Yield the spells as they were at a moment: what was not over then goes on."""
    for spell in spells:
        if spell.begin > now:
            continue
        if spell.end is not None and spell.end > now:
            yield msgspec.structs.replace(spell, end=None, is_good=None)
        else:
            yield spell
