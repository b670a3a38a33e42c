"""Bringing a checkpoint's files to a running stream: at a quiet moment, or at one that is made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.engine import workspaces as ws
from anabranch.engine.performers.holding_still import held_still
from anabranch.engine.performers.point_checkpoints import CheckpointEffects, declined, delayed
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.paths import RunFolder

LOOK_FOR_QUIET_SECONDS = 0.5
SHARE_OF_PATIENCE, MOST_SECONDS = 0.5, 10.0
"""For so much of an offer's patience, and so many seconds, a quiet moment is looked for."""

RESTLESS = "its files are never at rest"


class Offering:
    """Performs offers of one run; lives in the engine's event loop.

    Args:
        folder: the run's folder.
        checkpoints: brings the files.
        watcher: knows when files changed last.
        now: the run clock.
        state: returns the newest state.
        post: takes what has become of an offer.
        workers: where files and git are used.
        alone_in: returns what keeps captures of a workspace away meanwhile.
    """

    def __init__(
        self,
        folder: RunFolder,
        checkpoints: CheckpointEffects,
        watcher: WorkspaceWatcher,
        now: Callable[[], float],
        state: Callable[[], State],
        post: Callable[[inputs.Input], None],
        workers: ThreadPoolExecutor,
        alone_in: Callable[[StreamId], asyncio.Lock],
    ) -> None:
        self._folder = folder
        self._checkpoints = checkpoints
        self._watcher = watcher
        self._now = now
        self._state = state
        self._post = post
        self._workers = workers
        self._alone_in = alone_in

    async def offer(self, effect: fx.OfferCheckpoint) -> None:
        """Wait for a quiet moment in a workspace, or make one, and bring the files."""
        began, reason = self._now(), await self._why_not_quiet(effect)
        until = began + effect.patience_seconds
        makes_one_at = began + min(SHARE_OF_PATIENCE * effect.patience_seconds, MOST_SECONDS)
        while reason is not None and not (reason == RESTLESS and self._now() >= makes_one_at):
            self._post(delayed(effect, reason))
            if self._now() >= until:
                self._post(declined(effect, reason))
                return
            await asyncio.sleep(LOOK_FOR_QUIET_SECONDS)
            reason = await self._why_not_quiet(effect)
        async with self._alone_in(effect.stream):
            moment = None if reason is None else self._moment(effect)
            task = partial(self._checkpoints.bring, self._state(), effect, moment)
            loop = asyncio.get_running_loop()
            self._post(await loop.run_in_executor(self._workers, task))

    def _moment(self, effect: fx.OfferCheckpoint) -> ws.Moment:
        """Return what keeps a stream that is never at rest still for a moment."""
        name = self._folder.attempt_name(effect.stream, effect.attempt)
        holder = self._state().streams[effect.stream].holder_pid
        return partial(held_still, self._folder.attempts / name, holder)

    async def _why_not_quiet(self, effect: fx.OfferCheckpoint) -> str | None:
        last = self._watcher.last_change_at(effect.stream)
        if last is not None and time.monotonic() - last < ws.QUIET_SECONDS:
            return RESTLESS
        look = partial(self._checkpoints.why_not_now, self._state(), effect)
        return await asyncio.get_running_loop().run_in_executor(self._workers, look)
