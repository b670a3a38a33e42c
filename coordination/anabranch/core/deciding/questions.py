"""Decisions about questions: a stream asks, a person answers, and nobody is asked twice.

The same words asked again by the same attempt are the same question, as long as its answer has not
been taken: so a client may come back with the ticket or with the words, also after a crash.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.calls import Ask, Call
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.folds.questions import answer_to, question_of
from anabranch.core.ids import StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.questions import Question, open_questions
from anabranch.core.model.state import State, Stream
from anabranch.core.wording import listing

MOST_OPEN = 16
"""How many questions one stream may have open."""


def ask(draft: Draft, call: Ask) -> None:
    """Put a question to the operator, or go on with the one of the same words."""
    caller = call.caller
    asked = [q for q in draft.state.questions.get(caller.stream, ()) if q.attempt == caller.attempt]
    same = next((q for q in asked if (q.text, q.choices) == (call.question, call.choices)), None)
    if same is not None:
        draft.answer = answer_to(same)
    elif len(open_questions(draft.state.questions, caller.stream)) >= MOST_OPEN:
        draft.answer = refused(
            f"{MOST_OPEN} questions of yours wait for an answer already", "wait for one of them"
        )
    else:
        draft.emit(
            ev.QuestionAsked(
                caller.stream,
                caller.attempt,
                call.request,
                question=call.question,
                choices=call.choices,
                waits=call.wait,
            )
        )


def answer(draft: Draft, command: inputs.AnswerQuestion) -> Refusal | None:
    """Answer a question: the one that is named, or the oldest of a stream."""
    found = _meant(draft.state, command)
    if isinstance(found, Refusal):
        return found
    if found.choices and command.answer not in found.choices:
        choices = listing([f"`{choice}`" for choice in found.choices])
        return Refusal(f"`{command.answer}` is none of its choices", f"it takes {choices}")
    with draft.because_of(found.ticket):
        draft.emit(
            ev.QuestionAnswered(
                found.stream,
                found.attempt,
                found.request,
                ticket=found.ticket,
                answer=command.answer,
            )
        )
    return None


def _meant(state: State, command: inputs.AnswerQuestion) -> Question | Refusal:
    stream = command.stream
    if stream not in state.streams and stream not in state.registry.joined:
        return Refusal(f"there is no stream {stream!r}", "anabranch attention lists who asks")
    asked = open_questions(state.questions, stream)
    named = [q for q in asked if command.question in (None, q.ticket)]
    if named:
        return named[0]
    if command.question is None:
        return Refusal(f"{stream} asks nothing", "anabranch attention lists who does")
    return Refusal(
        f"question {command.question} of {stream} is answered already, or was taken back",
        "anabranch attention lists what is asked",
    )


def withdraw(draft: Draft, stream: StreamId, ticket: int, reason: str, is_abandoned: bool) -> bool:
    """Take a question back, or note that its answer was taken; False if there is none.

    One that was merely *abandoned* stands: its client may come back for the answer.
    """
    asked = question_of(draft.state, stream, ticket)
    if asked is None:
        return False
    if asked.answer is not None:
        draft.emit(ev.AnswerTaken(stream=stream, ticket=ticket))
    elif not is_abandoned:
        _end(draft, asked, reason)
    return True


def give_back(draft: Draft, stream: Stream) -> None:
    """End what an attempt without a process has asked."""
    for asked in draft.state.questions.get(stream.id, ()):
        _end(draft, asked, "the attempt that asked is over")


def _end(draft: Draft, asked: Question, reason: str) -> None:
    draft.emit(
        ev.QuestionWithdrawn(
            asked.stream,
            asked.attempt,
            asked.request,
            ticket=asked.ticket,
            reason=reason,
            was_answered=asked.answer is not None,
        )
    )


CALLS: dict[type[Call], Handler] = {Ask: ask}
