"""The lock manager under everything at once: kills, lost answers, silence and stalls, by seed."""

from __future__ import annotations

from collections import deque
from random import Random

import msgspec
import pytest

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.globs import overlap
from anabranch.core.ids import LockMode, Seq, StreamId
from anabranch.core.model import lock_snapshots
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.locks import asks_of
from anabranch.core.model.outcome import Decision
from anabranch.core.model.snapshots import encode_state
from anabranch.core.promises.locks import broken_lock_promises
from tests.core.locking import running, step

SEEDS, PARTS = 5000, 5
LEASE_SECONDS = 10.0
PATHS = ("a", "b", "d/x", "d/y", "d/", "d/*", "*", "**/x")


class Witness:
    """What the events alone say: who holds what; never looks into the lock table."""

    def __init__(self) -> None:
        self.held: dict[Seq, tuple[StreamId, str, LockMode]] = {}
        self.newest_fence = 0

    def see(self, record: ev.Recorded) -> None:
        """Check one event against those before it."""
        event = record.event
        if isinstance(event, ev.LockGranted):
            assert event.fence == record.seq > self.newest_fence
            self.newest_fence = event.fence
            if event.upgrades is not None:
                assert self.held.pop(event.upgrades)[0] == event.stream
            for stream, path, mode in self.held.values():
                excludes = "write" in (mode, event.mode) and overlap(path, event.path)
                assert stream == event.stream or not excludes, (record, self.held)
            self.held[event.fence] = (event.stream, event.path, event.mode)
        elif isinstance(event, ev.LockReleased | ev.LockExpired):
            assert self.held.pop(event.fence)[0] == event.stream


