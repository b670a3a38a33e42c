"""Folding the events of locks into the lock table, and what they answer."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering, refused_wait, remember_request
from anabranch.core.folds.waiting import with_wait
from anabranch.core.globs import is_literal
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.locks import (
    CONTENTION_SECONDS,
    Ask,
    Contention,
    Deadlock,
    Entry,
    Grant,
    Holder,
    LockTable,
    Violation,
)
from anabranch.core.model.state import State

UNLOCKED = "unlocked"
"""Why a lock was released, if its holder asked for that."""

OPERATOR_LEASE_SECONDS = 60.0
SPARE = 1.25
"""How much longer than promised a lease is written, so that not every call renews it."""
MOST_CONTENTIONS = 256
MOST_DEADLOCKS = 16


def lease_seconds(state: State, stream: StreamId) -> float:
    """Return how long a lock is good without a word of its holder: its heartbeat timeout."""
    plan = state.topology.streams.get(stream)
    return plan.heartbeat_timeout_seconds if plan else OPERATOR_LEASE_SECONDS


# --- pieces --------------------------------------------------------------------------------------


def _with_entry(table: LockTable, entry: Entry) -> LockTable:
    path, patterns = entry.path, table.patterns
    if entry.grants or entry.asks:
        if not is_literal(path):
            patterns = patterns.insert(path, True)
        return replace(table, entries=table.entries.insert(path, entry), patterns=patterns)
    return replace(table, entries=table.entries.discard(path), patterns=patterns.discard(path))


def _with_holder(table: LockTable, stream: StreamId, holder: Holder) -> LockTable:
    is_needed = len(holder.held) or len(holder.asked)
    holders = table.holders
    return replace(
        table,
        holders=holders.insert(stream, holder) if is_needed else holders.discard(stream),
    )


def _holder(table: LockTable, event: ev.CallEvent) -> Holder:
    return table.holders.get(event.stream) or Holder(event.attempt)


_Over = ev.LockReleased | ev.LockExpired


def _without_ask(table: LockTable, event: ev.LockWithdrawn) -> LockTable:
    entry = table.entries.get(event.path)
    if entry is None:
        return table
    stays = tuple(a for a in entry.asks if a.ticket != event.ticket)
    holder = _holder(table, event)
    holder = replace(holder, asked=holder.asked.discard(event.ticket))
    return _with_holder(_with_entry(table, replace(entry, asks=stays)), event.stream, holder)


def _without_grant(table: LockTable, event: _Over) -> LockTable:
    entry = table.entries.get(event.path)
    if entry is None:
        return table
    stays = tuple(g for g in entry.grants if g.fence != event.fence)
    holder = _holder(table, event)
    holder = replace(holder, held=holder.held.discard(event.fence))
    return _with_holder(_with_entry(table, replace(entry, grants=stays)), event.stream, holder)


def _remember_wait(
    table: LockTable, record: ev.Recorded, ask: Ask | None, outcome: str
) -> tuple[Contention, ...]:
    if ask is None:
        return table.contentions
    ended = Contention(ask.path, ask.mode, ask.stream, ask.holder, ask.since, record.at, outcome)
    oldest = record.at - CONTENTION_SECONDS
    recent = tuple(c for c in table.contentions[1 - MOST_CONTENTIONS :] if c.until >= oldest)
    return (*recent, ended)


def _ask(table: LockTable, path: str, ticket: Seq | None) -> Ask | None:
    entry = table.entries.get(path)
    asks = entry.asks if entry else ()
    return next((a for a in asks if a.ticket == ticket), None)


# --- folds ---------------------------------------------------------------------------------------


def _queued(state: State, record: ev.Recorded, event: ev.LockQueued) -> State:
    table = state.locks
    ask = Ask(
        event.stream,
        event.attempt,
        event.path,
        event.mode,
        event.upgrades,
        record.seq,
        event.request,
        record.at,
        event.holder,
    )
    entry = table.entries.get(event.path) or Entry(event.path)
    asks = list(entry.asks)
    insort(asks, ask, key=lambda other: other.rank)
    table = _with_entry(table, replace(entry, asks=tuple(asks)))
    holder = _holder(table, event)
    holder = replace(holder, asked=holder.asked.insert(record.seq, event.path))
    return replace(state, locks=_with_holder(table, event.stream, holder))


def _granted(state: State, record: ev.Recorded, event: ev.LockGranted) -> State:
    table = state.locks
    contentions = _remember_wait(table, record, _ask(table, event.path, event.ticket), "granted")
    grant = Grant(
        event.fence,
        event.stream,
        event.attempt,
        event.path,
        event.mode,
        record.at,
        event.waited_seconds,
        event.request,
    )
    holder = _holder(table, event)
    held, asked = holder.held.insert(event.fence, event.path), holder.asked
    entry = table.entries.get(event.path) or Entry(event.path)
    grants, asks = entry.grants, entry.asks
    if event.upgrades is not None:
        held = held.discard(event.upgrades)
        grants = tuple(g for g in grants if g.fence != event.upgrades)
    if event.ticket is not None:
        asked = asked.discard(event.ticket)
        asks = tuple(a for a in asks if a.ticket != event.ticket)
    until = record.at + SPARE * lease_seconds(state, event.stream)
    table = _with_entry(table, Entry(event.path, (*grants, grant), asks))
    table = _with_holder(table, event.stream, Holder(event.attempt, until, 0, held, asked))
    state = replace(state, locks=replace(table, contentions=contentions))
    return _waited(state, record, event)


def _released(state: State, record: ev.Recorded, event: _Over) -> State:
    return replace(state, locks=_without_grant(state.locks, event))


def _given_back(state: State, record: ev.Recorded, event: ev.LockReleased) -> State:
    """Remember what whoever took it away was answered: it may be another one's by then."""
    if event.taken_by:
        done = Answer("done")
        state = remember_request(state, *ev.OPERATOR, event.taken_by, done)
    return _released(state, record, event)


