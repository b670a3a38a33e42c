"""Excuses handlers that are silent because they wait for an answer of the engine.

The program that runs them ends those that do nothing. A handler that waits for a lock does nothing
either, and only the engine knows for what: it says so by a file, which outlives it, as whoever
waits goes on to wait when nobody is there to answer.
"""

from __future__ import annotations

from contextlib import suppress

from anabranch.core.deciding.waiting.wording import waiting_for
from anabranch.core.ids import StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.state import State
from anabranch.handlers import silence
from anabranch.paths import RunFolder
from anabranch.plain_files import open_to_append


class HandlerExcuses:
    """Tells for each stream with handlers whether it waits for an answer."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._noted: dict[StreamId, bool] = {}

    def look(self, state: State) -> None:
        """Tell what is new."""
        for stream in active_streams(state):
            if state.stream_plan(stream.id).fan is not None:
                self._tell(stream.id, is_waiting=bool(waiting_for(state, stream.id)))

    def _tell(self, stream: StreamId, *, is_waiting: bool) -> None:
        if self._noted.get(stream) == is_waiting:
            return
        path = self._run.handlers(stream) / silence.EXCUSED
        with suppress(OSError):  # it is told at the next look
            if is_waiting:
                open_to_append(path).close()
            else:
                path.unlink(missing_ok=True)
            self._noted[stream] = is_waiting
