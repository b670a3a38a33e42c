"""Results that a person looks at before they are merged: taken, or handed back with notes."""

from __future__ import annotations

import json

import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.owed import convergence_overdue_at
from anabranch.core.deciding.streams.restoring import to_go_on_from
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.reviews import review_as_line
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.plans.plan import PointPlan, StreamPlan
from anabranch.core.views.attention import attention_of
from anabranch.core.views.projections import point_status, status, stream_status
from anabranch.core.views.reviews import waiting_for_review
from anabranch.testing import ByHand, point, stream
from tests.core.given import given

A, B, C = StreamId("a"), StreamId("b"), StreamId("c")
REVIEWED = stream("a", review=True)
NOTE = ev.ReviewNote(path="src/app.py", text="say it in one line", line="x = 1", number=3)


def commit_of(run: ByHand, name: str = "a") -> str:
    result = run.stream(name).result
    assert result is not None
    return result.commit


def take(run: ByHand, name: str = "a", commit: str | None = None) -> list[str]:
    looked_at = commit_of(run, name) if commit is None else commit
    return run.give(inputs.TakeWork(stream=StreamId(name), commit=looked_at))


def hand_back(run: ByHand, name: str = "a", note: str = "shorter", **more: str) -> list[str]:
    looked_at = more.get("commit", commit_of(run, name))
    return run.give(inputs.HandBackWork(stream=StreamId(name), commit=looked_at, note=note))


def goes_on_from(run: ByHand) -> str | None:
    found = to_go_on_from(run.state, A)
    return found.commit if found is not None else None


def review(run: ByHand, name: str = "a") -> dict[str, object]:
    found = stream_status(run.state, run.stream(name))["review"]
    assert isinstance(found, dict)
    return found


# --- the gate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        (stream("a", review=True), stream("b")),
        (stream("a", converge="p"), stream("b"), point("p", review=True)),
        (stream("a", also_at=("p",)), stream("b"), point("p", review=True)),
    ],
)
def test_a_result_that_needs_a_review_is_merged_when_it_was_taken(
    members: tuple[StreamPlan | PointPlan, ...],
) -> None:
    """The plan says so of the stream or of any of its points; everybody else waits for it."""
    run = given(*members)
    run.succeed("a", "b")
    assert run.state.phase == "needs_operator"
    assert run.state.reason == "waits for review of a"
    assert "anabranch review a" in run.state.hint
    assert all(not p.merged and "a" not in p.arrived for p in run.state.points.values())
    assert review(run)["state"] == "waiting"
    words = take(run)
    assert words[:3] == ["run_reopened", "review_taken a", "stream_looked_at a"]
    assert attention_of(run.state, StreamId("a")).state == "over", "taking is looking"
    while busy := [p.id for p in run.state.points.values() if p.is_busy]:
        run.merged(busy[0])
    assert run.state.phase == "converged"
    assert (review(run)["state"], review(run)["by"]) == ("taken", "operator")


def test_the_last_point_has_everybody_reviewed() -> None:
    run = given(stream("a"), stream("b"), point("final", review=True))
    run.succeed("a", "b")
    assert waiting_for_review(run.state) == ["a", "b"]
    take(run)
    assert run.state.reason == "waits for review of b"
    assert take(run, "b")[-1] == "convergence_started final"


def test_others_go_on_while_one_waits_and_status_says_for_what() -> None:
    """The run does not end before nothing else is to be done; the point names what it waits for."""
    run = given(REVIEWED, stream("b"))
    run.succeed("a")
    run.run("b")
    assert run.state.phase == "running"
    final = point_status(run.state, run.state.points[FINAL_POINT])
    assert (final["waiting_for"], final["reviews"]) == (["a", "b"], ["a"])
    assert final["reason"] == "waits for review of a"
    row = stream_status(run.state, run.stream("a"))
    assert row["state"] == "succeeded"
    assert row["reason"].endswith("; waits for a review")
    assert [(w["kind"], w["holder"]) for w in row["waits_for"]] == [("operator", "operator")]


def test_what_changes_nothing_waits_for_nobody() -> None:
    run = given(REVIEWED)
    run.run("a")
    run.exited("a")
    same = run.stream("a").workspace
    assert same is not None
    about = run.stream("a")
    words = run.give(
        inputs.ResultReady(
            stream=A, attempt=1, commit="base", tree=same.start_tree, ref="r", files_changed=0,
            cause=about.cause,
        )
    )  # fmt: skip
    assert words[-1] == "convergence_started final"
    take(run)
    assert run.refusal is not None
    assert "changed nothing" in run.refusal.reason


