"""Decisions about the attempt beside a stream's own: what follows of its news, and what it is owed.

It goes the way of every attempt (workspace, process, capture), but what it leaves is partial work,
whatever its exit code: whether it counts is decided as it exits, and then it is the stream's own
(:mod:`anabranch.core.deciding.streams.speculating`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams import observed, setting_up, tearing_down
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import LIVE, Phase
from anabranch.core.model.resources import Amounts
from anabranch.core.model.state import Copy, State
from anabranch.core.wording import length

GRACE_SECONDS = 2.0
"""How long a fenced attempt may take to end: nothing that it does any more counts."""


def is_about_copy(state: State, fact: inputs.AttemptObservation) -> bool:
    """Return whether a fact is about an attempt beside its stream's own."""
    copy = state.copies.get(fact.stream)
    return copy is not None and copy.run.attempt == fact.attempt


def hear(draft: Draft, fact: inputs.AttemptObservation) -> None:
    """Let news of an attempt beside a stream's own have its consequence."""
    handler = _HANDLERS.get(type(fact))
    if handler is not None:
        handler(draft, draft.state.copies[fact.stream], fact)


def held_beside(state: State, stream: StreamId) -> Amounts:
    """Return what an attempt beside a stream's own has of what the stream holds."""
    copy = state.copies.get(stream)
    if copy is None or not (copy.run.phase is Phase.PREPARING or copy.run.phase in LIVE):
        return {}
    return copy.holds


def give_back(draft: Draft, copy: Copy) -> None:
    """Release what the plan gave to one of two attempts."""
    if copy.holds:
        draft.emit(
            ev.ResourcesReleased(
                copy.run.id,
                copy.run.attempt,
                "",
                amounts=copy.holds,
                reason="one of its two attempts is over",
            )
        )


def in_words(copy: Copy) -> str:
    """Return what is at work beside a stream's own attempt, and why."""
    run = copy.run
    if run.stop:
        return f"attempt {run.attempt} is fenced, and ends: {run.stop.reason}"
    if run.attempt == copy.of:
        return f"what attempt {run.attempt} has written is being kept"
    what = "a copy" if run.phase is Phase.RUNNING else f"a copy ({run.reason})"
    return f"{what} in slot {run.slot}: past its p95 of {length(copy.long_seconds, 1)}"


def owed_to(state: State, stream: StreamId) -> Iterator[fx.Effect]:
    """Yield what the attempt beside a stream's own asks for."""
    copy = state.copies.get(stream)
    if copy is None:
        return
    attempt, cause = copy.run.attempt, copy.run.cause
    match copy.run.phase:
        case Phase.PREPARING:
            yield fx.PrepareWorkspace(stream=stream, attempt=attempt, cause=cause)
        case Phase.STARTING:
            yield fx.StartProcess(stream=stream, attempt=attempt, cause=cause)
        case Phase.STOPPING:
            grace = min(state.plan.stop_grace_seconds, GRACE_SECONDS)
            yield fx.StopProcess(stream=stream, attempt=attempt, grace_seconds=grace, cause=cause)
        case Phase.CAPTURING:
            yield fx.CaptureResult(stream=stream, attempt=attempt, is_partial=True, cause=cause)


def _workspace_ready(draft: Draft, copy: Copy, fact: inputs.WorkspaceReady) -> None:
    if copy.run.phase is not Phase.PREPARING:
        return
    if copy.run.stop:
        _over(draft, copy, copy.run.stop.reason)
        return
    draft.emit(observed.prepared(fact))


def _conflicted(draft: Draft, copy: Copy, fact: inputs.WorkspaceConflicted) -> None:
    if copy.run.phase is Phase.PREPARING:
        _over(draft, copy, "what it starts from does not merge any more")


def _effect_failed(draft: Draft, copy: Copy, fact: inputs.EffectFailed) -> None:
    if copy.run.phase in (Phase.PREPARING, Phase.STARTING, Phase.CAPTURING):
        _over(draft, copy, fact.reason)


