"""Nine strategies written from docs/strategies.md alone: what it says is enough to conform."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from anabranch.core.ids import StreamId
from anabranch.core.strategies import (
    Abandon,
    Converge,
    FailedAttempt,
    GiveUp,
    PointDecision,
    PointView,
    QueuedStream,
    RecoveryDecision,
    Retry,
    WaitForMore,
)
from anabranch.testing import assert_conforms


def merge(streams: Sequence[StreamId], reason: str) -> PointDecision:
    return Converge(tuple(streams), reason) if streams else Abandon("nobody brought a result")


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``percent`` of the participants are enough."""

    percent: int = 75


class ShareOfAll:
    """Merges once a share of all participants has arrived."""

    name = "share"
    options_type = Share

    def next_step(self, view: PointView, now: float) -> PointDecision:
        options = msgspec.convert(view.options, Share, from_attributes=True)
        needed = max(1, -(-view.expected * options.percent // 100))
        if len(view.arrived) >= needed or not view.outstanding:
            return merge(view.arrived, f"{len(view.arrived)} of {view.expected} arrived")
        return WaitForMore(f"{needed} are needed")


class Patience:
    """Waits for everybody, but no longer than ten minutes."""

    name = "patience"

    def next_step(self, view: PointView, now: float) -> PointDecision:
        ends_at = view.opened_at + 600.0
        if not view.outstanding:
            return merge(view.arrived, "nobody is left to come")
        if now < ends_at:
            return WaitForMore(f"{view.outstanding} may still come", look_again_at=ends_at)
        if view.arrived:
            return merge(view.arrived, "ten minutes are over")
        return WaitForMore("ten minutes are over, and nobody is here yet")


class MostUrgentFirst:
    """Merges a part as soon as somebody urgent is there, and everybody in the end."""

    name = "most-urgent-first"
    merges_early = True

    def next_step(self, view: PointView, now: float) -> PointDecision:
        if not view.outstanding:
            return merge(view.arrived, "nobody is left to come")
        if any(view.priorities.get(stream, 0) > 0 for stream in view.unmerged):
            streams = (*view.merged, *view.unmerged)
            return Converge(streams, "somebody urgent is here", is_final=False)
        return WaitForMore(f"{view.outstanding} may still come")


class Steady:
    """Tries again after a minute, always."""

    name = "steady"

    def after_failure(self, view: FailedAttempt) -> RecoveryDecision:
        if view.is_permanent or view.retries >= view.max_retries:
            return GiveUp("it would not help, or was tried often enough")
        return Retry(60.0, "once more in a minute")


class Jittered:
    """Doubles the delay, and spreads it by the seed of the view."""

    name = "jittered"

    def after_failure(self, view: FailedAttempt) -> RecoveryDecision:
        if view.retries >= view.max_retries:
            return GiveUp(f"{view.retries} retries were used")
        most = min(600.0, 2.0 ** min(view.retries, 20))
        return Retry(Random(view.seed).uniform(0.0, most), f"within {most:g} s")


class Once:
    """Tries again once, at once."""

    name = "once"

    def after_failure(self, view: FailedAttempt) -> RecoveryDecision:
        if view.retries or view.retries >= view.max_retries:
            return GiveUp("once was enough")
        return Retry(0.0, "once more")


class ShortestFirst:
    """What takes least goes first."""

    name = "shortest-first"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        return (-float(view.priority), view.estimate_seconds, float(view.position))


class RetriesLast:
    """What failed before waits behind what was not tried yet."""

    name = "retries-last"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        return (float(view.attempt > 1), -float(view.priority), float(view.position))


class Backwards:
    """The end of the file goes first."""

    name = "backwards"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        return (float(-view.position),)


NINE = (
    *(ShareOfAll(), Patience(), MostUrgentFirst()),
    *(Steady(), Jittered(), Once()),
    *(ShortestFirst(), RetriesLast(), Backwards()),
)


@pytest.mark.parametrize("strategy", NINE, ids=lambda strategy: strategy.name)
def test_what_is_written_from_the_documentation_conforms(strategy: Any) -> None:
    assert_conforms(strategy, examples=200)
