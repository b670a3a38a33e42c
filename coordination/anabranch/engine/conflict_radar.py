"""The conflict radar's eyes: test-merges what running streams have written so far, pair by pair.

A thread of its own with the lowest priority, which its git processes inherit. It sleeps until files
change, looks at most every few seconds, and rests many times as long as it worked: it takes no more
than about a tenth of one processor, and nothing while nobody writes. What it snapshots goes to an
object store of its own beside the run, through indexes of its own; the repository, the workspaces
and their captures never see any of it.

A test merge is the merge that a convergence point would make: each side against the tree that it
started from. git's exit code 1 is a conflict; anything higher, or a workspace that cannot be read
right now, says nothing and is tried again when something changes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.conflicts.radar import LastTrial, Work, have_met, next_pairs
from anabranch.core.deciding.points.adopting import race_each_other
from anabranch.core.folds.inheritance import works_below
from anabranch.core.folds.resolutions import resolution_of
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.foreseen import Pair
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.engine import workspaces as ws
from anabranch.engine.rounds import Rounds
from anabranch.engine.watching import NOT_WATCHED, WorkspaceWatcher
from anabranch.engine.workspaces.trial import Side, Trial, Trials

_log = logging.getLogger(__name__)

ROUND_SECONDS = 3.0
REST_FACTOR = 15.0
"""How many times as long as it worked it rests; its git uses more than one processor at times."""

MOST_PAIRS_A_ROUND = 50
LONGEST_ROUND_SECONDS = 5.0
MOST_PATHS = 5_000
"""Of a stream that has changed more files than this, these many are compared."""


Stamp = tuple[Attempt, float | str]
Post = Callable[[inputs.Input], None]


class ConflictRadar:
    """Watches one run. ``look`` is called often and is cheap; the work is done in a thread.

    Args:
        repo: where the streams' work lies.
        state: returns the newest published state.
        watcher: knows which files each running stream has changed.
        post: takes an observation to the engine, from any thread.
        round_seconds: the shortest time between two rounds.
    """

    def __init__(
        self,
        repo: ws.Repository,
        state: Callable[[], State],
        watcher: WorkspaceWatcher,
        post: Post,
        *,
        now: Callable[[], float] = time.monotonic,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._repo, self._state, self._watcher, self._post = repo, state, watcher, post
        self._now = now
        self._rounds = Rounds(
            "radar",
            self.round,
            rest_factor=REST_FACTOR,
            rest_seconds=round_seconds,
            now=now,
            rests_first=False,
            at_end=self._close_trials,
        )
        self._looked_at: dict[StreamId, Stamp] = {}
        self._tested: dict[Pair, LastTrial] = {}
        self._sides: dict[StreamId, tuple[Stamp, Side]] = {}
        self._trials: Trials | None = None

    def look(self, state: State) -> None:
        """Wake the thread if a stream has changed something since the last round."""
        if not any(s.phase is Phase.RUNNING for s in active_streams(state)):
            return
        stamps = {s.id: stamp for s in state.streams.values() if (stamp := self._stamp(s))}
        if len(stamps) < 2:
            return
        if stamps != self._looked_at or not self._rounds.are_going_on:
            self._looked_at = stamps
            self._rounds.want()

    def close(self) -> None:
        """End the thread and take away what it kept."""
        self._rounds.close()

    def _stamp(self, stream: Stream) -> Stamp | None:
        """Return what differs whenever a stream's work does; None while it has none to compare."""
        if stream.phase is Phase.SUCCEEDED and stream.result is not None:
            return stream.attempt, stream.result.tree
        if stream.phase is Phase.RUNNING and stream.workspace is not None:
            stamp = self._watcher.change_stamp(stream.id)
            # A look before watching begins would be made again right after, and delay that one.
            return None if stamp == NOT_WATCHED else (stream.attempt, stamp)
        return None

    # --- in its thread ---------------------------------------------------------------------------

    def _close_trials(self) -> None:
        if self._trials is not None:
            self._trials.close()

    def round(self) -> None:
        """Test the pairs that are due, in the calling thread, for a bounded time."""
        trials = self._trials = self._trials or Trials(self._repo, self._state().run)
        state, deadline = self._state(), self._now() + LONGEST_ROUND_SECONDS
        stamps = {s.id: stamp for s in state.streams.values() if (stamp := self._stamp(s))}
        works = []
        for name in sorted(stamps):
            if self._now() > deadline or self._rounds.are_closing:
                self._rounds.want_one_more()
                break
            works.append(self._work(trials, state.streams[name], stamps[name]))
        due = next_pairs(works, self._tested, MOST_PAIRS_A_ROUND)
        for pair in due:
            if self._now() > deadline or self._rounds.are_closing:
                self._rounds.want_one_more()  # the rest comes in the next round
                return
            self._test(trials, state, pair, (stamps[pair[0]], stamps[pair[1]]))
        if len(due) == MOST_PAIRS_A_ROUND:
            self._rounds.want_one_more()

    def _work(self, trials: Trials, stream: Stream, stamp: Stamp) -> Work:
        """Return what a stream has changed: as the last snapshot had it, and what came since."""
        known = self._sides.get(stream.id)
        if known is None or known[0][0] != stream.attempt or not stream.is_active:
            self._side(trials, stream, stamp)
            known = self._sides.get(stream.id)
        paths: set[str] = set()
        if known is not None:
            paths.update(trials.paths(known[1]))
        if known is None or known[0] != stamp:
            paths.update(self._watcher.changed_paths(stream.id, MOST_PATHS))
        return Work(stream.id, stamp, paths)

    def _test(self, trials: Trials, state: State, pair: Pair, stamps: tuple[Stamp, Stamp]) -> None:
        streams = (state.streams[pair[0]], state.streams[pair[1]])
        self._tested[pair] = LastTrial(self._now(), stamps)
        is_pointless = _is_built_on(state, *streams) or race_each_other(state, *pair)
        if is_pointless or have_met(state, pair):
            return
        one, other = (self._side(trials, s, at) for s, at in zip(streams, stamps, strict=True))
        if one is None or other is None:
            return
        found = trials.merge(one, other)
        if not isinstance(found, Trial):
            self._say(pair, (streams[0].attempt, streams[1].attempt), found)
        elif found is Trial.CLEAN:
            self._say(pair, (streams[0].attempt, streams[1].attempt), ())

    def _side(self, trials: Trials, stream: Stream, stamp: Stamp) -> Side | None:
        """Return a stream's work as it is now; one snapshot serves until something changes."""
        known = self._sides.get(stream.id)
        if known is not None and known[0] == stamp:
            return known[1]
        side = trials.side_of(stream)
        if side is not None:
            self._sides[stream.id] = (stamp, side)
        return side

    def _say(
        self, pair: Pair, attempts: tuple[Attempt, Attempt], paths: Iterable[ev.ConflictedPath]
    ) -> None:
        state = self._state()
        undecided = tuple(path for path in paths if resolution_of(state, path) is None)
        known = state.foreseen.get(pair)
        names = {path.path for path in undecided}
        if names != {p.path for p in known.paths} if known else bool(undecided):
            self._post(inputs.PairTested(streams=pair, attempts=attempts, paths=undecided))


def _is_built_on(state: State, one: Stream, other: Stream) -> bool:
    """Return whether one of two started from the other's work: then it cannot be in its way."""
    return one.id in works_below(state, other.id) or other.id in works_below(state, one.id)
