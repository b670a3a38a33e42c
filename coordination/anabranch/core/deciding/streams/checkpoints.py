"""Taking checkpoints of streams: who may have one, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.calls import Call, Checkpoint
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.folds.checkpoints import wanted_of
from anabranch.core.ids import StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.checkpoints import NONE, Wanted
from anabranch.core.model.state import State, Stream

MOST_AT_ONCE = 4


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
        ev.CheckpointRequested(
            stream.id, stream.attempt, call.request, number=mine.last + 1, label=call.label
        )
    )


def ready(draft: Draft, fact: inputs.CheckpointReady) -> None:
    """Record the checkpoint of a workspace that was captured."""
    wanted = wanted_of(draft.state, fact.stream, fact.number)
    if wanted is not None:
        draft.emit(
            ev.CheckpointTaken(
                fact.stream,
                fact.attempt,
                wanted.request,
                number=fact.number,
                label=wanted.label,
                commit=fact.commit,
                tree=fact.tree,
                ref=fact.ref,
                files_changed=fact.files_changed,
                start_tree=fact.start_tree,
            )
        )


def not_taken(draft: Draft, fact: inputs.CheckpointNotTaken) -> None:
    """Record that a workspace could not be captured."""
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
    draft.emit(
        ev.CheckpointFailed(
            stream, wanted.attempt, wanted.request, number=wanted.number, reason=reason
        )
    )


CALLS: dict[type[Call], Handler] = {Checkpoint: ask}
