"""What the restoring of shared state changes and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering
from anabranch.core.model.state import State
from anabranch.core.wording import listing

# --- folding -------------------------------------------------------------------------------------


def _brought_back(state: State, record: ev.Recorded, event: ev.StateRestored) -> State:
    stream = state.streams.get(event.of)
    if stream is None or event.request:
        return state
    text = f"shared state back at version {event.version}: {listing(event.keys)}"
    if not event.keys:
        text = "shared state not brought back"
    if event.left:
        text += f"; left alone: {listing(event.left)}"
    warnings = tuple(dict.fromkeys((*stream.warnings, f"{text} ({event.reason})")))
    after = replace(stream, warnings=warnings)
    return replace(state, streams=state.streams.insert(stream.id, after))


def _answer(state: State, record: ev.Recorded, event: ev.StateRestored) -> Answer:
    facts = {
        "version": state.shared.head,
        "was": event.was,
        "keys": list(event.keys),
        "left": list(event.left),
    }
    return Answer("done", facts)


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StateRestored: _brought_back,
}

ANSWERS: dict[type[ev.Event], Answering] = {ev.StateRestored: _answer}
