"""Everything a stream can wait for, as sources of the wait-for graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anabranch.core.deciding import joined
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.locks.locks import reconsider, withdraw_ask
from anabranch.core.deciding.points.convergence import participants
from anabranch.core.deciding.resources import ready_since
from anabranch.core.deciding.streams.scheduling import is_met
from anabranch.core.deciding.waiting.arrival_waits import PointWaits
from anabranch.core.deciding.waiting.resource_waits import (
    AdmissionWaits,
    CountedWaits,
    ReservationWaits,
    ResourceWaits,
    Shortfall,
    TurnWaits,
)
from anabranch.core.deciding.waiting.waits import PlannedWaits, WaitSource
from anabranch.core.events import Edge
from anabranch.core.globs import is_literal
from anabranch.core.ids import StreamId
from anabranch.core.model.breakers import breakers_of
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.locks import Ask, Grant, asks_of, essential_blockers
from anabranch.core.model.newest_state import once_a_state
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Dependency


class LockWaits:
    """A stream in the queue of a path waits for holders, and for those before it."""

    kind = "lock"

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        table = state.locks
        for ask in sorted(asks_of(table, stream), key=lambda a: a.ticket):
            for blocker in sorted(essential_blockers(table, ask), key=_number):
                what = _what(blocker)
                yield Edge(
                    waiter=stream,
                    holder=blocker.stream,
                    what=what,
                    since=ask.since,
                    kind=self.kind,
                    ticket=ask.ticket,
                )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        table = state.locks
        holder = table.holders.get(stream)
        if holder is None:
            return False
        if len(holder.held):
            return True
        for ticket, path in holder.asked.items():
            is_last = table.entries[path].asks[-1].ticket == ticket
            if not is_last or len(table.patterns) or not is_literal(path):
                return True
        return False

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        asks = asks_of(draft.state.locks, edge.waiter)
        ask = next((a for a in asks if a.ticket == edge.ticket), None)
        if ask is not None:
            withdraw_ask(draft, ask, reason, hint, cycle)
            reconsider(draft, [ask.path])


def _number(blocker: Grant | Ask) -> int:
    return blocker.fence if isinstance(blocker, Grant) else blocker.ticket


def _what(blocker: Grant | Ask) -> str:
    who = blocker.stream or "the operator"
    if isinstance(blocker, Grant):
        return f"{blocker.path}, which {who} holds"
    return f"{blocker.path}, which {who} asked for before"


class DependencyWaits(PlannedWaits):
    """A stream that has not begun waits for the streams that the plan says it needs."""

    kind = "dependency"

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        found = state.streams.get(stream)
        if found is None or found.phase is not Phase.WAITING:
            return
        for dependency in state.stream_plan(stream).depends_on:
            if not dependency.capability and not is_met(state, dependency):
                for holder in who_can_meet(state, dependency):
                    what = f"{holder}, which it depends on"
                    yield Edge(
                        waiter=stream,
                        holder=holder,
                        what=what,
                        since=found.since,
                        kind=self.kind,
                        ticket=found.cause,
                    )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Return False: who has not begun holds nothing, and is only waited for at points.

        Whoever gives that wait its edges says so.
        """
        return False


