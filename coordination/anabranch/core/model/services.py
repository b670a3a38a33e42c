"""What is known of a service beside what is known of any stream."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt


class Unhealthy(msgspec.Struct, frozen=True, gc=False):
    """Which attempt of a service answered no more, since when (run seconds), and what was seen."""

    attempt: Attempt
    since: float
    evidence: str


class Serving(msgspec.Struct, frozen=True, gc=False):
    """How far a service is: attempt ``ready_as`` was seen to be ready ``at`` (run seconds), by
    ``evidence``. One that was ``let_go`` is needed by nobody any more, until somebody comes.
    How it was last ``unhealthy`` is known until it is ready again.
    """

    ready_as: Attempt = 0
    at: float = 0.0
    evidence: str = ""
    let_go: str = ""
    unhealthy: Unhealthy | None = None

    @property
    def unhealthy_as(self) -> Attempt | None:
        """Which attempt was unhealthy, since it was last ready."""
        return self.unhealthy.attempt if self.unhealthy else None
