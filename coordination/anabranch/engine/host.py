"""Hosting a run: the engine on a thread of its own, with its own event loop.

A host holds the run's lock from its first moment to its last. It drains what has come in, lets the
engine take one turn, publishes, and performs what is owed. When the console that started it is
killed, nothing here gets a word in, and nothing has to: the journal and the streams' own folders
say all that the next host needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.deciding.hearing import is_live
from anabranch.core.ids import RunId, Seq
from anabranch.core.model.outcome import Refusal, Unheard
from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies
from anabranch.core.views import accounting
from anabranch.engine import requests
from anabranch.engine.ceilings import sweep
from anabranch.engine.clock import RunClock
from anabranch.engine.disk_hold import DiskHold
from anabranch.engine.effort import Effort
from anabranch.engine.engine import Engine
from anabranch.engine.engine_log import close_engine_log, open_engine_log
from anabranch.engine.executing import Executing
from anabranch.engine.feed import KEPT, Feed
from anabranch.engine.gateway.endpoint import Reply
from anabranch.engine.gateway.front import Gateway
from anabranch.engine.guarded_strategies import Guard, StrategyUse, guarded
from anabranch.engine.handler_watch import HandlerWatch
from anabranch.engine.journal import SYNC_SECONDS, Journal
from anabranch.engine.journal_place import JournalPlace
from anabranch.engine.looking import Looking
from anabranch.engine.machine_room import raise_descriptor_limit
from anabranch.engine.mailbox import Mailbox
from anabranch.engine.observing import Observing
from anabranch.engine.performers.process_observations import still_running
from anabranch.engine.performers.workspaces import WorkspaceEffects
from anabranch.engine.performing import Performing
from anabranch.engine.probing import measured_capacity
from anabranch.engine.replies import settle, stop_all_the_same, tell
from anabranch.engine.reporting import build_report
from anabranch.engine.run_lock import RunLock
from anabranch.engine.source import Frame, Hosting, Overhead
from anabranch.engine.workspaces import Repository
from anabranch.errors import AnabranchError, MachineShort
from anabranch.extending import Extensions
from anabranch.paths import RunFolder

_log = logging.getLogger(__name__)

LARGEST_TURN = 2_000
REQUEST_POLL_SECONDS = 0.25
IDLE_SECONDS = 1.0
DISK_FULL_RETRY_SECONDS = 1.0

Answer = Future[Refusal | None]


class Parts(msgspec.Struct, frozen=True):
    """What a host is made of, as :mod:`.starting` or :mod:`.resuming` puts it together."""

    folder: RunFolder
    lock: RunLock
    journal: Journal
    clock: RunClock
    repository: Repository
    strategies: Strategies
    environment: Mapping[str, str]
    state: State | None
    first: inputs.Command
    extensions: Extensions = Extensions()


class RunHost:
    """A run that this process hosts. It is a :class:`anabranch.engine.source.Source`."""

    hosting: Hosting = "here"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._workspaces = WorkspaceEffects(parts.repository, parts.folder)
        self._guard = Guard()
        for name, reason in parts.extensions.set_aside:
            self._guard.note(None, f"plugin {name}", reason, reason)
        self.observing = Observing(parts.extensions.observers, self._guard)
        self._engine = Engine(
            parts.journal,
            guarded(parts.strategies, self._guard),
            parts.clock.now,
            parts.state,
            self._workspaces.immediate_result,
        )
        self._mailbox = Mailbox()
        self._loop = asyncio.new_event_loop()
        self._woken = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="anabranch-engine", daemon=True)
        self._ready = threading.Event()
        self._rested = threading.Event()
        self._leaving = False
        self._fault: BaseException | None = None
        self._trouble: str | None = None
        self._journal_place = JournalPlace(parts.journal)
        self._performing: Performing | None = None
        self._feed: Feed | None = None
        self._gateway: Gateway
        self._appended = asyncio.Event()
        self._last_turn = 0.0
        self.looking = Looking(
            parts.folder,
            parts.repository,
            lambda: self.state,
            self.overhead,
            self._post_from_outside,
            parts.clock.now,
        )
        self.pressure = self.looking.pressure.machine.samples
        self.vitals = self.looking.vitals

    # --- from any thread -------------------------------------------------------------------------

    def open(self) -> None:
        """Start hosting; returns once the first turn is durable. Raises AnabranchError."""
        raise_descriptor_limit()
        self._engine_log = open_engine_log(self._parts.folder.engine_log)
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            self._thread.join()
            raise self._fault

    def close(self) -> None:
        """Stop hosting. Streams run on, and another host can take the run over at once."""
        self._leaving = True
        self._wake()
        self._thread.join()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the run has ended and its report is written; False when time is up first.

        Raises AnabranchError (or what else went wrong) if the engine failed.
        """
        done = self._rested.wait(timeout_seconds)
        if self._fault is not None:
            raise self._fault
        return done

    @property
    def run(self) -> RunId:
        return self._parts.folder.run

    @property
    def folder(self) -> Path:
        return self._parts.folder.path

    @property
    def state(self) -> State:
        return self._published.state

    @property
    def trouble(self) -> str | None:
        """What keeps the engine from going on right now (a full disk, a fault of its own)."""
        if self._fault:
            return f"the engine has stopped: {self._fault}"
        of_effects = self._performing.trouble if self._performing else None
        return self._journal_place.trouble or self._trouble or of_effects

    def now(self) -> float:
        return self._parts.clock.now()

    def take(self, cursor: Seq) -> Frame:
        return self._published.take(cursor, self.looking.sampler.take_dirty())

    def strategy_use(self) -> Mapping[str, StrategyUse]:
        """Return how each strategy that was asked has done so far, by name."""
        return self._guard.use()

    @property
    def strategies(self) -> Strategies:
        """Every strategy that can be chosen for the run."""
        return self._parts.strategies

    def overhead(self) -> Overhead:
        state = self.state
        now = self.now()
        work = accounting.work_seconds(state, now)
        effort = self._effort()
        by_category = {**accounting.overhead_seconds(state), **effort.seconds}
        set_up = accounting.setup_seconds(state, now)
        share = accounting.overhead_share(by_category, work + set_up)
        return Overhead(by_category, work, share, effort.latency)

    def report(self) -> dict[str, Any]:
        """Return the execution report as it stands now. Raises WorldError."""
        return build_report(self._parts.folder, self.state, self.now(), self._effort())

    def submit(self, command: inputs.Command) -> Answer:
        answer: Answer = Future()
        self._mailbox.post(command, partial(settle, answer))
        self._wake()
        return answer

    @property
    def _published(self) -> Feed:
        assert self._feed is not None, "the host has been opened"
        return self._feed

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:
            _log.debug("the engine's loop has ended")

    def _effort(self) -> Effort:
        meter = self._engine.meter
        seconds = {"deciding": meter.deciding, "journal": meter.journalling}
        return Effort(seconds, self._mailbox.latency.figures())

    def _state(self) -> State:
        return self._engine.state

    def _post_from_outside(self, given: inputs.Input) -> None:
        self._mailbox.post(given)
        self._wake()

    # --- on the engine's thread ------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._host())
        except BaseException as error:
            self._fault = error
            _log.exception("the engine stopped")
        finally:
            self._fail_waiting()
            close_engine_log(self._engine_log)
            self._journal_place.look_at_last()
            self._parts.journal.close()
            self._parts.lock.release()
            self._ready.set()
            self._rested.set()
            self._loop.close()

    async def _host(self) -> None:
        parts = self._parts
        self._gateway = gateway = Gateway(
            parts.folder, lambda: self.state, self._post, parts.clock.now
        )
        handler_watch = HandlerWatch(parts.folder, self._state, self._post)
        self._performing = performing = Performing(
            parts.folder,
            self._workspaces,
            parts.clock,
            parts.environment,
            self._state,
            self._post,
            self._effort,
            gateway.environment,
            self.looking.watcher,
            Executing(parts.extensions.executors, self._guard),
            parts.strategies,
            self.looking.interference,
            handler_watch.hear,
            self.vitals,
        )
        disk_hold = DiskHold(
            parts.folder,
            self._workspaces.places,
            self._state,
            self._post,
            self.looking.interference,
        )
        if parts.state is not None:
            self._feed = Feed(parts.state, parts.journal.read(parts.state.seq - KEPT // 10))
        else:
            self._begin(performing)
        beside: list[asyncio.Task[None]] = []
        try:
            await gateway.open()
            await self._adopt(performing)
            self._ready.set()  # what has happened is published before any plugin is asked
            for seen in (*self.looking.before_all(), self._machine_seen()):
                self._mailbox.post_first(seen)
            self.looking.sampler.start()
            beside += [
                self._loop.create_task(self._poll_requests()),
                self._loop.create_task(self._sync_forever()),
                self._loop.create_task(disk_hold.watch()),
                self._loop.create_task(handler_watch.watch()),
                self._loop.create_task(performing.lend_tokens()),
            ]
            await self._serve(performing)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await gateway.close()
            await performing.close()
            self.looking.close()
            self.observing.close()

    def _begin(self, performing: Performing) -> None:
        """Take the first turn of a new run; there is nothing to adopt yet."""
        turn = self._engine.turn([self._parts.first])
        self._feed = Feed(self._engine.state, turn.records)
        self.observing.tell(self._engine.state, turn.records)

    async def _adopt(self, performing: Performing) -> None:
        """Settle what became of an earlier engine's processes, then do what is still owed."""
        found = await performing.open()
        sweep(self._engine.state)
        if self._parts.state is not None:
            first = self._parts.first
            if isinstance(first, inputs.ResumeRun):
                first = msgspec.structs.replace(first, adopted=still_running(found))
            turn = self._engine.turn([first, *found])
            self._publish(turn.records)
            self._gateway.turned(turn.records)
        for effect in self._engine.owed():
            performing.perform(effect)

    async def _serve(self, performing: Performing) -> None:
        self._woken.set()  # a run that had ended before gets no more news, and may rest
        while not self._leaving:
            await self._woken.wait()
            self._woken.clear()
            while self._mailbox and not self._leaving:
                if not self._take_turn(performing):
                    await asyncio.sleep(DISK_FULL_RETRY_SECONDS)
                await asyncio.sleep(0)
            self._rest_or_not(performing)

    def _take_turn(self, performing: Performing) -> bool:
        """Work off what has come in; False if it could not be made durable and still waits."""
        batch = self._mailbox.take(LARGEST_TURN)
        try:
            turn = self._engine.turn([letter.given for letter in batch])
        except MachineShort as error:
            batch = stop_all_the_same(self._engine.state, batch, performing.perform, error.message)
            self._mailbox.put_back(batch)
            self._trouble = error.message
            return False
        except BaseException:
            self._mailbox.put_back(batch)  # whoever waits for an answer gets one
            raise
        self._mailbox.decided(batch)
        self._trouble = None
        self._rested.clear()  # before anybody who asked hears the answer and waits for the rest
        self._last_turn = self.now()
        self._appended.set()
        self._publish(turn.records)
        self._hear(letter.given for letter in batch)
        for said in self.looking.liveness.last_words(self._engine.state, turn.records):
            self._post(said)
        for position, letter in enumerate(batch):
            tell(letter, turn.refusals.get(position) or turn.answers.get(position))
        self._gateway.spent([letter.given for letter in batch], turn.seconds)
        self._gateway.turned(turn.records)
        if any(isinstance(r.event, ev.StreamStarted) for r in turn.records):
            self.looking.sampler.nudge()
        for effect in turn.effects:
            performing.perform(effect)
        for fault in self._guard.news():
            self._post(fault)
        with contextlib.suppress(MachineShort):  # the next append tells of it
            self._parts.journal.tidy(self._engine.state)
        return True

    def _hear(self, batch: Iterable[inputs.Input]) -> None:
        """Note who has given a sign of life by calling."""
        state = self._engine.state
        for given in batch:
            if isinstance(given, calls.Call):
                caller = given.caller
                if is_live(state, caller.stream, caller.attempt):
                    self.looking.liveness.heard(given)

    async def _sync_forever(self) -> None:
        """Let what was appended reach the disk within moments, off the engine's thread."""
        journal = self._parts.journal
        while True:
            await self._appended.wait()
            await asyncio.sleep(SYNC_SECONDS)
            self._appended.clear()
            # The next append tells of a disk in trouble; where no thread can be started now, it
            # is done another time.
            with contextlib.suppress(OSError, RuntimeError, AnabranchError):
                await asyncio.to_thread(journal.sync)
                if await asyncio.to_thread(journal.fold_back):
                    journal.checkpoint()

    def _publish(self, records: Sequence[ev.Recorded]) -> None:
        self._published.publish(self._engine.state, records)
        self.observing.tell(self._engine.state, records)

    def _machine_seen(self) -> inputs.Input:
        probes = self._parts.extensions.resource_probes
        return inputs.MachineSeen(capacity=measured_capacity(probes, self._guard))

    def _rest_or_not(self, performing: Performing) -> None:
        """Note whether the run has ended, everything it owed is done and the report tells of it."""
        state = self._engine.state
        if not state.has_ended:
            self._rested.clear()
        elif not performing.is_idle or self._mailbox:
            self._loop.call_later(0.02, self._woken.set)
        elif performing.reported != state.seq:  # what is given back after the end is news, too
            performing.perform(fx.WriteReport(cause=state.cause))
            self._loop.call_later(0.02, self._woken.set)
        else:
            self._rested.set()

    def _post(self, given: inputs.Input, reply: Reply | None = None) -> None:
        self._mailbox.post(given, reply)
        self._woken.set()

    async def _poll_requests(self) -> None:
        """Hear what other commands ask for. Nothing that one of them says ends the hearing."""
        asked: set[Path] = set()
        requests.keep_spare(self._parts.folder.requests)
        while True:
            self._parts.lock.beat()
            try:
                if self.now() - self._last_turn > IDLE_SECONDS:
                    with contextlib.suppress(AnabranchError):  # the next turn tells of the disk
                        self._parts.journal.checkpoint()
                requests.submit_pending(self._parts.folder.requests, asked, self.submit)
                self._journal_place.look()
            except Exception:
                _log.exception("hearing requests: one round failed")
            await asyncio.sleep(REQUEST_POLL_SECONDS)

    def _fail_waiting(self) -> None:
        for letter in self._mailbox:
            tell(letter, Unheard("the engine has stopped", "anabranch resume goes on"))
