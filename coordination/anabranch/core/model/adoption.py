"""Who counts at a point of which one is adopted, and how each of them alone stands the check."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import StreamId


class Trial(msgspec.Struct, frozen=True, gc=False):
    """What the point's check said of the work of one stream alone, and where all of it stands."""

    passed: bool
    reason: str
    seconds: float | None = None
    exit_code: int | None = None
    log: str = ""


class Adoption(msgspec.Struct, frozen=True, gc=False):
    """Whom a point has adopted (``adopted``), or whom a person is asked about (``asked``).

    ``trial_of`` is whose work is checked alone just now, empty if nobody's is, and ``trials`` says
    what was found so far.
    """

    adopted: StreamId | None = None
    asked: tuple[StreamId, ...] = ()
    trial_of: StreamId = StreamId("")
    trials: dict[StreamId, Trial] = {}
