"""Events of a stream's terminal, and of who looked at what is over."""

from __future__ import annotations

from typing import Literal

from anabranch.core.events.base import StreamEvent
from anabranch.core.ids import Attempt, Seq

Verdict = Literal["delivered", "refused", "stalled", "unknown"]
"""*Delivered*: the program has read all of it. *Refused*: not a byte of it was typed. *Stalled*: it
was typed, and nothing read it within five seconds. *Unknown*: nobody can tell."""


class PromptFound(StreamEvent, frozen=True, kw_only=True):
    """A program waits for a line at its terminal: it reads, and ``text`` stands there unfinished.

    ``since`` is when its output came to stand still (run seconds). One that is ``announced`` the
    program has named itself: it stands until the program says otherwise.
    """

    attempt: Attempt
    text: str
    since: float
    announced: bool = False


class PromptGone(StreamEvent, frozen=True, kw_only=True):
    """It does not wait any more."""

    attempt: Attempt


class InputRequested(StreamEvent, frozen=True, kw_only=True):
    """Somebody wants a line typed into the stream's terminal, under a name of their own."""

    attempt: Attempt
    request: str
    text: str


class InputSent(StreamEvent, frozen=True, kw_only=True):
    """What became of a line that somebody sent: it was delivered, refused, or it stalled."""

    attempt: Attempt
    input: Seq
    verdict: Verdict
    evidence: str
    hint: str = ""


class StreamLookedAt(StreamEvent, frozen=True, kw_only=True):
    """Somebody has looked at what became of an attempt that is over."""

    attempt: Attempt
