"""Race: several attempts at one task, of which one is adopted.

It waits until each has ended. Who succeeded, and passes the point's check alone if it has one, can
be adopted: a person says who, or the plan says by which rule. The others are kept and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.strategies import (
    Abandon,
    AskForOne,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
)
from anabranch.core.wording import counted, listing

MOST_NAMED = 5


class RaceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``adopt``: a person is asked; or the first that succeeded; or the one with fewest files."""

    adopt: Literal["ask", "first", "smallest"] = "ask"
    reduce: str = "collect"


class Race:
    """Merges the one that is adopted, once nobody is outstanding."""

    name = "race"
    adopts_one = True
    options_type = RaceOptions

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next."""
        if view.outstanding:
            return WaitForMore(f"waiting for {view.outstanding} of {view.expected} attempts")
        able = view.adoptable
        if not able:
            return Abandon(_why_nobody(view))
        if view.adopted is not None:
            return Converge((view.adopted,), f"{view.adopted} was adopted")
        options = msgspec.convert(view.options, RaceOptions, from_attributes=True)
        if options.adopt == "ask":
            by_number = tuple(sorted(able, key=lambda name: (len(name), name)))
            return AskForOne(by_number, f"which is adopted: {listing(by_number, MOST_NAMED)}?")
        chosen = able[0] if options.adopt == "first" else _smallest(view, able)
        why = "the first" if options.adopt == "first" else "the smallest"
        return Converge((chosen,), f"{chosen} is {why} of {counted(len(able), 'attempt')}")


def _smallest(view: PointView, able: Sequence[StreamId]) -> StreamId:
    """Return who has changed the fewest files; of several, who came first."""
    return min(able, key=lambda stream: view.files_changed.get(stream, 0))


def _why_nobody(view: PointView) -> str:
    failed = len(view.failed_check)
    if failed:
        return f"{counted(failed, 'attempt')} of {view.expected} ended well, and none passes verify"
    return f"none of {view.expected} attempts has succeeded"
