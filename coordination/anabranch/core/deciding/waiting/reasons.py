"""What a stream waits for: one derivation, for everybody who shows it (:mod:`~.waiting.wording`).

Rows, details and panes of the console, the guardian's evidence, what a command would lead to,
``status``, ``streams`` and ``locks`` all ask here, so they cannot disagree. It is made of what the
wait-for graph is made of (:mod:`~.waiting.sources`). The graph leaves out whom another one stands
for, and has no edge where any of several would do; a person is told of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from anabranch.core.deciding.guardian import breakers
from anabranch.core.deciding.guardian.diagnosis import WAITS, WELL, diagnose
from anabranch.core.deciding.points import arrivals
from anabranch.core.deciding.resources import goes_before, reservations
from anabranch.core.deciding.streams.scheduling import is_met
from anabranch.core.deciding.streams.windows import is_awaited
from anabranch.core.deciding.waiting.arrival_waits import waiting_at
from anabranch.core.deciding.waiting.resource_waits import (
    AdmissionWaits,
    ResourceWaits,
    Shortfall,
    TurnWaits,
)
from anabranch.core.deciding.waiting.sources import RegistrationWaits, stuck_streams, who_can_meet
from anabranch.core.folds.reviews import held_up_by
from anabranch.core.ids import StreamId
from anabranch.core.model.breakers import breakers_of
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.locks import (
    Ask,
    LockTable,
    asks_of,
    essential_blockers,
    grants_before,
    shown,
)
from anabranch.core.model.questions import open_questions
from anabranch.core.model.state import State, Stream

OPERATOR = "operator"
MOST_HOLDERS = 8
"""Of more than so many who hold what is short, none is named: any of them would do."""

_REQUESTS, _ADMISSIONS = ResourceWaits(stuck_streams), AdmissionWaits(stuck_streams)


class Wait(msgspec.Struct, frozen=True):
    """One thing that a stream waits for, and one who has it.

    ``kind`` is lock, resource, disk, slot, dependency, breaker, point, base, time or operator;
    ``name`` is the path, the resource, the stream and so on. ``holder`` is who can end the wait,
    None if nobody in particular can; the operator has the name ``operator``. ``since`` is in run
    seconds, ``until`` when it ends by itself, None if it does not. ``held`` is the path that the
    holder has where it is another one: a folder over a file. Who ``is_before`` has only asked
    earlier.
    """

    kind: str
    name: str
    holder: str | None
    since: float
    until: float | None = None
    held: str = ""
    is_before: bool = False


def waits_of(state: State, stream: StreamId) -> list[Wait]:
    """Return everything that a stream waits for now, of the plan or joined from outside."""
    found = called_waits(state, stream)
    planned = state.streams.get(stream)
    if planned is None:
        return found
    return [*found, *_before_its_start(state, planned), *review_waits(state, planned)]


def called_waits(state: State, stream: StreamId) -> list[Wait]:
    """Return what a stream waits for while it runs: what it called for, and room if it is held."""
    called = [*_locks(state.locks, stream), *_resources(state, stream), *_points(state, stream)]
    asked = _asked(state, stream)
    return [*called, *asked, *_room(state, stream), *_joining(state, stream)]


def keeps_waiting(state: State, stream: StreamId) -> list[tuple[str, Wait]]:
    """Return who waits for a lock because of what a stream holds, with the wait itself."""
    others = [s for s in state.locks.holders if s != stream]
    return [
        (shown(other), wait)
        for other in sorted(others)
        for wait in _locks(state.locks, other)
        if wait.holder == shown(stream)
    ]


def called_waits_for(state: State, stream: StreamId) -> list[tuple[str, Wait]]:
    """Return who waits, by a call, for something that a stream has or is awaited with."""
    known = [*(s.id for s in state.plan.streams), *sorted(state.registry.joined)]
    return [
        (shown(other), wait)
        for other in known
        if other != stream
        for wait in called_waits(state, other)
        if wait.holder == shown(stream) and not wait.is_before
    ]


def standing(state: State, stream: Stream) -> str:
    """Return the diagnosis of a stream; *waits* for one that is well and waits for others."""
    found = diagnose(state, stream)
    if found == WELL and stream.phase is Phase.RUNNING and called_waits(state, stream.id):
        return WAITS
    return found


# --- the sorts of waits ----------------------------------------------------------------------


def _locks(table: LockTable, stream: StreamId) -> Iterator[Wait]:
    for ask in sorted(asks_of(table, stream), key=lambda a: a.ticket):
        seen: set[tuple[StreamId, str]] = set()
        for blocker in (*grants_before(table, ask), *essential_blockers(table, ask)):
            if (blocker.stream, blocker.path) in seen:
                continue
            seen.add((blocker.stream, blocker.path))
            held = blocker.path if blocker.path != ask.path else ""
            is_before = isinstance(blocker, Ask)
            yield Wait("lock", ask.path, shown(blocker.stream), ask.since, None, held, is_before)


def _resources(state: State, stream: StreamId) -> Iterator[Wait]:
    for lack in _REQUESTS.lacks(state, stream):
        yield from _lacking("resource", lack)
    for w in state.resources.queue:
        if w.stream == stream:
            older = goes_before(reservations(state, state.at), w.since, stream, w.amounts)
            name = ", ".join(sorted(w.amounts))
            if older is not None and older.stream != stream:
                yield Wait("resource", name, shown(older.stream), w.since, is_before=True)
            elif not any(lack.ticket == w.ticket for lack in _REQUESTS.lacks(state, stream)):
                yield Wait("resource", name, None, w.since)


def _asked(state: State, stream: StreamId) -> Iterator[Wait]:
    for question in open_questions(state.questions, stream):
        yield Wait("operator", f"an answer to `{question.text}`", "operator", question.since)


def _room(state: State, stream: StreamId) -> Iterator[Wait]:
    planned = state.streams.get(stream)
    if planned is not None and planned.held and planned.phase is Phase.RUNNING:
        yield Wait("disk", f"room on the disk: {planned.held}", None, planned.held_at)


def _joining(state: State, stream: StreamId) -> Iterator[Wait]:
    joined = state.registry.live(stream)
    for edge in RegistrationWaits().edges_from(state, stream) if joined else ():
        yield Wait("dependency", shown(edge.holder), shown(edge.holder), edge.since)


def _lacking(kind: str, lack: Shortfall) -> Iterator[Wait]:
    if not 0 < len(lack.holders) <= MOST_HOLDERS:
        yield Wait(kind, lack.what, None, lack.since)
        return
    for holder in sorted(lack.holders):
        yield Wait(kind, lack.what, shown(holder), lack.since)


def _points(state: State, stream: StreamId) -> Iterator[Wait]:
    for point, arrival in waiting_at(state, stream):
        missing = arrivals.missing(state, point)
        for other in missing:
            yield Wait("point", point, shown(other), arrival.since)
        if not missing:
            yield Wait("point", point, None, arrival.since)


def _before_its_start(state: State, stream: Stream) -> Iterator[Wait]:
    if stream.phase is Phase.WAITING:
        yield from _dependencies(state, stream)
    elif stream.phase is Phase.QUEUED:
        yield from _admission(state, stream)
    elif stream.phase is Phase.RETRYING:
        yield Wait("time", "its next attempt", None, stream.since, stream.not_before)
    elif stream.phase is Phase.BLOCKED:
        yield Wait("operator", "a decision", OPERATOR, stream.since)


def review_waits(state: State, stream: Stream) -> list[Wait]:
    """Return whose review a stream that has succeeded waits for, before it comes to its points."""
    if stream.phase is not Phase.SUCCEEDED:
        return []
    return [
        Wait(
            "operator",
            "a review" if other == stream.id else f"the review of {other}",
            "operator",
            state.streams[other].since,
        )
        for other in held_up_by(state, stream.id)
    ]


def _dependencies(state: State, stream: Stream) -> Iterator[Wait]:
    needed = state.stream_plan(stream.id).depends_on
    unmet = [d for d in needed if not is_met(state, d)]
    for dependency in unmet:
        holders = who_can_meet(state, dependency)
        for holder in holders:
            yield Wait("dependency", dependency.words, shown(holder), stream.since)
        if dependency.point and state.points[dependency.point].adoption.asked:
            yield Wait("operator", f"who is adopted at {dependency.point}", OPERATOR, stream.since)
        elif not holders:
            yield Wait("dependency", dependency.words, None, stream.since)
    window = stream.window
    if is_awaited(stream):
        at = window.shown or state.stream_plan(stream.id).at
        yield Wait("time", at, None, window.since, window.due_at)
    elif not unmet:
        yield Wait("base", "the run's base commit", None, stream.since)


def _admission(state: State, stream: Stream) -> Iterator[Wait]:
    if stream.not_before > state.at:
        yield Wait("time", stream.window.why or "its time", None, stream.since, stream.not_before)
        return
    if state.resources.disk_shortage:
        yield Wait("disk", "room on the disk", None, stream.since)
        return
    named = breakers_of(state.stream_plan(stream.id))
    is_held = breakers.why_not_admitted(state, stream) is not None
    holding = [name for name in named if is_held and name in state.breakers.tripped]
    for name in holding:
        probe = state.breakers.breaker(name).probe
        yield Wait("breaker", name, probe and shown(probe), stream.since)
    lacks = list(_ADMISSIONS.lacks(state, stream.id))
    for lack in lacks:
        is_slot = lack.what == "a slot"
        yield from _lacking("slot" if is_slot else "resource", lack)
    turns = list(TurnWaits().edges_from(state, stream.id))
    for turn in turns:
        name = ", ".join(sorted(state.asks_of(stream.id)))
        yield Wait("resource", name, shown(turn.holder), turn.since, is_before=True)
    if not lacks and not holding and not turns:
        yield Wait("slot", state.queues.wanted_by(stream.id) or "a slot", None, stream.since)
