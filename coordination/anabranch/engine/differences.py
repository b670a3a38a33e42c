"""What a stream has changed, for front ends: while it runs, after it ended, and attempts before.

Works beside an engine that hosts the run and without one. Nothing of a stream is touched: a running
workspace is read as the conflict radar reads it, through an index and an object store of its own,
which go away with the reader.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from anabranch.core.ids import FINAL_POINT, Attempt, StreamId
from anabranch.core.model.state import Base, Point, State, Stream
from anabranch.core.wording import spelled
from anabranch.engine import workspaces as ws
from anabranch.engine.opening import open_project
from anabranch.engine.workspaces.converting import untouched
from anabranch.engine.workspaces.differing import (
    Difference,
    FileDifference,
    Hunk,
    read_difference,
)
from anabranch.engine.workspaces.objects import changes
from anabranch.engine.workspaces.repository import run_folder
from anabranch.engine.workspaces.trial import Side, Trials
from anabranch.errors import UsageError, WorldError
from anabranch.files import take_lock
from anabranch.plain_files import open_plain

__all__ = [
    "Against",
    "Difference",
    "DifferenceReader",
    "FileDifference",
    "Hunk",
    "Source",
    "StreamDifference",
]

LOOKS = "looks"
_LOCK = "lock"
_NEW_SECONDS = 60.0

Against = Literal["base", "result"]
Source = Literal["workspace", "result", "partial"]


class StreamDifference(msgspec.Struct, frozen=True, gc=False):
    """What an attempt of a stream has changed, and where that was found.

    ``source`` says whether it is its ``workspace`` as it is now, its ``result``, or ``partial``
    work that was kept. ``commit`` is what that stands in, empty for a workspace. Against the
    result of the run, ``conflicts`` are the paths that would not merge: they have markers.
    """

    stream: StreamId
    attempt: Attempt
    source: Source
    against: Against
    commit: str
    found: Difference
    conflicts: tuple[str, ...] = ()


class _Work(msgspec.Struct, frozen=True):
    """A side; ``without`` are files that git alone has changed, which no capture takes."""

    side: Side
    source: Source
    commit: str = ""
    without: tuple[str, ...] = ()


class DifferenceReader:
    """Reads what streams of one run have changed; close it to take away what reading has kept.

    Raises UsageError if the project is gone.
    """

    def __init__(self, state: State) -> None:
        self._repo, self._run = open_project(Path(state.project))[0], state.run
        looks = run_folder(self._repo, self._run) / LOOKS
        _forget_those_of_the_dead(looks)
        name = secrets.token_hex(8)
        self._trials = Trials(self._repo, self._run, f"{LOOKS}/{name}")
        self._lock = open_plain(looks / name / _LOCK, flags=os.O_RDWR | os.O_CREAT)
        take_lock(self._lock, 0.0)
        self._last: tuple[object, Difference] | None = None

    def __enter__(self) -> DifferenceReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take away what reading has kept."""
        self._trials.close()
        os.close(self._lock)

    def read(
        self,
        state: State,
        name: StreamId,
        attempt: Attempt | None = None,
        against: Against = "base",
        *,
        with_lines: bool = True,
    ) -> StreamDifference:
        """Return what a stream, or one attempt of it, has changed.

        Against its ``base``: since it began. Against the ``result``: what merging it would change
        in what has merged by now. Raises UsageError if there is nothing to compare, WorldError if
        it cannot be read now.
        """
        stream = state.streams[name]
        number = stream.attempt if attempt is None else attempt
        try:
            work = self._work(state, stream, number)
            if against == "result":
                return self._against_result(state, stream, number, work, with_lines)
            found = self._between(work, work.side.start_tree, work.side.tree, with_lines)
        except OSError as error:
            raise WorldError(f"{name} cannot be read now: {error.strerror}", "try again") from error
        return StreamDifference(name, number, work.source, against, work.commit, found)

    def _work(self, state: State, stream: Stream, attempt: Attempt) -> _Work:
        """Return an attempt's work as it is now, or as it was kept."""
        plan, name = state.stream_plan(stream.id), stream.id
        if plan.workspace == "shared":
            raise UsageError(f"{name} works in your own folder", "git diff shows it there")
        if attempt == stream.attempt and stream.result is not None:
            result = stream.result
            side = Side(name, result.tree, result.start_commit, result.start_tree)
            return _Work(side, "result", result.commit)
        running = state.at_attempt(name, attempt)
        if running.attempt == attempt and running.is_active and running.workspace is not None:
            live = self._trials.snapshot(name, attempt)
            if live is not None:
                view, start = self._trials.view_of(live), live.start_tree
                alone = untouched(view, start, changes(view, start, live.tree))
                return _Work(live, "workspace", without=tuple(c.path for c in alone))
        kept = ws.work_kept(self._repo, self._run, name, attempt) if attempt else None
        if kept is None:
            raise _nothing(stream, attempt)
        side = Side(name, kept.tree, kept.start_commit, kept.start_tree)
        return _Work(side, "partial", kept.commit)

    def _between(self, work: _Work, before: str, after: str, with_lines: bool) -> Difference:
        """Return what differs; where nothing has changed since the last look, that is known."""
        key = (before, after, with_lines, work.without)
        if self._last is None or self._last[0] != key:
            view = self._trials.view_of(work.side)
            found = read_difference(
                view, before, after, with_lines=with_lines, without=work.without
            )
            self._last = (key, found)
        return self._last[1]

    def _against_result(
        self, state: State, stream: Stream, attempt: Attempt, work: _Work, with_lines: bool
    ) -> StreamDifference:
        point = _newest_merge(state, stream.id)
        if point is None or point.commit is None or point.tree is None:
            raise UsageError("nothing has merged yet", "without --against result it is its own")
        outcome = self._trials.merged_onto(Base(point.commit, point.tree), work.side)
        conflict = outcome.conflicts[0] if outcome.conflicts else None
        after = conflict.tree if conflict is not None and conflict.tree else outcome.tree
        found = self._between(work, point.tree, after, with_lines)
        paths = tuple(p.path for p in conflict.paths) if conflict is not None else ()
        return StreamDifference(
            stream.id, attempt, work.source, "result", work.commit, found, paths
        )


def _forget_those_of_the_dead(looks: Path) -> None:
    """Take away what readers have kept that were killed; whoever lives holds the lock in it."""
    for place in looks.glob("*"):
        try:
            if time.time() - place.stat().st_mtime < _NEW_SECONDS:
                continue  # it may not have its lock yet
            lock = open_plain(place / _LOCK, flags=os.O_RDWR | os.O_CREAT)
        except OSError:
            continue
        try:
            if take_lock(lock, 0.0):
                shutil.rmtree(place, ignore_errors=True)
        finally:
            os.close(lock)


def _newest_merge(state: State, stream: StreamId) -> Point | None:
    """Return what has merged by now: at the run's last point, or else where the stream meets."""
    final = state.points[FINAL_POINT]
    if final.commit is not None:
        return final
    own = state.points[state.stream_plan(stream).converge]
    return own if own.commit is not None else None


def _nothing(stream: Stream, attempt: Attempt) -> UsageError:
    if not attempt or attempt > stream.attempt:
        return UsageError(
            f"{stream.id} has made {stream.attempt or 'no'} attempt{'s' * (stream.attempt > 1)}",
            f"it is {spelled(stream.public_state)}: {stream.reason}",
        )
    return UsageError(
        f"attempt {attempt} of {stream.id} has left nothing that is kept",
        "an attempt before the last is kept if it failed, or was handed back",
    )
