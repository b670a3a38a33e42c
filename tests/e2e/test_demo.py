"""The demonstration: every pane has something to show, and nothing waits for a person for ever."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from anabranch.core.model.state import RunPhase
from anabranch.core.views.projections import event_line
from anabranch.engine.runs import records_of
from anabranch.engine.starting import start_run
from anabranch.paths import RunFolder
from anabranch.plugins import load_plugins
from anabranch_console import demo
from anabranch_console.demo.stand_in import StandIn, due
from tests.e2e.program import until

IN_THE_SHOW = {
    "lock_queued": "2 Locks",
    "state_changed": "3 History",
    "message_sent": "4 Messages",
    "resources_queued": "5 Resources",
    "conflict_found": "6 Conflicts",
    "conflict_resolved": "6 Conflicts",
    "stream_stalled": "7 Guardian",
    "recovery_finished": "7 Guardian",
    "stream_adopted": "8 Convergence",
    "review_taken": "d",
    "handler_finished": "h",
    "retry_scheduled": "1 Streams",
    "question_asked": "1 Streams",
    "question_withdrawn": "1 Streams",
}
"""What fills a pane, and which."""
SHOW = demo.Show(pace=0.2, patience_seconds=0.3, is_watched=True)


def test_every_pane_has_something_to_show_and_nothing_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it, only faster, before somebody who touches nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    strategies = load_plugins().strategies
    environment, plan = demo.environment(SHOW), demo.bundled_plan(strategies, SHOW)
    project = demo.make_project()
    host = start_run(project, plan, strategies, approve=True, environment=environment)
    try:
        with StandIn(host, demo.resolver(strategies), environment, SHOW):
            until(lambda: host.state.approval.is_done, "its result was taken over", 60.0)
        assert host.state.phase is RunPhase.CONVERGED
        state, folder = host.state, RunFolder(host.folder)
    finally:
        host.close()
    lines = [event_line(state, record) for record in records_of(folder, 0)]
    seen = {line["type"] for line in lines}
    assert sorted(IN_THE_SHOW.keys() - seen) == []
    told = (folder.path / "logs" / "guide.1.log").read_text("utf-8")
    assert max(map(len, told.splitlines())) <= 36
    assert {"2", "3", "5", "6", "7"} <= set(re.findall(r"^- (\d): ", told, re.MULTILINE))
    assert "nobody settled the conflict" in " ".join(told.split())
    assert demo.run_result_tests(project)[0]
    lines_of_a_file = len((project / "ledger/budget.py").read_text("utf-8").splitlines())
    assert f"Lines: {lines_of_a_file}\n" in (project / "docs/api.md").read_text("utf-8")


def test_where_nobody_is_nothing_waits_for_a_person() -> None:
    """Neither a race nor a conflict nor a review, and who asks goes on in a second."""
    plan = demo.bundled_plan(load_plugins().strategies)
    assert [p.options.get("adopt") for p in plan.points if p.adopts_one] == ["smallest"]
    assert plan.points[-1].resolver
    assert not any(stream.review for stream in plan.streams)
    assert demo.UNWATCHED.patience_seconds <= 1


def test_what_is_undecided_is_left_to_a_person_for_a_while() -> None:
    since = {"review of docs": 3.0, "conflict in README.md": 10.0}
    assert due(since, 12.9, 10.0) == []
    assert due(since, 13.0, 10.0) == ["review of docs"]
    assert due(since, 20.0, 10.0) == [*since]
