"""Doing what is owed: each effect goes to its performer, and how it went comes back as an input.

Git and the disk are used in worker threads, processes through their holders, time through the event
loop. An effect that is already under way is not begun twice. A full disk, or a machine short of
processes, memory or descriptors, is not a failure: the effect is tried again until there is enough,
and the stream says what it waits for. Any other error, expected
or not, becomes an observation; nothing raised here ever reaches the engine's loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.owed import is_owed
from anabranch.core.deciding.streams.stealing import let_go
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies
from anabranch.engine import workspaces as ws
from anabranch.engine.clock import RunClock
from anabranch.engine.effort import Effort
from anabranch.engine.executing import Executing
from anabranch.engine.git_workers import GitWorkers
from anabranch.engine.interference import Interference
from anabranch.engine.machine_room import descriptors_left, kept_descriptors
from anabranch.engine.performers.approvals import approve_result
from anabranch.engine.performers.asking import ask_stream
from anabranch.engine.performers.captures import CaptureEffects
from anabranch.engine.performers.failures import failure_of
from anabranch.engine.performers.giving_back import give_back
from anabranch.engine.performers.going_on import handlers_in_env
from anabranch.engine.performers.keeping_lessons import keep_lessons
from anabranch.engine.performers.launching import launch_spec
from anabranch.engine.performers.making_ready import with_notes
from anabranch.engine.performers.offering import Offering
from anabranch.engine.performers.plan_variables import own_variables
from anabranch.engine.performers.point_checkpoints import CheckpointEffects
from anabranch.engine.performers.ports import return_ports, with_ports
from anabranch.engine.performers.process_observations import Observations
from anabranch.engine.performers.processes import Processes
from anabranch.engine.performers.resolver import run_resolver
from anabranch.engine.performers.verifier import run_verify
from anabranch.engine.performers.wall_times import WallTimes
from anabranch.engine.performers.want import want_of
from anabranch.engine.performers.workspaces import (
    NoWorkingFolder,
    WorkspaceEffects,
    in_words,
)
from anabranch.engine.reporting import write_report
from anabranch.engine.vitals import Vitals
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.errors import MachineShort
from anabranch.paths import RunFolder

if TYPE_CHECKING:
    from anabranch.engine.jobserver import Jobserver

_log = logging.getLogger(__name__)

SHORTAGE_RETRY_SECONDS = 2.0
MOST_WAITS_FOR_WORDS = 30
"""How often a shortage is waited out that only a program's words speak for, and no trial."""
CAPTURE_AGAIN_SECONDS = (0.5, 2.0)
WORKERS = 4

E = TypeVar("E", bound=fx.Effect)


