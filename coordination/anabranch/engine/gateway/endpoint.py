"""The endpoint behind every transport: who asks, what, and what the engine answers.

A request comes in as bytes and gets exactly one reply, at once or later. Whoever brought it holds
its :class:`Exchange`, to abandon it when the other end is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from msgspec.structs import replace

from anabranch.core import calls
from anabranch.core.calls import Answer, Call, Caller, WaitingCall
from anabranch.core.deciding.hearing import remembered, why_not_heard
from anabranch.core.events import Recorded, Requested
from anabranch.core.globs import is_literal
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.json_values import Json
from anabranch.core.model.answers import refused
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.engine.gateway import reads, wire
from anabranch.engine.gateway.rates import Bucket
from anabranch.engine.gateway.request_names import RequestNames
from anabranch.engine.gateway.tickets import Listener, Tickets, Wait, is_waiting
from anabranch.engine.gateway.tokens import Tokens
from anabranch.engine.gateway.wire import BadFrame, Read, Request
from anabranch.engine.stopwatch import Stopwatch

_log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 5.0
"""Whose calls would have to pause for longer than that is refused for so long."""

STREAMS_ONLY = (
    calls.Heartbeat,
    calls.Arrive,
    calls.Checkpoint,
    calls.Ask,
    calls.Prompt,
    calls.Leave,
)
OPERATOR_ONLY = (calls.Register, calls.Requeue)

Reply = Callable[[Refusal | Answer | None], None]
Send = Callable[[bytes], None]


class Exchange:
    """One request and where its reply goes; by whom it is and what it asks, once that is known.

    ``pause_seconds`` is for how long its sender should send nothing more.
    """

    request: Request
    caller: Caller
    asked: Call | Read | None

    def __init__(self, send: Send) -> None:
        self.send = send
        self.pause_seconds = 0.0
        self.is_abandoned = False
        self.listener: Listener | None = None

    def abandon(self) -> None:
        """Forget whoever asked, who is gone; what was asked for is still done."""
        self.is_abandoned = True
        if self.listener is not None:
            self.listener.leave()


class Endpoint:
    """Takes requests and replies to them. Lives in the engine's event loop.

    Args:
        tokens: the run's tokens.
        state: returns the published state.
        post: puts a call into the engine's mailbox; its reply comes after the commit.
        now: the run clock.
        joining: returns the environment of a stream that has joined, with its token and the
            folder that it can work in.
    """

    def __init__(
        self,
        tokens: Tokens,
        state: Callable[[], State],
        post: Callable[[Call, Reply], None],
        now: Callable[[], float],
        joining: Callable[[StreamId, Attempt], dict[str, str]],
    ) -> None:
        self.tokens = tokens
        self._state = state
        self._post = post
        self._now = now
        self._joining = joining
        self._tickets = Tickets(self._give_up)
        self._buckets: dict[Caller, Bucket] = {}
        self._names: dict[Caller, RequestNames] = {}
        self._readers: dict[Exchange, asyncio.TimerHandle] = {}
        self._late: dict[Caller, str | None] = {}
        self._numbers = count(1)
        self._mark = secrets.token_hex(6)

    def receive(
        self, frame: bytes, send: Send, name: str = "", owner: Caller | None = None
    ) -> Exchange:
        """Take a request; ``send`` gets its reply, once.

        ``name`` is its name if it has none itself; ``owner`` is the only one who may send it.
        """
        exchange = Exchange(send)
        i: Json = None
        try:
            request = exchange.request = wire.decode(frame)
            i = request.i
            caller = exchange.caller = self._admit(exchange)
            if owner not in (None, caller):
                raise BadFrame("not_yours", "this spool belongs to another attempt")
            stopwatch = Stopwatch()
            name = request.name or name
            exchange.asked = asked = wire.asked(request, caller, name or self._new_name())
            if name and asked is not None and request.waiting.ticket is None:
                self._names_of(caller).use(name, asked)
            self._serve(exchange)
            self.charge(caller, stopwatch.lap())
        except BadFrame as error:
            send(wire.encode(error.i if i is None else i, error.answer()))
        except Exception:  # whatever a stream sends, the engine goes on
            _log.exception("a request could not be served")
            fault = BadFrame("engine_fault", "this call went wrong", "go on without it")
            send(wire.encode(i, fault.answer()))
        return exchange

    def open(self) -> None:
        """Find the waits that the host before this one left: they stay as long as any others."""
        state = self._state()
        for stream, memory in state.answers.items():
            caller = Caller(stream, memory.attempt, not stream)
            for request, answer in zip(memory.requests, memory.answers, strict=True):
                if is_waiting(answer) and why_not_heard(state, caller) is None:
                    wait = self._tickets.add(caller, request, answer)
                    if wait is not None:
                        self._tickets.start_grace(wait)

    def turned(self, records: Sequence[Recorded]) -> None:
        """Tell those who waited what came of a turn of the engine."""
        state = self._state()
        for record in records:
            event = record.event
            if isinstance(event, Requested) and event.request:
                self._settle(state, event)
        for exchange in [e for e in self._readers if reads.has_news(state, e.caller)]:
            self._read_inbox(exchange)

    def heartbeat(self, caller: Caller, status: str | None) -> None:
        """Count a sign of life that came without a request.

        Of more than may be heard only the last is, as soon as it may be.
        """
        if caller in self._late:
            self._late[caller] = self._late[caller] if status is None else status
            return
        pause_seconds = self._bucket(caller).take(self._now())
        if pause_seconds > 0:
            self._late[caller] = status
            asyncio.get_running_loop().call_later(pause_seconds, self._late_heartbeat, caller)
            return
        self._tell_engine(calls.Heartbeat(caller, self._new_name(), status=status))

    def _late_heartbeat(self, caller: Caller) -> None:
        if caller in self._late:
            self.heartbeat(caller, self._late.pop(caller))

    def charge(self, caller: Caller, seconds: float) -> None:
        """Count what a call has cost against its caller's share of the engine's time."""
        if seconds:
            self._bucket(caller).charge(seconds)

    def forget(self, stream: StreamId) -> None:
        """Drop what is kept for the calls of an attempt that is over."""
        self._buckets = {c: b for c, b in self._buckets.items() if c.stream != stream}
        self._names = {c: n for c, n in self._names.items() if c.stream != stream}
        self._late = {c: s for c, s in self._late.items() if c.stream != stream}

    def close(self) -> None:
        """Stop all clocks."""
        self._tickets.close()
        self._late.clear()
        for timer in self._readers.values():
            timer.cancel()

    # --- who -------------------------------------------------------------------------------------

    def _admit(self, exchange: Exchange) -> Caller:
        """Return who asks. Raises BadFrame for somebody who may not."""
        request = exchange.request
        if not request.token:
            raise BadFrame("no_token", "argument 'token' is missing", "it is in $ANABRANCH_TOKEN")
        caller = self.tokens.bearer(request.token)
        if caller is None:
            raise BadFrame("bad_token", "this token is not of this run", "use $ANABRANCH_TOKEN")
        exchange.pause_seconds = self._bucket(caller).take(self._now())
        if exchange.pause_seconds > LONGEST_PAUSE_SECONDS:
            raise BadFrame(
                "too_much",
                "what this stream asked for has taken the engine longer than its share",
                f"ask again in {exchange.pause_seconds:.0f} s, and for less at a time",
            )
        if caller.is_operator and issubclass(request.kind, STREAMS_ONLY):
            raise BadFrame("not_a_stream", f"only a stream can {request.verb}")
        if not caller.is_operator and issubclass(request.kind, OPERATOR_ONLY):
            raise BadFrame("not_allowed", f"only the operator can {request.verb}")
        return caller

    def _bucket(self, caller: Caller) -> Bucket:
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = Bucket(self._now())
        return bucket

    def _names_of(self, caller: Caller) -> RequestNames:
        return self._names.setdefault(caller, RequestNames())

    def _new_name(self) -> str:
        return f"{self._mark}.{next(self._numbers)}"

    # --- what ------------------------------------------------------------------------------------

    def _serve(self, exchange: Exchange) -> None:
        caller, asked = exchange.caller, exchange.asked
        if exchange.request.waiting.ticket is not None:
            self._resume(exchange, exchange.request.waiting.ticket)
        elif isinstance(asked, Read):
            state = self._state()
            unheard = why_not_heard(state, caller)
            self._reply(exchange, unheard or reads.READS[type(asked)](state, caller, asked))
        elif isinstance(asked, calls.ReadInbox) and self._has_to_wait(exchange):
            self._await_news(exchange)
        elif asked is not None:
            self._ask(exchange, self._meant(asked))

    def _meant(self, call: Call) -> Call:
        """Return what a call means: who locks a folder without its slash means what is in it."""
        if isinstance(call, calls.StateRestore) and call.stream and not call.caller.is_operator:
            raise BadFrame("not_allowed", "a stream restores only what it has changed itself")
        if not isinstance(call, calls.Lock) or not is_literal(call.path):
            return call
        stream = self._state().streams.get(call.caller.stream)
        if stream is None or stream.workspace is None or call.path.startswith("/"):
            return call
        is_folder = os.path.isdir(os.path.join(stream.workspace.path, call.path))
        return replace(call, path=f"{call.path}/") if is_folder else call

    def _ask(self, exchange: Exchange, call: Call) -> None:
        self._post(call, partial(self._answered, exchange, call))

    def _answered(self, exchange: Exchange, call: Call, outcome: Refusal | Answer | None) -> None:
        """Take an answer of the engine; a call that waits may go on waiting."""
        if not isinstance(outcome, Answer):
            refusal = outcome or Refusal("the engine did not answer", "ask again")
            self._reply(exchange, refused(refusal.reason, refusal.hint))
        elif isinstance(call, WaitingCall) and is_waiting(outcome):
            self._wait(exchange, call, outcome)
        else:
            if outcome.outcome == "granted" and not exchange.is_abandoned:
                self._tickets.claim(call.caller, outcome)
            self._reply(exchange, outcome)

    def _reply(self, exchange: Exchange, answer: Answer) -> None:
        """Send an answer, with what only the gateway knows, unless nobody is there any more."""
        if exchange.is_abandoned:
            return
        state, asked = self._state(), exchange.asked
        facts: dict[str, Json] = {}
        if isinstance(asked, calls.Lock) and answer.outcome != "granted":
            facts = reads.who_is_in_the_way(state, asked, self._now())
        elif isinstance(asked, calls.Register) and "attempt" in answer.facts:
            stream, attempt = StreamId(str(answer.facts["stream"])), int(answer.facts["attempt"])
            environment = self._joining(stream, attempt)
            facts = {
                "token": environment["ANABRANCH_TOKEN"],
                "directory": environment["ANABRANCH_WORKSPACE"],
                "environment": environment,
            }
        facts["messages_waiting"] = reads.messages_waiting(state, exchange.caller)
        exchange.send(wire.encode(exchange.request.i, answer, **facts))
        if exchange.request.kind is calls.Ask and answer.outcome == "done":
            ticket = str(answer.facts["ticket"])
            self._tell_engine(calls.Withdraw(exchange.caller, self._new_name(), ticket=ticket))

    def _tell_engine(self, call: Call) -> None:
        """Give the engine a call that nobody waits for."""
        self._post(call, lambda _: None)

    # --- waiting ---------------------------------------------------------------------------------

    def _wait(self, exchange: Exchange, call: Call, answer: Answer) -> None:
        ticket = str(answer.facts["ticket"])
        name = self._request_of(call.caller, ticket) or call.request
        wait = self._tickets.add(call.caller, name, answer)
        if wait is None:
            self._withdraw(call.caller, ticket)
            hint = "wait for one of them first"
            self._reply(exchange, refused("too many of your calls wait already", hint))
        elif exchange.is_abandoned:
            self._tickets.start_grace(wait)
        elif exchange.request.waiting.wait_seconds == 0:
            self._reply(exchange, answer)
            self._tickets.start_grace(wait)
        else:
            self._listen(exchange, wait)

    def _listen(self, exchange: Exchange, wait: Wait) -> None:
        deliver = partial(self._reply, exchange)
        exchange.listener = self._tickets.listen(wait, _bounded_wait(exchange), deliver)

    def _resume(self, exchange: Exchange, ticket: str) -> None:
        """Go on with a wait by its ticket."""
        wait = self._tickets.find(exchange.caller, ticket)
        kept = reads.question_under(self._state(), exchange.caller, ticket)
        if wait is None and kept is not None and is_waiting(kept[1]):
            wait = self._tickets.add(exchange.caller, *kept)
        if wait is None and kept is not None:
            self._reply(exchange, kept[1])
        elif wait is None:
            hint = "ask again with the same words"
            self._reply(exchange, refused(f"there is no ticket {ticket!r}", hint))
        else:
            self._listen(exchange, wait)

    def _settle(self, state: State, event: Requested) -> None:
        """Tell whoever waits for the request of an event what it is answered now."""
        stream, attempt = event.caller
        key = (stream, event.request)
        if self._tickets.knows(key):
            caller = Caller(stream, attempt, not stream)
            answer = remembered(state, caller, event.request)
            if answer is not None:
                self._tickets.settle(key, answer)

    def _request_of(self, caller: Caller, ticket: str) -> str | None:
        """Return the newest request that waits under a ticket: what comes of it is said to that."""
        memory = self._state().answers.get(caller.stream)
        if memory is not None:
            newest_first = zip(reversed(memory.requests), reversed(memory.answers), strict=True)
            for request, answer in newest_first:
                if is_waiting(answer) and str(answer.facts["ticket"]) == ticket:
                    return request
        return None

    def _give_up(self, wait: Wait) -> None:
        """Give up a wait that nobody asks for any more, and give back what it was granted."""
        caller, facts = wait.caller, wait.answer.facts
        if not wait.is_settled:
            self._withdraw(caller, wait.ticket)
        elif wait.answer.outcome == "granted" and "fence" in facts:
            fence = int(facts["fence"])
            self._tell_engine(calls.Unlock(caller, self._new_name(), fence=fence))
        elif wait.answer.outcome == "granted" and "granted" in facts:
            amounts = dict(facts["granted"])
            self._tell_engine(calls.ReleaseResources(caller, self._new_name(), amounts=amounts))

    def _withdraw(self, caller: Caller, ticket: str) -> None:
        name = self._new_name()
        self._tell_engine(calls.Withdraw(caller, name, ticket=ticket, is_abandoned=True))

    # --- reading the inbox -----------------------------------------------------------------------

    def _has_to_wait(self, exchange: Exchange) -> bool:
        state, caller = self._state(), exchange.caller
        is_patient = exchange.request.waiting.wait_seconds > 0
        is_heard = why_not_heard(state, caller) is None
        return is_patient and is_heard and not reads.has_news(state, caller)

    def _await_news(self, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(_bounded_wait(exchange), self._read_inbox, exchange)
        self._readers[exchange] = timer

    def _read_inbox(self, exchange: Exchange) -> None:
        """Read what there is now, unless the reader is gone: then it stays unread."""
        self._readers.pop(exchange).cancel()
        if not exchange.is_abandoned and isinstance(exchange.asked, Call):
            self._ask(exchange, exchange.asked)


def _bounded_wait(exchange: Exchange) -> float:
    return min(exchange.request.waiting.wait_seconds, wire.LONGEST_WAIT_SECONDS)