def test_dependents_go_on_from_the_result_but_are_not_merged_before_it() -> None:
    """Only ``converged`` waits for the merge, and so for the review."""
    run = given(
        stream("a", review=True, converge="p"),
        stream("b", "a"),
        stream("c", "a:converged"),
        point("p"),
    )
    run.succeed("a")
    assert run.phases() == {"a": "succeeded", "b": "preparing", "c": "waiting"}
    run.succeed("b")
    assert run.state.phase == "needs_operator"
    assert run.phase("c") == "waiting"
    assert not run.state.points[FINAL_POINT].arrived
    b = stream_status(run.state, run.stream("b"))
    assert b["reason"].endswith("; waits for the review of a")
    take(run)
    assert set(run.state.points[FINAL_POINT].arrived) == {"a", "b"}
    run.merged("p")
    assert run.phase("c") == "preparing"


def test_a_point_that_merges_as_they_come_takes_the_others_meanwhile() -> None:
    run = given(REVIEWED, stream("b"), point("final", type="progressive", merges_early=True))
    run.succeed("a")
    words = run.succeed("b")
    assert words[-1] == "convergence_started final"
    run.merged()
    assert run.state.points[FINAL_POINT].merged == ("b",)
    assert run.state.phase == "needs_operator"
    assert take(run)[-1] == "convergence_started final"


def test_who_waits_for_a_person_is_not_overdue() -> None:
    """The guardian does nothing about a point at which only reviews are missing."""
    run = given(REVIEWED, stream("b"), stream("c"), point("final", timeout_seconds=5.0))
    run.succeed("b", "a")
    run.run("c")
    final = run.state.points[FINAL_POINT]
    assert convergence_overdue_at(run.state, final) == 5.0
    run.exited("c")
    run.kept("c")
    assert convergence_overdue_at(run.state, run.state.points[FINAL_POINT]) is None
    assert run.at(50.0) == []


# --- taking --------------------------------------------------------------------------------------


def test_what_is_taken_is_what_was_looked_at() -> None:
    """Another attempt brings another commit; the old one is refused, with both named."""
    run = given(REVIEWED)
    run.succeed("a")
    old = commit_of(run)
    hand_back(run)
    assert take(run, commit=old) == []
    assert run.refusal is not None
    assert run.refusal.reason == "a is starting"
    run.succeed("a")
    assert take(run, commit=old) == []
    assert run.refusal is not None
    assert commit_of(run) in run.refusal.reason
    assert "anabranch review a" in run.refusal.hint
    assert take(run)[-1] == "convergence_started final"


def test_work_that_was_captured_anew_is_looked_at_anew() -> None:
    """A person who mended a conflict by hand has changed what was taken."""
    run = given(REVIEWED, stream("b"))
    run.succeed("a", "b")
    take(run)
    run.merged(without=("a", "b"))
    run.resume()
    assert run.phase("a") == "capturing"
    run.kept("a", "mended")
    run.kept("b", "b-mended")
    assert run.state.reason == "waits for review of a"


def test_it_is_refused_where_it_does_not_apply() -> None:
    """Each refusal says what to do instead."""
    run = given(REVIEWED, stream("b"), stream("c", "b"))
    run.run("a")
    for command, reason in (
        (inputs.TakeWork(stream=StreamId("nobody"), commit="c"), "there is no stream"),
        (inputs.TakeWork(stream=B, commit="c"), "b needs no review"),
        (inputs.TakeWork(stream=A, commit="c"), "a is running"),
        (inputs.HandBackWork(stream=A, commit="c", note="n"), "a is running"),
        (inputs.AddNote(stream=B, note=NOTE), "b needs no review"),
        (inputs.RemoveNote(stream=A, note=3), "there is no note 3"),
    ):
        assert run.give(command) == []
        assert run.refusal is not None
        assert reason in run.refusal.reason
        assert run.refusal.hint
    run.exited("a")
    run.kept("a")
    assert hand_back(run, note=" ") == []
    assert run.refusal is not None
    assert "-m TEXT" in run.refusal.hint
    take(run)
    assert take(run) == []
    assert run.refusal is not None
    assert "taken before" in run.refusal.reason


def test_merged_work_is_not_handed_back() -> None:
    run = given(REVIEWED, stream("b"), point("final", type="progressive", merges_early=True))
    run.run("b")
    run.succeed("a")
    take(run)
    assert hand_back(run) == []
    assert run.refusal is not None
    assert "being merged" in run.refusal.reason
    run.merged()
    assert hand_back(run) == []
    assert run.refusal is not None
    assert "merged at final" in run.refusal.reason


# --- handing back --------------------------------------------------------------------------------


def test_a_stream_goes_on_from_the_result_that_was_handed_back() -> None:
    """The next attempt is no retry; it finds the notes in its inbox, and its result waits again."""
    run = given(stream("a", review=True, max_retries=0))
    run.succeed("a")
    before = commit_of(run)
    run.give(inputs.AddNote(stream=A, note=NOTE))
    words = hand_back(run, note="shorter, please")
    assert words[:4] == [
        *("run_reopened", "work_handed_back a", "stream_requeued a", "message_sent"),
    ]
    a = run.stream("a")
    assert (a.attempt, a.retries, a.is_retry, a.phase) == (2, 0, False, "preparing")
    assert goes_on_from(run) == before
    (message,) = run.state.messages.messages.values()
    assert message.to == "a"
    assert json.loads(message.body)["text"] == (
        "shorter, please\n\nsrc/app.py:3\n    > x = 1\nsay it in one line"
    )
    assert not run.state.reviews[A].notes
    assert review(run)["state"] == "handed_back"
    run.succeed("a")
    assert goes_on_from(run) is None
    assert review(run)["state"] == "waiting"
    take(run)
    assert run.merged()[-1] == "run_converged"


