"""What must hold of the questions of streams after every step."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.deciding.hearing import is_live
from anabranch.core.model.state import State


def broken_question_promises(state: State) -> Iterator[str]:
    """Yield every promise about questions that is broken, in words."""
    for stream, asked in state.questions.items():
        if not asked:
            yield f"{stream} is listed with no question"
        for question in asked:
            if not is_live(state, stream, question.attempt):
                yield f"attempt {question.attempt} of {stream} is over, and asks `{question.text}`"
        if len({(q.text, q.choices) for q in asked}) < len(asked):
            yield f"{stream} asks the same twice"
