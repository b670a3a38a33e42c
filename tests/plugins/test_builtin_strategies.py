"""The built-in strategies: pure, total, and as their names say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.ids import PointId, StreamId
from anabranch.core.strategies import (
    Abandon,
    Converge,
    FailedAttempt,
    GiveUp,
    PointDecision,
    PointView,
    QueuedStream,
    Retry,
    WaitForMore,
)
from anabranch.core.strategies.placing import ranking
from anabranch.plugins import load_plugins

STRATEGIES = load_plugins().strategies
BARRIER = STRATEGIES.convergence["barrier"]
RETRY = STRATEGIES.recovery["retry"]


def view(expected: int, arrived: int, departed: int) -> PointView:
    names = [StreamId(f"s{n}") for n in range(arrived + departed)]
    return PointView(
        point=PointId("p"),
        expected=expected,
        arrived=tuple(names[:arrived]),
        departed=dict.fromkeys(names[arrived:], "failed"),
        options={},
    )


@pytest.mark.parametrize(
    ("seen", "decision"),
    [
        (view(3, 1, 0), WaitForMore("waiting for 2 of 3 streams")),
        (view(3, 1, 1), WaitForMore("waiting for 1 of 3 streams")),
        (
            view(3, 3, 0),
            Converge((StreamId("s0"), StreamId("s1"), StreamId("s2")), "3 of 3 arrived"),
        ),
        (view(3, 1, 2), Converge((StreamId("s0"),), "1 of 3 arrived")),
        (view(2, 0, 2), Abandon("no stream brought a result")),
        (view(0, 0, 0), Abandon("no stream brought a result")),
    ],
)
def test_a_barrier_waits_for_everybody_who_can_still_come(
    seen: PointView, decision: PointDecision
) -> None:
    assert BARRIER.next_step(seen, 0.0) == decision


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_barrier_never_waits_for_nobody(arrived: int, departed: int, outstanding: int) -> None:
    """It waits exactly while somebody is outstanding, and merges nobody who did not arrive."""
    seen = view(arrived + departed + outstanding, arrived, departed)
    decision = BARRIER.next_step(seen, 0.0)
    assert isinstance(decision, WaitForMore) == (outstanding > 0)
    if isinstance(decision, Converge):
        assert list(decision.streams) == list(seen.arrived)


def failed(
    retries: int, max_retries: int, *, seed: int = 7, permanent: bool = False
) -> FailedAttempt:
    return FailedAttempt(
        stream=StreamId("a"),
        attempt=retries + 1,
        retries=retries,
        max_retries=max_retries,
        reason="exit 1",
        is_permanent=permanent,
        seed=seed,
    )


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 2**32 - 1))
def test_a_retry_comes_within_its_ceiling_and_never_too_often(
    retries: int, max_retries: int, seed: int
) -> None:
    """Delays grow to a minute at most, and the retries that the plan allows are all there are."""
    decision = RETRY.after_failure(failed(retries, max_retries, seed=seed))
    assert isinstance(decision, Retry) == (retries < max_retries)
    if isinstance(decision, Retry):
        assert 0.0 <= decision.delay_seconds <= min(60.0, 2.0**retries)
        assert decision.reason.startswith(f"retry {retries + 1} of {max_retries} in ")


def test_the_same_attempt_always_gets_the_same_delay_and_others_get_others() -> None:
    """So a run can be replayed, and streams that failed together do not come back together."""
    assert RETRY.after_failure(failed(3, 9)) == RETRY.after_failure(failed(3, 9))
    delays = {str(RETRY.after_failure(failed(3, 9, seed=seed))) for seed in range(20)}
    assert len(delays) > 10


def test_what_cannot_be_started_is_not_tried_again() -> None:
    decision = RETRY.after_failure(failed(0, 5, permanent=True))
    assert decision == GiveUp("it cannot be started, so trying again would not help")


def queued(position: int, priority: int = 0, path: float = 1.0) -> QueuedStream:
    return QueuedStream(
        stream=StreamId(f"s{position}"),
        position=position,
        priority=priority,
        estimate_seconds=1.0,
        remaining_path_seconds=path,
        attempt=1,
    )


@pytest.mark.parametrize(
    ("balancer", "order"),
    [("longest-first", ["s3", "s2", "s0", "s1"]), ("plan-order", ["s3", "s0", "s1", "s2"])],
)
def test_a_balancer_orders_the_queue(balancer: str, order: list[str]) -> None:
    """Priority comes first with both; then the longest path, or the plan."""
    rank = ranking(STRATEGIES.balancers[balancer]).rank
    queue = [queued(0, path=2.0), queued(1), queued(2, path=9.0), queued(3, priority=1)]
    assert [s.stream for s in sorted(queue, key=lambda s: (rank(s), s.position))] == order


@pytest.mark.parametrize("written", [{"quorum": 2}, {"at_once": -1}, {"interval_seconds": 0}])
@pytest.mark.parametrize("name", ["barrier", "progressive", "checkpoint"])
def test_no_built_in_type_takes_an_option_in_vain(name: str, written: dict[str, Any]) -> None:
    """What it does not take, or cannot mean, is an error; what goes with every type is not."""
    taken = load_plugins().strategies.convergence_options[name]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(written, taken)
    msgspec.convert({"reduce": "sum"}, taken)
