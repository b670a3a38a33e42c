"""One handler by hand: a person has it ended, if it runs, and tried again; the others go on.

The program that runs the handlers does it; what a person wants is passed on to it.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import runs
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State

_BY_HAND = "asked for by a person"


def recover(draft: Draft, command: inputs.RecoverHandler) -> Refusal | None:
    """Have one handler of a stream that runs ended, if it runs, and tried again."""
    refusal = why_not(draft.state, command.stream)
    if refusal is None:
        draft.emit(
            ev.HandlerRecoveryRequested(
                stream=command.stream,
                attempt=draft.stream(command.stream).attempt,
                handler=command.handler,
                reason=command.reason or _BY_HAND,
            )
        )
    return refusal


def why_not(state: State, name: StreamId) -> Refusal | None:
    """Return why no single handler of a stream can be tried again now, or None."""
    stream = state.streams.get(name)
    if stream is None:
        return runs.unknown_stream(state, name)
    if state.stream_plan(name).fan is None:
        return Refusal(f"{name} has no handlers", "the plan gives it no `each`")
    if stream.phase is Phase.SUCCEEDED:
        return Refusal(f"{name} has succeeded", "there is nothing to recover")
    if stream.has_ended:
        hint = f"anabranch recover {name} hard runs those that have failed, and no others"
        return Refusal(f"{name} has ended, and no single handler can be tried again", hint)
    if stream.phase is not Phase.RUNNING:
        return Refusal(f"{name} is {stream.phase}: no handler of it runs", "wait a moment")
    return None


def passed_on(draft: Draft, fact: inputs.HandlerRequestPassedOn) -> None:
    """Record that the program that runs the handlers will read what a person wants."""
    known = draft.state.handlers.get(fact.stream, Handled())
    for one in known.requested:
        if one.cause == fact.request:
            draft.emit(
                ev.HandlerRecoveryPassedOn(
                    stream=fact.stream,
                    attempt=fact.attempt,
                    handler=one.handler,
                    request=fact.request,
                )
            )
