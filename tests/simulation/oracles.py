"""What must hold of any run after any step, beyond what the core says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.deciding import resources
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.guardian import breakers, by_hand
from anabranch.core.deciding.hearing import why_not_heard
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.points import arrivals
from anabranch.core.deciding.streams.placing import PATIENCE_SECONDS
from anabranch.core.deciding.streams.scheduling import is_met
from anabranch.core.deciding.waiting.reasons import called_waits, waits_of
from anabranch.core.deciding.waiting.sources import SOURCES
from anabranch.core.deciding.waiting.waits import edges_from
from anabranch.core.deciding.waiting.wording import in_words
from anabranch.core.folds.evolve import evolve
from anabranch.core.ids import StreamId
from anabranch.core.model.breakers import breakers_of
from anabranch.core.model.lifecycle import ACTIVE, Phase
from anabranch.core.model.locks import asks_of, blockers, shown
from anabranch.core.model.outcome import Decision
from anabranch.core.model.resources import Amounts
from anabranch.core.model.slots import slot_of
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import State, Stream
from anabranch.core.promises.invariants import broken_promises
from anabranch.core.strategies import Strategies
from anabranch.core.views.forecasts import granted_by_revoking, skipped_without
from anabranch.core.views.locks import locks_as_json
from anabranch.core.views.messages import messages
from anabranch.core.views.projections import status
from anabranch.core.views.sharing import state_log
from anabranch.testing.promises import broken_chain

MAY_HAPPEN_AGAIN = (ev.LeaseRenewed, ev.StreamHeartbeat, ev.ConvergenceWaits)
"""Events that tell of a time, or what is waited for."""

MAY_LEAD_ON = (
    inputs.StrategyFault,  # each is counted
    inputs.OutputLeftOut,
    inputs.VerifyFinished,  # the same streams are looked at a second time
    inputs.WorkspaceGone,
    calls.ReadInbox,  # the next piece
)
"""Inputs that may lead to something more when they come again."""


class Wrong(AssertionError):
    """A step has led to what must never be."""


def check(
    before: State | None,
    given: inputs.Input,
    decision: Decision,
    now: float,
    strategies: Strategies,
) -> None:
    """Raise Wrong unless everything holds after a step."""
    for fault in faults(before, given, decision, now, strategies):
        raise Wrong(f"after {given} at {now}: {fault}")


def faults(
    before: State | None,
    given: inputs.Input,
    decision: Decision,
    now: float,
    strategies: Strategies,
) -> Iterator[str]:
    """Yield whatever does not hold after a step."""
    state = decision.state
    yield from _again(given, decision, now, strategies)
    yield from _foretold(before, given, decision, now)
    if not decision.events:
        return
    yield from broken_promises(state)
    yield from _folded(before, decision)
    yield from _owed(before, decision)
    yield from waits_for_nothing(state, now)
    yield from _told(state)
    yield from deadlocks(state, now)
    yield from _ends_told_once(before, decision)
    yield from _chosen_until_done(before, decision)


def is_of_single_ones(event: ev.Event) -> bool:
    """Say whether a person asks for a handler of a stream that is to begin for such ones only."""
    return isinstance(event, ev.HandlerRecoveryRequested) and event.is_chosen


def _chosen_until_done(before: State | None, decision: Decision) -> Iterator[str]:
    """Yield where what a person has asked for is forgotten or doubled before it was tried.

    Only a try of the whole stream takes its place.
    """
    known = before.handlers.items() if before is not None else ()
    wanted = {stream: tuple(one.cause for one in handled.chosen) for stream, handled in known}
    for record in decision.events:
        event = record.event
        if isinstance(event, ev.StreamRequeued) and not event.goes_on:
            wanted[event.stream] = ()
        elif isinstance(event, ev.HandlersAskedLate):
            wanted[event.stream] = event.requests
        elif isinstance(event, ev.HandlerRecoveryRequested) and event.is_chosen:
            wanted[event.stream] = (*wanted.get(event.stream, ()), record.seq)
    for stream, handled in decision.state.handlers.items():
        if tuple(one.cause for one in handled.chosen) != wanted.get(stream, ()):
            yield f"{stream} is about {handled.chosen}, and should be about {wanted}"


def _ends_told_once(before: State | None, decision: Decision) -> Iterator[str]:
    """Yield where the end of a handler is told that was told before: a book is read forwards."""
    known = before.handlers.items() if before is not None else ()
    offsets = {stream: handled.book_offset for stream, handled in known}
    for event in (record.event for record in decision.events):
        if isinstance(event, ev.HandlerFinished | ev.HandlersSkipped):
            if event.book_offset <= offsets.get(event.stream, 0):
                yield f"{event} is told again"
            offsets[event.stream] = event.book_offset


def hangs(state: State) -> None:
    """Raise Wrong: the run should have come to its end."""
    record = {
        s: f"{found.phase}: {in_words(waits_of(state, s))}" for s, found in state.streams.items()
    }
    raise Wrong(f"the run hangs: {record}")


def _folded(before: State | None, decision: Decision) -> Iterator[str]:
    if before is None:
        return
    again = before
    for record in decision.events:
        again = evolve(again, record)
    if again != decision.state:
        yield "folding the events gives another state"
    if decision.state.seq % 7 == 0 and decode_state(encode_state(again)) != again:
        yield "a snapshot gives another state"


def _owed(before: State | None, decision: Decision) -> Iterator[str]:
    now_owed = set(owed(decision.state))
    fresh = now_owed - (set(owed(before)) if before else set())
    for effect in fresh - set(decision.effects):
        yield f"{effect} is owed, and nobody was told to do it"
    for effect in set(decision.effects) - now_owed:
        if not isinstance(effect, fx.WakeAt):
            yield f"{effect} is to be done, and is not owed"


def _again(
    given: inputs.Input, decision: Decision, now: float, strategies: Strategies
) -> Iterator[str]:
    """What is given once more leads to nothing, and a call is answered as before."""
    once_more = decide(decision.state, given, now, strategies)
    if isinstance(given, MAY_LEAD_ON) or not isinstance(once_more, Decision):
        return
    fresh = [r.event for r in once_more.events if not isinstance(r.event, MAY_HAPPEN_AGAIN)]
    if not isinstance(given, calls.Call):
        if fresh and not isinstance(given, inputs.Command):
            yield f"given twice it led to {fresh}"
    elif why_not_heard(decision.state, given.caller) is None:
        if fresh:
            yield f"asked again it led to {fresh}"
        if decision.events and once_more.answer != decision.answer and not _takes(given):
            yield f"was answered {decision.answer}, and then {once_more.answer}"


def _takes(call: calls.Call) -> bool:
    """Whether a call takes away what is another request's: the answer is told to that one."""
    return isinstance(call, calls.Withdraw)