class Performing:
    """Performs the effects of one run. Lives in the engine's event loop."""

    def __init__(
        self,
        folder: RunFolder,
        workspaces: WorkspaceEffects,
        clock: RunClock,
        environment: Mapping[str, str],
        state: Callable[[], State],
        post: Callable[[inputs.Input], None],
        effort: Callable[[], Effort],
        variables: Callable[[StreamId, Attempt, str], Mapping[str, str]],
        watcher: WorkspaceWatcher,
        executing: Executing,
        strategies: Strategies,
        interference: Interference,
        hear_handlers: Callable[[StreamId], Awaitable[None]],
        vitals: Callable[[], Mapping[StreamId, Vitals]],
    ) -> None:
        self._folder = folder
        self._workspaces = workspaces
        self._captures = CaptureEffects(workspaces.repository, folder, clock.now)
        self._clock = clock
        self._environment = environment
        self._state = state
        self._post = post
        self._effort = effort
        self._variables = variables
        self._executing = executing
        self._strategies = strategies
        self._is_leaving = False
        self._checkpoints = CheckpointEffects(workspaces, watcher.expecting)
        self._workers = GitWorkers(WORKERS)
        self._under_way: dict[fx.Effect, asyncio.Task[None]] = {}
        self._held_up: dict[fx.Effect, str] = {}
        self._reporting = asyncio.Lock()
        self.reported: Seq | None = None
        """Up to which event the report tells, as far as it could be written."""
        self._workspace_locks: dict[StreamId, asyncio.Lock] = {}
        self._offering = Offering(
            folder,
            self._checkpoints,
            watcher,
            clock.now,
            state,
            post,
            self._workers,
            self._alone_in,
        )
        self._timers: dict[fx.WakeAt, asyncio.TimerHandle] = {}
        self._wall_times = WallTimes(clock.now, lambda e: is_owed(state(), e), post)
        self._interference = interference
        self._hear_handlers = hear_handlers
        self._vitals = vitals
        observations = Observations(folder, clock, self._cause)
        self.processes = Processes(folder, post, observations, interference)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way (what only watches does not count)."""
        return all(isinstance(effect, fx.WatchHealth) for effect in self._under_way)

    @property
    def trouble(self) -> str | None:
        """What the run itself waits for, in words; a stream's own waits are told as its own."""
        waits = (f"{fx.in_words(e)} waits: {reason}" for e, reason in self._held_up.items())
        return next(waits, self._wall_times.trouble)

    async def open(self) -> list[inputs.Input]:
        """Begin to watch processes; return what has become of those of an earlier engine.

        The survey comes first and in this thread: both look at the same attempts, and what one
        finds the other must not find once more.
        """
        start_threads(self._workers)
        found = self.processes.survey()
        await self.processes.open()
        return [*found]

    async def close(self) -> None:
        """Leave; processes run on. Threads are waited for, but a long call of git is ended."""
        self._is_leaving = True
        for timer in self._timers.values():
            timer.cancel()
        self._wall_times.close()
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self.processes.close()
        await self._workers.leave()

    @cached_property
    def _jobserver(self) -> Jobserver:
        from anabranch.engine.jobserver import Jobserver  # here: few plans have one

        return Jobserver(self._folder, self._state, self._vitals)

    async def lend_tokens(self) -> None:
        """Share the machine's slots among the builds in streams, for ever, if the plan says so."""
        if self._state().plan.has_jobserver:
            await self._jobserver.watch()

    def perform(self, effect: fx.Effect) -> None:
        """Begin an effect, unless it is under way."""
        if isinstance(effect, fx.WakeAt):
            self._wake_at(effect)
        elif isinstance(effect, fx.FindTime):
            self._wall_times.watch(effect)
        elif effect not in self._under_way:
            task = asyncio.get_running_loop().create_task(self._perform(effect))
            self._under_way[effect] = task
            task.add_done_callback(lambda _: self._is_over(effect))

    def _is_over(self, effect: fx.Effect) -> None:
        self._under_way.pop(effect, None)
        self._held_up.pop(effect, None)

    # --- one effect ------------------------------------------------------------------------------

    async def _perform(self, effect: fx.Effect) -> None:
        """Do it, as often as the machine is short of something; say what comes of it."""
        words_left = MOST_WAITS_FOR_WORDS
        while True:
            try:
                return await self._dispatch(effect)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                want = want_of(error, self._workspaces.places, self._folder.path)
                words_left -= want is not None and not want.is_certain
                if want is None or words_left < 0:
                    self._post_failure(
                        effect, in_words(error), isinstance(error, NoWorkingFolder)
                    )  # first: noting it may fail, too
                    _log.exception("performing %s", effect)
                    return None
            self._post_delay(effect, want.what)
            await asyncio.sleep(SHORTAGE_RETRY_SECONDS)

    async def _dispatch(self, effect: fx.Effect) -> None:
        match effect:
            case fx.CaptureBase():
                await self._in_thread(effect, self._workspaces.capture_base)
            case fx.PrepareWorkspace():
                left_by = self._workspaces.left_by(self._state(), effect)
                await self._in_thread(effect, self._prepare, self._alone_in(left_by))
                await self._give_back(effect.stream, effect.attempt - 1)
            case fx.CaptureResult():
                await self._capture(effect)
            case fx.TearDown():
                await self._tear_down(effect)
            case fx.TakeCheckpoint():
                await self._in_thread(
                    effect, self._captures.checkpoint, self._alone_in(effect.stream)
                )
            case fx.MergeCheckpoint():
                await self._in_thread(effect, self._checkpoints.merge)
            case fx.OfferCheckpoint():
                await self._offer(effect)
            case fx.MergeResults():
                await self._in_thread(effect, self._workspaces.merge)
            case fx.RunResolver():
                await self._resolve(effect)
            case fx.RunVerify():
                await self._verify(effect)
            case fx.ApproveResult():
                await self._approve(effect)
            case fx.StartProcess():
                await self._start(effect)
            case fx.AskVictim():
                self._post(let_go(effect))
            case fx.AskStream():
                await self._ask(effect)
            case fx.TypeInput():
                await self._type(effect)
            case fx.RecoverHandler():
                await self._recover_handler(effect)
            case fx.StopProcess():
                await self.processes.stop(effect.stream, effect.attempt, effect.grace_seconds)
            case fx.AwaitReadiness() | fx.WatchHealth():
                await self._look_at_service(effect)
            case fx.ReturnPorts():
                await asyncio.to_thread(return_ports, effect, self._folder)
            case fx.RemoveOldRuns():
                await self._in_thread(effect, self._remove_old_runs)
            case fx.WriteReport():
                await self._write_report()

    async def _in_thread(
        self,
        effect: E,
        work: Callable[[State, E], inputs.Input],
        alone: AbstractAsyncContextManager[object] | None = None,
    ) -> None:
        """Do some work in a worker thread and post what it returns."""
        async with alone or nullcontext():
            task = partial(work, self._state(), effect)
            self._post(await asyncio.get_running_loop().run_in_executor(self._workers, task))

    def _prepare(self, state: State, effect: fx.PrepareWorkspace) -> inputs.Input:
        return with_ports(state, effect, self._folder, self._workspaces.prepare(state, effect))

    async def _capture(self, effect: fx.CaptureResult) -> None:
        """Capture a stream's work; where that fails it is tried again, and the work is not.

        What passes (a filter that needs the network, a permission) has passed by then, or it takes
        a person, who finds what could be captured. How its handlers have ended is heard before.
        """
        if self._folder.handlers(effect.stream).exists():
            await self._hear_handlers(effect.stream)
        for pause_seconds in (*CAPTURE_AGAIN_SECONDS, None):
            try:
                await self._in_thread(effect, self._captures.capture, self._alone_in(effect.stream))
            except (ws.GitError, OSError) as error:
                if want_of(error, self._workspaces.places, self._folder.path) is not None:
                    raise
                reason = in_words(error)
                if pause_seconds is None:
                    break
                self._post_delay(effect, f"its work cannot be captured: {reason}")
                await asyncio.sleep(pause_seconds)
            else:
                return
        salvage = partial(self._captures.capture_what_can_be, reason=reason)
        await self._in_thread(effect, salvage, self._alone_in(effect.stream))

    async def _tear_down(self, effect: fx.TearDown) -> None:
        from anabranch.engine.performers.tearing_down import tear_down  # few plans have one

        self._post(
            await tear_down(
                self._workspaces,
                self._folder,
                self._state(),
                effect,
                self._environment,
                self._executing,
            )
        )

    async def _give_back(self, stream: StreamId, attempt: Attempt) -> None:
        """Give back the workspace of the attempt before; whatever hinders it does no harm."""
        task = partial(give_back, self._workspaces.repository, self._state(), stream, attempt)
        try:
            gone = await asyncio.get_running_loop().run_in_executor(self._workers, task)
        except Exception as error:
            _log.debug("the workspace of %s.%s stays: %s", stream, attempt, error)
        else:
            if gone is not None:
                self._post(gone)

    async def _offer(self, effect: fx.OfferCheckpoint) -> None:
        await self._offering.offer(effect)
        self._interference.touched(effect.stream)

    def _alone_in(self, stream: StreamId) -> asyncio.Lock:
        """Return the lock of a workspace: captures of it and what is brought to it take turns.

        The result is posted before the next begins: a capture that did not know yet what others'
        files were brought would take them for the stream's own.
        """
        return self._workspace_locks.setdefault(stream, asyncio.Lock())

    async def _write_report(self) -> None:
        async with self._reporting:
            effort, state = self._effort(), self._state()
            try:
                await write_report(self._folder, state, self._clock.now(), effort)
                await asyncio.to_thread(keep_lessons, self._folder, state)
            finally:
                self.reported = state.seq

    def _remove_old_runs(self, state: State, _: fx.RemoveOldRuns) -> inputs.Input:
        from anabranch.engine.performers.old_runs import remove_old_runs  # few plans ask for it

        return remove_old_runs(self._folder, state, self._strategies, lambda: self._is_leaving)

    async def _resolve(self, effect: fx.RunResolver) -> None:
        repository = self._workspaces.repository
        self._post(
            await run_resolver(repository, self._folder, self._state, effect, self._environment)
        )

    async def _verify(self, effect: fx.RunVerify) -> None:
        self._post(
            await run_verify(self._workspaces, self._folder, self._state, effect, self._environment)
        )

    async def _approve(self, effect: fx.ApproveResult) -> None:
        self._post(
            await approve_result(
                self._workspaces, self._folder, self._state, effect, self._environment
            )
        )

    async def _ask(self, effect: fx.AskStream) -> None:
        self._post(
            await ask_stream(
                self.processes,
                self._folder,
                self._state,
                effect,
                self._environment,
                self._interference,
            )
        )

    async def _look_at_service(self, effect: fx.AwaitReadiness | fx.WatchHealth) -> None:
        from anabranch.engine.performers.readiness import look_at_service  # few runs have services

        around = (self._environment, self._workspaces.prefix, self._folder)
        seen = await look_at_service(self._state, effect, self._clock.now, *around)
        if seen is not None:
            self._post(seen)

    async def _type(self, effect: fx.TypeInput) -> None:
        from anabranch.engine.performers.sending import type_input  # here: few runs are typed into

        outcome = await type_input(self.processes, self._folder, self._state, effect)
        if outcome is not None:
            self._post(outcome)

    async def _recover_handler(self, effect: fx.RecoverHandler) -> None:
        from anabranch.engine.performers.fanning import pass_on  # here: few runs have handlers

        await asyncio.to_thread(pass_on, self._folder, effect)
        self._post(inputs.HandlerRequestPassedOn(effect.stream, effect.attempt, effect.cause))

    async def _start(self, effect: fx.StartProcess) -> None:
        left = descriptors_left()
        if left is not None and left < kept_descriptors():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        state = self._state()
        spec = launch_spec(
            state,
            effect.stream,
            effect.attempt,
            self._environment,
            self._workspaces.prefix,
            self._variables,
            self._folder,
        )
        plan = state.stream_plan(effect.stream)
        spec.env.update(handlers_in_env(state, effect.stream, self._folder))
        if state.plan.has_jobserver:
            own = own_variables(state, effect.stream, self._workspaces.prefix, self._folder)
            spec = await self._jobserver.serve(spec, own)
        if plan.fan is not None:
            from anabranch.engine.performers.fanning import fanned_out  # here: few streams fan out

            spec = await asyncio.to_thread(
                fanned_out, state, plan.fan, spec, self._folder, self._workspaces.repository
            )
        if plan.executor:
            spec = await asyncio.to_thread(self._executing.applied, plan, spec)
        await self.processes.start(with_notes(self._workspaces.repository, state, spec))

    # --- time ------------------------------------------------------------------------------------

    def _wake_at(self, effect: fx.WakeAt) -> None:
        if effect.replaces:
            for other in [t for t in self._timers if _is_replaced(t, effect)]:
                self._timers.pop(other).cancel()
        if effect not in self._timers:
            delay = max(0.0, effect.at - self._clock.now())
            loop = asyncio.get_running_loop()
            self._timers[effect] = loop.call_later(delay, self._wake, effect)

    def _wake(self, effect: fx.WakeAt) -> None:
        del self._timers[effect]
        if self._clock.now() < effect.at:  # timers may be early by the clock's grain
            self._wake_at(effect)
        else:
            self._post(inputs.TimeReached(cause=effect.cause))

    def _cause(self, stream: StreamId) -> Seq | None:
        """Return what the newest news of a stream come of."""
        known = self._state().streams.get(stream)
        return known.cause if known else None

    # --- when it does not go well ----------------------------------------------------------------

    def _post_delay(self, effect: fx.Effect, reason: str) -> None:
        if isinstance(effect, fx.PrepareWorkspace | fx.CaptureResult | fx.StartProcess):
            self._post(
                inputs.EffectDelayed(
                    stream=effect.stream,
                    attempt=effect.attempt,
                    reason=reason,
                    cause=effect.cause,
                )
            )
        else:
            self._held_up[effect] = reason

    def _post_failure(self, effect: fx.Effect, reason: str, is_permanent: bool) -> None:
        failure = failure_of(effect, reason, is_permanent=is_permanent)
        if failure is not None:
            self._post(failure)


def start_threads(workers: ThreadPoolExecutor) -> None:
    """Start all threads of a pool now: one that cannot be started later would do work twice.

    Raises MachineShort.
    """
    together = threading.Barrier(WORKERS)
    try:
        started = [workers.submit(together.wait) for _ in range(WORKERS)]
    except RuntimeError as error:
        together.abort()
        raise MachineShort(str(error), "raise the limit on processes, or end some") from error
    for waiting in started:
        waiting.result()


def _is_replaced(timer: fx.WakeAt, by: fx.WakeAt) -> bool:
    return timer.replaces and (timer.subject, timer.cause) == (by.subject, by.cause)
