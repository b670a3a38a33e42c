"""What scripts read: shapes and words that are promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import PointId, StreamId
from anabranch.core.views import accounting, projections
from anabranch.testing import ByHand, point, stream
from tests.core.given import given

P = PointId("p")

STATUS_KEYS = {
    *("schema", "run", "plan", "state", "branch", "commit", "streams", "convergence"),
    "overhead_share",
}
STREAM_KEYS = {
    *("stream", "state", "attempt", "exit_code", "reason", "evidence", "pid", "started", "ended"),
    *("files_changed", "workspace", "log", "rescue"),
}
POINT_KEYS = {
    *("point", "type", "state", "arrived", "waiting_for", "merged", "quarantined", "conflicts"),
}
REPORT_KEYS = {
    *("wall_seconds", "work_seconds", "speedup", "lower_bound_seconds", "efficiency"),
    *("utilisation", "overhead_share", "overhead", "critical_path", "recoveries", "partial"),
    "rescue",
}


def timed_run() -> ByHand:
    """Two streams after each other: a second of preparing, four of work, one of keeping, each."""
    run = given(stream("a"), stream("b", "a"))
    for name in ("a", "b"):
        run.clock.advance(1.0)
        run.ready(name)
        run.started(name)
        run.clock.advance(4.0)
        run.exited(name)
        run.clock.advance(1.0)
        run.kept(name)
    run.clock.advance(2.0)
    run.merged()
    return run


def test_status_has_the_keys_that_scripts_rely_on() -> None:
    status = projections.status(timed_run().state, True, 0.1)
    assert status.keys() >= STATUS_KEYS
    assert status["schema"] == 1
    assert all(row.keys() >= STREAM_KEYS for row in status["streams"])
    assert all(row.keys() >= POINT_KEYS for row in status["convergence"])
    assert [row["stream"] for row in status["streams"]] == ["a", "b"]
    assert (status["state"], status["branch"]) == ("converged", "anabranch/r")


def test_a_row_tells_what_is_known_of_a_stream_and_null_for_the_rest() -> None:
    run = given(stream("a"), stream("b", "a"), keep_going=True)
    run.clock.advance(1.0)
    run.run("a")
    unknown = dict.fromkeys(("exit_code", "failure_class", "heartbeat", "sync", "ended", "commit"))
    record = {"stream": "a", "attempt": 1, "started": "1970-01-01T00:00:01.000Z", "log": "l"}
    row = projections.stream_status(run.state, run.stream("a"))
    assert row.items() >= {**record, **unknown, "pid": 10, "workspace": "/w/a"}.items()
    run.clock.advance(1.0)
    run.exited("a", 75)
    run.kept("a")
    over = {"state": "failed", "exit_code": 75, "failure_class": "temporary failure", "pid": None}
    row = projections.stream_status(run.state, run.stream("a"))
    assert row.items() >= {**record, **over, "ended": "1970-01-01T00:00:02.000Z"}.items()
    assert (row["partial"], row["commit"]) == (["refs/a.1"], None)
    untouched = projections.stream_status(run.state, run.stream("b"))
    assert untouched["state"] == "skipped"
    assert untouched["waits_for"] == []
    nothing = ("pid", "started", "workspace", "log", *unknown)
    assert [untouched[key] for key in nothing if key != "ended"] == [None] * (len(nothing) - 1)


def test_a_run_that_nobody_hosts_is_interrupted_until_it_has_ended() -> None:
    run = given(stream("a"))
    assert projections.run_state(run.state, is_hosted=True) == "running"
    assert projections.run_state(run.state, is_hosted=False) == "interrupted"
    assert projections.run_state(timed_run().state, is_hosted=False) == "converged"


def test_the_reason_of_a_waiting_stream_names_what_it_waits_for() -> None:
    run = given(stream("a"), stream("b"), stream("c", "a", "b"), max_parallel=1)
    reasons = {s: reason_for(run.state, run.stream(s)) for s in ("b", "c")}
    assert reasons == {"b": "ready; waits for the only slot", "c": "waits for a, b"}
    run.succeed("a")
    assert reason_for(run.state, run.stream("c")) == "waits for b"


def test_a_signal_is_told_as_a_shell_tells_it() -> None:
    run = given(stream("a"))
    run.run("a")
    run.exited("a", None, signal=11)
    assert projections.exit_code_of(run.stream("a")) == 139
    assert "exit 139" in projections.evidence_for(run.stream("a"))


def test_what_is_known_of_a_stream_is_named_and_nothing_else() -> None:
    run = given(stream("a"), stream("b", "a"))
    assert projections.evidence_for(run.stream("b")) == "not started"
    run.run("a")
    assert projections.evidence_for(run.stream("a")) == "attempt 1, slot 1, pid 10"
    run.exited("a")
    run.kept("a", "0123456789abcdef")
    assert projections.evidence_for(run.stream("a")) == "attempt 1, exit 0, commit 0123456789"


def test_an_exit_status_that_is_lost_is_not_made_up() -> None:
    run = given(stream("a"))
    run.run("a")
    run.lost("a")
    assert projections.exit_code_of(run.stream("a")) is None
    assert "exit status lost" in projections.evidence_for(run.stream("a"))


def test_an_event_line_has_the_contracts_keys_and_the_events_own() -> None:
    run = timed_run()
    line = projections.event_line(run.state, run.records[-1])
    assert list(line)[:6] == ["schema", "seq", "time", "type", "run", "cause"]
    assert (line["type"], line["commit"]) == ("run_converged", "m")
    assert line["time"] == "1970-01-01T00:00:14.000Z"


def test_the_story_of_a_stream_is_all_and_only_its_events() -> None:
    run = timed_run()
    story = projections.story(run.records, "a")
    assert story
    assert all("a" in str(r.event) for r in story)
    assert not any(getattr(r.event, "stream", None) == "b" for r in story)


def test_streams_are_counted_by_public_state() -> None:
    run = given(stream("a"), stream("b", "a"))
    assert projections.stream_counts(run.state) == {"starting": 1, "waiting": 1}


# --- accounting ----------------------------------------------------------------------------------


def test_seconds_are_counted_where_they_were_spent() -> None:
    """Two streams of work, workspaces and results, one merge, and nothing twice."""
    state = timed_run().state
    assert accounting.work_seconds(state, 100.0) == 8.0
    assert accounting.overhead_seconds(state) == {
        "workspaces": 2.0,
        "processes": 0.0,
        "results": 2.0,
        "merging": 2.0,
    }
    assert accounting.wall_seconds(state, 100.0) == 14.0


def test_a_process_that_runs_counts_up_to_now() -> None:
    run = given(stream("a"))
    run.run("a")
    assert accounting.worked_seconds(run.stream("a"), 7.0) == 7.0


@pytest.mark.parametrize("end", [ByHand.exited, ByHand.lost])
@pytest.mark.parametrize("begins_at", [0.0, 2.0])
def test_work_counts_from_its_first_instant_on(
    begins_at: float, end: Callable[[ByHand, str], list[str]]
) -> None:
    """A start at second 0 of the run clock is a start, not a missing one; however it ends."""
    run = given(stream("a"))
    run.clock.advance(begins_at)
    run.run("a")
    run.clock.advance(3.0)
    end(run, "a")
    assert run.stream("a").spent.working == 3.0


def test_the_first_start_is_that_of_the_first_attempt_whose_process_ran() -> None:
    """What could not be run has not started; what is tried again started when it first did."""
    run = given(stream("a", max_retries=2))
    run.clock.advance(1.0)
    run.run("a")
    run.exited("a", 1)
    run.kept("a")
    run.at(100.0)
    run.ready("a")
    run.exited("a", 1)
    assert run.stream("a").first_started_at == 1.0
    run = given(stream("a"))
    run.ready("a")
    run.exited("a", 127, error="no such file")
    assert run.stream("a").first_started_at is None


def test_a_report_compares_with_what_was_possible() -> None:
    run = timed_run()
    report = accounting.report(run.state, run.records, 14.0, {"deciding": 1.0})
    assert report.keys() >= REPORT_KEYS
    assert report["work_seconds"] == 8.0
    assert report["speedup"] == round(8 / 14, 3)
    assert report["lower_bound_seconds"] == 8.0
    assert report["critical_path"] == {"predicted": ["a", "b"], "actual": ["a", "b"]}
    assert report["overhead_share"] == round(7 / 15, 6)


def test_a_report_tells_each_retry_and_its_reason() -> None:
    run = given(stream("a", max_retries=1))
    run.fail("a")
    (found,) = accounting.recoveries(run.records)
    assert (found["stream"], found["attempt"]) == (StreamId("a"), 1)
    assert found["reason"].startswith("exit 1; retry 1 of 1")


def test_no_time_spent_is_no_overhead() -> None:
    assert accounting.overhead_share({}, 0.0) == 0.0


def test_a_quarantined_stream_stands_at_the_point_that_left_it_out() -> None:
    """And not once more at each point that has to do without it; what stands on it, beside it."""
    run = given(
        *(stream("a", converge=P), stream("b", converge=P), stream("on-b", "b")),
        point("p", on_conflict="quarantine"),
    )
    run.succeed("a", "b")
    run.succeed("on-b")
    run.merged("p", without=("b",))
    found = projections.status(run.state, True, None)["convergence"]
    assert {row["point"]: row["quarantined"] for row in found} == {"p": ["b"], "final": ["on-b"]}
