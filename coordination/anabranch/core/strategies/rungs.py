"""The rungs that every run has, as strategies: soft, hard, and the three fallbacks."""

from __future__ import annotations

from collections.abc import Mapping

from anabranch.core.strategies.remedies import (
    Ask,
    Drop,
    EndAndRetry,
    EndRun,
    Remedy,
    RemedyDecision,
    RunAlone,
    Trouble,
)

SOFT, HARD = "soft", "hard"


class Soft:
    """Asks the stream for a sign."""

    name = SOFT

    def remedy(self, view: Trouble, now: float) -> RemedyDecision:
        """Return the question."""
        seconds = f"{view.grace_seconds:g} s"
        text = f"are you alive? {view.evidence}. Send a heartbeat within {seconds}, or be restarted"
        return Ask(text, view.grace_seconds)


class Hard:
    """Ends the stream's process tree and starts it again."""

    name = HARD

    def remedy(self, view: Trouble, now: float) -> RemedyDecision:
        """Return that it is ended and tried again."""
        return EndAndRetry(f"{view.diagnosis}: {view.evidence}")


class Sequential:
    """Gives the stream one more try, while the rest of the run goes one stream at a time."""

    name = "sequential"

    def remedy(self, view: Trouble, now: float) -> RemedyDecision:
        """Return that what is left runs alone."""
        return RunAlone(f"{view.stream} did not recover ({view.diagnosis}); one at a time now")


class Degrade:
    """Goes on without the stream."""

    name = "degrade"

    def remedy(self, view: Trouble, now: float) -> RemedyDecision:
        """Return that it is dropped."""
        return Drop(f"dropped, the rest goes on without it ({view.diagnosis})")


class Stop:
    """Stops the run."""

    name = "stop"

    def remedy(self, view: Trouble, now: float) -> RemedyDecision:
        """Return that the run ends."""
        return EndRun(f"{view.stream} did not recover ({view.diagnosis})")


RUNGS: Mapping[str, Remedy] = {
    rung.name: rung for rung in (Soft(), Hard(), Sequential(), Degrade(), Stop())
}
"""By name; they work with every plugin switched off."""
