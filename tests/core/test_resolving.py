"""Conflicts settled path by path, by a resolver, or by doing the work again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.owed import owed
from anabranch.core.effects import RunResolver
from anabranch.core.events import Conflict, ConflictedPath, Resolution
from anabranch.core.events.conflicts import Choice
from anabranch.core.folds.inheritance import to_inherit
from anabranch.core.folds.resolutions import key_of, open_conflicts, undecided
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import PointPhase
from anabranch.core.plans.plan import ConflictPolicy
from anabranch.core.views.conflicts import decisions_of
from anabranch.testing import ByHand, point, stream
from tests.core.given import given

FINAL = PointId("final")
A, B = StreamId("a"), StreamId("b")


def path_of(name: str = "f.txt") -> ConflictedPath:
    return ConflictedPath(
        path=name,
        kind="contents",
        base=f"{name}-base",
        ours=f"{name}-ours",
        theirs=f"{name}-theirs",
    )


def decided(path: ConflictedPath, blob: str = "new", choice: Choice = "file") -> Resolution:
    return Resolution.of(path, choice, blob)


def does_not_merge(run: ByHand, *paths: ConflictedPath, name: str = "final") -> list[str]:
    """The point's last stream does not merge with the first."""
    known = run.state.points[PointId(name)]
    first, late = known.merging[0], known.merging[-1]
    conflict = Conflict(streams=(first, late), paths=paths or (path_of(),), tree="tree")
    return run.give(
        inputs.MergeFinished(
            point=known.id,
            commit="m",
            tree="t-m",
            branch=None,
            merged=known.merging[:-1],
            conflicts=(conflict,),
            cause=known.cause,
        )
    )


def blocked(**fields: object) -> ByHand:
    run = given(stream("a"), stream("b"), point("final", **fields))
    run.succeed("a", "b")
    does_not_merge(run)
    return run


def resolve(run: ByHand, *resolutions: Resolution) -> list[str]:
    return run.give(inputs.ResolveConflict(resolutions=resolutions))


def test_a_decided_conflict_is_merged_at_once() -> None:
    """The run that needed its operator goes on, and the decision is an event."""
    run = blocked()
    assert run.state.phase == "needs_operator"
    assert "anabranch conflicts" in run.state.hint
    words = resolve(run, decided(path_of()))
    assert words[:3] == ["conflict_resolved final", "run_reopened", "convergence_reopened final"]
    assert words[-1] == "convergence_started final"
    assert run.merged()[-1] == "run_converged"


def test_a_conflict_waits_until_its_last_path_is_decided() -> None:
    run = given(stream("a"), stream("b"))
    run.succeed("a", "b")
    one, two = path_of("one"), path_of("two")
    does_not_merge(run, one, two)
    words = resolve(run, decided(one))
    assert words == ["conflict_resolved final"]
    ((_, conflict),) = open_conflicts(run.state)
    assert undecided(run.state, conflict) == (two,)
    assert resolve(run, decided(two))[-1] == "convergence_started final"


def test_what_was_decided_is_known_to_a_later_merge_of_the_same_blobs() -> None:
    """The decision stays in the state, over resumes; other blobs are another conflict."""
    run = blocked()
    resolve(run, decided(path_of()))
    conflict = Conflict(streams=(StreamId("a"), StreamId("b")), paths=(path_of(),))
    assert undecided(run.state, conflict) == ()
    turned = ConflictedPath(
        path="f.txt", kind="contents", base="f.txt-base", ours="f.txt-theirs", theirs="f.txt-ours"
    )
    assert undecided(run.state, Conflict(streams=conflict.streams, paths=(turned,))) == ()
    other = ConflictedPath(
        path="f.txt", kind="contents", base="f.txt-base", ours="f.txt-ours", theirs="changed"
    )
    assert undecided(run.state, Conflict(streams=conflict.streams, paths=(other,))) == (other,)


def test_a_decision_about_nothing_is_refused() -> None:
    run = blocked()
    resolve(run, decided(path_of("other.txt")))
    assert isinstance(run.refusal, Refusal)
    assert "no conflict that waits" in run.refusal.reason
    run = given(stream("a"))
    resolve(run, decided(path_of()))
    assert isinstance(run.refusal, Refusal)


def test_a_stream_that_a_conflict_halts_starts_when_it_is_decided() -> None:
    run = given(stream("a"), stream("b"), stream("c", "a", "b"))
    run.succeed("a", "b")
    about = run.stream("c")
    conflict = Conflict(streams=(StreamId("a"), StreamId("b")), paths=(path_of(),))
    run.give(
        inputs.WorkspaceConflicted(
            stream=about.id, attempt=about.attempt, conflict=conflict, cause=about.cause
        )
    )
    assert run.phase("c") == "blocked"
    ((_, found),) = open_conflicts(run.state)
    assert found.halts == "c"
    resolve(run, decided(path_of()))
    assert run.phase("c") == "preparing"
    assert not open_conflicts(run.state)


