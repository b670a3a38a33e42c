"""Decisions about terminals: what may be typed there, what became of it, and who looks at whom.

Input is honest. A line is asked for, then typed under its number, and what became of it is an event
of its own; it is never typed twice. What stands in the way of typing is said before a byte is
typed.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.ids import StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.questions import open_questions
from anabranch.core.model.state import State, Stream
from anabranch.core.model.terminal import LONGEST_LINE_BYTES, TOO_LONG

LEADS_NOWHERE = (
    ev.PromptFound,
    ev.PromptGone,
    ev.InputRequested,
    ev.InputSent,
    ev.StreamLookedAt,
)
"""What is told of a terminal, or of who looks, changes nothing of how the run goes on."""


def send(draft: Draft, command: inputs.SendInput) -> Refusal | None:
    """Have a line typed into a stream's terminal, or say in the journal why it is not."""
    stream = draft.state.streams.get(command.stream)
    if stream is None:
        if command.stream in draft.state.registry.joined:
            return Refusal(f"{command.stream} joined by itself", "it has no terminal of this run")
        return Refusal(f"there is no stream {command.stream!r}", "anabranch streams lists them")
    if stream.terminal.sent(command.request) is not None:
        return None
    why_not = _why_not(draft.state, stream, command.text)
    with draft.because_of(stream.cause):
        number = draft.emit(
            ev.InputRequested(
                stream.id, attempt=stream.attempt, request=command.request, text=command.text
            )
        )
    if why_not is not None:
        with draft.because_of(number):
            draft.emit(
                ev.InputSent(
                    stream.id,
                    attempt=stream.attempt,
                    input=number,
                    verdict="refused",
                    evidence=why_not.reason,
                    hint=why_not.hint,
                )
            )
    return None


def _why_not(state: State, stream: Stream, text: str) -> Refusal | None:
    """Return why a line cannot be typed now, as far as the state tells."""
    name = stream.id
    if stream.has_ended:
        hint = f"anabranch logs {name} prints what it wrote"
        return Refusal(f"{name} is over: it has {stream.public_state}", hint)
    if not state.stream_plan(name).tty:
        hint = "`tty = true` in the plan gives it one; anabranch answer answers what it asks"
        return Refusal(f"{name} has no terminal", hint)
    if stream.phase is not Phase.RUNNING:
        return Refusal(f"{name} does not run: it is {stream.phase.words}", "look at it first")
    if stream.held:
        return Refusal(f"{name} is held: {stream.held}", "it goes on once there is room")
    asked = open_questions(state.questions, name)
    if asked:
        return Refusal(f"{name} asks `{asked[0].text}`", f"anabranch answer {name} answers it")
    if stream.terminal.pending is not None:
        return Refusal("another line is just being typed there", "try again in a moment")
    if any((letter < " " and letter != "\t") or letter == "\x7f" for letter in text):
        return Refusal("it holds control characters", "send one line of text at a time")
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST_LINE_BYTES:
        return Refusal(*TOO_LONG)
    return None


def typed(draft: Draft, fact: inputs.InputTyped) -> None:
    """Record what became of a line, once."""
    known = draft.state.streams.get(fact.stream)
    pending = known.terminal.pending if known else None
    if pending is not None and pending.number == fact.number:
        with draft.because_of(pending.number):
            draft.emit(
                ev.InputSent(
                    fact.stream,
                    attempt=pending.attempt,
                    input=fact.number,
                    verdict=fact.verdict,
                    evidence=fact.evidence,
                    hint=fact.hint,
                )
            )


def owed_to(stream: Stream) -> Iterator[fx.Effect]:
    """Yield the line that is to be typed, also where only its verdict is owed any more."""
    pending = stream.terminal.pending
    if pending is not None:
        yield fx.TypeInput(
            stream=stream.id,
            attempt=pending.attempt,
            number=pending.number,
            cause=pending.number,
        )


def prompt_seen(draft: Draft, fact: inputs.PromptSeen) -> None:
    """Record that a prompt stands on a terminal, another one, or none any more."""
    stream = draft.stream(fact.stream)
    known = stream.terminal.prompt
    if stream.phase is not Phase.RUNNING or (known is not None and known.announced):
        return
    with draft.because_of(stream.cause):
        if not fact.text:
            if known is not None:
                draft.emit(ev.PromptGone(stream.id, attempt=stream.attempt))
        elif known is None or known.text != fact.text:
            draft.emit(
                ev.PromptFound(stream.id, attempt=stream.attempt, text=fact.text, since=fact.since)
            )


def announce_prompt(draft: Draft, call: calls.Prompt) -> None:
    """Record what a stream says itself: that it waits at its terminal, or does not any more.

    Like a heartbeat it bears no request: said again it changes nothing.
    """
    stream = draft.state.streams.get(call.caller.stream)
    if stream is None or not draft.state.stream_plan(stream.id).tty:
        draft.answer = refused("you have no terminal", "`tty = true` in the plan gives you one")
        return
    draft.answer = Answer("done")
    text, known = " ".join(call.text.split()), stream.terminal.prompt
    if stream.phase is not Phase.RUNNING or (known is None and not text):
        return
    if not text:
        draft.emit(ev.PromptGone(stream.id, attempt=stream.attempt))
    elif known is None or (known.text, known.announced) != (text, True):
        draft.emit(
            ev.PromptFound(
                stream.id, attempt=stream.attempt, text=text, since=draft.now, announced=True
            )
        )


def look_at(draft: Draft, command: inputs.LookAt) -> None:
    """Note that somebody has looked at streams that are over; others are looked at for nothing."""
    for name in command.streams:
        if is_to_be_looked_at(draft.state, name):
            stream = draft.stream(name)
            with draft.because_of(stream.cause):
                draft.emit(ev.StreamLookedAt(name, attempt=stream.attempt))


def is_to_be_looked_at(state: State, name: StreamId) -> bool:
    """Return whether a stream is over, and nobody has looked at what became of it.

    There is nothing to look at in one that was skipped, or that a person stopped before it began.
    """
    stream = state.streams.get(name)
    if stream is None or not stream.has_ended or stream.looked_at == stream.attempt:
        return False
    has_begun = stream.first_started_at is not None
    return stream.phase is not Phase.SKIPPED and (has_begun or stream.phase is not Phase.STOPPED)


CALLS: dict[type[Call], Handler] = {calls.Prompt: announce_prompt}
