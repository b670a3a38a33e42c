"""How far the handlers of streams are, read from where they are counted, by a thread of its own.

The counts of a stream that runs are written anew once a second; those of one that has ended do not
change any more. So each look reads a small file for each that runs, and none while nobody fans out.
"""

from __future__ import annotations

from collections.abc import Mapping

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.core.views.handlers import known_to_have_handlers
from anabranch.engine.handlers import HandlerTally, tally_of
from anabranch.paths import RunFolder
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.steering import Steering

Found = dict[StreamId, HandlerTally]


class Tallies:
    """Keeps the model's tallies true.

    Args:
        model: the run.
        steering: has a thread to read in.
    """

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self._model, self._steering = model, steering
        self._final: dict[StreamId, Attempt] = {}
        self._is_reading = self._is_due = False

    def apply(self, changes: Changes) -> None:
        """Have those read that may have changed: once a second, and what ended with the run."""
        if changes.is_new_second or (changes.events and self._model.live_state.has_ended):
            self._is_due = True
            self._look()

    def _look(self) -> None:
        if self._is_reading or not self._is_due:
            return
        self._is_due = False
        state = self._model.live_state
        having = sorted(known_to_have_handlers(state))
        wanted = [stream for stream in having if self._may_have_changed(state, stream)]
        if wanted:
            run = RunFolder(self._model.source.folder)
            self._is_reading = True
            ended = {s: state.streams[s].attempt for s in wanted if state.streams[s].has_ended}
            self._steering.in_thread(
                lambda: _read(run, wanted), lambda found: self._take(found, ended), "tallies"
            )

    def _may_have_changed(self, state: State, name: StreamId) -> bool:
        stream = state.streams[name]
        is_final = stream.has_ended and self._final.get(name) == stream.attempt
        return bool(stream.attempt) and not is_final

    def _take(self, found: Found, ended: Mapping[StreamId, Attempt]) -> None:
        self._is_reading = False
        self._final.update(ended)
        self._model.take_tallies(found)
        self._look()  # what ended meanwhile is not told of again


def _read(run: RunFolder, streams: list[StreamId]) -> Found:
    found = {stream: tally_of(run, stream) for stream in streams}
    return {stream: tally for stream, tally in found.items() if tally is not None}