# --- handing back --------------------------------------------------------------------------------


def test_a_conflict_is_handed_back_to_a_stream_that_builds_on_the_others() -> None:
    """It is run again from what has merged, with a message, and its own earlier work is known."""
    run = blocked()
    before = run.stream("b").result
    words = run.give(inputs.HandBack(stream=StreamId("b"), note="keep both lines"))
    assert words[:4] == [
        *("run_reopened", "conflict_handed_back b", "stream_requeued b", "message_sent"),
    ]
    b = run.stream("b")
    assert b.phase == "preparing"
    assert b.handed_back is not None
    assert before is not None
    assert (b.handed_back.commit, b.handed_back.builds_on) == (before.commit, ("a",))
    assert b.inherits.heir_of == "a"
    (message,) = run.state.messages.messages.values()
    assert message.to == "b"
    assert "keep both lines" in str(message.body)
    run.succeed("b")
    assert run.merged()[-1] == "run_converged"


def test_the_earlier_of_two_streams_can_be_handed_the_conflict_too() -> None:
    run = blocked()
    run.give(inputs.HandBack(stream=StreamId("a")))
    assert [s for s, _ in to_inherit(run.state, StreamId("a")).then] == []
    assert to_inherit(run.state, StreamId("a")).heir_of == "b"


def test_only_finished_work_of_a_waiting_conflict_is_handed_back() -> None:
    run = blocked()
    run.give(inputs.HandBack(stream=StreamId("nobody")))
    assert isinstance(run.refusal, Refusal)


# --- the plan's resolver -------------------------------------------------------------------------


def resolver_says(run: ByHand, *resolutions: Resolution) -> list[str]:
    point_ = run.state.points[FINAL]
    return run.give(
        inputs.ResolverFinished(
            point=FINAL, reason="exit 0", resolutions=resolutions, cause=point_.resolver_cause
        )
    )


def test_the_resolver_is_asked_before_anybody_else() -> None:
    """It is owed until it has ended, and the run does not rest meanwhile."""
    run = blocked(resolver="settle")
    assert run.state.phase == "running"
    assert any(isinstance(e, RunResolver) for e in owed(run.state))
    resolve(run, decided(path_of()))
    assert isinstance(run.refusal, Refusal)
    words = resolver_says(run, decided(path_of(), choice="command"))
    assert words[:2] == ["conflict_resolved final", "resolver_ended final"]
    assert run.merged()[-1] == "run_converged"
    assert not any(isinstance(e, RunResolver) for e in owed(run.state))


def test_what_the_resolver_leaves_is_dealt_with_as_the_plan_says() -> None:
    """It is asked once about the same blobs; then the policy counts."""
    run = blocked(resolver="settle")
    resolver_says(run)
    assert does_not_merge(run)[-1] == "run_needs_operator"
    run = blocked(resolver="settle", on_conflict="quarantine")
    resolver_says(run)
    does_not_merge(run)
    assert run.phase("b") == "quarantined"
    assert run.state.points[FINAL].phase is PointPhase.MERGED


@pytest.mark.parametrize("on_conflict", ["quarantine", "stop"])
@pytest.mark.parametrize(("tried", "is_due"), [("", True), ("f", True), ("fg", False)])
def test_a_part_leaves_to_the_resolver_what_it_was_not_asked_about(
    tried: str, is_due: bool, on_conflict: ConflictPolicy
) -> None:
    """What a part does not merge comes again in the last merge, and there it is its turn."""
    queue = point(
        "final", type="progressive", merges_early=True, resolver="settle", on_conflict=on_conflict
    )
    run = given(stream("a"), stream("b"), stream("c"), queue)
    run.succeed("a")
    run.merged()
    run.succeed("b")
    known = run.state.points[FINAL]
    asked = replace(known, resolver_tried=tuple(key_of(path_of(name)) for name in tried))
    run._state = replace(run.state, points=run.state.points.insert(FINAL, asked))
    conflicts = tuple(
        Conflict(streams=(A, B), paths=(path_of(name),), tree="tree") for name in "fg"
    )
    run.give(
        inputs.MergeFinished(
            point=FINAL, commit="m", tree="t-m", branch=None, merged=(A,), conflicts=conflicts,
            cause=known.cause,
        )
    )  # fmt: skip
    found = run.state.points[FINAL]
    assert (found.phase is PointPhase.OPEN, "b" in found.left_out) == (
        is_due or on_conflict == "quarantine",
        is_due,
    )
    assert (run.phase("b") == "quarantined") is (not is_due and on_conflict == "quarantine")


def test_a_resolver_that_is_late_changes_nothing() -> None:
    run = blocked()
    assert resolver_says(run, decided(path_of())) == []
    assert not run.state.resolutions
    events = [type(r.event) for r in run.records]
    assert ev.ResolverEnded not in events


# --- taken back ----------------------------------------------------------------------------------


