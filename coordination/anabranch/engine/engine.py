"""The single writer: takes inputs, decides, makes the events durable, and says what is owed.

Nothing here waits or performs; a host calls :meth:`Engine.turn` with what has come in and then does
what is owed. That makes one turn one transaction, and lets a simulation drive the very same code.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from anabranch.core.calls import Answer
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.owed import owed
from anabranch.core.effects import Effect
from anabranch.core.events import Recorded
from anabranch.core.inputs import Input
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies
from anabranch.engine.stopwatch import Stopwatch


class EventStore(Protocol):
    """Where events become durable: all of one call, or none."""

    def append(self, records: Sequence[Recorded]) -> None: ...


class Turn(msgspec.Struct, frozen=True):
    """What one turn brought; all but records and effects by the position of the input.

    ``seconds`` is how long it took to decide about those that took a while.
    """

    records: tuple[Recorded, ...]
    effects: tuple[Effect, ...]
    refusals: dict[int, Refusal]
    answers: dict[int, Answer] = {}
    seconds: dict[int, float] = {}


class Meter(msgspec.Struct):
    """Seconds that the engine itself has spent, by what on."""

    deciding: float = 0.0
    journalling: float = 0.0


Immediate = Callable[[State, Effect], Input | None]
"""Gives what comes of an effect that asks nothing of the world; None if it has to be performed."""


def nothing_immediate(state: State, effect: Effect) -> None:
    """Leave every effect to be performed."""


class Engine:
    """Holds the state of one run; the only one who changes it."""

    def __init__(
        self,
        store: EventStore,
        strategies: Strategies,
        now: Callable[[], float],
        state: State | None = None,
        immediate: Immediate = nothing_immediate,
    ) -> None:
        self._store = store
        self._strategies = strategies
        self._now = now
        self._state = state
        self._immediate = immediate
        self.meter = Meter()

    @property
    def state(self) -> State:
        """The newest durable state."""
        assert self._state is not None, "the first input of a run is StartRun"
        return self._state

    def turn(self, inputs: Sequence[Input]) -> Turn:
        """Work off inputs in their order, as one transaction.

        The result of an effect that needs no performer is worked off in the same transaction.
        Raises DiskFull or WorldError if the events could not be made durable; then nothing has
        happened, and the same inputs can be given again.
        """
        began = time.perf_counter()
        state, records, effects = self._state, list[Recorded](), dict[Effect, None]()
        refusals: dict[int, Refusal] = {}
        answers: dict[int, Answer] = {}
        seconds: dict[int, float] = {}
        waiting = deque(enumerate(inputs))
        stopwatch = Stopwatch()
        while waiting:
            position, given = waiting.popleft()
            outcome = decide(state, given, self._now(), self._strategies)
            took = stopwatch.lap()
            if took:
                seconds[position] = seconds.get(position, 0.0) + took
            if isinstance(outcome, Refusal):
                refusals[position] = outcome
                continue
            state = outcome.state
            records += outcome.events
            if outcome.answer is not None:
                answers[position] = outcome.answer
            for effect in outcome.effects:
                result = self._immediate(state, effect)
                if result is None:
                    effects[effect] = None
                else:
                    waiting.append((position, result))
        decided = time.perf_counter()
        self._store.append(records)
        self._state = state
        self.meter.deciding += decided - began
        self.meter.journalling += time.perf_counter() - decided
        return Turn(tuple(records), tuple(effects), refusals, answers, seconds)

    def owed(self) -> tuple[Effect, ...]:
        """Return everything that is to be done, as after a restart."""
        return owed(self.state)