@pytest.mark.parametrize(("way", "messages"), [("message", 1), ("input", 1), ("restart", 0)])
def test_notes_are_a_message_or_only_a_file_for_a_command_that_starts_anew(
    way: str, messages: int
) -> None:
    run = given(stream("a", review=True, hand_back=way))
    run.succeed("a")
    hand_back(run)
    assert len(run.state.messages.messages) == messages
    given_back = run.stream("a").handed_back
    assert given_back is not None
    assert given_back.note == "shorter"


def test_what_is_said_is_typed_as_one_line_when_the_next_attempt_starts() -> None:
    """Each attempt that goes on from there is told once; a long text is only pointed to."""
    run = given(stream("a", review=True, hand_back="input", tty=True, max_retries=1))
    run.succeed("a")
    run.give(inputs.AddNote(stream=A, note=NOTE))
    hand_back(run, note="shorter,\nplease")
    run.run("a")
    pending = run.stream("a").terminal.pending
    assert pending is not None
    assert pending.text == "shorter, | please | src/app.py:3 | > x = 1 | say it in one line"
    run.give(inputs.InputTyped(stream=A, number=pending.number, verdict="delivered", evidence="e"))
    run.exited("a", 1)
    run.kept("a")
    run.at(1000.0)
    run.run("a")
    assert run.stream("a").terminal.pending is not None
    assert "ANABRANCH_REVIEW" in review_as_line("x" * 4000, (), 3000)


def test_of_those_who_race_nobody_waits_for_a_review_before_one_is_adopted() -> None:
    """Adopting is taking: see the tests of adopting."""
    racing = point("try", type="race", adopts_one=True, streams=(A, B))
    run = given(
        stream("a", converge="try"),
        stream("b", converge="try"),
        stream("c"),
        racing,
        point("final", review=True),
    )
    run.succeed("a", "b", "c")
    assert waiting_for_review(run.state) == ["c"]


def test_an_attempt_that_fails_after_it_goes_on_from_there_once_more() -> None:
    """What a person has seen is not lost by a failure; nor by another engine."""
    run = given(stream("a", review=True, max_retries=1))
    run.succeed("a")
    before = commit_of(run)
    hand_back(run)
    run.fail("a")
    run.at(1000.0)
    assert run.stream("a").attempt == 3
    assert goes_on_from(run) == before
    assert decode_state(encode_state(run.state)) == run.state


def test_what_was_taken_can_be_handed_back_until_it_is_merged() -> None:
    """It has not come to its points any more, nor has what was built on it."""
    run = given(REVIEWED, stream("b", "a"), stream("c"))
    run.succeed("a", "b")
    take(run)
    assert set(run.state.points[FINAL_POINT].arrived) == {"a", "b"}
    run.run("c")
    hand_back(run)
    assert run.state.points[FINAL_POINT].arrived == ()
    run.exited("c")
    run.kept("c")
    assert run.state.points[FINAL_POINT].arrived == ("c",)
    run.succeed("a")
    assert run.state.reason == "waits for review of a"
    take(run)
    assert set(run.state.points[FINAL_POINT].arrived) == {"a", "b", "c"}


def test_notes_are_kept_until_they_are_sent_or_removed() -> None:
    run = given(REVIEWED)
    run.run("a")
    run.give(inputs.AddNote(stream=A, note=NOTE))
    run.give(inputs.AddNote(stream=A, note=ev.ReviewNote(path="b", text="second")))
    first, second = run.state.reviews[A].notes
    run.give(inputs.RemoveNote(stream=A, note=first.number))
    assert run.state.reviews[A].notes == (second,)
    found = status(run.state, True, None)["streams"][0]["review"]
    assert (found["state"], [n["text"] for n in found["notes"]]) == (None, ["second"])
    assert decode_state(encode_state(run.state)) == run.state


def test_a_stopped_run_waits_for_no_review() -> None:
    """Its points are settled, and a resumed run asks again."""
    run = given(REVIEWED, stream("b"))
    run.succeed("a")
    run.run("b")
    run.stop()
    run.exited("b", 143)
    run.kept("b")
    assert run.state.phase == "stopped"
    assert run.state.points[FINAL_POINT].phase == "abandoned"
    assert take(run) == []
    assert run.refusal is not None
    assert "anabranch resume" in run.refusal.hint
    run.resume()
    run.succeed("b")
    assert run.state.reason == "waits for review of a"
