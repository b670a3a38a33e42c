"""What holds after every step, whatever plan and whatever comes in, in whatever order."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import calls
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.resources import Held
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import Counts, RunPhase, State
from anabranch.core.promises.invariants import broken_promises
from anabranch.testing import plan_of, stream
from anabranch.testing.memory_store import replay
from tests.core.given import given
from tests.core.locking import Run, started
from tests.core.random_runs import random_run

B = StreamId("b")


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


def _shared_out() -> State:
    """Two streams with locks, a wait for one, a database, a wait for that, and a message."""
    run = Run(started(plan_of(stream("a"), stream("b"), resources={"db": 1}), ["a", "b"]))
    for name in "ab":
        run.lock(name, "x")
        run.call(calls.RequestResources, name, amounts={"db": 1.0})
    run.call(calls.Send, "a", to=B, body="hello")
    return run.state


def _with_entry(state: State, **fields: Any) -> State:
    entry = replace(state.locks.entries["x"], **fields)
    return replace(
        state, locks=replace(state.locks, entries=state.locks.entries.insert("x", entry))
    )


def _with_resources(state: State, **fields: Any) -> State:
    return replace(state, resources=replace(state.resources, **fields))


def _with_letter(state: State, **fields: Any) -> State:
    mail = state.messages
    ((number, letter),) = mail.messages.items()
    letters = mail.messages.insert(number, replace(letter, **fields))
    return replace(state, messages=replace(mail, messages=letters))


def _grant(state: State) -> Any:
    return state.locks.entries["x"].grants[0]


def _ask(state: State) -> Any:
    return state.locks.entries["x"].asks[0]


BROKEN_SHARING = [
    (lambda s: _with_entry(s, grants=(_grant(s), replace(_grant(s), stream=B))), "a holds x and b"),
    (lambda s: _with_entry(s, grants=(_grant(s), _grant(s))), "a fence was given twice"),
    (lambda s: _with_entry(s, grants=(replace(_grant(s), fence=9999),)), "a fence is not an event"),
    (
        lambda s: _with_entry(s, asks=(_ask(s), replace(_ask(s), ticket=1))),
        "the queue of x is out of order",
    ),
    (lambda s: _with_entry(s, grants=(), asks=()), "nobody has or wants x"),
    (lambda s: _with_entry(s, grants=()), "b waits for x although nothing is in its way"),
    (lambda s: _with_entry(s, grants=()), "the books of the holders and the grants"),
    (lambda s: _with_entry(s, asks=()), "the books of the holders and the queues"),
    (lambda s: _with_resources(s, used={"db": 2.0}), "{'db': 1.0} is held, {'db': 2.0} is counted"),
    (lambda s: _with_resources(s, used={"db": 2.0}), "2 db are held, there are 1"),
    (
        lambda s: _with_resources(s, queue=(replace(s.resources.queue[0], attempt=7),)),
        "b waits for resources without a process",
    ),
    (
        lambda s: _with_resources(s, held=s.resources.held.insert(B, Held(7, {}))),
        "b holds {} without a process",
    ),
    (lambda s: _with_letter(s, acked=1), "message 17 counts 1 acknowledgements of ['queued']"),
    (lambda s: _with_letter(s, recipients=0), "message 17 counts 0 open deliveries of ['queued']"),
    (lambda s: _with_letter(s, died=-1), "message 17 counts 2 open and -1 dead deliveries"),
    (lambda s: _with_letter(s, died=1), "message 17 is settled, but not among the settled"),
    (lambda s: _with_letter(s, deliveries=HashTrieMap()), "the inboxes hold"),
]


@pytest.mark.parametrize(("breaks", "words"), BROKEN_SHARING)
def test_a_broken_promise_about_what_is_shared_is_found_and_told(breaks: Any, words: str) -> None:
    state = _shared_out()
    assert broken_promises(state) == []
    assert any(promise.startswith(words) for promise in broken_promises(breaks(state)))


@pytest.mark.parametrize(("breaks", "words"), BROKEN)
def test_a_broken_promise_is_found_and_told(breaks: object, words: str) -> None:
    """The checks themselves see what they are for."""
    assert callable(breaks)
    assert any(promise.startswith(words) for promise in broken_promises(breaks(_converged())))


def test_a_sound_state_breaks_no_promise() -> None:
    assert broken_promises(_converged()) == []
