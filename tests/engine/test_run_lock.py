"""One host a run, also where somebody clears the lock file away."""

from __future__ import annotations

import os
from pathlib import Path

from anabranch.core.inputs import StopRun
from anabranch.engine import requests
from anabranch.engine.run_lock import RunLock, holder_of


def test_a_lock_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    """Else a second host would take the run for one that nobody hosts."""
    place = tmp_path / "lock"
    lock = RunLock.acquire(place)
    assert lock is not None
    place.unlink()
    assert holder_of(place) is None
    lock.beat()
    assert holder_of(place) == os.getpid()
    lock.release()
    assert holder_of(place) is None


def test_a_lock_that_somebody_else_made_meanwhile_is_theirs(tmp_path: Path) -> None:
    """Nobody is robbed of what they have got."""
    place = tmp_path / "lock"
    lock = RunLock.acquire(place)
    assert lock is not None
    place.unlink()
    other = RunLock.acquire(place)
    assert other is not None
    lock.beat()
    lock.release()
    assert holder_of(place) == os.getpid()
    other.release()
    assert holder_of(place) is None


def test_a_request_is_left_also_where_its_folder_was_removed(tmp_path: Path) -> None:
    """A run can be stopped whatever was cleared away around it."""
    folder = tmp_path / "requests"
    requests.leave(folder, StopRun(reason="enough"))
    assert [asked for _, asked in requests.pending(folder)] == [StopRun(reason="enough")]
