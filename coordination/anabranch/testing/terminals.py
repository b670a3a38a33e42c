"""Simulated terminals: what is typed into them, once however often it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.events import Verdict
from anabranch.core.ids import Seq, StreamId

VERDICTS: tuple[Verdict, ...] = ("delivered", "delivered", "refused", "stalled", "unknown")


class SimulatedTerminals:
    """The holders' side: they live on when the engine is killed, and know what they have typed."""

    def __init__(self, rng: Random, sometimes: Callable[[str], None]) -> None:
        self._rng, self._sometimes = rng, sometimes
        self._verdicts: dict[tuple[StreamId, Seq], Verdict] = {}
        self.typed: Counter[tuple[StreamId, Seq]] = Counter()

    def type(self, effect: fx.TypeInput) -> inputs.InputTyped:
        """Type a line that was not typed yet, and say what became of it."""
        key = (effect.stream, effect.number)
        if key not in self._verdicts:
            self._verdicts[key] = self._rng.choice(VERDICTS)
            self.typed[key] += self._verdicts[key] != "refused"
        else:
            self._sometimes("a line was asked for again, and not typed again")
        self._sometimes("a line was sent into a terminal")
        return inputs.InputTyped(
            stream=effect.stream,
            number=effect.number,
            verdict=self._verdicts[key],
            evidence="simulated",
            cause=effect.cause,
        )
