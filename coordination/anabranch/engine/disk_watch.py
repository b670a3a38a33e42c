"""What workspaces and all that is kept of the project take of the disk, while a run is hosted.

A thread of the lowest priority counts, and rests many times as long as it worked. What no stream of
this run works in is counted anew once a minute; the rest each time. Whoever shows figures reads
what was counted last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.state import State
from anabranch.engine.disk_use import WORKSPACES, Place, by_kind, bytes_in, places_of_project
from anabranch.engine.rounds import Rounds
from anabranch.engine.workspaces import Repository
from anabranch.engine.workspaces.records import all_records, own_place
from anabranch.paths import RunFolder

ROUND_SECONDS = 1.0
REST_FACTOR = 25.0
SETTLED_SECONDS = 60.0

Key = tuple[StreamId, Attempt]


class DiskWatch:
    """Counts for one run. ``look`` is called often and is cheap; a thread counts.

    Args:
        home: the run.
        repo: where its workspaces are on record.
        post: takes what was counted of the whole project, if the plan has a budget; or None.
        round_seconds: the shortest time between two rounds.
    """

    def __init__(
        self,
        home: RunFolder,
        repo: Repository,
        post: Callable[[inputs.Input], None] | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._home, self._repo, self._post, self._now = home, repo, post, now
        self._workspaces: Mapping[Key, int] = {}
        self._counted: dict[Path, tuple[float, int]] = {}
        self._state: State | None = None
        self.used: Mapping[str, int] = {}
        """What the project takes, by what it is; nothing until it was counted for a budget."""
        self._rounds = Rounds(
            "disk", self.round, rest_factor=REST_FACTOR, rest_seconds=round_seconds, now=now
        )

    def workspace_bytes(self, stream: StreamId, attempt: Attempt) -> int | None:
        """Return what an attempt's workspace takes that is its own; None until it was counted."""
        return self._workspaces.get((stream, attempt))

    def look(self, state: State) -> None:
        """Wake the thread if somebody works, or waits for room."""
        self._state = state
        is_wanted = bool(state.counts.active) or state.plan.max_disk_bytes is not None
        if is_wanted and not state.has_ended:
            self._rounds.want()

    def before_all(self, state: State) -> Iterator[inputs.DiskSeen]:
        """Yield what the project takes before anything starts, if the plan has a budget."""
        if state.plan.max_disk_bytes is not None and not state.has_ended:
            yield self._project(set())

    def close(self) -> None:
        """End the thread; what was counted stays readable."""
        self._rounds.close()

    def round(self) -> None:
        """Count once, in the calling thread."""
        state = self._state
        if state is None:
            return
        at_work = {(stream.id, stream.attempt) for stream in active_streams(state)}
        own = {
            (noted.stream, noted.attempt): own_place(noted)
            for noted in all_records(self._repo, state.run)
            if noted.kind != "shared"
        }
        lively = {place for key, place in own.items() if key in at_work}
        self._workspaces = {key: self._bytes(place, lively) for key, place in own.items()}
        if state.plan.max_disk_bytes is not None and self._post is not None:
            self._post(self._project(lively))

    def _project(self, lively: set[Path]) -> inputs.DiskSeen:
        places = list(places_of_project(self._home.project))
        counted = [(p, self._bytes(p.path, self._lively(p, lively))) for p in places]
        own = sum(taken for place, taken in counted if place.run == self._home.run)
        sums = by_kind(iter(counted))
        standing = {place.path for place in places}
        self._counted = {path: known for path, known in self._counted.items() if path in standing}
        self.used = sums
        return inputs.DiskSeen(used_bytes=sum(sums.values()), by_kind=sums, own_bytes=own)

    def _lively(self, place: Place, lively: set[Path]) -> set[Path]:
        """Return what counts as lively, with the logs and records of this run that grow."""
        grows = place.run == self._home.run and place.kind != WORKSPACES
        return {place.path} if grows else lively

    def _bytes(self, path: Path, lively: set[Path]) -> int:
        known = self._counted.get(path)
        if known is not None and path not in lively and self._now() - known[0] < SETTLED_SECONDS:
            return known[1]
        if self._rounds.are_closing:
            return known[1] if known else 0
        taken = bytes_in(path)
        self._counted[path] = (self._now(), taken)
        return taken
