"""Simulated processes: they live in the world, so a crash of the engine does not touch them.

Each has a *fate*, drawn from the seed when it is asked for. Its engine hears of it by reports that
may be late or lost; an engine that comes after a crash learns the newest fact of each by a survey,
exactly as the real performer reads it from the streams' folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import msgspec

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.testing.agenda import Agenda
from anabranch.testing.clock import FakeClock

Key = tuple[StreamId, Attempt]


class Fate(msgspec.Struct, frozen=True):
    """How a process will go if nobody interferes."""

    delay_seconds: float
    seconds: float
    exit_code: int | None = 0
    signal: int | None = None
    error: str | None = None
    is_lost: bool = False
    never_begins: bool = False
    ignores_stop: bool = False


class SimulatedProcess(msgspec.Struct):
    """One attempt's process, and what has become of it."""

    stream: StreamId
    attempt: Attempt
    pid: int
    fate: Fate
    begun_at: float | None = None
    ended_at: float | None = None
    ending: inputs.AttemptObservation | None = None

    @property
    def is_running(self) -> bool:
        return self.begun_at is not None and self.ending is None


class SimulatedProcesses:
    """The processes of a world. ``report`` gets what happens, while an engine is there to hear."""

    def __init__(
        self,
        clock: FakeClock,
        agenda: Agenda,
        report: Callable[[inputs.AttemptObservation], None],
        on_begin: Callable[[SimulatedProcess], None],
        on_end: Callable[[SimulatedProcess], None],
        sometimes: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._agenda = agenda
        self._report = report
        self._on_begin = on_begin
        self._on_end = on_end
        self._sometimes = sometimes
        self.known: dict[Key, SimulatedProcess] = {}

    def running(self) -> Iterator[SimulatedProcess]:
        return (p for p in self.known.values() if p.is_running)

    def memory_seen(self, rng: Random) -> inputs.MemorySeen:
        """Return what a look at the memory of all that run finds, when there is little left."""
        uses = [
            inputs.MemoryUse(p.stream, p.attempt, rng.uniform(50.0, 400.0)) for p in self.running()
        ]
        return inputs.MemorySeen(uses=tuple(uses), is_short=rng.random() < 0.5)

    def start(self, stream: StreamId, attempt: Attempt, fate: Fate) -> None:
        """Start an attempt once, however often it is asked."""
        if (stream, attempt) in self.known:
            return
        process = SimulatedProcess(stream, attempt, 1000 + len(self.known), fate)
        self.known[stream, attempt] = process
        self._agenda.after(fate.delay_seconds, lambda: self._begin(process))

    def stop(self, stream: StreamId, attempt: Attempt, grace_seconds: float, rng: Random) -> None:
        """Ask a process to end; one that ignores it is killed when the grace is over."""
        process = self.known[stream, attempt]
        if not process.is_running:
            return
        if process.fate.ignores_stop:
            self._sometimes("a stop was ignored until the grace ended")
            self._agenda.after(grace_seconds, lambda: self._exit(process, None, 9))
        else:
            self._sometimes("a stop was obeyed")
            code = rng.choice((0, 143))
            self._agenda.after(rng.uniform(0.01, 0.3), lambda: self._exit(process, code, None))

    def lose_the_waiting(self, rng: Random) -> None:
        """With its engine die some requests that nobody has taken up yet."""
        for key, process in list(self.known.items()):
            if process.begun_at is None and process.ending is None and rng.random() < 0.5:
                self._sometimes("a request to start was lost in a crash")
                process.ending = self._lost(process)
                del self.known[key]

    def survey(self) -> list[inputs.AttemptObservation]:
        """Return the newest fact about every attempt that ever began, or that never will."""
        found: list[inputs.AttemptObservation] = []
        for process in self.known.values():
            if process.ending is not None:
                found.append(process.ending)
            elif process.begun_at is not None:
                self._sometimes("a running process was adopted")
                found.append(self._started(process))
        return found

    # --- a process's life ------------------------------------------------------------------------

    def _begin(self, process: SimulatedProcess) -> None:
        if process.ending is not None:
            return
        if process.fate.never_begins:
            self._sometimes("a process never began")
            self._end(
                process,
                inputs.EffectFailed(
                    stream=process.stream, attempt=process.attempt, reason="no holder"
                ),
            )
            return
        process.begun_at = self._clock()
        self._on_begin(process)
        self._report(self._started(process))
        fate = process.fate
        if fate.is_lost:
            self._agenda.after(fate.seconds, lambda: self._lose(process))
        else:
            self._agenda.after(
                fate.seconds, lambda: self._exit(process, fate.exit_code, fate.signal)
            )

    def _lose(self, process: SimulatedProcess) -> None:
        if process.is_running:
            self._sometimes("a holder was killed")
            self._end(process, self._lost(process))

    def _exit(self, process: SimulatedProcess, code: int | None, signal: int | None) -> None:
        if not process.is_running:
            return
        error = process.fate.error
        self._sometimes(_how(code, signal, error))
        self._end(
            process,
            inputs.ProcessExited(
                stream=process.stream,
                attempt=process.attempt,
                exit_code=127 if error else code,
                signal=None if error else signal,
                error=error,
                happened_at=self._clock(),
                memory_kills=process.pid % 2 if process.fate.signal == 9 else 0,
            ),
        )

    def _end(self, process: SimulatedProcess, ending: inputs.AttemptObservation) -> None:
        process.ended_at = self._clock()
        process.ending = ending
        if process.begun_at is not None:
            self._on_end(process)
        self._report(ending)

    def _started(self, process: SimulatedProcess) -> inputs.ProcessStarted:
        assert process.begun_at is not None
        return inputs.ProcessStarted(
            stream=process.stream,
            attempt=process.attempt,
            pid=process.pid,
            holder_pid=process.pid + 100_000,
            log=f"/logs/{process.stream}.{process.attempt}.log",
            happened_at=process.begun_at,
        )

    def _lost(self, process: SimulatedProcess) -> inputs.ProcessLost:
        return inputs.ProcessLost(
            stream=process.stream, attempt=process.attempt, reason="its holder was killed"
        )


def _how(code: int | None, signal: int | None, error: str | None) -> str:
    if error:
        return "a command could not be run"
    if signal is not None:
        return "a process was ended by a signal"
    return "a process exited 0" if code == 0 else "a process exited otherwise"