def _withdrawn(state: State, record: ev.Recorded, event: ev.LockWithdrawn) -> State:
    table = state.locks
    ask = _ask(table, event.path, event.ticket)
    contentions = _remember_wait(table, record, ask, "withdrawn")
    table = _without_ask(table, event)
    state = replace(state, locks=replace(table, contentions=contentions))
    return _waited(state, record, event)


def _waited(state: State, record: ev.Recorded, event: ev.LockGranted | ev.LockWithdrawn) -> State:
    if not event.waited_seconds:
        return state
    return with_wait(state, event.stream, record.at - event.waited_seconds, record.at)


def _leased(state: State, record: ev.Recorded, event: ev.LeaseRenewed | ev.LeaseDoubted) -> State:
    table = state.locks
    doubted_by = record.seq if isinstance(event, ev.LeaseDoubted) else 0
    holder = replace(_holder(table, event), until=event.until, doubted_by=doubted_by)
    return replace(state, locks=_with_holder(table, event.stream, holder))


def _deadlock(state: State, record: ev.Recorded, event: ev.DeadlockDetected) -> State:
    found = Deadlock(record.at, event.victim, event.cycle)
    known = (*state.locks.deadlocks, found)[-MOST_DEADLOCKS:]
    return replace(state, locks=replace(state.locks, deadlocks=known))


def _violated(state: State, record: ev.Recorded, event: ev.LockViolated) -> State:
    table = state.locks
    known = table.violations.get(event.stream) or ()
    same_attempt = tuple(v for v in known if v.attempt == event.attempt)
    violation = Violation(
        event.stream, event.attempt, event.path, event.holder, record.at, event.reason
    )
    violations = table.violations.insert(event.stream, (*same_attempt, violation))
    return replace(state, locks=replace(table, violations=violations))


def _allowed(state: State, record: ev.Recorded, event: ev.ViolationAllowed) -> State:
    table = state.locks
    known = tuple(
        replace(v, is_allowed=True) if event.path in (None, v.path) else v
        for v in table.violations.get(event.stream) or ()
    )
    violations = table.violations.insert(event.stream, known)
    return replace(state, locks=replace(table, violations=violations))


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.LockQueued: _queued,
    ev.LockGranted: _granted,
    ev.LockReleased: _given_back,
    ev.LockExpired: _released,
    ev.LockWithdrawn: _withdrawn,
    ev.LeaseRenewed: _leased,
    ev.LeaseDoubted: _leased,
    ev.DeadlockDetected: _deadlock,
    ev.LockViolated: _violated,
    ev.ViolationAllowed: _allowed,
}


# --- answers -------------------------------------------------------------------------------------


def granted(state: State, stream: StreamId, fence: Seq) -> Answer:
    """Return the answer to who has a lock."""
    return Answer("granted", {"fence": fence, "lease_seconds": lease_seconds(state, stream)})


def waiting(holder: StreamId, position: int, ticket: Seq) -> Answer:
    """Return the answer to who has to wait; an operator holds under the name ``operator``."""
    return Answer(
        "waiting",
        {"holder": holder or "operator", "position": position, "ticket": str(ticket)},
    )


def _withdrawn_answer(state: State, record: ev.Recorded, event: ev.LockWithdrawn) -> Answer:
    return refused_wait(event)


def _granted_answer(state: State, record: ev.Recorded, event: ev.LockGranted) -> Answer:
    return granted(state, event.stream, event.fence)


def _queued_answer(state: State, record: ev.Recorded, event: ev.LockQueued) -> Answer:
    return waiting(event.holder, event.position, record.seq)


def _released_answer(state: State, record: ev.Recorded, event: ev.LockReleased) -> Answer:
    if event.reason != UNLOCKED:
        return refused(event.reason, "ask again if you still need it")
    return Answer("done", {"path": event.path, "fence": event.fence})


def _expired_answer(state: State, record: ev.Recorded, event: ev.LockExpired) -> Answer:
    return refused(event.reason, "send heartbeats while you hold a lock, and ask again")


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.LockQueued: _queued_answer,
    ev.LockGranted: _granted_answer,
    ev.LockReleased: _released_answer,
    ev.LockExpired: _expired_answer,
    ev.LockWithdrawn: _withdrawn_answer,
}
