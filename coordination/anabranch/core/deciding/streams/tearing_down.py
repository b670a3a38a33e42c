"""Leaving workspaces in good order: a teardown is owed once to each attempt that has begun.

It comes after the attempt's work has been kept, whatever became of it, and before its workspace is
given back; nothing of it can lose work, and nobody waits for it but the stream's own next attempt
and the end of the run. It is owed until it is done, so one that a crash has ended is done again.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.model.lifecycle import LIVE, Phase
from anabranch.core.model.state import State, Stream


def follow(draft: Draft, stream: Stream) -> None:
    """Owe a teardown to an attempt that is over, if it ever began."""
    if stream.phase not in LIVE and stream.phase is not Phase.CAPTURING:
        request(draft, stream)


def request(draft: Draft, run: Stream) -> None:
    """Owe a teardown to an attempt, once: of a stream's own, or one beside that."""
    has_begun = (run.pid is not None or run.exit is not None) and run.workspace is not None
    if not has_begun or draft.state.stream_plan(run.id).teardown is None:
        return
    if run.attempt not in draft.state.teardowns.asked.get(run.id, ()):
        draft.emit(ev.TeardownRequested(run.id, attempt=run.attempt))


def done(draft: Draft, fact: inputs.TeardownDone) -> None:
    """Record how a teardown ended."""
    owed = draft.state.teardowns.owed_to(fact.stream)
    if any(teardown.attempt == fact.attempt for teardown in owed):
        draft.emit(
            ev.TeardownFinished(
                fact.stream,
                attempt=fact.attempt,
                exit_code=fact.exit_code,
                seconds=fact.seconds,
                failure=fact.failure,
            )
        )


def holds_up(state: State, stream: Stream) -> bool:
    """Return whether a teardown is owed to an attempt that was over before this one began."""
    return any(teardown.cause < stream.cause for teardown in state.teardowns.owed_to(stream.id))


def owed_to(state: State, stream: Stream) -> Iterator[fx.Effect]:
    """Yield the teardowns that are owed to a stream's attempts."""
    for teardown in state.teardowns.owed_to(stream.id):
        yield fx.TearDown(stream=stream.id, attempt=teardown.attempt, cause=teardown.cause)
