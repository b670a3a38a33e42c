"""Read models of the shared state: its history, any version, and the proof that it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from anabranch.core import events as ev
from anabranch.core.folds.sharing import change_in
from anabranch.core.json_values import Json, value_of
from anabranch.core.model.messages import OPERATOR_NAME
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.sharing import Change, SharedState, Values, chain_faults
from anabranch.core.model.state import State
from anabranch.core.views.projections import SCHEMA, wall_time


class Reading(msgspec.Struct, frozen=True):
    """A key's value in some version of the state; its own version is 0 if it is not there."""

    key: str
    value: Json
    version: int
    head: int


# --- reading versions ----------------------------------------------------------------------------


def value_at(state: State, key: str, version: int | None = None) -> Reading | Refusal:
    """Return what a key held at a version; the newest if None."""
    values = _values(state.shared, version)
    if isinstance(values, Refusal):
        return values
    entry = values.get(key)
    if entry is None:
        return Reading(key, None, 0, state.shared.head)
    return Reading(key, value_of(entry.text), entry.version, state.shared.head)


def values_at(state: State, version: int | None = None) -> dict[str, Json] | Refusal:
    """Return the whole state at a version, the keys in order; the newest if None."""
    values = _values(state.shared, version)
    if isinstance(values, Refusal):
        return values
    return {key: value_of(values[key].text) for key in sorted(values)}


def _values(shared: SharedState, version: int | None) -> Values | Refusal:
    number = shared.head if version is None else version
    found = shared.versions.get(number)
    if found is not None:
        return found.values
    kept = f"versions {shared.floor} to {shared.head} can be read"
    if 0 <= number < shared.floor:
        return Refusal(f"version {number} is not kept any more", kept)
    return Refusal(f"there is no version {number} of the shared state", kept)


def differences(state: State, older: int, newer: int) -> dict[str, tuple[Json, Json]] | Refusal:
    """Return the keys in which two versions differ, with both values; None is "not there"."""
    before, after = _values(state.shared, older), _values(state.shared, newer)
    if isinstance(before, Refusal):
        return before
    if isinstance(after, Refusal):
        return after
    low, high = sorted((older, newer))
    keys = {c.key for n in range(low + 1, high + 1) for c in state.shared.versions[n].changes}
    return {
        key: (_value(before, key), _value(after, key))
        for key in sorted(keys)
        if _text(before, key) != _text(after, key)
    }


def _text(values: Values, key: str) -> str | None:
    entry = values.get(key)
    return entry.text if entry else None


def _value(values: Values, key: str) -> Json:
    text = _text(values, key)
    return None if text is None else value_of(text)


def value_in(
    records: Iterable[ev.Recorded], state: State, key: str, version: int | None = None
) -> Reading | Refusal:
    """Return the same from the journal's events, also for versions that the state let go."""
    head = state.shared.head
    wanted = head if version is None else version
    if not 0 <= wanted <= head:
        reason = f"there is no version {wanted} of the shared state"
        return Refusal(reason, f"versions 0 to {head} can be read")
    last = None
    for change in changes_in(records):
        if change.key == key and change.version <= wanted:
            last = change
    if last is None or last.after is None:
        return Reading(key, None, 0, head)
    return Reading(key, value_of(last.after), last.version, head)


# --- the change log ------------------------------------------------------------------------------


def state_log(
    state: State, since: int = 0, key: str | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Return the changes after version ``since`` as ``state log --json`` tells them.

    With a ``limit`` it is the newest so many. ``oldest`` is the version that the log begins after.
    """
    shared = state.shared
    return _log(state, shared.changes(since), shared.floor, key, limit)


def state_log_of(
    records: Iterable[ev.Recorded], state: State, since: int = 0, key: str | None = None
) -> dict[str, Any]:
    """Return the same from the journal's events, also of versions that the state let go."""
    later = (change for change in changes_in(records) if change.version > since)
    return _log(state, later, 0, key, None)


def changes_in(records: Iterable[ev.Recorded]) -> Iterator[Change]:
    """Yield the changes that some events tell of."""
    for record in records:
        if isinstance(record.event, ev.StateChanged):
            yield change_in(record, record.event)


def _log(
    state: State, changes: Iterable[Change], oldest: int, key: str | None, limit: int | None
) -> dict[str, Any]:
    wanted: Sequence[Change] = [c for c in changes if key is None or c.key == key]
    if limit is not None:
        wanted = wanted[-limit:] if limit > 0 else []
    return {
        "schema": SCHEMA,
        "changes": [change_line(state, change) for change in wanted],
        "head": state.shared.head,
        "oldest": oldest,
        "hash": state.shared.hash,
    }


def change_line(state: State, change: Change) -> dict[str, Any]:
    """Return one change as a line of the log."""
    return {
        "version": change.version,
        "key": change.key,
        "before": None if change.before is None else value_of(change.before),
        "after": None if change.after is None else value_of(change.after),
        "stream": change.stream or OPERATOR_NAME,
        "time": wall_time(state, change.at),
        "hash": change.hash,
    }


# --- the proof -----------------------------------------------------------------------------------


def verify_history(records: Iterable[ev.Recorded], head: str) -> list[str]:
    """Return where the journal's history is not whole, given the hash of its newest change."""
    return chain_faults(changes_in(records), "", 0, head)
