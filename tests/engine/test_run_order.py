"""Which run is the latest, and what earlier ones teach: by what was recorded, not by names."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core.events import Recorded, RunStarted, RunStopped
from anabranch.core.ids import RunId
from anabranch.core.inputs import StopRun
from anabranch.core.plans.plan import Plan
from anabranch.engine import requests
from anabranch.engine.journal import Journal
from anabranch.engine.run_lock import RunLock
from anabranch.engine.run_numbers import newest_first, next_number, note_number, number_of
from anabranch.engine.runs import latest_run, run_that_goes_on, runs_of
from anabranch.paths import ProjectFolder, RunFolder, project_folder, run_counter
from anabranch.testing.plans import plan_of, stream


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectFolder:
    """Give the state folder of a project that has no runs yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "user").mkdir()
    found = ProjectFolder(project_folder(tmp_path / "user"))
    found.runs.mkdir(parents=True)
    return found


def begin(project: ProjectFolder, name: str, wall: float = 0.0) -> RunFolder:
    """Begin a run, or one of an earlier version if it has a time of day."""
    home = project.run(RunId(name))
    number = next_number(run_counter(), runs_of(project))
    home.create()
    plan: Plan = plan_of(stream("a"))
    started = RunStarted(
        run=home.run, project="p", plan_path=None, plan=plan, approve=False, wall=wall
    )
    journal = Journal.create(home.journal, {})
    journal.append([Recorded(1, 0.0, None, started)])
    journal.close()
    if not wall:
        note_number(home, number)
    return home


@pytest.mark.parametrize("left", ["folder", "journal"])
def test_what_was_killed_before_its_first_event_is_no_run(
    project: ProjectFolder, left: str
) -> None:
    """The run before it stays the latest; one whose journal is damaged is told of."""
    begun = begin(project, "20261129-180000-abc")
    home = project.run(RunId("20261129-180001-abd"))
    home.create()
    note_number(home, next_number(run_counter(), runs_of(project)))
    if left == "journal":
        Journal.create(home.journal, {}).close()
    user = project.path.parents[3] / "user"
    assert latest_run(user) == begun
    home.journal.write_bytes(b"damaged" * 1000)
    assert latest_run(user) == home


def test_the_latest_run_is_the_one_that_began_last(project: ProjectFolder) -> None:
    """Whatever their names say: of another time zone, or of a clock that was put back."""
    names = ("20261129-180000-abc", "20261129-090000-abd", "20261129-090000-abb")
    begun = [begin(project, name) for name in names]
    assert runs_of(project) == begun[::-1]
    user = project.path.parents[3] / "user"
    assert latest_run(user) == begun[-1]


def test_a_run_of_an_earlier_version_is_older_than_any_with_a_number(
    project: ProjectFolder,
) -> None:
    """Such runs are ordered by the time of day in their journals, which knows no zones."""
    late = begin(project, "20990101-000000-zzz", wall=2000.0)
    early = begin(project, "20990102-000000-zzz", wall=1000.0)
    new = begin(project, "20261129-090000-abb")
    assert newest_first([early, new, late]) == [new, late, early]


@pytest.mark.parametrize("spoil", ["counter", "number", "junk"])
def test_numbers_go_on_when_something_is_lost(project: ProjectFolder, spoil: str) -> None:
    """A lost counter, and a number that is gone or absurd, cost nothing but themselves."""
    begun = [begin(project, f"run-{n}") for n in range(3)]
    if spoil == "counter":
        run_counter().unlink()
    elif spoil == "number":
        begun[0].number.unlink()
    else:
        begun[0].number.write_text("9" * 400)
        run_counter().write_text("1e300")
    new = begin(project, "a")
    assert (number_of(new) or 0) > 3
    assert runs_of(project)[:3] == [new, begun[2], begun[1]]


def test_requests_are_heard_in_the_order_in_which_they_were_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is put back between two of them changes nothing."""
    moments = iter([2e9, 1e9, 1.5e9])
    monkeypatch.setattr("time.time_ns", lambda: int(next(moments) * 1e9))
    monkeypatch.setattr("time.time", lambda: next(moments))
    for reason in ("first", "second", "third"):
        requests.leave(tmp_path, StopRun(reason=reason))
    heard = [asked for _, asked in requests.pending(tmp_path)]
    assert heard == [StopRun(reason=reason) for reason in ("first", "second", "third")]


def test_a_run_that_goes_on_comes_before_a_newer_one_that_is_over(project: ProjectFolder) -> None:
    """One that somebody hosts comes first; what is over is looked at only where it is named."""
    user = project.path.parents[3] / "user"
    names = ("20261129-180000-abc", "20261129-180001-abd", "20261129-180002-abe")
    hosted, unhosted, over = (begin(project, name) for name in names)
    journal = Journal.open(over.journal, "write")
    journal.append([Recorded(2, 0.0, None, RunStopped(reason="it is over"))])
    journal.close()
    assert run_that_goes_on(user) == unhosted
    lock = RunLock.acquire(hosted.lock)
    assert lock is not None
    assert run_that_goes_on(user) == hosted
    lock.release()
    assert latest_run(user) == over
