"""Making checkouts ahead while streams work, so that the next one need not wait for its own.

A thread of the lowest priority does it, some files at a time: while a workspace is being prepared
or captured it waits, and when the last stream is over it stops. What it cannot do it leaves: then
files are written when they are wanted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache

from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State
from anabranch.engine.pool_bounds import bounds_of, free_bytes, number_in_room
from anabranch.engine.rounds import Rounds
from anabranch.engine.workspaces import GitError, Repository
from anabranch.engine.workspaces.pool.checkouts import checkouts
from anabranch.engine.workspaces.pool.filling import fill_by_one, size_of_tree

_log = logging.getLogger(__name__)

REST_SECONDS = 0.5
FIRST_SECONDS = 5.0
"""A run that is over sooner has nothing of it, and would share the disk with it."""
LOOK_SECONDS = 0.02
_WAITS = frozenset({Phase.PREPARING, Phase.CAPTURING})
"""Phases in which a stream waits for what is done with its files."""
_size_of_tree = lru_cache(maxsize=4)(size_of_tree)


class MakingAhead:
    """Keeps the pool of a run filled. ``look`` is called often and is cheap; a thread works.

    Args:
        repo: the project.
        state: returns the newest state.
        used: returns what is kept of the project, by what it is, as it was counted last.
    """

    def __init__(
        self, repo: Repository, state: Callable[[], State], used: Callable[[], Mapping[str, int]]
    ) -> None:
        self._repo, self._state, self._used = repo, state, used
        self._has_failed = False
        self._first_look: float | None = None
        self._rounds = Rounds("ahead", self.round, rest_factor=1.0, rest_seconds=REST_SECONDS)

    def look(self, state: State) -> None:
        """Wake the thread if somebody works, or waits for room that may be taken here."""
        is_wanted = bool(state.counts.active or state.resources.disk_shortage)
        if not is_wanted or state.base is None or self._has_failed or state.has_ended:
            return
        now = time.monotonic()
        self._first_look = self._first_look or now
        if now - self._first_look >= FIRST_SECONDS:
            self._rounds.want()

    def close(self) -> None:
        """End the thread; what it was making is removed."""
        self._rounds.close()

    def round(self) -> None:
        """Bring the pool to what is wanted, in the calling thread."""
        try:
            while self._goes_on() and self._fill_by_one():
                pass
        except (GitError, OSError) as error:
            self._has_failed = True
            _log.debug("nothing is made ahead any more: %s", error)

    def _fill_by_one(self) -> bool:
        state, repo = self._state(), self._repo
        bounds = bounds_of(repo, state)
        if state.base is None or not bounds.most:
            return False
        size = _size_of_tree(repo, state.run, state.base.tree)
        if size.files < bounds.fewest_files:
            return False
        ready, budget = len(checkouts(repo)), state.plan.max_disk_bytes
        in_room = number_in_room(size, ready, free_bytes(repo), budget, self._used())
        most = min(bounds.most, in_room)
        return fill_by_one(repo, state.run, state.base.tree, most, self._goes_on)

    def _goes_on(self) -> bool:
        """Say whether to go on, once nobody waits for the engine."""
        while not self._is_over() and self._is_somebody_waiting():
            time.sleep(LOOK_SECONDS)
        return not self._is_over()

    def _is_over(self) -> bool:
        state = self._state()
        is_wanted = state.counts.active or state.resources.disk_shortage
        return self._rounds.are_closing or state.has_ended or not is_wanted

    def _is_somebody_waiting(self) -> bool:
        return any(stream.phase in _WAITS for stream in self._state().streams.values())
