"""Jobservers: the machine's slots, shared by the builds inside all streams of a run.

Theory of operation. Every attempt has a fifo of its own, which its holder makes, keeps open, and
takes away (:mod:`anabranch.holder.jobs`). The engine lends tokens: it puts them into those fifos,
moves what lies unused to where it is wanted, and has no other part in it. A loan ends with the
attempt, whatever became of its tokens. An engine that is killed stops nobody: what is in the fifos
stays there, and the next engine reads in the run's folder what was lent.

These are facts of the machine and not of the run: none of it is journalled.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from anabranch.core.deciding.resources import capacity
from anabranch.core.ids import StreamId
from anabranch.core.model.at_work import active_attempts
from anabranch.core.model.resources import CPU
from anabranch.core.model.state import State, Stream
from anabranch.engine.handlers import tally_of
from anabranch.engine.make_flags import VARIABLE, Version, form_for, served, version_of_make
from anabranch.engine.performers.processes import ProcessSpec
from anabranch.engine.token_holders import most_held
from anabranch.engine.token_ledger import Ledger, read_ledger, write_ledger
from anabranch.engine.token_loans import Loan
from anabranch.engine.token_shares import Borrower, Moves, moves
from anabranch.engine.vitals import Vitals
from anabranch.paths import RunFolder, attempt_of

_log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
LOOK_FOR_LOST_SECONDS = 1.0


class Jobserver:
    """Lends tokens to the streams of one run. Lives in the engine's event loop."""

    def __init__(
        self,
        folder: RunFolder,
        state: Callable[[], State],
        vitals: Callable[[], Mapping[StreamId, Vitals]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._state = state
        self._vitals = vitals
        self._now = now
        self._loans: dict[str, Loan] = {}
        self._streams: dict[str, Stream] = {}
        self._recalled: dict[str, int] = {}
        self._versions: dict[str, Version | None] = {}
        self._ledger = Ledger()
        self._lost_looked_for_at = 0.0
        self._woken = asyncio.Event()

    async def serve(self, spec: ProcessSpec, own: Mapping[str, str]) -> ProcessSpec:
        """Return how to start an attempt so that it finds a jobserver, if its make knows one.

        What the plan itself says in ``own`` variables goes before.
        """
        if VARIABLE in own:
            return spec
        path = spec.env.get("PATH", "")
        if path not in self._versions:
            self._versions[path] = await asyncio.to_thread(version_of_make, path)
        fifo = self._folder.jobs(self._folder.attempt_name(spec.stream, spec.attempt))
        form = form_for(self._versions[path], fifo)
        if not form:
            return spec
        env = served(spec.env, form, fifo, slots_of(self._state()))
        return replace(spec, env=env, jobserver=form)

    async def watch(self) -> None:
        """Lend tokens for ever."""
        self._ledger = read_ledger(self._folder) or Ledger()
        self._take_away_what_was_left()
        try:
            while True:
                try:
                    self.look()
                    await self._look_for_lost()
                except Exception:  # whatever a stream has made of its fifo, the others go on
                    _log.exception("lending tokens: one round failed")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), LOOK_SECONDS)
                self._woken.clear()
        finally:
            self._leave()

    def _leave(self) -> None:
        """Let go of all fifos, and take away those of attempts that are over."""
        self._recall({})
        with suppress(OSError):
            self._meet(self._state(), self._now())
            self._note(self._ledger.slots, {})
        for loan in self._loans.values():
            loan.close()
        self._take_away_what_was_left()

    def look(self) -> None:
        """Look at all fifos once, and move tokens to where they should be."""
        now, state = self._now(), self._state()
        self._meet(state, now)
        for loan in self._loans.values():
            loan.look()
        slots = slots_of(state)
        found = moves(slots, list(self._borrowers(slots, now)))
        self._carry_out(found, slots, now)

    def _meet(self, state: State, now: float) -> None:
        """Begin to look after attempts that have begun, and no longer after those that are over."""
        active = {self._folder.attempt_name(s.id, s.attempt): s for s in active_attempts(state)}
        for name in self._loans.keys() - active.keys():
            if self._recalled.pop(name, None):
                self._unwatch(self._loans[name])
            self._loans.pop(name).end()
        self._streams = {name: s for name, s in active.items() if s.pid is not None}
        for name in self._streams.keys() - self._loans.keys():
            lent = self._ledger.loans.get(name, 0)
            pid = self._streams[name].holder_pid
            self._loans[name] = Loan(self._folder.jobs(name), pid, lent, now)

    def _borrowers(self, slots: int, now: float) -> Iterator[Borrower]:
        vitals = self._vitals()
        for name, stream in self._streams.items():
            loan = self._loans[name]
            is_awake = loan.is_awake(_of_attempt(vitals, stream), now)
            yield Borrower(
                name=name,
                implicit=self._width(stream) if is_awake else 0,
                loan=loan.count,
                unused=loan.unused,
                untouched=loan.untouched,
                wants_more=is_awake and loan.wants_more(now),
                limit=loan.limit(slots, len(self._loans)),
            )

    def _width(self, stream: Stream) -> int:
        """Return how many jobs a stream runs by itself: handlers, as many as are left to run."""
        fan = self._state().stream_plan(stream.id).fan
        if fan is None:
            return 1
        width = fan.max_parallel or os.cpu_count() or 1
        tally = tally_of(self._folder, stream.id)
        if tally is None or not tally.is_total_known:
            return width
        return max(1, min(width, tally.total - tally.ended))

    def _carry_out(self, found: Moves, slots: int, now: float) -> None:
        for name, count in found.take.items():
            self._loans[name].take(count, now)
        self._note(slots, found.give)
        for name, count in found.give.items():
            self._loans[name].give(count)
        self._recall(found.recall)

    def _note(self, slots: int, given: Mapping[str, int]) -> None:
        """Write down what is lent and what is about to be, if that has changed."""
        counts = {name: loan.count + given.get(name, 0) for name, loan in self._loans.items()}
        in_use = sum(loan.in_use for loan in self._loans.values())
        ledger = Ledger(
            slots=slots,
            lent=sum(counts.values()),
            in_use=in_use,
            most_in_use=max(in_use, self._ledger.most_in_use),
            put_back=self._ledger.put_back,
            loans={name: count for name, count in counts.items() if count},
        )
        if ledger != self._ledger:
            write_ledger(self._folder, ledger)
            self._ledger = ledger

    # --- tokens that come back --------------------------------------------------------------------

    def _recall(self, wanted: Mapping[str, int]) -> None:
        """Take tokens of these attempts as soon as they come back, and of no others any more."""
        loop = asyncio.get_running_loop()
        for name in self._recalled.keys() - wanted.keys():
            self._unwatch(self._loans[name])
        for name in wanted.keys() - self._recalled.keys():
            fifo = self._loans[name].fifo
            if fifo is not None:
                loop.add_reader(fifo.fileno(), partial(self._has_come_back, name))
        self._recalled = dict(wanted)

    def _has_come_back(self, name: str) -> None:
        loan = self._loans[name]
        left = self._recalled[name] - loan.take_back(self._recalled[name])
        if left > 0:
            self._recalled[name] = left
            return
        del self._recalled[name]
        self._unwatch(loan)
        self._woken.set()

    def _unwatch(self, loan: Loan) -> None:
        if loan.fifo is not None:
            asyncio.get_running_loop().remove_reader(loan.fifo.fileno())

    # --- tokens of the dead -----------------------------------------------------------------------

    async def _look_for_lost(self) -> None:
        """Put back what nobody has: two signs must agree, and go on doing so for a while."""
        now = self._now()
        if now - self._lost_looked_for_at < LOOK_FOR_LOST_SECONDS:
            return
        self._lost_looked_for_at = now
        vitals = self._vitals()
        for name, loan in list(self._loans.items()):
            stream = self._streams.get(name)
            if stream is None or loan.fifo is None or loan.holder_pid is None:
                continue
            missing = 0
            if self._works_too_little(loan, stream, _of_attempt(vitals, stream)):
                held = await asyncio.to_thread(most_held, loan.holder_pid, loan.fifo.identity)
                loan.look()
                missing = loan.in_use - held if held is not None else 0
            lost = loan.note_missing(missing, now)
            if lost:
                _log.info("%s lost %d of its tokens; they are lent again", name, lost)
                self._ledger = replace(self._ledger, put_back=self._ledger.put_back + lost)

    def _works_too_little(self, loan: Loan, stream: Stream, vitals: Vitals | None) -> bool:
        """Say whether a stream uses the processors less than its tokens in use would have it."""
        if loan.in_use <= 0 or vitals is None or vitals.cpu_percent is None:
            return False
        return vitals.cpu_percent / 100 < self._width(stream) + loan.in_use / 2

    def _take_away_what_was_left(self) -> None:
        """Remove the fifos of attempts whose holder was killed while no engine was there."""
        live = {(s.id, s.attempt) for s in active_attempts(self._state())}
        with suppress(OSError):
            for name in os.listdir(self._folder.attempts):
                known = attempt_of(name)
                if known is not None and known not in live:
                    with suppress(OSError):
                        self._folder.jobs(name).unlink()


def slots_of(state: State) -> int:
    """Return how many jobs are to run at a time: the plan's word, or the machine's processors."""
    return max(1, int(capacity(state, CPU) or os.cpu_count() or 1))


def _of_attempt(vitals: Mapping[StreamId, Vitals], stream: Stream) -> Vitals | None:
    found = vitals.get(stream.id)
    return found if found is not None and found.attempt == stream.attempt else None
