"""Following a run that somebody else hosts, or that is over, from its journal.

Live facts are looked at by this process itself: logs, the process table and the workspaces are as
readable from here as from the host. What is to be done is asked of the host, as the commands of the
shell ask it. Looking changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.core.folds.evolve import evolve
from anabranch.core.ids import RunId, Seq, StreamId
from anabranch.core.inputs import Command
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.views import accounting
from anabranch.engine import requests
from anabranch.engine.clock import RunClock
from anabranch.engine.feed import KEPT, Feed
from anabranch.engine.guarded_strategies import StrategyUse
from anabranch.engine.journal import Journal
from anabranch.engine.machine_memory import memory_now
from anabranch.engine.pressure import MachineWatch
from anabranch.engine.pressure_samples import Sample
from anabranch.engine.run_lock import holder_of, silent_since
from anabranch.engine.source import Frame, Hosting, Overhead
from anabranch.engine.vitals import Vitals, VitalsSampler, watched_streams
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.errors import AnabranchError, MachineShort, UsageError, WorldError
from anabranch.paths import RunFolder

if TYPE_CHECKING:
    from anabranch.engine.change_counter import ChangeCounter
    from anabranch.engine.disk_watch import DiskWatch

ANSWER_SECONDS = 10.0
LOOK_AT_HOST_SECONDS = 1.0
JOURNAL_PATIENCE_SECONDS = 5.0
"""How long a journal may fail that somebody removed, and that its host is putting back."""


class RunFollower:
    """A run to look at. It is a :class:`anabranch.engine.source.Source`."""

    def __init__(self, folder: RunFolder) -> None:
        """Open a run's journal for reading. Raises WorldError if there is none."""
        self._folder = folder
        self._lock = threading.Lock()
        self._journal = Journal.open(folder.journal, "read")
        state = self._journal.load()
        if state is None:
            raise WorldError(f"run {folder.run} has no events yet", "try again in a moment")
        self._clock = RunClock.of_journal(self._journal, state)
        self._feed = Feed(state, self._journal.read(max(0, state.seq - KEPT // 10)))
        self._written = self._journal.changes()
        self._watcher = WorkspaceWatcher()
        self._changes, self._disk = _counters(folder, state, self._watcher)
        self._sampler = VitalsSampler(
            lambda: watched_streams(self._feed.state, folder),
            self._watcher,
            ticked=self._look,
            count=self._changes.files_changed if self._changes else None,
            disk=self._disk.workspace_bytes if self._disk else lambda *_: None,
        )
        self._machine = MachineWatch(time.monotonic)
        self._is_sampling = False
        self._hosting: Hosting = "nobody"
        self._silent_since: float | None = None
        self._looked_until = 0.0
        self._fails_since: float | None = None

    def close(self) -> None:
        """Stop following."""
        if self._is_sampling:
            self._sampler.stop()
        if self._changes is not None:
            self._changes.close()
        if self._disk is not None:
            self._disk.close()
        self._watcher.close()
        self._journal.close()

    @property
    def run(self) -> RunId:
        return self._folder.run

    @property
    def folder(self) -> Path:
        return self._folder.path

    @property
    def state(self) -> State:
        self._catch_up()
        return self._feed.state

    @property
    def hosting(self) -> Hosting:
        """Whether somebody hosts the run, as it was within the last second."""
        self._look_at_host()
        return self._hosting

    def _look_at_host(self) -> None:
        now = time.monotonic()
        if now > self._looked_until:
            self._hosting = "nobody" if holder_of(self._folder.lock) is None else "elsewhere"
            self._silent_since = silent_since(self._folder.lock)
            self._looked_until = now + LOOK_AT_HOST_SECONDS

    def now(self) -> float:
        return self._clock.now()

    def take(self, cursor: Seq) -> Frame:
        if not self._is_sampling:
            self._is_sampling = True
            self._sampler.start()
        self._catch_up()
        return self._feed.take(cursor, self._sampler.take_dirty())

    def vitals(self) -> Mapping[StreamId, Vitals]:
        return self._sampler.vitals

    @property
    def trouble(self) -> str | None:
        """What the host cannot say itself: that it gives no sign of life."""
        self._look_at_host()
        if self._silent_since is None:
            return None
        since = time.strftime("%H:%M:%S", time.localtime(self._silent_since))
        return f"the run's host has not answered since {since}; is it suspended? Streams run on"

    def strategy_use(self) -> Mapping[str, StrategyUse]:
        """Return nothing: strategies are asked where the run is hosted."""
        return {}

    @property
    def strategies(self) -> None:
        """None: they are loaded where the run is hosted."""
        return None

    def overhead(self) -> Overhead:
        state = self._feed.state
        now = self.now()
        work, set_up = accounting.work_seconds(state, now), accounting.setup_seconds(state, now)
        by_category = accounting.overhead_seconds(state)
        return Overhead(by_category, work, accounting.overhead_share(by_category, work + set_up))

    def pressure(self) -> tuple[Sample, ...]:
        return self._machine.samples()

    def submit(self, command: Command) -> Future[Refusal | None]:
        answer: Future[Refusal | None] = Future()
        asking = partial(self._ask, command, answer)
        threading.Thread(target=asking, name="anabranch-ask", daemon=True).start()
        return answer

    def _ask(self, command: Command, answer: Future[Refusal | None]) -> None:
        try:
            answer.set_result(self._asked(command))
        except Exception as error:
            answer.set_exception(error)

    def _asked(self, command: Command) -> Refusal | None:
        answer = None
        if holder_of(self._folder.lock) is not None:
            answer = requests.ask_host(self._folder, command, ANSWER_SECONDS)
        if answer is None:
            hint = f"anabranch resume {self.run} goes on with it"
            return Refusal("nobody hosts the run now", hint)
        return Refusal(answer.reason, answer.hint) if answer.reason is not None else None

    def _look(self, vitals: Mapping[StreamId, Vitals]) -> None:
        if not self._feed.state.has_ended:
            self._machine.look(vitals, memory_now())
        if self._changes is not None:
            self._changes.look(self._feed.state)
        if self._disk is not None:
            self._disk.look(self._feed.state)

    def _catch_up(self) -> None:
        """Take up what the journal has new.

        While it is being put back in its place it may fail for a moment: what was read stays.
        Raises MachineShort if it goes on failing.
        """
        with self._lock:
            try:
                self._read_on()
            except MachineShort:
                now = time.monotonic()
                self._fails_since = self._fails_since or now
                if now - self._fails_since > JOURNAL_PATIENCE_SECONDS:
                    raise
                self._open_anew()
            else:
                self._fails_since = None

    def _read_on(self) -> None:
        if not self._journal.is_in_place():
            self._open_anew()
        changes = self._journal.changes()
        if changes == self._written:
            return
        state = self._feed.state
        records = list(self._journal.read(state.seq))
        for record in records:
            state = evolve(state, record)
        self._written = changes
        self._feed.publish(state, records)

    def _open_anew(self) -> None:
        """Read on in the journal that its engine has put in the place of a removed one."""
        with suppress(AnabranchError):  # not yet: what was read stays
            journal = Journal.open(self._folder.journal, "read")
            self._journal.close()
            self._journal, self._written = journal, 0


def _counters(
    folder: RunFolder, state: State, watcher: WorkspaceWatcher
) -> tuple[ChangeCounter | None, DiskWatch | None]:
    """Return who counts what running streams change and take up; None if all is at rest."""
    if state.has_ended:
        return None, None
    from anabranch.engine.change_counter import ChangeCounter
    from anabranch.engine.disk_watch import DiskWatch
    from anabranch.engine.opening import open_project  # not for a run that is over

    try:
        repository = open_project(Path(state.project))[0]
    except UsageError:
        return None, None
    return ChangeCounter(repository, watcher), DiskWatch(folder, repository)
