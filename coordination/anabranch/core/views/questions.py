"""What streams ask, as it is shown, and what a person means by an answer."""

from __future__ import annotations

from typing import Any

from anabranch.core.ids import StreamId
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.questions import Question, open_questions
from anabranch.core.model.state import State
from anabranch.core.wording import listing, utc

__all__ = ["Question", "meant", "open_questions", "question_status", "questions_status"]


def meant(question: Question, text: str | None, is_yes: bool | None) -> str | Refusal:
    """Return the answer that a person means: a text, or a yes or a no.

    Of choices the beginning is enough, in any case of letters, if it is the beginning of one only.
    """
    if is_yes is not None:
        found = question.meant_by(is_yes)
        word = "yes" if is_yes else "no"
        return found or Refusal(f"none of its choices is a {word}", _takes(question))
    given = (text or "").strip()
    if not question.choices:
        return given or Refusal("the answer is empty", "say something, or --yes, or --no")
    if given in question.choices:
        return given
    near = [c for c in question.choices if c.casefold().startswith(given.casefold())]
    equal = [c for c in near if c.casefold() == given.casefold()]
    found_one = equal if len(equal) == 1 else near
    if len(found_one) == 1 and given:
        return found_one[0]
    return Refusal(f"`{given}` is none of its choices", _takes(question))


def _takes(question: Question) -> str:
    return f"it takes {listing([f'`{choice}`' for choice in question.choices])}"


def question_status(state: State, question: Question) -> dict[str, Any]:
    """Return a question as JSON."""
    return {
        "ticket": str(question.ticket),
        "question": question.text,
        "choices": list(question.choices),
        "since": utc(state.started_wall + question.since),
    }


def questions_status(state: State, stream: StreamId) -> list[dict[str, Any]]:
    """Return what a stream asks now, the oldest first."""
    return [question_status(state, q) for q in open_questions(state.questions, stream)]
