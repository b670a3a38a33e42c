"""Sees whether a service is ready, and whether it goes on to answer once it is.

The first look is had whatever the clock says: a service that became ready while no console was
there is not ended. What a console that is gone had seen of a failing one is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.streams.health import Health, Look
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import ReadyPlan
from anabranch.engine.performers.launching import surroundings_of
from anabranch.engine.performers.probes import LOOK_SECONDS, NotYet, Probe
from anabranch.env_files import BadEnvFile
from anabranch.hostile_text import escape_for_terminal
from anabranch.paths import RunFolder

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
SHOWN_CHARACTERS = 120

Surroundings = Callable[[], tuple[Mapping[str, str], Path]]
"""Returns the environment of an attempt and its folder; raises OSError, BadEnvFile."""


class _OfOneAttempt:
    """Looks at one attempt of a service.

    Args:
        state: the run as it stands.
        effect: whom to look at.
        now: the run clock, in seconds.
        around: what a command that looks finds around it.
        folder: the run's.
    """

    def __init__(
        self,
        state: Callable[[], State],
        effect: fx.AwaitReadiness | fx.WatchHealth,
        now: Callable[[], float],
        around: Surroundings,
        folder: RunFolder,
    ) -> None:
        self._state, self._now, self._of = state, now, effect
        self._ready = state().stream_plan(effect.stream).ready or ReadyPlan()
        is_for_health = isinstance(effect, fx.WatchHealth)
        suffix = ".health.log" if is_for_health else ".ready.log"
        self._log = folder.log(effect.stream, effect.attempt).with_suffix(suffix)
        self._probe = Probe(self._ready, self._stream, around, self._log, self._is_wanted)

    def _stream(self) -> Stream:
        return self._state().streams[self._of.stream]

    def _is_wanted(self) -> bool:
        stream = self._stream()
        is_same = stream.attempt == self._of.attempt and stream.cause == self._of.cause
        is_ready = isinstance(self._of, fx.WatchHealth)
        return is_same and stream.stop is None and stream.is_ready == is_ready


class Readiness(_OfOneAttempt):
    """Looks at one attempt of a service until it is ready, or its time is up."""

    def __init__(
        self,
        state: Callable[[], State],
        effect: fx.AwaitReadiness,
        now: Callable[[], float],
        around: Surroundings,
        folder: RunFolder,
    ) -> None:
        super().__init__(state, effect, now, around, folder)
        self._effect = effect

    async def wait(self) -> inputs.Input | None:
        """Return how it is when that is certain; None if nobody wants to know any more."""
        pause, seen = FIRST_PAUSE_SECONDS, ""
        while self._is_wanted():
            left = max(LOOK_SECONDS, self._effect.until - self._now())
            try:
                return self._answer(await self._probe.look(left), is_ready=True)
            except NotYet as error:
                seen = str(error)
            except (OSError, BadEnvFile) as error:
                seen = (error.strerror if isinstance(error, OSError) else "") or str(error)
            if self._now() >= self._effect.until:
                return self._answer(seen, is_ready=False)
            await asyncio.sleep(min(pause, max(0.0, self._effect.until - self._now())))
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        return None

    def _answer(self, evidence: str, *, is_ready: bool) -> inputs.Input:
        return inputs.ReadinessSeen(
            stream=self._effect.stream,
            attempt=self._effect.attempt,
            is_ready=is_ready,
            evidence=_shown(evidence),
            cause=self._effect.cause,
        )


class HealthWatch(_OfOneAttempt):
    """Looks at one attempt of a service that is ready, for as long as it answers."""

    async def watch(self) -> inputs.Input | None:
        """Return that it answers no more; None once nobody wants to know any more."""
        health = Health()
        while not health.is_unhealthy(self._ready):
            await asyncio.sleep(self._ready.interval_seconds)
            if not self._is_wanted():
                return None
            health = health.after(await self._look())
        return inputs.HealthSeen(
            stream=self._of.stream,
            attempt=self._of.attempt,
            evidence=health.words,
            since=health.since,
            cause=self._of.cause,
        )

    async def _look(self) -> Look:
        """Look once; of a command the output of the newest look is kept."""
        at = self._now()
        if self._stream().held:
            return Look(at, None)
        with contextlib.suppress(OSError):
            self._log.unlink(missing_ok=True)
        try:
            return Look(at, True, _shown(await self._probe.look()))
        except NotYet as error:
            is_of_it = self._is_wanted() and not self._stream().held
            return Look(at, False if is_of_it else None, _shown(str(error)))
        except (OSError, BadEnvFile):
            return Look(at, None)


def _shown(evidence: str) -> str:
    return escape_for_terminal(evidence)[:SHOWN_CHARACTERS]


async def look_at_service(
    state: Callable[[], State],
    effect: fx.AwaitReadiness | fx.WatchHealth,
    now: Callable[[], float],
    environment: Mapping[str, str],
    prefix: str,
    folder: RunFolder,
) -> inputs.Input | None:
    """Look at a service until it is ready, or answers no more once it was.

    ``environment`` is the user's, ``prefix`` where the project lies in its repository; the other
    arguments are those of :class:`Readiness`.
    """

    def around() -> tuple[Mapping[str, str], Path]:
        return surroundings_of(state(), effect.stream, effect.attempt, environment, prefix, folder)

    if isinstance(effect, fx.WatchHealth):
        return await HealthWatch(state, effect, now, around, folder).watch()
    return await Readiness(state, effect, now, around, folder).wait()
