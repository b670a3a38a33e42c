"""Recovery brings back both stores: the files of a checkpoint, and the shared state with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.calls import StateRestore
from anabranch.core.deciding.guardian.by_hand import forecast
from anabranch.core.ids import StreamId
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.testing import plan_of, stream
from tests.core.talking import OPERATOR
from tests.core.working import Crew

A = StreamId("a")


def crew() -> Crew:
    """Two streams at work, the first of which may be tried again."""
    made = Crew(plan=plan_of(stream("a", max_retries=2), stream("b"), max_parallel=2))
    made.starts("a")
    made.starts("b")
    return made


def checkpoints(run: Crew, label: str = "good") -> None:
    run.call(calls.Checkpoint, "a", label=label)
    number = run.state.checkpoints[A].last
    attempt = run.state.streams[A].attempt
    run._step(
        inputs.CheckpointReady(
            stream=A, attempt=attempt, number=number, commit="c", tree="t", ref="r",
            files_changed=1, start_tree="s",
        )
    )  # fmt: skip


def dies_and_starts_again(run: Crew, restored: int = 0) -> None:
    run.crashes("a")
    run.passes(120.0)
    attempt = run.state.streams[A].attempt
    run._step(
        inputs.WorkspaceReady(
            stream=A, attempt=attempt, path="/w", start_commit="c", start_tree="t",
            restored=restored,
        )
    )  # fmt: skip


def values(run: Crew) -> dict[str, Any]:
    return {key: entry.text for key, entry in run.state.shared.values.items()}


def test_a_retry_from_a_checkpoint_has_the_state_of_the_checkpoint() -> None:
    """What the ended attempt did after it is undone, as one more version that tells why."""
    run = crew()
    run.sets("a", "k", "good")
    checkpoints(run)
    run.sets("a", "k", "half-done")
    run.sets("a", "new", 1)
    run.sets("b", "mine", "kept")
    dies_and_starts_again(run, restored=1)
    assert values(run) == {"k": '"good"', "mine": '"kept"'}
    (event,) = run.events(ev.StateRestored)
    assert (event.of, event.keys, event.left) == ("a", ("k", "new"), ())
    assert "checkpoint 1" in run.state.streams[A].warnings[-1]
    assert "left alone" not in run.state.streams[A].warnings[-1]
    again = decode_state(encode_state(run.state))
    assert again.shared.values == run.state.shared.values


def test_what_others_have_changed_since_is_left_alone() -> None:
    """Nobody's work is undone for somebody else's failure; what they built on stays theirs."""
    run = crew()
    run.sets("a", "k", 1)
    checkpoints(run)
    run.sets("a", "k", 2)
    run.sets("b", "k", 3)
    run.sets("a", "both", 1)
    run.sets("b", "both", 2)
    run.sets("a", "both", 3)
    dies_and_starts_again(run, restored=1)
    assert values(run) == {"k": "3", "both": "2"}
    (event,) = run.events(ev.StateRestored)
    assert (event.keys, event.left) == (("both",), ("k",))
    assert "version 1: both; left alone: k" in run.state.streams[A].warnings[-1]


def test_without_a_checkpoint_its_changes_stay_and_the_way_back_is_offered() -> None:
    """Nothing was declared good; the command that is named takes them back."""
    run = crew()
    run.sets("a", "k", "half-done")
    dies_and_starts_again(run)
    assert values(run) == {"k": '"half-done"'}
    (event,) = run.events(ev.StateRestored)
    assert (event.keys, event.left) == ((), ("k",))
    assert "anabranch state restore 0 --stream a" in run.state.streams[A].warnings[-1]
    answer = run.call(StateRestore, OPERATOR, version=0, stream=A)
    assert (answer.outcome, answer.facts["keys"]) == ("done", ["k"])
    assert run.events(ev.StateRestored)[-1].reason == "restored by the operator"
    assert values(run) == {}


def test_who_failed_without_touching_the_state_is_not_told_of_it() -> None:
    run = crew()
    run.sets("b", "k", 1)
    checkpoints(run)
    dies_and_starts_again(run, restored=1)
    assert not run.events(ev.StateRestored)


def test_what_is_restored_is_foretold() -> None:
    """Before it is done: which files, which keys and to what, what stays, and how to undo it."""
    run = crew()
    run.sets("a", "k", "good")
    checkpoints(run)
    run.sets("a", "k", "half-done")
    run.sets("a", "shared", 1)
    run.sets("b", "shared", 2)
    found = forecast(run.state, A, "hard").steps
    assert any("checkpoint 1 (good)" in step for step in found)
    assert any('k goes back from "half-done" to "good"' in step for step in found)
    assert any("stays: shared" in step for step in found)
    assert any("anabranch state restore 4 --stream a" in step for step in found)


def test_a_restore_is_undone_by_restoring_the_version_before_it() -> None:
    run = crew()
    run.sets("a", "k", "good")
    checkpoints(run)
    run.sets("a", "k", "half-done")
    dies_and_starts_again(run, restored=1)
    (event,) = run.events(ev.StateRestored)
    answer = run.call(StateRestore, OPERATOR, version=event.was, stream=A)
    assert answer.outcome == "done"
    assert values(run) == {"k": '"half-done"'}


def test_a_stream_restores_what_it_has_changed_itself() -> None:
    """To a version, to a checkpoint, or to its last one."""
    run = crew()
    run.sets("a", "k", 1)
    checkpoints(run, "one")
    run.sets("a", "k", 2)
    checkpoints(run, "two")
    run.sets("a", "k", 3)
    run.sets("b", "other", 1)
    assert run.call(StateRestore, "a").facts["keys"] == ["k"]
    assert values(run) == {"k": "2", "other": "1"}
    run.call(StateRestore, "a", checkpoint=1)
    assert values(run)["k"] == "1"
    run.call(StateRestore, "a", version=0)
    assert values(run) == {"other": "1"}
    first = run.call(StateRestore, "a", "q1", version=0)
    assert run.call(StateRestore, "a", "q1", version=0) == first


@pytest.mark.parametrize("facts", [{"version": 99}, {"checkpoint": 7}, {}])
def test_what_cannot_be_restored_is_refused(facts: dict[str, int]) -> None:
    run = crew()
    run.sets("a", "k", 1)
    answer = run.call(StateRestore, "a", None, **facts)
    assert answer.outcome == "refused"
    assert answer.facts["hint"]
    assert values(run) == {"k": "1"}


@drawn(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3))),
    st.integers(0, 30),
)
def test_a_restore_undoes_own_changes_and_nobody_elses(
    writes: list[tuple[str, str, int]], since: int
) -> None:
    """Any story: afterwards every key is as in the version, or as another stream left it."""
    run = crew()
    for who, key, value in writes:
        run.sets(who, key, value)
    since = min(since, run.state.shared.head)
    then = {k: e.text for k, e in run.state.shared.versions[since].values.items()}
    now = values(run)
    foreign = {c.key: c.after for c in run.state.shared.changes(since) if c.stream == "b"}
    run.call(StateRestore, "a", version=since)
    expected = {**then, **foreign}
    last = {c.key: c.stream for c in run.state.shared.changes(since)}
    for key in {*now, *then, *foreign}:
        assert values(run).get(key) == expected.get(key), (key, last.get(key))
    run.call(StateRestore, OPERATOR, version=since)
    assert values(run) == then