class CapabilityWaits(PlannedWaits, CountedWaits):
    """A stream that has not begun waits for any one of those who have a capability."""

    kind = "dependency"

    def lacks(self, state: State, stream: StreamId) -> Iterator[Shortfall]:
        found = state.streams.get(stream)
        if found is None or found.phase is not Phase.WAITING:
            return
        for dependency in state.stream_plan(stream).depends_on:
            if dependency.capability and not is_met(state, dependency):
                able = dict.fromkeys(joined.who_can_meet(state, dependency), 1.0)
                if able or joined.hopes_in_vain(state, found, state.at):
                    yield Shortfall(dependency.words, 1.0, able, found.since, found.cause)

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Return whether it joined: unlike a stream of the plan, it may itself depend on others."""
        outside = state.registry.live(stream)
        return outside is not None and bool(outside.capabilities)


class BreakerWaits(PlannedWaits):
    """A stream that a breaker holds back waits for the one that tries whether it goes again."""

    kind = "dependency"

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        found = state.streams.get(stream)
        if found is None or found.phase is not Phase.QUEUED or not state.breakers.tripped:
            return
        for name in breakers_of(state.stream_plan(stream)):
            probe = state.breakers.breaker(name).probe
            if probe is not None:
                what = f"{probe}, which tries first whether {name} goes again"
                yield Edge(
                    waiter=stream,
                    holder=probe,
                    what=what,
                    since=ready_since(found),
                    kind=self.kind,
                    ticket=found.cause,
                )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        """Return False: the one that tries has a slot, and is looked at for that."""
        return False


class RegistrationWaits:
    """A stream that joins waits for the success of those that it said it depends on."""

    kind = "registration"

    def edges_from(self, state: State, stream: StreamId) -> Iterator[Edge]:
        outside = state.registry.live(stream)
        if outside is None or outside.is_ready:
            return
        for other in outside.depends_on:
            if state.streams[other].phase is not Phase.SUCCEEDED:
                what = f"{other}, which it depends on"
                yield Edge(
                    waiter=stream,
                    holder=other,
                    what=what,
                    since=outside.since,
                    kind=self.kind,
                    ticket=outside.ticket,
                )

    def is_waited_for(self, state: State, stream: StreamId) -> bool:
        return any(
            outside.is_live and not outside.is_ready for outside in state.registry.joined.values()
        )

    def give_up(
        self, draft: Draft, edge: Edge, reason: str, hint: str, cycle: tuple[Edge, ...]
    ) -> None:
        outside = draft.state.registry.live(edge.waiter)
        if outside is not None:
            draft.emit(joined.as_left(outside, f"{reason}; {hint}"))


def who_can_meet(state: State, dependency: Dependency) -> list[StreamId]:
    """Return who has to do something before a dependency holds; nobody if any of several could."""
    if dependency.capability:
        able = joined.who_can_meet(state, dependency)
        return able if len(able) == 1 else []
    if dependency.point:
        return [s for s in dependency.streams if not state.streams[s].has_ended]
    if dependency.condition != "converged":
        return [dependency.stream]
    waited_for: dict[StreamId, None] = {dependency.stream: None}
    for point in state.stream_plan(dependency.stream).points:
        if not state.point_plan(point).merges_early:
            waited_for |= dict.fromkeys(participants(state, point))
    return [s for s in waited_for if not state.streams[s].has_ended]


@once_a_state
def stuck_streams(state: State) -> frozenset[StreamId]:
    """Return who can never go on, even if everybody who can go on finishes."""
    counting = [s for s in SOURCES if isinstance(s, CountedWaits)]
    others = [s for s in SOURCES if not isinstance(s, CountedWaits)]
    waiting = {s.id for s in state.streams.values() if not s.has_ended}
    waiting |= {j.id for j in state.registry.joined.values() if j.is_live}
    while True:
        freed = {s for s in waiting if _can_go_on(state, s, waiting, counting, others)}
        if not freed:
            return frozenset(waiting)
        waiting -= freed


def _can_go_on(
    state: State,
    stream: StreamId,
    waiting: set[StreamId],
    counting: Sequence[CountedWaits],
    others: Sequence[WaitSource],
) -> bool:
    if any(e.holder in waiting for source in others for e in source.edges_from(state, stream)):
        return False
    for source in counting:
        for lack in source.lacks(state, stream):
            back = sum(a for holder, a in lack.holders.items() if holder not in waiting)
            if not lack.is_met_by(back):
                return False
    return True


SOURCES: Sequence[WaitSource] = (
    LockWaits(),
    DependencyWaits(),
    CapabilityWaits(stuck_streams),
    RegistrationWaits(),
    ResourceWaits(stuck_streams),
    ReservationWaits(),
    AdmissionWaits(stuck_streams),
    TurnWaits(),
    BreakerWaits(),
    PointWaits(),
)
