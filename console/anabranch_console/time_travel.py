"""Looking at a run as it was: a source that shows either now or one moment of the past.

The journal says everything that ever happened, so any state of the run can be had again by folding
its events from the beginning. On the way a state is kept every few hundred events (states share
almost all they hold), and each later journey starts from the nearest of those. A journey may take
a while in a long run, so it is made on a thread of its own; the switch itself is one assignment.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from anabranch.core.events import Recorded, StateChanged
from anabranch.core.ids import RunId, Seq, StreamId
from anabranch.core.inputs import Command
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.views import accounting
from anabranch.core.views.history import evolve, first_state
from anabranch.paths import RunFolder
from anabranch_console.typed_numbers import whole_number

if TYPE_CHECKING:
    from anabranch.core.strategies import Strategies
    from anabranch.engine.guarded_strategies import StrategyUse
    from anabranch.engine.pressure_samples import Sample
    from anabranch.engine.source import Frame, Hosting, Overhead, Source
    from anabranch.engine.vitals import Vitals

KEEP_EVERY = 500
BACK_TO_LIVE = "esc goes back to live"


@dataclass(frozen=True, slots=True)
class Moment:
    """Where to go: a version of the shared state, or an event of the run."""

    version: int | None = None
    seq: Seq | None = None

    @property
    def words(self) -> str:
        """The moment as people call it."""
        return f"version {self.version}" if self.version is not None else f"event {self.seq}"


def version_number(text: str) -> int | None:
    """Return the version that somebody typed, None if that is not one."""
    return whole_number(text.strip().removeprefix("v"))


def moment_of(argument: str) -> Moment | None:
    """Return the moment that somebody typed: a version, or ``event NUMBER``."""
    word, _, rest = argument.strip().partition(" ")
    is_event = word in ("event", "seq")
    number = version_number(rest if is_event else argument)
    if number is None:
        return None
    return Moment(seq=number) if is_event else Moment(version=number)


class Rewinder:
    """Finds states of the past. Its methods are for one thread at a time; others wait."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._kept: list[State] = []

    def state_at(self, moment: Moment) -> State | Refusal:
        """Return the state right after a version or an event, or why it cannot be had."""
        with self._lock:
            found = self._seek(moment)
        if found is None or not _is_reached(found, moment):
            return Refusal(f"there is no {moment.words} in this run", "choose an earlier one")
        return found

    def _seek(self, moment: Moment) -> State | None:
        state = self._start_for(moment)
        for record in self._records(state.seq if state else 0):
            if state is not None and _is_past(record, moment, state):
                return state
            state = evolve(state, record) if state else first_state(record)
            if not self._kept or state.seq >= self._kept[-1].seq + KEEP_EVERY:
                self._kept.append(state)
        return state

    def _start_for(self, moment: Moment) -> State | None:
        """Return the latest kept state before a moment, that of the run's first event if none."""
        if moment.version is not None:
            at = bisect_left(self._kept, max(moment.version, 1), key=lambda s: s.shared.head)
        else:
            at = bisect_right(self._kept, moment.seq or 0, key=lambda s: s.seq)
        return self._kept[at - 1] if at else None

    def _records(self, after: Seq) -> Iterator[Recorded]:
        home = RunFolder(self._source.folder)
        return _journalled(home, after) if home.journal.is_file() else self._still_kept(after)

    def _still_kept(self, after: Seq) -> Iterator[Recorded]:
        frame = self._source.take(after)
        return iter(() if frame.missed else frame.events)


def _journalled(home: RunFolder, after: Seq) -> Iterator[Recorded]:
    from anabranch.engine.runs import records_of  # SQLite is only loaded for a journey

    return records_of(home, after)


def _is_past(record: Recorded, moment: Moment, state: State) -> bool:
    """Return whether an event comes after a moment that the state before it has reached."""
    if moment.version is None:
        return moment.seq is not None and record.seq > moment.seq
    event = record.event
    goes_on = isinstance(event, StateChanged) and event.version <= moment.version
    return state.shared.head >= moment.version and not goes_on


def _is_reached(state: State, moment: Moment) -> bool:
    if moment.version is not None:
        return state.shared.head == moment.version
    return state.seq == moment.seq


class TimeSource:
    """Shows what another source shows, or one state of the past, of which nothing moves."""

    def __init__(self, live: Source) -> None:
        self.live = live
        self.moment: Moment | None = None
        self._past: State | None = None
        self._is_new_time = False

    @property
    def past(self) -> State | None:
        """The state of the past that is shown, None while that is the present."""
        return self._past

    def show(self, moment: Moment, state: State) -> None:
        """Show a state of the past from now on."""
        self.moment, self._past, self._is_new_time = moment, state, True

    def show_live(self) -> None:
        """Show the present again."""
        self.moment, self._past, self._is_new_time = None, None, True

    @property
    def run(self) -> RunId:
        return self.live.run

    @property
    def folder(self) -> Path:
        return self.live.folder

    @property
    def hosting(self) -> Hosting:
        return self.live.hosting

    @property
    def state(self) -> State:
        return self._past or self.live.state

    def now(self) -> float:
        return self._past.at if self._past else self.live.now()

    def take(self, cursor: Seq) -> Frame:
        """Return what is new; events wait in the live source while the past is shown."""
        is_new, self._is_new_time = self._is_new_time, False
        if self._past is not None:
            return _frame_of_past(self._past, cursor, is_new)
        frame = self.live.take(cursor)
        return replace(frame, streams=frozenset(frame.state.streams)) if is_new else frame

    def vitals(self) -> Mapping[StreamId, Vitals]:
        return {} if self._past else self.live.vitals()

    def strategy_use(self) -> Mapping[str, StrategyUse]:
        return self.live.strategy_use()

    @property
    def trouble(self) -> str | None:
        return self.live.trouble

    @property
    def strategies(self) -> Strategies | None:
        return self.live.strategies

    def overhead(self) -> Overhead:
        if self._past is None:
            return self.live.overhead()
        return _overhead_of_past(self._past)

    def pressure(self) -> tuple[Sample, ...]:
        """Return what the machine was like; of the past that is not known."""
        return () if self._past else self.live.pressure()

    def submit(self, command: Command) -> Future[Refusal | None]:
        if self._past is None or self.moment is None:
            return self.live.submit(command)
        answer: Future[Refusal | None] = Future()
        answer.set_result(Refusal(f"this is {self.moment.words}, the past", BACK_TO_LIVE))
        return answer


def _frame_of_past(past: State, cursor: Seq, is_new: bool) -> Frame:
    from anabranch.engine.source import Frame  # it brings what the first picture does not need

    streams = frozenset(past.streams) if is_new else frozenset[StreamId]()
    return Frame(cursor, past, streams, (), 0)


def _overhead_of_past(past: State) -> Overhead:
    from anabranch.engine.source import Overhead

    by_category = accounting.overhead_seconds(past)
    work, set_up = accounting.work_seconds(past, past.at), accounting.setup_seconds(past, past.at)
    return Overhead(by_category, work, accounting.overhead_share(by_category, work + set_up))
