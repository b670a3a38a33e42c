"""What the guardian knows of each stream, and of the run."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from anabranch.core.ids import Seq
from anabranch.core.strategies.rungs import HARD, SOFT

MAY_WAIT = "silent on its terminal"
ANSWER_SECONDS = 10.0
"""What a stream says within so long after its first sign belongs to its answer, at most."""

GUARDIAN, PERSON = "guardian", "operator"


class Care(msgspec.Struct, frozen=True, gc=False):
    """A stream in the guardian's care; without a ``remedy`` nothing is under way.

    ``deadline`` is when it acts next, ``cause`` the event that set it; ``hard_recoveries`` counts
    over all attempts. It ``is_asked`` once the plan's own way of asking was used. ``fallback``
    names the last resort once that was used, ``outcome`` how the newest remedy ended, and ``alert``
    what it only tells. What a person undertakes uses up neither: those two are the guardian's own.
    ``answers`` counts the questions in a row that a stream answered without doing anything else in
    between, the last of them ``answered_at``; heartbeats are promises, and not counted.
    """

    remedy: str = ""
    diagnosis: str = ""
    evidence: str = ""
    by: str = ""
    since: float = 0.0
    deadline: float | None = None
    cause: Seq = 0
    hard_recoveries: int = 0
    fallback: str = ""
    is_dropped: bool = False
    is_asked: bool = False
    outcome: str = ""
    alert: str = ""
    hint: str = ""
    answers: int = 0
    answered_at: float = 0.0

    @property
    def is_unclear(self) -> bool:
        """Whether a person was told that the stream may wait for one."""
        return bool(self.alert) and self.diagnosis == MAY_WAIT and not self.remedy

    @property
    def is_by_hand(self) -> bool:
        """Whether a person's remedy is under way."""
        return bool(self.remedy) and self.by == PERSON

    def of_new_attempt(self) -> Care:
        """Return it without what was seen of the attempt before: a new one is judged by itself."""
        return replace(self, diagnosis="", evidence="", alert="", hint="", answers=0)

    def stalled(self, at: float, silent_seconds: float) -> Care:
        """Return it after the stream stood still: did it do anything since it last answered?"""
        slack = min(ANSWER_SECONDS, silent_seconds / 2)
        has_only_answered = at - silent_seconds <= self.answered_at + slack
        return self if has_only_answered else replace(self, answers=0)

    @property
    def has_given_up(self) -> bool:
        return self.outcome == "gave_up"

    @property
    def is_last_resort(self) -> bool:
        """Whether the remedy that is under way is the plan's fallback."""
        return self.remedy not in ("", SOFT, HARD)


class Guardian(msgspec.Struct, frozen=True, gc=False):
    """What the guardian knows of the run: when it ended streams, and how many run at a time now."""

    hard_at: tuple[float, ...] = ()
    narrowed_to: int | None = None
