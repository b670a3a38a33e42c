"""Time that a test moves by hand."""

from __future__ import annotations


class FakeClock:
    """A clock, in seconds, that stands still until it is moved; call it to read it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Move on by some seconds."""
        self.seconds += seconds

    def advance_to(self, seconds: float) -> None:
        """Move on to a moment; never back."""
        self.seconds = max(self.seconds, seconds)
