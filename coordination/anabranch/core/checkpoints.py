"""Checkpoints: versions of a running stream's workspace that can be restored.

A stream asks for one, the workspace is captured beside its work, and the stream is told the commit.
Nothing of the workspace is touched, and the stream need not stand still: whoever wants a consistent
version asks at a moment of its own choosing and waits for the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.answers import refused
from anabranch.core.calls import Answer, Call, Checkpoint
from anabranch.core.ids import Attempt, Seq, StreamId

if TYPE_CHECKING:
    from anabranch.core.answers import Answering, Handler
    from anabranch.core.draft import Draft
    from anabranch.core.state import State, Stream

MOST_AT_ONCE = 4
KEPT = 32
"""How many checkpoints of one stream stay in the state; the refs of older ones stay too."""


class Wanted(msgspec.Struct, frozen=True):
    """A checkpoint that is being taken, of the shared state too: of its newest version then."""

    number: int
    attempt: Attempt
    label: str
    request: str
    cause: Seq
    state_version: int | None = None


class Taken(msgspec.Struct, frozen=True):
    """A checkpoint that a ref keeps; ``start_tree`` is what the engine had put there by then.

    ``state_version`` is the shared state that goes with it; older journals do not say.
    """

    number: int
    attempt: Attempt
    label: str
    at: float
    commit: str
    tree: str
    ref: str
    files_changed: int
    start_tree: str = ""
    state_version: int | None = None


class StreamCheckpoints(msgspec.Struct, frozen=True):
    """The checkpoints of one stream; ``last`` is the newest number that was given."""

    last: int = 0
    wanted: tuple[Wanted, ...] = ()
    taken: tuple[Taken, ...] = ()


NONE = StreamCheckpoints()


# --- decisions -----------------------------------------------------------------------------------


def ask(draft: Draft, call: Checkpoint) -> None:
    """Begin a checkpoint of the caller's workspace, or say why there can be none."""
    stream = draft.state.streams.get(call.caller.stream)
    if stream is None or stream.workspace is None:
        draft.answer = refused("you have no workspace of this run", "go on without a checkpoint")
        return
    if draft.state.stream_plan(stream.id).workspace == "shared":
        reason = "you work in the user's own folder, which is never captured"
        draft.answer = refused(reason, "go on without a checkpoint")
        return
    mine = draft.state.checkpoints.get(stream.id, NONE)
    if len(mine.wanted) >= MOST_AT_ONCE:
        draft.answer = refused("your last checkpoints are still being taken", "wait for them")
        return
    draft.emit(
        ev.CheckpointRequested(stream.id, stream.attempt, call.request, mine.last + 1, call.label)
    )


def ready(draft: Draft, fact: inputs.CheckpointReady) -> None:
    """A workspace was captured."""
    wanted = wanted_of(draft.state, fact.stream, fact.number)
    if wanted is not None:
        draft.emit(
            ev.CheckpointTaken(
                fact.stream,
                fact.attempt,
                wanted.request,
                fact.number,
                wanted.label,
                fact.commit,
                fact.tree,
                fact.ref,
                fact.files_changed,
                fact.start_tree,
            )
        )


def not_taken(draft: Draft, fact: inputs.CheckpointNotTaken) -> None:
    """A workspace could not be captured."""
    wanted = wanted_of(draft.state, fact.stream, fact.number)
    if wanted is not None:
        _fail(draft, fact.stream, wanted, fact.reason)


def give_back(draft: Draft, stream: Stream) -> None:
    """End what a stream without a process still wanted: its whole work is captured next."""
    for wanted in draft.state.checkpoints.get(stream.id, NONE).wanted:
        _fail(draft, stream.id, wanted, "the attempt ended first")


def owed_to(state: State, stream: Stream) -> Iterator[fx.Effect]:
    """Yield the captures that a stream waits for."""
    for wanted in state.checkpoints.get(stream.id, NONE).wanted:
        yield fx.TakeCheckpoint(
            stream=stream.id, attempt=wanted.attempt, number=wanted.number, cause=wanted.cause
        )


def _fail(draft: Draft, stream: StreamId, wanted: Wanted, reason: str) -> None:
    draft.emit(ev.CheckpointFailed(stream, wanted.attempt, wanted.request, wanted.number, reason))


def wanted_of(state: State, stream: StreamId, number: int) -> Wanted | None:
    mine = state.checkpoints.get(stream, NONE)
    return next((w for w in mine.wanted if w.number == number), None)


CALLS: dict[type[Call], Handler] = {Checkpoint: ask}


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


def _waiting_answer(state: State, record: ev.Recorded) -> Answer:
    event: Any = record.event
    return Answer("waiting", {"ticket": str(record.seq), "checkpoint": event.number})


def _taken_answer(state: State, record: ev.Recorded) -> Answer:
    event: Any = record.event
    facts = {
        "checkpoint": event.number,
        "commit": event.commit,
        "ref": event.ref,
        "files_changed": event.files_changed,
    }
    return Answer("done", facts)


def _failed_answer(state: State, record: ev.Recorded) -> Answer:
    event: Any = record.event
    return refused(f"the checkpoint was not taken: {event.reason}", "try again")


ANSWERS: dict[type[ev.CallEvent], Answering] = {
    ev.CheckpointRequested: _waiting_answer,
    ev.CheckpointTaken: _taken_answer,
    ev.CheckpointFailed: _failed_answer,
}
