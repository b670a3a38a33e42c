"""Twelve strategies written from docs/strategies.md alone: what it says is enough to conform."""

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
    Placement,
    Placing,
    PointDecision,
    PointView,
    QueuedStream,
    RecoveryDecision,
    Retry,
    WaitForMore,
    paired,
    that_fit,
)
from anabranch.testing import RunPhase, assert_conforms, plan_of, simulate, stream


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


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``reserve`` slots are kept free for streams with a priority, while anything runs."""

    reserve: int = 1


class KeepsRoom:
    """Keeps some slots free for what is urgent, and never all of them."""

    name = "keeps-room"
    options_type = Tail

    def place(self, view: Placing, now: float) -> Sequence[Placement]:
        options = msgspec.convert(view.options, Tail, from_attributes=True)
        urgent = [stream for stream in view.queue if stream.priority > 0]
        others = [stream for stream in view.queue if stream.priority <= 0]
        kept = max(0, min(options.reserve, view.max_parallel - 1))
        most = max(len(view.slots) - kept, 0 if view.running else 1)
        left, slots = dict(view.free), list(view.slots)
        placed: list[Placement] = []
        for one in (*urgent, *others):
            if not slots or (one.priority <= 0 and len(placed) >= most):
                break
            if all(amount <= left.get(name, amount) for name, amount in one.resources.items()):
                for name, amount in one.resources.items():
                    if name in left:
                        left[name] -= amount
                word = "urgent" if one.priority > 0 else "there is room beside what is kept"
                placed.append(Placement(one.stream, slots.pop(0).number, word))
        return placed


class OneOfAKind:
    """Does not run two streams of one capability beside each other in one turn, if it can help."""

    name = "one-of-a-kind"

    def place(self, view: Placing, now: float) -> Sequence[Placement]:
        seen: set[str] = set()
        first: list[QueuedStream] = []
        then: list[QueuedStream] = []
        for one in sorted(view.queue, key=lambda s: (now - s.queued_at < 60.0, s.position)):
            is_alike = bool(seen.intersection(one.capabilities))
            (then if is_alike else first).append(one)
            seen.update(one.capabilities)
        return paired(that_fit((*first, *then), view), view.slots, "unlike the others")


class DrawsLots:
    """Who starts, and where, is drawn by the seed of the view."""

    name = "draws-lots"

    def place(self, view: Placing, now: float) -> Sequence[Placement]:
        draw = Random(view.seed)
        queue, slots = list(view.queue), list(view.slots)
        draw.shuffle(queue)
        draw.shuffle(slots)
        return paired(that_fit(queue, view), slots, f"drawn beside {len(view.running)} others")


PLACING = (KeepsRoom(), OneOfAKind(), DrawsLots())

TWELVE = (
    *(ShareOfAll(), Patience(), MostUrgentFirst()),
    *(Steady(), Jittered(), Once()),
    *(ShortestFirst(), RetriesLast(), Backwards()),
    *PLACING,
)


@pytest.mark.parametrize("strategy", PLACING, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("with_trouble", [False, True], ids=["calm", "trouble"])
def test_a_strangers_balancer_places_a_run_to_its_end(strategy: Any, with_trouble: bool) -> None:
    """The real engine in a simulated world, where every promise is checked at every step."""
    streams = [stream(f"s{n}", *([f"s{n - 3}"] if n > 2 else [])) for n in range(12)]
    plan = plan_of(*streams, max_parallel=3, balancer=strategy.name)
    for seed in range(8):
        state = simulate(plan, strategy, seed=seed, with_trouble=with_trouble)
        assert state.has_ended
        assert with_trouble or state.phase is RunPhase.CONVERGED


@pytest.mark.parametrize("strategy", TWELVE, ids=lambda strategy: strategy.name)
def test_what_is_written_from_the_documentation_conforms(strategy: Any) -> None:
    assert_conforms(strategy, examples=200)
