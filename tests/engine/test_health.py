"""What doctor finds out about the place where state lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anabranch.core.strategies import Strategies
from anabranch.engine.cleaning import clean_run
from anabranch.engine.health import examine
from anabranch.engine.journal import Journal
from anabranch.engine.run_lock import RunLock
from anabranch.paths import RunFolder, project_folder


def test_a_state_folder_that_takes_nothing_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run can begin there, so it is more than something that could not be looked at."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (found,) = [f for f in examine(tmp_path) if f.subject == "state"]
    assert (found.verdict, "cannot be written to" in found.message) == ("fault", True)
    assert found.mend


@pytest.mark.parametrize(
    ("journal", "has_begun", "verdicts"),
    [
        (None, False, []),
        (b"", False, []),
        (None, True, ["fault"]),
        (b"", True, ["fault"]),
    ],
)
def test_a_run_that_was_killed_before_it_began_is_no_damaged_history(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    journal: bytes | None,
    has_begun: bool,
    verdicts: list[str],
) -> None:
    """There is nothing in it that `doctor --repair` could save."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    project = tmp_path / "project"
    project.mkdir()
    home = RunFolder(project_folder(project) / "runs" / "20260101-120000-abc")
    home.create()
    if journal is not None:
        home.journal.write_bytes(journal)
    if has_begun:
        home.attempts.mkdir()
    assert [f.verdict for f in examine(project) if f.subject == "history"] == verdicts


def test_a_run_whose_lock_cannot_be_had_is_left_alone(tmp_path: Path) -> None:
    """As one of another user is; the others are cleaned all the same."""
    home = RunFolder(tmp_path / "run")
    home.create()
    home.lock.mkdir()
    assert clean_run(home, Strategies({}, {}, {})).skipped


@pytest.mark.parametrize(
    ("old", "has_journal", "attempts", "goes"),
    [
        (True, False, False, True),
        (True, True, False, True),
        (False, False, False, False),
        (True, False, True, False),
    ],
)
def test_gc_takes_the_folder_of_a_start_that_was_killed_at_once(
    tmp_path: Path, old: bool, has_journal: bool, attempts: bool, goes: bool
) -> None:
    """Not one that may be under way, nor one in which something was started."""
    home = RunFolder(tmp_path / "runs" / "20260101-000000-abc")
    home.create()
    if has_journal:
        Journal.create(home.journal, {}).close()
    if attempts:
        home.attempts.mkdir()
    if old:
        os.utime(home.logs, (0, 0))
    nobody = Strategies({}, {}, {})
    assert clean_run(home, nobody, is_rehearsal=True).never_begun == goes
    assert home.path.exists()
    assert clean_run(home, nobody).never_begun == goes
    assert home.path.exists() != goes


def test_gc_leaves_a_start_alone_that_has_its_lock(tmp_path: Path) -> None:
    home = RunFolder(tmp_path / "runs" / "20260101-000000-abc")
    home.create()
    os.utime(home.logs, (0, 0))
    lock = RunLock.acquire(home.lock)
    assert lock is not None
    try:
        assert "hosted" in clean_run(home, Strategies({}, {}, {})).skipped
        assert home.path.exists()
    finally:
        lock.release()