def _effect_delayed(draft: Draft, copy: Copy, fact: inputs.EffectDelayed) -> None:
    if copy.run.is_active and not copy.run.reason.startswith(fact.reason):
        draft.emit(ev.StreamDelayed(fact.stream, attempt=fact.attempt, reason=fact.reason))


def _started(draft: Draft, copy: Copy, fact: inputs.ProcessStarted) -> None:
    if copy.run.phase in (Phase.STARTING, Phase.SETTING_UP):
        draft.emit(observed.started(fact))
        _end_if_fenced(draft, copy)


def _end_if_fenced(draft: Draft, copy: Copy) -> None:
    if copy.run.stop:  # it was told so before there was anybody to end
        run = copy.run
        draft.emit(ev.AttemptFenced(run.id, attempt=run.attempt, reason=copy.run.stop.reason))


def _setup_began(draft: Draft, copy: Copy, fact: inputs.SetupBegan) -> None:
    if copy.run.phase is Phase.STARTING:
        draft.emit(observed.setup_began(fact))
        _end_if_fenced(draft, copy)


def _setup_done(draft: Draft, copy: Copy, fact: inputs.SetupDone) -> None:
    if setting_up.is_news(copy.run):
        draft.emit(observed.setup_done(fact))


def _exited(draft: Draft, copy: Copy, fact: inputs.ProcessExited) -> None:
    if copy.run.phase not in LIVE:
        return
    draft.emit(observed.exited(fact))
    give_back(draft, copy)


def _lost(draft: Draft, copy: Copy, fact: inputs.ProcessLost) -> None:
    if copy.run.phase in LIVE:
        draft.emit(ev.StreamLost(fact.stream, attempt=fact.attempt, reason=fact.reason))
        give_back(draft, copy)


def _kept(draft: Draft, copy: Copy, fact: inputs.ResultReady) -> None:
    if copy.run.phase is not Phase.CAPTURING:
        return
    if fact.commit:
        draft.emit(observed.kept_in_part(fact))
    _over(draft, copy, "; ".join(t for t in (_how(copy), fact.fault) if t))


def _how(copy: Copy) -> str:
    """Return how an attempt ended that does not count."""
    if copy.run.stop:
        return copy.run.stop.reason
    if copy.run.failure:
        return copy.run.failure
    status = copy.run.exit.status if copy.run.exit else None
    return f"exit {status}" if status is not None else "it ended without a word"


def _over(draft: Draft, copy: Copy, reason: str) -> None:
    if held_beside(draft.state, copy.run.id):
        give_back(draft, copy)
    draft.emit(ev.CopyEnded(copy.run.id, attempt=copy.run.attempt, reason=reason))
    tearing_down.request(draft, copy.run)


def _output_left_out(draft: Draft, copy: Copy, fact: inputs.OutputLeftOut) -> None:
    if copy.run.phase in LIVE and copy.run.cut_in != fact.attempt:
        draft.emit(
            ev.OutputCut(fact.stream, attempt=fact.attempt, left_out_bytes=fact.left_out_bytes)
        )


_HANDLERS: dict[type[inputs.AttemptObservation], Callable[[Draft, Copy, Any], None]] = {
    inputs.WorkspaceReady: _workspace_ready,
    inputs.WorkspaceConflicted: _conflicted,
    inputs.EffectFailed: _effect_failed,
    inputs.EffectDelayed: _effect_delayed,
    inputs.SetupBegan: _setup_began,
    inputs.SetupDone: _setup_done,
    inputs.ProcessStarted: _started,
    inputs.ProcessExited: _exited,
    inputs.ProcessLost: _lost,
    inputs.ResultReady: _kept,
    inputs.OutputLeftOut: _output_left_out,
}
"""What counts of such an attempt: it is not judged by its silence, locks or writes."""
