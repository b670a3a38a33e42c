"""Whether a service that was ready goes on to answer: so many failed looks in a row say no.

One failed look says little: a machine that is busy, a server that loads its files anew. A look that
could not be had, or at one that is held on purpose, says nothing at all.
"""

from __future__ import annotations

import msgspec

from anabranch.core.plans.plan import ReadyPlan
from anabranch.core.wording import counted


class Look(msgspec.Struct, frozen=True):
    """One look ``at`` that moment (run seconds); ``is_well`` is None where it says nothing."""

    at: float
    is_well: bool | None
    evidence: str = ""


class Health(msgspec.Struct, frozen=True):
    """How the looks went of late: so many ``failures`` in a row, since the first of them."""

    failures: int = 0
    since: float = 0.0
    evidence: str = ""

    def after(self, look: Look) -> Health:
        """Return how it stands after one more look."""
        if look.is_well is None:
            return self
        if look.is_well:
            return Health()
        since = self.since if self.failures else look.at
        return Health(self.failures + 1, since, look.evidence)

    def is_unhealthy(self, ready: ReadyPlan) -> bool:
        """Return whether that is as much as the plan bears."""
        return ready.is_watched and self.failures >= ready.failures

    @property
    def words(self) -> str:
        """What was seen last, and how often in a row it was no better."""
        often = f", {counted(self.failures, 'look')} in a row" if self.failures > 1 else ""
        return f"{self.evidence}{often}"