def take_back(run: ByHand, *resolutions: Resolution) -> list[str]:
    return run.give(inputs.ReopenConflict(resolutions=resolutions))


def refused(run: ByHand) -> str:
    """Return why the decision about the usual path is not taken back."""
    before = run.state
    assert take_back(run, decided(path_of())) == []
    assert run.state is before
    assert run.refusal is not None
    assert run.refusal.hint
    return run.refusal.reason


def test_the_last_decision_is_taken_back_though_it_was_merged_at_once() -> None:
    """The run goes on, finds the conflict again, and waits; decided otherwise it is merged so."""
    run = blocked()
    resolve(run, decided(path_of(), "one"))
    run.merged()
    assert run.state.phase == "converged"
    (made,) = decisions_of(run.state)
    assert (made.by, made.point, made.streams) == ("operator", "final", (A, B))
    words = take_back(run, made.resolution)
    assert words[:3] == ["conflict_reopened final", "run_reopened", "convergence_reopened final"]
    assert words[-1] == "convergence_started final"
    assert decisions_of(run.state) == []
    does_not_merge(run)
    assert run.state.phase == "needs_operator"
    assert [c.streams for _, c in open_conflicts(run.state)] == [(A, B)]
    resolve(run, decided(path_of(), "other"))
    run.merged()
    assert run.state.phase == "converged"
    assert [m.resolution.blob for m in decisions_of(run.state)] == ["other"]


def test_a_decision_beside_one_that_waits_is_taken_back_without_a_merge() -> None:
    run = given(stream("a"), stream("b"), point("final"))
    run.succeed("a", "b")
    does_not_merge(run, path_of(), path_of("g.txt"))
    resolve(run, decided(path_of()))
    assert take_back(run, decided(path_of())) == ["conflict_reopened final"]
    ((_, conflict),) = open_conflicts(run.state)
    assert undecided(run.state, conflict) == conflict.paths


def test_what_was_merged_beside_another_conflict_is_merged_anew() -> None:
    """Of two conflicts one is decided: the point tries again, and still waits for the other."""
    run = given(stream("a"), stream("b"), stream("c"), point("final"))
    run.succeed("a", "b", "c")
    does_not_merge(run)
    known = run.state.points[FINAL]
    resolve(run, decided(path_of()))
    does_not_merge(run, path_of("g.txt"))
    assert run.state.points[FINAL].phase is PointPhase.BLOCKED
    words = take_back(run, decided(path_of()))
    assert words[:3] == ["conflict_reopened final", "run_reopened", "convergence_reopened final"]
    assert run.state.points[FINAL].merging == known.merging


def test_what_was_approved_or_is_being_approved_stays_decided() -> None:
    run = blocked()
    resolve(run, decided(path_of()))
    run.merged()
    run.give(inputs.ApproveRun())
    assert "on its way" in refused(run)
    assert isinstance(run.refusal, NotYet)
    run.give(inputs.ApprovalDone(branch="main", commit="m", message="it is on main"))
    assert "on your branch already" in refused(run)


def test_what_a_stream_has_started_from_stays_decided() -> None:
    """Both sides are in its workspace. Before it has begun, nothing was built on it."""
    run = given(stream("a"), stream("b"), stream("c", "a", "b"), max_parallel=1)
    run.succeed("a", "b")
    halted = Conflict(streams=(A, B), paths=(path_of(),), halts=StreamId("c"))
    about = run.stream("c")
    run.give(
        inputs.WorkspaceConflicted(
            stream=about.id, attempt=about.attempt, conflict=halted, cause=about.cause
        )
    )
    resolve(run, decided(path_of()))
    assert "c has started from what was decided" in refused(run)
    run.succeed("c")
    run.merged()
    assert "c has started from what was decided" in refused(run)


def test_nothing_is_taken_back_while_results_are_merged_or_where_nothing_was_decided() -> None:
    run = blocked()
    assert "nothing was decided" in refused(run)
    resolve(run, decided(path_of()))
    assert "being merged" in refused(run)


@pytest.mark.parametrize("policy", ["quarantine", "stop"])
def test_a_point_that_asks_nobody_is_not_opened_for_it(policy: ConflictPolicy) -> None:
    """It would leave work out instead of asking; its resolver has decided."""
    run = given(stream("a"), stream("b"), point("final", on_conflict=policy, resolver="settle"))
    run.succeed("a", "b")
    does_not_merge(run)
    run.give(
        inputs.ResolverFinished(
            point=FINAL, reason="exit 0", resolutions=(decided(path_of(), "r", "command"),)
        )
    )
    run.merged()
    (made,) = decisions_of(run.state)
    assert made.by == "resolver"
    assert "final asks nobody" in refused(run)


def test_what_was_decided_survives_a_snapshot() -> None:
    run = blocked()
    resolve(run, decided(path_of()))
    assert decode_state(encode_state(run.state)).decisions == run.state.decisions
