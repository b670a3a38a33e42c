"""How many files each running stream has changed, counted by git, as its capture will count them.

The watcher tells at once that something was written, but not what git makes of it: a file may be
ignored, written back as it was, or written before watching began. So a thread of the lowest
priority asks git, for workspaces in which something has happened since it last did, and rests many
times as long as it worked. What the watcher counts meanwhile is an estimate, and is marked as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State
from anabranch.engine import workspaces as ws
from anabranch.engine.rounds import Rounds
from anabranch.engine.watching import WorkspaceWatcher

ROUND_SECONDS = 1.0
REST_FACTOR = 15.0

Stamp = tuple[Attempt, float]
"""Which attempt, and what differs whenever its files may."""


class ChangeCounter:
    """Counts for one run. ``look`` is called often and is cheap; git works in a thread.

    Args:
        repo: where the streams' work lies.
        watcher: knows when something was last written in each workspace.
        round_seconds: the shortest time between two rounds.
    """

    def __init__(
        self,
        repo: ws.Repository,
        watcher: WorkspaceWatcher,
        *,
        now: Callable[[], float] = time.monotonic,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._repo, self._watcher = repo, watcher
        self._counted: dict[StreamId, tuple[Stamp, int]] = {}
        self._due: dict[StreamId, Stamp] = {}
        self._state: State | None = None
        self._rounds = Rounds(
            "changes", self.round, rest_factor=REST_FACTOR, rest_seconds=round_seconds, now=now
        )

    def files_changed(self, stream: StreamId, attempt: Attempt) -> tuple[int, bool]:
        """Return how many files a stream has changed, and whether that is an estimate."""
        counted = self._counted.get(stream)
        if counted is not None and counted[0] == self._stamp(stream, attempt):
            return counted[1], False
        return self._watcher.changed_files(stream), True

    def look(self, state: State) -> None:
        """Wake the thread if something was written where a stream runs, or it has just begun."""
        due = {}
        for stream in active_streams(state):
            if stream.phase is Phase.RUNNING and stream.workspace is not None:
                stamp = self._stamp(stream.id, stream.attempt)
                counted = self._counted.get(stream.id)
                if counted is None or counted[0] != stamp:
                    due[stream.id] = stamp
        self._state, self._due = state, due
        if due:
            self._rounds.want()

    def close(self) -> None:
        """End the thread, and take away what counting has kept."""
        self._rounds.close()
        if self._state is not None:
            ws.forget_counts(self._repo, self._state.run)

    def round(self) -> None:
        """Count for everyone whose figure is out of date, in the calling thread."""
        state, due = self._state, self._due
        if state is None:
            return
        for stream, stamp in due.items():
            if self._rounds.are_closing:
                return
            try:
                count = ws.count_changes(self._repo, state.run, stream, stamp[0])
            except (ws.GitError, OSError):
                continue  # its files cannot be read right now: the estimate stays
            if count is not None:
                self._counted[stream] = (stamp, count)

    def _stamp(self, stream: StreamId, attempt: Attempt) -> Stamp:
        return attempt, self._watcher.change_stamp(stream)
