"""Calls that wait: who gets the answer when a queued call is settled, and what if nobody comes.

A call that waits has a ticket, the number of its queue event. The engine answers it a second time
when it is granted or refused; that answer goes to everybody who waits under the ticket. When time
is up or the connection closes, the ticket stays for a grace, so that asking again goes on with the
same wait. What nobody asks for any more is given up; what was granted without anybody knowing is
given back. The queues themselves are in the journal: a new host finds the waits of the last one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from anabranch.core.calls import Answer, Caller
from anabranch.core.ids import StreamId

GRACE_SECONDS = 30.0
MOST_WAITS_OF_ONE = 256

Deliver = Callable[[Answer], None]
Key = tuple[StreamId, str]


class Listener:
    """One client that waits; it gets one answer."""

    def __init__(self, wait: Wait, deliver: Deliver) -> None:
        self.wait = wait
        self._deliver: Deliver | None = deliver
        self.timer: asyncio.TimerHandle | None = None

    def finish(self, answer: Answer) -> None:
        """Give it its answer, unless it had one or has left."""
        deliver, self._deliver = self._deliver, None
        if self.timer is not None:
            self.timer.cancel()
        if deliver is not None:
            deliver(answer)

    def leave(self) -> None:
        """Note that it has gone."""
        self._deliver = None
        self.finish(Answer("waiting"))
        self.wait.without(self)


class Wait:
    """One queued call: who asked, the requests it was asked under, and its newest answer."""

    def __init__(self, tickets: Tickets, caller: Caller, request: str, answer: Answer) -> None:
        self.caller = caller
        self.requests = {request}
        self.answer = answer
        self.is_known = False
        self.listeners: list[Listener] = []
        self.grace: asyncio.TimerHandle | None = None
        self._tickets = tickets

    @property
    def ticket(self) -> str:
        return str(self.answer.facts["ticket"])

    @property
    def is_settled(self) -> bool:
        return not is_waiting(self.answer)

    def without(self, listener: Listener) -> None:
        """Take a listener out; the last one starts the grace."""
        if listener in self.listeners:
            self.listeners.remove(listener)
        if not self.listeners:
            self._tickets.start_grace(self)


def is_waiting(answer: Answer) -> bool:
    """Say whether the answer is that the call waits, rather than what came of it."""
    return answer.outcome in ("waiting", "queued") and "ticket" in answer.facts


class Tickets:
    """The waiting calls of a run. ``give_up`` gets a wait that nobody asks for."""

    def __init__(
        self, give_up: Callable[[Wait], None], grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._give_up = give_up
        self._grace_seconds = grace_seconds
        self._by_key: dict[Key, Wait] = {}
        self._by_ticket: dict[tuple[StreamId, str], Wait] = {}
        self._counts: Counter[Caller] = Counter()

    def find(self, caller: Caller, ticket: str) -> Wait | None:
        """Return the wait with a ticket, if it is the caller's and still known."""
        wait = self._by_ticket.get((caller.stream, ticket))
        return wait if wait and wait.caller == caller else None

    def add(self, caller: Caller, request: str, answer: Answer) -> Wait | None:
        """Note a call that waits; None if its caller has too many of them."""
        wait = self.find(caller, str(answer.facts["ticket"]))
        if wait is not None:
            self._by_key[caller.stream, request] = wait
            wait.requests.add(request)
            return wait
        if self._counts[caller] >= MOST_WAITS_OF_ONE:
            return None
        wait = Wait(self, caller, request, answer)
        self._by_key[caller.stream, request] = wait
        self._by_ticket[caller.stream, wait.ticket] = wait
        self._counts[caller] += 1
        return wait

    def listen(self, wait: Wait, seconds: float, deliver: Deliver) -> Listener:
        """Let a client wait; it is answered when the call is settled or its time is up."""
        listener = Listener(wait, deliver)
        if wait.is_settled:
            wait.is_known = True
            listener.finish(wait.answer)
            return listener
        if wait.grace is not None:
            wait.grace.cancel()
            wait.grace = None
        wait.listeners.append(listener)
        loop = asyncio.get_running_loop()
        listener.timer = loop.call_later(seconds, self._time_is_up, listener)
        return listener

    def settle(self, key: Key, answer: Answer) -> None:
        """Note the new answer to a call: unless that is to wait, everybody who waits gets it."""
        wait = self._by_key.get(key)
        if wait is None:
            return
        wait.answer = Answer(answer.outcome, {"ticket": wait.ticket, **answer.facts})
        if is_waiting(answer):
            return
        listeners, wait.listeners = wait.listeners, []
        wait.is_known = wait.is_known or bool(listeners)
        for listener in listeners:
            listener.finish(wait.answer)
        self.start_grace(wait)

    def claim(self, caller: Caller, answer: Answer) -> None:
        """Note that a caller got a grant by another request than the one that waited for it."""
        fence = answer.facts.get("fence")
        for wait in self._by_key.values() if fence is not None else ():
            if wait.caller == caller and wait.answer.facts.get("fence") == fence:
                wait.is_known = True

    def knows(self, key: Key) -> bool:
        """Say whether somebody waits, or lately waited, under this request."""
        return key in self._by_key

    def start_grace(self, wait: Wait) -> None:
        """Keep a wait that nobody listens to for a while."""
        if wait.grace is None:
            loop = asyncio.get_running_loop()
            wait.grace = loop.call_later(self._grace_seconds, self._forget, wait)

    def close(self) -> None:
        """Stop all clocks; the queues themselves are in the journal."""
        for wait in self._by_key.values():
            if wait.grace is not None:
                wait.grace.cancel()
            for listener in wait.listeners:
                if listener.timer is not None:
                    listener.timer.cancel()

    def _time_is_up(self, listener: Listener) -> None:
        listener.finish(listener.wait.answer)
        listener.wait.without(listener)

    def _forget(self, wait: Wait) -> None:
        for request in wait.requests:
            self._by_key.pop((wait.caller.stream, request), None)
        self._by_ticket.pop((wait.caller.stream, wait.ticket), None)
        self._counts[wait.caller] -= 1
        if not self._counts[wait.caller]:
            del self._counts[wait.caller]
        if not wait.is_settled or not wait.is_known:
            self._give_up(wait)
