"""What events change about the questions of streams, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering
from anabranch.core.folds.waiting import with_wait
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.questions import Question
from anabranch.core.model.state import State


def question_of(state: State, stream: StreamId, ticket: Seq) -> Question | None:
    """Return the question of a stream with a ticket, answered or not."""
    return next((q for q in state.questions.get(stream, ()) if q.ticket == ticket), None)


def answer_to(question: Question) -> Answer:
    """Return what a stream is told of its question now."""
    ticket = str(question.ticket)
    if question.answer is None:
        return Answer("waiting", {"ticket": ticket})
    return Answer("done", {"ticket": ticket, "answer": question.answer})


# --- folding -------------------------------------------------------------------------------------


def _asked(state: State, record: ev.Recorded, event: ev.QuestionAsked) -> State:
    asked = Question(
        record.seq,
        event.stream,
        event.attempt,
        event.request,
        event.question,
        record.at,
        event.choices,
        event.waits,
    )
    return _with(state, event.stream, (*state.questions.get(event.stream, ()), asked))


def _answered(state: State, record: ev.Recorded, event: ev.QuestionAnswered) -> State:
    asked = state.questions.get(event.stream, ())
    after = tuple(replace(q, answer=event.answer) if q.ticket == event.ticket else q for q in asked)
    return _waited(_with(state, event.stream, after), record, event)


def _over(state: State, record: ev.Recorded, event: ev.QuestionWithdrawn) -> State:
    return _without(_waited(state, record, event), event.stream, event.ticket)


def _taken(state: State, record: ev.Recorded, event: ev.AnswerTaken) -> State:
    return _without(state, event.stream, event.ticket)


def _waited(
    state: State, record: ev.Recorded, event: ev.QuestionAnswered | ev.QuestionWithdrawn
) -> State:
    asked = question_of(state, event.stream, event.ticket)
    if asked is None or not asked.waits:
        return state
    return with_wait(state, event.stream, asked.since, record.at)


def _without(state: State, stream: StreamId, ticket: Seq) -> State:
    left = tuple(q for q in state.questions.get(stream, ()) if q.ticket != ticket)
    return _with(state, stream, left)


def _with(state: State, stream: StreamId, asked: tuple[Question, ...]) -> State:
    known = state.questions
    after = known.insert(stream, asked) if asked else known.discard(stream)
    return replace(state, questions=after)


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.QuestionAsked: _asked,
    ev.QuestionAnswered: _answered,
    ev.QuestionWithdrawn: _over,
    ev.AnswerTaken: _taken,
}


def _waiting_answer(state: State, record: ev.Recorded, event: ev.QuestionAsked) -> Answer:
    return Answer("waiting", {"ticket": str(record.seq)})


def _done_answer(state: State, record: ev.Recorded, event: ev.QuestionAnswered) -> Answer:
    return Answer("done", {"ticket": str(event.ticket), "answer": event.answer})


def _withdrawn_answer(state: State, record: ev.Recorded, event: ev.QuestionWithdrawn) -> Answer:
    return refused(event.reason, "ask again if you still have to know")


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.QuestionAsked: _waiting_answer,
    ev.QuestionAnswered: _done_answer,
    ev.QuestionWithdrawn: _withdrawn_answer,
}
