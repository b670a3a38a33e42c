"""Looking at a hosted run, tick by tick: its streams, their workspaces, and the machine.

The sampler has a thread of its own. What the watches find out is posted as observations; what they
know is there for whoever asks, from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.engine.attaching import is_visited
from anabranch.engine.ceilings import is_kept
from anabranch.engine.change_counter import ChangeCounter
from anabranch.engine.clock import WatchClock
from anabranch.engine.conflict_radar import ConflictRadar
from anabranch.engine.disk_watch import DiskWatch
from anabranch.engine.interference import Interference
from anabranch.engine.liveness import LivenessWatch, is_somebody_asked
from anabranch.engine.machine_memory import memory_now
from anabranch.engine.machine_room import shortage_ahead
from anabranch.engine.making_ahead import MakingAhead
from anabranch.engine.memory_watch import MemoryWatch
from anabranch.engine.overhead_watch import OverheadWatch
from anabranch.engine.pressure import PressureWatch
from anabranch.engine.prompt_watch import PromptWatch
from anabranch.engine.source import Overhead
from anabranch.engine.usage import UsageWatch
from anabranch.engine.vitals import Vitals, VitalsSampler, watched_streams
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.engine.workspaces import Repository
from anabranch.engine.write_watch import WriteWatch
from anabranch.paths import RunFolder


class Looking:
    """All that looks at a run for its host.

    Args:
        state: returns the newest state that is published.
        cost: adds up what coordination has cost so far.
        post: takes what was seen; called in the sampler's thread.
        run_time: the run clock.
    """

    def __init__(
        self,
        folder: RunFolder,
        repository: Repository,
        state: Callable[[], State],
        cost: Callable[[], Overhead],
        post: Callable[[inputs.Input], None],
        run_time: Callable[[], float],
    ) -> None:
        self._state, self._post = state, post
        self.clock = WatchClock()
        now = self.clock.monotonic
        self.watcher = WorkspaceWatcher(now=now)
        self.interference = Interference(now)
        self.liveness = LivenessWatch(now, self.interference, partial(is_visited, folder))
        self.pressure = PressureWatch(now)
        self._usage = UsageWatch(lambda: shortage_ahead((repository.store, folder.path)))
        self._memory = MemoryWatch(partial(is_kept, folder))
        self._writes = WriteWatch(self.watcher)
        self._overhead = OverheadWatch(cost, now)
        self._prompts = PromptWatch(folder, run_time)
        self._radar = ConflictRadar(repository, state, self.watcher, post)
        self._changes = ChangeCounter(repository, self.watcher)
        self._disk = DiskWatch(folder, repository, post)
        self._ahead = MakingAhead(repository, state, lambda: self._disk.used)
        self.sampler = VitalsSampler(
            lambda: watched_streams(state(), folder),
            self.watcher,
            now=now,
            wall=self.clock.wall,
            ticked=self._look,
            count=self._changes.files_changed,
            disk=self._disk.workspace_bytes,
            interference=self.interference,
            is_awaited=lambda: is_somebody_asked(state()),
        )

    def vitals(self) -> Mapping[StreamId, Vitals]:
        """Return the newest live facts of the streams that run."""
        return self.sampler.vitals

    def before_all(self) -> Iterator[inputs.Input]:
        """Yield what is to be known of the machine before anything starts on it."""
        state = self._state()
        yield from self._disk.before_all(state)
        yield from self.pressure.look(state, {}, memory_now())

    def close(self) -> None:
        """Look no more; what was seen last stays readable."""
        self.sampler.stop()
        self._radar.close()
        self._changes.close()
        self._disk.close()
        self._ahead.close()
        self.watcher.close()

    def _look(self, vitals: Mapping[StreamId, Vitals]) -> None:
        state, memory = self._state(), memory_now()
        news = [
            *self.liveness.look(state, vitals),
            *self._usage.look(state, vitals, memory),
            *self.pressure.look(state, vitals, memory),
            *self._memory.look(state, vitals, memory),
            *self._writes.look(state),
            *self._overhead.look(state),
            *self._prompts.look(state, vitals),
        ]
        for given in news:
            self._post(given)
        self._radar.look(state)
        self._changes.look(state)
        self._disk.look(state)
        self._ahead.look(state)