class Clients:
    """Streams that lock and unlock at random, over a mailbox that stalls and repeats."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.size = self.rng.randint(2, 5)
        self.state = running(self.size, LEASE_SECONDS)
        self.now = 0.0
        self.names = [StreamId(f"s{n}") for n in range(self.size)]
        self.mailbox: deque[inputs.Input] = deque()
        self.timers: set[tuple[float, Seq]] = set()
        self.arrived = dict.fromkeys(self.names, 0.0)
        self.sent: list[calls.Call] = []
        self.granted: set[str] = set()
        self.witness = Witness()

    def run(self, steps: int) -> None:
        """Let everything happen, then end all streams: nobody may be left waiting."""
        for number in range(steps):
            self._act(number)
            self._pass_time()
            while self.mailbox and self.rng.random() < 0.8:
                self._work_off()
        while self.mailbox:
            self._work_off()
        for name in self.rng.sample(self.names, self.size):
            self._lose(name)
            self._work_off()
        assert not len(self.state.locks.entries)
        assert not len(self.state.locks.holders)
        assert not self.witness.held

    # --- what happens ----------------------------------------------------------------------------

    def _act(self, number: int) -> None:
        name = self.rng.choice(self.names)
        caller = calls.Caller(name, 1)
        what, request = self.rng.random(), f"{name}-{number}"
        path = self.rng.choice(PATHS)
        if what < 0.5:
            mode: LockMode = self.rng.choice(("read", "write"))
            wait = self.rng.random() < 0.8
            self._send(calls.Lock(caller=caller, request=request, path=path, mode=mode, wait=wait))
        elif what < 0.75:
            self._send(self._unlock(caller, request, path))
        elif what < 0.83:
            asked = [ask.ticket for ask in asks_of(self.state.locks, name)]
            ticket = str(self.rng.choice([*asked, *asked, 3]))
            is_abandoned = self.rng.random() < 0.5
            self._send(
                calls.Withdraw(
                    caller=caller, request=request, ticket=ticket, is_abandoned=is_abandoned
                )
            )
        elif what < 0.9 and self.sent:
            self._send(self.rng.choice(self.sent[-8:]))
        elif what < 0.97:
            self._send(calls.Heartbeat(caller=caller, request=request))
        elif self.rng.random() < 0.5:
            self._lose(name)

    def _unlock(self, caller: calls.Caller, request: str, path: str) -> calls.Unlock:
        mine = [f for f, held in self.witness.held.items() if held[0] == caller.stream]
        fences = [*mine, *mine, *list(self.witness.held), 3]
        if self.rng.random() < 0.7:
            fence = self.rng.choice(fences)
            return calls.Unlock(caller=caller, request=request, fence=fence)
        return calls.Unlock(caller=caller, request=request, path=path)

    def _send(self, call: calls.Call) -> None:
        self.sent.append(call)
        self.mailbox.append(call)
        self.arrived[call.caller.stream] = self.now

    def _lose(self, name: StreamId) -> None:
        self.mailbox.append(inputs.ProcessLost(stream=name, attempt=1, reason="killed"))

    def _pass_time(self) -> None:
        """A little time passes, or much, or the engine stalls: then its timers ring first."""
        kind = self.rng.random()
        seconds = self.rng.uniform(0.0, 0.4) if kind < 0.8 else self.rng.uniform(1.5, 15.0)
        is_stall = kind > 0.9
        ends = self.now + seconds
        while not is_stall and self.timers and min(self.timers)[0] <= ends:
            self.now = max(self.now, min(self.timers)[0])
            self._ring()
        self.now = ends
        due = self._take_due()
        if due and self.now - max(due)[0] > 1.0:
            self._arrive_late()
            self.mailbox.extendleft(inputs.TimeReached(cause=cause) for _, cause in due)
        else:
            self.mailbox.extend(inputs.TimeReached(cause=cause) for _, cause in due)

    def _arrive_late(self) -> None:
        """What some streams said during a stall is read after the clock has been looked at."""
        for name in self.names:
            if self.rng.random() < 0.5:
                caller = calls.Caller(name, 1)
                self._send(calls.Heartbeat(caller=caller, request=f"late-{self.now}"))

    def _take_due(self) -> list[tuple[float, Seq]]:
        due = sorted(timer for timer in self.timers if timer[0] <= self.now)
        self.timers.difference_update(due)
        return due

    def _ring(self) -> None:
        self.mailbox.extend(inputs.TimeReached(cause=cause) for _, cause in self._take_due())
        while self.mailbox:
            self._work_off()

    # --- what comes of it ------------------------------------------------------------------------

    def _work_off(self) -> None:
        given = self.mailbox.popleft()
        decision = step(self.state, given, self.now)
        before, self.state = self.state, decision.state
        for record in decision.events:
            self.witness.see(record)
            if isinstance(record.event, ev.LockGranted):
                assert record.event.request not in self.granted
                self.granted.add(record.event.request)
            if isinstance(record.event, ev.LockExpired):
                silent = self.now - self.arrived[record.event.stream]
                assert silent >= LEASE_SECONDS, f"expired after {silent} s of silence"
        self.timers |= {(e.at, e.cause) for e in decision.effects if isinstance(e, fx.WakeAt)}
        assert not decision.events or list(broken_lock_promises(self.state)) == []
        if not any(isinstance(waiting, inputs.TimeReached) for waiting in self.mailbox):
            for holder in self.state.locks.holders.values():
                is_looked_at = any(holder.until <= at < holder.until + 1 for at, _ in self.timers)
                assert is_looked_at or not len(holder.held)
        if isinstance(given, calls.Call):
            self._check_answer(given, decision, before.streams[given.caller.stream].phase)

    def _check_answer(self, call: calls.Call, decision: Decision, phase: Phase) -> None:
        answer = decision.answer
        assert answer is not None
        if phase is not Phase.RUNNING:
            assert answer.outcome == "refused"
            assert not decision.events
        elif answer.outcome == "granted":
            held = self.witness.held.get(answer.facts["fence"])
            is_old = call.request in self.granted  # and given back since, by its own stream
            assert is_old if held is None else held[0] == call.caller.stream


@pytest.mark.parametrize("part", range(PARTS))
def test_locks_exclude_and_wake_whatever_happens(part: int) -> None:
    """No two hold what excludes each other, nobody waits for nothing, no fence comes twice."""
    for seed in range(part, SEEDS, PARTS):
        clients = Clients(seed)
        clients.run(steps=14)
        if seed % 50 == part:
            stored = msgspec.msgpack.decode(encode_state(clients.state))["locks"]
            assert lock_snapshots.restore(stored) == clients.state.locks


def test_a_seed_tells_the_same_story() -> None:
    """Nothing depends on the order in which a map happens to be kept."""
    first, second = Clients(7), Clients(7)
    first.run(steps=40)
    second.run(steps=40)
    assert encode_state(first.state) == encode_state(second.state)
