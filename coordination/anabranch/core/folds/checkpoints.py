"""What events change about the checkpoints of streams, and what they answer."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering
from anabranch.core.ids import StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.checkpoints import NONE, StreamCheckpoints, Taken, Wanted
from anabranch.core.model.state import State

KEPT = 32
"""How many checkpoints of one stream stay in the state; the refs of older ones stay too."""


def wanted_of(state: State, stream: StreamId, number: int) -> Wanted | None:
    mine = state.checkpoints.get(stream, NONE)
    return next((w for w in mine.wanted if w.number == number), None)


# --- folding -------------------------------------------------------------------------------------


def _requested(state: State, record: ev.Recorded, event: ev.CheckpointRequested) -> State:
    mine = state.checkpoints.get(event.stream, NONE)
    wanted = Wanted(
        event.number, event.attempt, event.label, event.request, record.seq, state.shared.head
    )
    return _with(state, event, replace(mine, last=event.number, wanted=(*mine.wanted, wanted)))


def _taken(state: State, record: ev.Recorded, event: ev.CheckpointTaken) -> State:
    mine = state.checkpoints.get(event.stream, NONE)
    wanted = wanted_of(state, event.stream, event.number)
    taken = Taken(
        event.number,
        event.attempt,
        event.label,
        record.at,
        event.commit,
        event.tree,
        event.ref,
        event.files_changed,
        event.start_tree,
        wanted.state_version if wanted else None,
    )
    after = replace(mine, wanted=_without(mine, event.number), taken=(*mine.taken, taken)[-KEPT:])
    return _with(state, event, after)


def _failed(state: State, record: ev.Recorded, event: ev.CheckpointFailed) -> State:
    mine = state.checkpoints.get(event.stream, NONE)
    return _with(state, event, replace(mine, wanted=_without(mine, event.number)))


def _without(mine: StreamCheckpoints, number: int) -> tuple[Wanted, ...]:
    return tuple(w for w in mine.wanted if w.number != number)


def _with(state: State, event: ev.CallEvent, after: StreamCheckpoints) -> State:
    return replace(state, checkpoints=state.checkpoints.insert(event.stream, after))


FOLDS: dict[type[ev.Event], Any] = {
    ev.CheckpointRequested: _requested,
    ev.CheckpointTaken: _taken,
    ev.CheckpointFailed: _failed,
}


def _waiting_answer(state: State, record: ev.Recorded, event: ev.CheckpointRequested) -> Answer:
    return Answer("waiting", {"ticket": str(record.seq), "checkpoint": event.number})


def _taken_answer(state: State, record: ev.Recorded, event: ev.CheckpointTaken) -> Answer:
    facts = {
        "checkpoint": event.number,
        "commit": event.commit,
        "ref": event.ref,
        "files_changed": event.files_changed,
    }
    return Answer("done", facts)


def _failed_answer(state: State, record: ev.Recorded, event: ev.CheckpointFailed) -> Answer:
    return refused(f"the checkpoint was not taken: {event.reason}", "try again")


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.CheckpointRequested: _waiting_answer,
    ev.CheckpointTaken: _taken_answer,
    ev.CheckpointFailed: _failed_answer,
}
