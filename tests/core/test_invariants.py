"""What holds after every step, whatever plan and whatever comes in, in whatever order."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core.invariants import broken_promises
from anabranch.core.lifecycle import Phase
from anabranch.core.snapshots import decode_state, encode_state
from anabranch.core.state import Counts, RunPhase, State
from anabranch.testing import stream
from anabranch.testing.memory_store import replay
from tests.core.given import given
from tests.core.random_runs import random_run


@settings(max_examples=100, deadline=None)
@for_all(st.integers(0, 2**32))
def test_no_order_of_inputs_breaks_a_promise(seed: int) -> None:
    """Each state keeps all promises, numbers have no gaps, causes lie in the past."""
    for run in random_run(Random(seed)):
        assert broken_promises(run.state) == []
    assert [r.seq for r in run.records] == list(range(1, len(run.records) + 1))
    assert all(r.cause is None or 0 < r.cause < r.seq for r in run.records)


@settings(max_examples=40, deadline=None)
@for_all(st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_folding_again_gives_the_same_state(seed: int, share: float) -> None:
    """From the first event, or from a snapshot anywhere on the way."""
    *_, run = random_run(Random(seed))
    cut = 1 + int(share * (len(run.records) - 1))
    early = replay(run.records[:cut])
    assert early is not None
    assert replay(run.records) == run.state
    assert replay(run.records[cut:], decode_state(encode_state(early))) == run.state


def _converged() -> State:
    run = given(stream("a"), stream("b", "a"))
    run.succeed("a", "b")
    run.merged()
    return run.state


def _with_phase(state: State, phase: Phase) -> State:
    a = next(iter(state.plan.streams)).id
    changed = replace(state.streams[a], phase=phase, result=None, pid=None, workspace=None)
    return replace(state, streams=state.streams.insert(a, changed))


def _with_shared(state: State, **fields: Any) -> State:
    return replace(state, shared=replace(state.shared, **fields))


BROKEN = [
    (lambda s: replace(s, counts=Counts(active=1, ended=1)), "the counts say"),
    (lambda s: replace(s, ready=(((0.0,), 0, "a"),)), "the queue lists"),
    (lambda s: _with_phase(s, Phase.QUEUED), "the queue lists"),
    (lambda s: _with_phase(s, Phase.STARTING), "a is starting without a workspace"),
    (lambda s: _with_phase(s, Phase.RUNNING), "a runs without a process"),
    (lambda s: _with_phase(s, Phase.FAILED), "the run converged, but a is failed"),
    (lambda s: _with_shared(s, synced=9), "version 9 was propagated, 0 is the newest"),
    (lambda s: _with_shared(s, floor=1), "versions 1 to 0 of the state are not all there"),
    (lambda s: _with_shared(s, head=1), "versions 0 to 1 of the state are not all there"),
    (lambda s: _with_shared(s, synced=-1), "the state has changed, and nobody will propagate it"),
    (
        lambda s: replace(_with_phase(s, Phase.WAITING), phase=RunPhase.RUNNING),
        "a waits although nothing is missing",
    ),
]


@pytest.mark.parametrize(("breaks", "told"), BROKEN)
def test_a_broken_promise_is_found_and_told(breaks: object, told: str) -> None:
    """The checks themselves see what they are for."""
    assert callable(breaks)
    assert any(promise.startswith(told) for promise in broken_promises(breaks(_converged())))


def test_a_sound_state_breaks_no_promise() -> None:
    assert broken_promises(_converged()) == []
