"""What is known of a service beside what is known of any stream."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt


class Serving(msgspec.Struct, frozen=True, gc=False):
    """How far a service is: attempt ``ready_as`` was seen to be ready ``at`` (run seconds), by
    ``evidence``. One that was ``let_go`` is needed by nobody any more, until somebody comes.
    """

    ready_as: Attempt = 0
    at: float = 0.0
    evidence: str = ""
    let_go: str = ""
