"""The locks of a run as the console, ``anabranch locks`` and scripts see them."""

from __future__ import annotations

from typing import Any

import msgspec

from anabranch.core.folds.answers import edges_as_data
from anabranch.core.model.locks import (
    CONTENTION_SECONDS,
    Ask,
    Entry,
    Grant,
    LockTable,
    grants_before,
    shown,
)
from anabranch.core.model.state import State
from anabranch.core.views.projections import SCHEMA, wall_time


def locks_status(state: State, now: float | None = None) -> dict[str, Any]:
    """Return every lock with its holders and its queue, and what has gone wrong.

    Args:
        state: the run's state.
        now: the run clock in seconds, for what "the last minute" is; the last event's if None.
    """
    at = state.at if now is None else now
    return {
        "locks": locks(state),
        "contentions": contentions(state, at),
        "cycles": [edges_as_data(d.cycle) for d in state.locks.deadlocks],
        "violations": violations(state),
    }


def locks_as_json(state: State, now: float | None = None) -> dict[str, Any]:
    """Return the same as :func:`locks_status` as ``locks --json`` tells it: times as RFC 3339."""
    view = locks_status(state, now)
    sides = ("holders", "waiting", "held_over", "waiting_elsewhere")
    held = [one for lock in view["locks"] for side in sides for one in lock[side]]
    for line in (*held, *view["contentions"]):
        line["since"] = wall_time(state, line["since"])
    for line in view["violations"]:
        line["time"] = wall_time(state, line.pop("at"))
    return {"schema": SCHEMA, **view}


def locks(state: State) -> list[dict[str, Any]]:
    """Return the locks, by path. Times are run seconds."""
    entries, across = state.locks.entries, waits_across(state.locks)
    return [_lock(entries[path], across) for path in sorted(entries)]


class Across(msgspec.Struct, frozen=True):
    """Waits that reach from one path to another that overlaps it.

    ``over`` are the leases on other paths that keep the asks of a path waiting, ``behind`` the
    asks for other paths that wait for the leases of a path; both by path.
    """

    over: dict[str, list[Grant]] = {}
    behind: dict[str, list[Ask]] = {}


def waits_across(table: LockTable) -> Across:
    """Return who waits on one path for a lease on another."""
    found = Across({}, {})
    for entry in table.entries.values():
        for ask in entry.asks:
            for grant in grants_before(table, ask):
                if grant.path == ask.path:
                    continue
                over = found.over.setdefault(ask.path, [])
                if grant not in over:
                    over.append(grant)
                found.behind.setdefault(grant.path, []).append(ask)
    return found


def _lock(entry: Entry, across: Across) -> dict[str, Any]:
    modes = [g.mode for g in entry.grants] or [a.mode for a in entry.asks]
    is_written = "write" in modes
    over, behind = across.over.get(entry.path, []), across.behind.get(entry.path, [])
    return {
        "path": entry.path,
        "mode": "write" if is_written else "read",
        "holders": [_holder(grant) for grant in entry.grants],
        "waiting": [_waiting(ask, place) for place, ask in enumerate(entry.asks, 1)],
        "held_over": [{**_holder(grant), "path": grant.path} for grant in over],
        "waiting_elsewhere": [{**_waiting(ask, None), "path": ask.path} for ask in behind],
    }


def _holder(grant: Grant) -> dict[str, Any]:
    return {
        "stream": shown(grant.stream),
        "attempt": grant.attempt,
        "fence": grant.fence,
        "since": grant.since,
        "mode": grant.mode,
    }


def _waiting(ask: Ask, place: int | None) -> dict[str, Any]:
    return {
        "stream": shown(ask.stream),
        "since": ask.since,
        "position": place,
        "mode": ask.mode,
        "holder": shown(ask.holder),
        "ticket": str(ask.ticket),
    }


def contentions(state: State, now: float) -> list[dict[str, Any]]:
    """Return the waits of the last minute, those that go on first."""
    entries = state.locks.entries
    going_on = [
        {
            "path": ask.path,
            "mode": ask.mode,
            "stream": shown(ask.stream),
            "holder": shown(ask.holder),
            "since": ask.since,
            "waited_seconds": now - ask.since,
            "outcome": "waiting",
        }
        for path in sorted(entries)
        for ask in entries[path].asks
    ]
    over = [
        {
            "path": c.path,
            "mode": c.mode,
            "stream": shown(c.stream),
            "holder": shown(c.holder),
            "since": c.since,
            "waited_seconds": c.until - c.since,
            "outcome": c.outcome,
        }
        for c in reversed(state.locks.contentions)
        if c.until >= now - CONTENTION_SECONDS
    ]
    return going_on + over


def violations(state: State) -> list[dict[str, Any]]:
    """Return every write against the locks, the newest last."""
    found = [v for known in state.locks.violations.values() for v in known]
    return [
        {
            "stream": v.stream,
            "attempt": v.attempt,
            "path": v.path,
            "holder": None if v.holder is None else shown(v.holder),
            "at": v.at,
            "reason": v.reason,
            "allowed": v.is_allowed,
        }
        for v in sorted(found, key=lambda v: (v.at, v.stream, v.path))
    ]
