"""One handler by hand: a person has it tried again, and the others stay as they are.

While the stream runs the handler is ended first, if it runs, and the others go on: the program that
runs them does it, and what a person wants is passed on to it. A stream that has failed gets a new
attempt, which runs only those that a person has asked for.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import runs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.handlers import are_chosen
from anabranch.core.deciding.owed import is_partial
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State

_BY_HAND = "asked for by a person"
_YET_TO_BEGIN = frozenset({Phase.WAITING, Phase.RETRYING})
"""Phases whose next attempt has no number yet."""
_MAY_JOIN = _YET_TO_BEGIN | {Phase.QUEUED, Phase.PREPARING, Phase.STARTING}
"""Phases in which an attempt that is about single handlers takes one more."""


def recover(draft: Draft, command: inputs.RecoverHandler) -> Refusal | None:
    """Have one handler tried again; if it runs, it is ended first."""
    refusal = why_not(draft.state, command.stream)
    if refusal is not None:
        return refusal
    reason = command.reason or _BY_HAND
    if draft.stream(command.stream).phase is Phase.FAILED:
        runs.run_again(draft, command.stream, f"handler {command.handler}: {reason}")
        is_chosen = True
    else:
        is_chosen = are_chosen(draft.state, command.stream)
    stream = draft.stream(command.stream)
    draft.emit(
        ev.HandlerRecoveryRequested(
            stream=command.stream,
            attempt=Attempt(stream.attempt + (stream.phase in _YET_TO_BEGIN)),
            handler=command.handler,
            reason=reason,
            is_chosen=is_chosen,
        )
    )
    return None


def why_not(state: State, name: StreamId) -> Refusal | None:
    """Return why no single handler of a stream can be tried again now, or None."""
    stream = state.streams.get(name)
    if stream is None:
        return runs.unknown_stream(state, name)
    if state.stream_plan(name).fan is None:
        return Refusal(f"{name} has no handlers", "the plan gives it no `each`")
    if stream.phase is Phase.SUCCEEDED:
        return Refusal(f"{name} has succeeded", "there is nothing to recover")
    if stream.phase is Phase.FAILED:
        return runs.why_not_retried(state, name)
    if stream.has_ended:
        was = {Phase.STOPPED: "was stopped", Phase.SKIPPED: "was skipped"}.get(stream.phase)
        hint = f"anabranch recover {name} hard runs all of them that are not done"
        why = f"{name} {was or 'was left out'}, and no single handler of it can be tried again"
        return Refusal(why, hint)
    if stream.phase is Phase.BLOCKED:
        return Refusal(f"{name} is blocked: {stream.reason}", "settle the conflict first")
    if stream.phase in _MAY_JOIN and are_chosen(state, name):
        return None
    if stream.phase is Phase.CAPTURING and not stream.stop and is_partial(state, stream):
        return None  # an attempt that has failed is followed by one of those that came too late
    if stream.phase is not Phase.RUNNING:
        return Refusal(f"{name} is {stream.phase.words}: no handler of it runs", "wait a moment")
    return None


def passed_on(draft: Draft, fact: inputs.HandlerRequestPassedOn) -> None:
    """Record that the program that runs the handlers will read what a person wants."""
    known = draft.state.handlers.get(fact.stream, Handled())
    for one in known.requested:
        if one.cause == fact.request and not one.is_passed_on:
            draft.emit(
                ev.HandlerRecoveryPassedOn(
                    stream=fact.stream,
                    attempt=fact.attempt,
                    handler=one.handler,
                    request=fact.request,
                )
            )
