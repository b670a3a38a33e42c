"""What events change about the shared state, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering
from anabranch.core.json_values import text_in
from anabranch.core.model.sharing import Change, with_change, without_old_versions
from anabranch.core.model.state import State


def change_in(record: ev.Recorded, event: ev.StateChanged) -> Change:
    """Return the change that an event tells of."""
    before, after = text_in(event.before), text_in(event.after)
    return Change(event.version, event.key, before, after, event.stream, record.at, event.hash)


def _changed(state: State, record: ev.Recorded, event: ev.StateChanged) -> State:
    shared = with_change(state.shared, change_in(record, event))
    if shared.unsynced is None:
        shared = replace(shared, unsynced=(record.at, record.seq))
    kept = state.plan.shared_state.versions_kept
    return replace(state, shared=without_old_versions(shared, kept))


def _synced(state: State, record: ev.Recorded, event: ev.StateSynced) -> State:
    return replace(state, shared=replace(state.shared, synced=event.version, unsynced=None))


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StateChanged: _changed,
    ev.StateSynced: _synced,
}


def _answer(state: State, record: ev.Recorded, event: ev.StateChanged) -> Answer:
    return Answer("done", {"version": state.shared.head})


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.StateChanged: _answer,
}