def _foretold(
    before: State | None, given: inputs.Input, decision: Decision, now: float
) -> Iterator[str]:
    if before is None:
        return
    revoked = given.path if isinstance(given, calls.Unlock) and given.caller.is_operator else None
    if revoked is not None and decision.events:
        actual = [r.event for r in decision.events if isinstance(r.event, ev.LockGranted)]
        found = granted_by_revoking(before, revoked, now)
        if [(e.stream, e.path) for e in found] != [(e.stream, e.path) for e in actual]:
            yield f"foretold {found}, and then {actual}"
    if isinstance(given, inputs.StopStream):
        actual_ = {r.event.stream for r in decision.events if isinstance(r.event, ev.StreamSkipped)}
        runs_on = any(s.is_active for s in decision.state.streams.values())
        if before.streams[given.stream].is_active or before.has_ended or not runs_on:
            return
        told_ = set(skipped_without(before, [given.stream]))
        if told_ != actual_:
            yield f"foretold that {told_} would be skipped, and then {actual_} were"


def _told(state: State) -> Iterator[str]:
    msgspec.json.encode(status(state, True, None))
    msgspec.json.encode([locks_as_json(state), messages(state), state_log(state)])
    yield from broken_chain(state)
    for stream in _everybody(state):
        waits = waits_of(state, stream)
        named = {w.holder for w in waits}
        edges = list(edges_from(state, stream, SOURCES))
        missing = {shown(e.holder) for e in edges} - named
        if missing and None not in named:
            yield f"{stream} has edges to {missing}, and {waits} are told"
        if edges and not waits:
            yield f"{stream} waits for {edges}, and nothing is told"
        planned = state.streams.get(stream)
        if planned is not None and planned.phase in _BEFORE and not waits:
            yield f"{stream} is {planned.phase}, and waits for nothing as is told"
        for ask in asks_of(state.locks, stream):
            actual = {shown(b.stream) for b in blockers(state.locks, ask)}
            found = {w.holder for w in waits if w.kind == "lock" and w.name == ask.path}
            if not found or not found <= actual | {shown(s) for s in state.locks.holders}:
                yield f"{stream} is told to wait for {found}, and waits for {actual}"
        if planned is not None:
            for remedy in by_hand.REMEDIES:
                by_hand.in_words(by_hand.forecast(state, stream, remedy))


_BEFORE = (Phase.WAITING, Phase.QUEUED, Phase.RETRYING, Phase.BLOCKED)


def _everybody(state: State) -> list[StreamId]:
    joined = [j.id for j in state.registry.joined.values() if j.is_live]
    return [*(s.id for s in state.plan.streams), *sorted(joined)]


# --- nobody waits for nothing --------------------------------------------------------------------


