"""Tells the core which files streams write, where that can be against the locks.

Runs after each tick of the sampler, in its thread. Nothing is reported while no lock is held and
the plan lets the stream write anywhere; nor is, later, what was written before a lock was granted.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import inputs
from anabranch.core.deciding.locks.violations import doubtful
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.state import State, Stream
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.hostile_text import utf8_text


class WriteWatch:
    """Turns what the watcher noticed into observations."""

    def __init__(self, watcher: WorkspaceWatcher) -> None:
        self._watcher = watcher

    def look(self, state: State) -> Iterator[inputs.PathsWritten]:
        """Yield what each running stream has written since the last look."""
        for stream in active_streams(state):
            written = self._watcher.take_written(stream.id)
            if not written or not matters(state, stream):
                continue
            paths = doubtful(state, stream.id, map(utf8_text, written))
            if paths:
                yield inputs.PathsWritten(stream=stream.id, attempt=stream.attempt, paths=paths)


def matters(state: State, stream: Stream) -> bool:
    """Return whether what a stream writes can be against the locks, or against its own plan."""
    if state.plan.file_access != "exclusive_write":
        return False
    return bool(state.locks.entries) or bool(state.stream_plan(stream.id).writes)
