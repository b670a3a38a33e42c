"""What is known of a stream's terminal: whether a prompt stands on it, what was sent into it."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from anabranch.core.events.terminal import Verdict
from anabranch.core.ids import Attempt, Seq

KEPT = 16
"""How many inputs whose verdict is known stay in the state."""

TOO_LONG = "it is too long for one line of a terminal", "send it in parts, or as a file"
"""Why a longer line is not typed, and what to do."""
LONGEST_LINE_BYTES = 3_000
"""How long a line may be that is sent: a terminal holds a little more than 4,000 bytes."""


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """A program waits for a line at its terminal, after this ``text``, since (run seconds).

    It was seen, or the program has ``announced`` it itself, which goes before what is seen.
    """

    text: str
    since: float
    announced: bool = False


class Input(msgspec.Struct, frozen=True, gc=False):
    """One line that somebody sent: ``number`` is that of the event by which it was asked for.

    ``request`` is what its sender calls it. Without a ``verdict`` it is under way.
    """

    number: Seq
    request: str
    attempt: Attempt
    text: str
    at: float
    verdict: Verdict | None = None
    evidence: str = ""
    hint: str = ""


class Terminal(msgspec.Struct, frozen=True, gc=False):
    """A stream's terminal: the prompt that stands on it, and the newest inputs, oldest first."""

    prompt: Prompt | None = None
    inputs: tuple[Input, ...] = ()

    @property
    def pending(self) -> Input | None:
        """What is being typed now."""
        return next((i for i in self.inputs if i.verdict is None), None)

    def sent(self, request: str) -> Input | None:
        """Return an input by what its sender calls it, if it is still known."""
        return next((i for i in reversed(self.inputs) if i.request == request), None)

    def of_new_attempt(self) -> Terminal:
        """Return it without what was seen of the attempt before."""
        return self if self.prompt is None else replace(self, prompt=None)
