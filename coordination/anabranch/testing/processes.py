"""Simulated processes: they live in the world, so a crash of the engine does not touch them.

Each has a *fate*, drawn from the seed when it is asked for. Its engine hears of it by reports that
may be late or lost; an engine that comes after a crash learns the newest fact of each by a survey,
exactly as the real performer reads it from the streams' folders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random

import msgspec

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.testing.agenda import Agenda
from anabranch.testing.clock import FakeClock
from anabranch.testing.faults import Faults

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
    setup_seconds: float | None = None
    setup_fails: bool = False
    is_lost_early: bool = False


def drawn_fate(rng: Random, faults: Faults, state: State, effect: fx.StartProcess) -> Fate:
    """Return how a process will go; in a workspace that was taken over there is no setup."""
    run = state.at_attempt(effect.stream, effect.attempt)
    fate = Fate(rng.uniform(0.01, 0.5), rng.uniform(0.2, 6.0))
    changes: dict[str, object] = {"ignores_stop": rng.random() < faults.stop_ignored}
    if state.stream_plan(run.id).setup is not None and not run.goes_on_from:
        changes["setup_seconds"] = rng.uniform(0.1, 3.0)
        changes["setup_fails"] = rng.random() < faults.setup_fails
        changes["is_lost_early"] = rng.random() < 0.5
    if rng.random() < faults.process_never_begins:
        changes["never_begins"] = True
    elif rng.random() < faults.holder_killed:
        changes["is_lost"] = True
    elif rng.random() < faults.process_fails:
        code, signal, error = rng.choice(
            ((1, None, None), (3, None, None), (None, 9, None), (127, None, "no such file"))
        )
        changes |= {"exit_code": code, "signal": signal, "error": error}
    return msgspec.structs.replace(fate, **changes)


class SimulatedProcess(msgspec.Struct):
    """One attempt's process, and what has become of it."""

    stream: StreamId
    attempt: Attempt
    pid: int
    fate: Fate
    setup_at: float | None = None
    setup: inputs.SetupDone | None = None
    begun_at: float | None = None
    ended_at: float | None = None
    ending: inputs.AttemptObservation | None = None

    @property
    def is_endless(self) -> bool:
        """Whether it runs until somebody ends it."""
        return math.isinf(self.fate.seconds)

    @property
    def is_running(self) -> bool:
        return self.begun_at is not None and self.ending is None

    @property
    def is_held(self) -> bool:
        """Whether its holder is there: for its setup, or for its command."""
        return (self.setup_at is not None or self.begun_at is not None) and self.ending is None


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
        if not process.is_held:
            return
        if process.begun_at is None:
            self._sometimes("a setup was stopped")
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
            is_waiting = not process.is_held and process.ending is None
            if is_waiting and rng.random() < 0.5:
                self._sometimes("a request to start was lost in a crash")
                process.ending = self._lost(process)
                del self.known[key]

    def survey(self) -> list[inputs.AttemptObservation]:
        """Return the newest fact about every attempt that ever began, or that never will."""
        found: list[inputs.AttemptObservation] = []
        for process in self.known.values():
            if process.setup_at is not None:
                found.append(self._setup_began(process))
                found += [process.setup] if process.setup is not None else []
                if process.begun_at is not None and process.ending is not None:
                    found.append(self._started(process))
            if process.ending is not None:
                found.append(process.ending)
            elif process.begun_at is not None:
                self._sometimes("a running process was adopted")
                found.append(self._started(process))
            elif process.setup_at is not None:
                self._sometimes("a setup was adopted")
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
        seconds = process.fate.setup_seconds
        if seconds is None:
            self._run(process)
            return
        process.setup_at = self._clock()
        self._report(self._setup_began(process))
        if process.fate.is_lost and process.fate.is_lost_early:
            self._agenda.after(seconds / 2, lambda: self._lose(process))
        self._agenda.after(seconds, lambda: self._set_up(process))

    def _set_up(self, process: SimulatedProcess) -> None:
        """End a setup: its command begins, or never will."""
        if process.ending is not None:
            return
        failure = "setup failed: exit 3" if process.fate.setup_fails else ""
        assert process.setup_at is not None
        process.setup = inputs.SetupDone(
            stream=process.stream,
            attempt=process.attempt,
            exit_code=3 if failure else 0,
            signal=None,
            seconds=self._clock() - process.setup_at,
            failure=failure,
            happened_at=self._clock(),
        )
        self._report(process.setup)
        self._sometimes("a setup failed" if failure else "a setup was done")
        if not failure:
            self._run(process)
            return
        ending = inputs.ProcessExited(
            stream=process.stream,
            attempt=process.attempt,
            exit_code=None,
            signal=None,
            error=failure,
            happened_at=self._clock(),
        )
        self._end(process, ending)

    def _run(self, process: SimulatedProcess) -> None:
        process.begun_at = self._clock()
        self._on_begin(process)
        self._report(self._started(process))
        fate = process.fate
        if process.is_endless:
            return
        if fate.is_lost:
            self._agenda.after(fate.seconds, lambda: self._lose(process))
        else:
            self._agenda.after(
                fate.seconds, lambda: self._exit(process, fate.exit_code, fate.signal)
            )

    def _lose(self, process: SimulatedProcess) -> None:
        if process.is_held:
            self._sometimes("a holder was killed")
            self._end(process, self._lost(process))

    def _exit(self, process: SimulatedProcess, code: int | None, signal: int | None) -> None:
        if not process.is_held:
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

    def _setup_began(self, process: SimulatedProcess) -> inputs.SetupBegan:
        assert process.setup_at is not None
        return inputs.SetupBegan(
            stream=process.stream,
            attempt=process.attempt,
            pid=process.pid,
            holder_pid=process.pid + 100_000,
            log=f"/logs/{process.stream}.{process.attempt}.setup.log",
            happened_at=process.setup_at,
        )

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
