"""What streams have asked whoever steers the run, and what they were answered.

A question stands until it is answered, until its stream takes it back, or until its attempt is
over, whether or not anybody waits for the answer just now: a program may well go on meanwhile, and
come back with the ticket. An answered one stays until its stream is known to have taken the answer.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import Attempt, Seq, StreamId

YES = ("yes", "y", "approve", "allow", "accept", "ok", "true", "proceed", "continue")
NO = ("no", "n", "refuse", "deny", "reject", "cancel", "false", "abort", "stop")
"""What choices are taken for a yes and a no, the likeliest first."""


class Question(msgspec.Struct, frozen=True, gc=False):
    """One question: ``ticket`` is the number of the event by which it was asked.

    ``answer`` is None until there is one. ``waits`` says whether its client waited for the answer
    when it asked: then that time does not count as its work.
    """

    ticket: Seq
    stream: StreamId
    attempt: Attempt
    request: str
    text: str
    since: float
    choices: tuple[str, ...] = ()
    waits: bool = False
    answer: str | None = None

    @property
    def is_open(self) -> bool:
        return self.answer is None

    def meant_by(self, is_yes: bool) -> str | None:
        """Return the answer that a yes or a no is; None if no choice means that."""
        words = YES if is_yes else NO
        if not self.choices:
            return words[0]
        known = {choice.strip().casefold(): choice for choice in reversed(self.choices)}
        return next((known[word] for word in words if word in known), None)


def open_questions(
    questions: HashTrieMap[StreamId, tuple[Question, ...]], stream: StreamId
) -> tuple[Question, ...]:
    """Return what a stream asks for now, oldest first."""
    return tuple(q for q in questions.get(stream, ()) if q.is_open)


def all_open(questions: HashTrieMap[StreamId, tuple[Question, ...]]) -> Iterator[Question]:
    """Yield every question that waits for an answer, oldest first."""
    found = [q for asked in questions.values() for q in asked if q.is_open]
    yield from sorted(found, key=lambda q: q.ticket)