def waits_for_nothing(state: State, now: float) -> Iterator[str]:
    """Yield everybody who waits although what he waits for is there."""
    reserved = resources.reservations(state, now)
    for w in state.resources.queue:
        older = resources.goes_before(reserved, w.since, w.stream, w.amounts)
        if not resources.lacking(state, w.amounts) and older is None:
            yield f"{w.stream} waits for {w.amounts} although they are free"
    for point in state.points.values():
        if point.gathering.arrivals and not arrivals.missing(state, point.id):
            yield f"all have come to {point.id}, and they wait on"
    yield from _slots(state, now)
    for name in state.breakers.tripped:
        probe = state.breakers.breaker(name).probe
        if probe is not None and not state.streams[probe].is_active:
            yield f"{name} waits for {probe}, which does not run"
    for joined in state.registry.joined.values():
        if joined.is_live and not joined.is_ready:
            phases = {state.streams[s].phase for s in joined.depends_on}
            if phases <= {Phase.SUCCEEDED}:
                yield f"{joined.id} is ready, and was not told"


def _waits_at_its_slot(state: State, stream: Stream, now: float) -> bool:
    """Whether a balancer has it wait where something near is warm, which it may for a while."""
    home = state.queues.homes.get(stream.id)
    if home is None or slot_of(state.slots, home).runs is None:
        return False
    return now < resources.ready_since(stream) + PATIENCE_SECONDS


def _slots(state: State, now: float) -> Iterator[str]:
    if state.base is None or state.has_ended or state.stop_reason:
        return
    if state.counts.active >= state.max_parallel:
        return
    reserved = resources.reservations(state, now)
    for _, _, name in state.ready:
        stream = state.streams[name]
        if stream.not_before > now or breakers.why_not_admitted(state, stream):
            continue
        if _waits_at_its_slot(state, stream, now):
            continue
        if resources.why_not_admitted(state, stream, reserved) is None:
            yield f"{name} is queued although it might start"


# --- every wait can end --------------------------------------------------------------------------


def deadlocks(state: State, now: float) -> Iterator[str]:
    """Yield those who wait for each other, found by letting everybody finish who can."""
    waiting = {s.id for s in state.streams.values() if not s.has_ended}
    waiting |= {j.id for j in state.registry.joined.values() if j.is_live}
    while freed := {s for s in waiting if _can_end(state, s, waiting, now)}:
        waiting -= freed
    calling = [s for s in waiting if called_waits(state, s)]
    if calling:
        record = {s: in_words(waits_of(state, s)) for s in sorted(waiting)}
        yield f"they wait for each other, and nobody is told: {record}"


def _can_end(state: State, stream: StreamId, waiting: set[StreamId], now: float) -> bool:
    return all(
        not (waiting.issuperset(who) if is_any else waiting.intersection(who))
        for is_any, who in _needs(state, stream, waiting, now)
    )


def _needs(
    state: State, stream: StreamId, waiting: set[StreamId], now: float
) -> Iterator[tuple[bool, Iterable[StreamId]]]:
    """Yield whom a stream waits for: all of some, or (True) any of them."""
    for ask in asks_of(state.locks, stream):
        yield False, {b.stream for b in blockers(state.locks, ask)}
    reserved = resources.reservations(state, now)
    for w in state.resources.queue:
        if w.stream == stream:
            yield from _amounts(state, stream, w.amounts, waiting)
            older = resources.goes_before(reserved, w.since, stream, w.amounts)
            if older is not None and older.stream != stream:
                yield False, [older.stream]
    for point in state.points.values():
        arrival = point.gathering.arrival_of(stream)
        if arrival is not None and arrival.waits:
            yield False, arrivals.missing(state, point.id)
    found = state.streams.get(stream)
    if found is None:
        joined = state.registry.live(stream)
        if joined is not None and not joined.is_ready:
            yield False, joined.depends_on
    elif found.phase is Phase.WAITING:
        yield from _dependencies(state, stream)
    elif found.phase is Phase.QUEUED:
        if state.counts.active >= state.max_parallel:
            yield True, [s.id for s in state.streams.values() if s.phase in ACTIVE]
        yield from _amounts(state, stream, state.stream_plan(stream).resources, waiting)
        turn = resources.goes_before_start(state, reserved, found)
        if turn is not None:
            yield False, [turn.stream]
        for name in breakers_of(state.stream_plan(stream)):
            probe = state.breakers.breaker(name).probe
            if probe is not None:
                yield False, [probe]


def _amounts(
    state: State, stream: StreamId, amounts: Amounts, waiting: set[StreamId]
) -> Iterator[tuple[bool, Iterable[StreamId]]]:
    for name, amount in amounts.items():
        whole = resources.capacity(state, name)
        if whole is None:
            continue
        holders = {
            s: h.amounts.get(name, 0.0)
            for s, h in state.resources.held.items()
            if s in waiting or s == stream
        }
        if amount > whole - sum(holders.values()) + 1e-6:
            yield False, [s for s in holders if s in waiting and s != stream] or [stream]


def _dependencies(state: State, stream: StreamId) -> Iterator[tuple[bool, Iterable[StreamId]]]:
    for dependency in state.stream_plan(stream).depends_on:
        if is_met(state, dependency):
            continue
        if not dependency.capability:
            yield False, [dependency.stream]
            continue
        able = list(dependency.providers)
        able += [
            j.id
            for j in state.registry.joined.values()
            if j.is_live and dependency.capability in j.capabilities
        ]
        if able:
            yield True, able
