"""Answers to what only reads, from the published state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from anabranch.core.calls import Answer, Caller, Lock
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.folds.questions import answer_to
from anabranch.core.globs import PatternRefused, normalised
from anabranch.core.json_values import Json
from anabranch.core.model.answers import refused
from anabranch.core.model.lifecycle import public_state
from anabranch.core.model.locks import Ask, conflict, entries_over
from anabranch.core.model.messages import OPERATOR_NAME
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.views import locks, messages, sharing
from anabranch.core.views.projections import (
    in_plan_order,
    joined_status,
    joined_streams,
    point_status,
)
from anabranch.engine.gateway import wire

MOST_HOLDERS = 16


def messages_waiting(state: State, caller: Caller) -> int:
    """Return how many messages lie in a caller's inbox."""
    return messages.waiting_for(state, caller.stream)


def has_news(state: State, caller: Caller) -> bool:
    """Say whether a caller's inbox holds something that it has not read yet."""
    return messages.has_new_for(state, caller.stream)


def question_under(state: State, caller: Caller, ticket: str) -> tuple[str, Answer] | None:
    """Return under which request a caller asked the operator, and what it is told of that now.

    Such a ticket is good as long as the question, or its answer, is there.
    """
    asked = (q for q in state.questions.get(caller.stream, ()) if q.attempt == caller.attempt)
    found = next((q for q in asked if str(q.ticket) == ticket), None)
    return (found.request, answer_to(found)) if found else None


def who_is_in_the_way(state: State, call: Lock, now: float) -> dict[str, Json]:
    """Tell who holds what a caller did not get, how, and for how many seconds already."""
    try:
        path = normalised(call.path)
    except PatternRefused:
        return {}
    ask = Ask(call.caller.stream, call.caller.attempt, path, call.mode)
    grants = (g for entry in entries_over(state.locks, path) for g in entry.grants)
    holders = [
        {
            "stream": g.stream or OPERATOR_NAME,
            "path": g.path,
            "mode": g.mode,
            "seconds": round(now - g.since, 1),
        }
        for g in grants
        if conflict(g, ask)
    ]
    return {"holders": holders[:MOST_HOLDERS]} if holders else {}


def _streams(state: State, caller: Caller, read: wire.Streams) -> Answer:
    streams = [
        {
            "stream": s.id,
            "state": public_state(s.phase),
            "attempt": s.attempt,
            "reason": reason_for(state, s),
        }
        for s in state.streams.values()
    ]
    streams += [
        {name: line[name] for name in ("stream", "state", "attempt", "reason")}
        for line in (joined_status(state, joined) for joined in joined_streams(state))
    ]
    points = [point_status(state, point) for point in in_plan_order(state)]
    return Answer("done", {"run": state.run, "streams": streams, "convergence": points})


def _state_get(state: State, caller: Caller, read: wire.StateGet) -> Answer:
    if read.key is None:
        return _whole_state(state, read.version)
    found = sharing.value_at(state, read.key, read.version)
    if isinstance(found, Refusal):
        return refused(found.reason, found.hint)
    return Answer("done", msgspec.structs.asdict(found))


def _whole_state(state: State, version: int | None) -> Answer:
    """Tell every key with its value in one version; commits are made from it."""
    values = sharing.values_at(state, version)
    if isinstance(values, Refusal):
        return refused(values.reason, values.hint)
    head = state.shared.head
    return Answer(
        "done", {"values": values, "version": head if version is None else version, "head": head}
    )


def _state_log(state: State, caller: Caller, read: wire.StateLog) -> Answer:
    return _done(sharing.state_log(state, read.since, read.key, read.limit))


def _locks(state: State, caller: Caller, read: wire.Locks) -> Answer:
    return _done(locks.locks_as_json(state))


def _done(view: dict[str, Json]) -> Answer:
    return Answer("done", {name: value for name, value in view.items() if name != "schema"})


READS: dict[type[wire.Read], Callable[[State, Caller, Any], Answer]] = {
    wire.Locks: _locks,
    wire.Streams: _streams,
    wire.StateGet: _state_get,
    wire.StateLog: _state_log,
}
"""How each verb that reads is answered."""
