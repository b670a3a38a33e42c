"""Events of what streams ask whoever steers the run."""

from __future__ import annotations

from anabranch.core.events.base import CallEvent, Event
from anabranch.core.ids import Seq, StreamId


class QuestionAsked(CallEvent, frozen=True, kw_only=True):
    """A stream asks the operator; the number of this event is its ticket.

    With ``choices`` the answer is one of them. It ``waits`` if its client waits for the answer.
    """

    question: str
    choices: tuple[str, ...] = ()
    waits: bool = False


class QuestionAnswered(CallEvent, frozen=True, kw_only=True):
    """The operator has answered; the stream is told as soon as it listens."""

    ticket: Seq
    answer: str


class QuestionWithdrawn(CallEvent, frozen=True, kw_only=True):
    """Nobody needs an answer any more: the stream took its question back, or its attempt is over.

    If it ``was_answered`` the answer has come too late.
    """

    ticket: Seq
    reason: str
    was_answered: bool = False


class AnswerTaken(Event, frozen=True, kw_only=True):
    """The answer has reached the stream that asked."""

    stream: StreamId
    ticket: Seq
