"""The desk behind every door: who asks, what, and what the engine says to it.

A frame comes in as bytes and leaves as exactly one reply, at once or later. Whoever brought it
holds a :class:`Visit`, to leave when the other end is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from itertools import count

from msgspec.structs import replace

from anabranch.core import calls, json_values
from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.deciding.decide import CALLS
from anabranch.core.deciding.hearing import remembered, why_not_heard
from anabranch.core.events import Recorded, Requested
from anabranch.core.globs import is_literal
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.engine.engine import NOTABLE_SECONDS
from anabranch.engine.gateway import reads, wire
from anabranch.engine.gateway.rates import Bucket
from anabranch.engine.gateway.request_names import RequestNames
from anabranch.engine.gateway.tickets import Listener, Tell, Tickets, Wait, is_waiting
from anabranch.engine.gateway.tokens import Tokens
from anabranch.engine.gateway.wire import Asked, BadFrame

_log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 5.0
"""Whose calls would have to pause for longer than that is refused for so long."""

STREAMS_ONLY = (wire.Heartbeat, wire.Arrive, wire.Checkpoint, wire.Leave)
OPERATOR_ONLY = (wire.Register, wire.Requeue)

Reply = Callable[[Refusal | Answer | None], None]
Say = Callable[[bytes], None]


class Visit:
    """One frame that was heard; ``pause_seconds`` is how long its sender should hold its breath."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.is_gone = False
        self.pause_seconds = 0.0
        self.listener: Listener | None = None

    def leave(self) -> None:
        """Whoever asked is gone; what was asked for is still done."""
        self.is_gone = True
        if self.listener is not None:
            self.listener.leave()


class Errand:
    """One well-formed frame on its way: who asked what, and how to answer."""

    def __init__(self, caller: Caller, args: wire.Args, call: Call | None, visit: Visit) -> None:
        self.caller = caller
        self.args = args
        self.call = call
        self.visit = visit
        self.tell: Tell = lambda _: None


class Desk:
    """Hears frames and replies to them. Lives in the engine's event loop.

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
        self.heard_at: dict[StreamId, float] = {}
        self._state = state
        self._post = post
        self._now = now
        self._joining = joining
        self._tickets = Tickets(self._give_up)
        self._buckets: dict[Caller, Bucket] = {}
        self._names: dict[Caller, RequestNames] = {}
        self._readers: dict[Errand, asyncio.TimerHandle] = {}
        self._late: dict[Caller, str | None] = {}
        self._numbers = count(1)
        self._mark = secrets.token_hex(6)

    def hear(self, frame: bytes, say: Say, request: str = "", owner: Caller | None = None) -> Visit:
        """Take a frame; ``say`` gets its reply, once.

        ``request`` names it if it does not itself; ``owner`` is the only one who may send it.
        """
        visit = Visit(say)
        i: json_values.Json = None
        try:
            asked = wire.decode(frame)
            i = asked.i
            caller = self._admit(asked, visit)
            began = time.thread_time()
            if owner not in (None, caller):
                raise BadFrame("not_yours", "this spool belongs to another attempt")
            named = asked.request or request
            if named:
                self._names_of(caller).use(named, asked)
            self._serve(asked, caller, named or self._name(), visit)
            self.charge(caller, time.thread_time() - began)
        except BadFrame as error:
            say(wire.encode(error.i if i is None else i, error.answer()))
        except Exception:  # whatever a stream sends, the engine goes on
            _log.exception("a frame could not be served")
            fault = BadFrame("engine_fault", "this call went wrong", "go on without it")
            say(wire.encode(i, fault.answer()))
        return visit

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
        """The engine took a turn: tell those who waited for what came of it."""
        state = self._state()
        for record in records:
            event = record.event
            if isinstance(event, Requested) and event.request:
                self._settle(state, event)
        for errand in [e for e in self._readers if reads.has_news(state, e.caller)]:
            self._read_inbox(errand)

    def beat(self, caller: Caller, status: str | None) -> None:
        """Count a sign of life that came without a frame.

        Of more than may be heard only the last is, as soon as it may be.
        """
        if caller in self._late:
            self._late[caller] = self._late[caller] if status is None else status
            return
        pause_seconds = self._bucket(caller).take(self._now())
        if pause_seconds > 0:
            self._late[caller] = status
            asyncio.get_running_loop().call_later(pause_seconds, self._beat_late, caller)
            return
        self._notice(caller)
        call = calls.Heartbeat(caller=caller, request=self._name(), status=status)
        self._post(call, lambda _: None)

    def _beat_late(self, caller: Caller) -> None:
        if caller in self._late:
            self.beat(caller, self._late.pop(caller))

    def charge(self, caller: Caller, seconds: float) -> None:
        """Count what a call has cost against its caller's share of the engine's time."""
        if seconds > NOTABLE_SECONDS:
            self._bucket(caller).charge(seconds)

    def forget(self, stream: StreamId) -> None:
        """An attempt of a stream is over: what is kept for its calls can go."""
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

    def _admit(self, asked: Asked, visit: Visit) -> Caller:
        """Return who asks. Raises BadFrame for somebody who may not."""
        if not asked.token:
            raise BadFrame("no_token", "argument 'token' is missing", "it is in $ANABRANCH_TOKEN")
        caller = self.tokens.bearer(asked.token)
        if caller is None:
            raise BadFrame("bad_token", "this token is not of this run", "use $ANABRANCH_TOKEN")
        visit.pause_seconds = self._bucket(caller).take(self._now())
        if visit.pause_seconds > LONGEST_PAUSE_SECONDS:
            self._notice(caller)
            raise BadFrame(
                "too_much",
                "what this stream asked for has taken the engine longer than its share",
                f"ask again in {visit.pause_seconds:.0f} s, and for less at a time",
            )
        if caller.is_operator and isinstance(asked.args, STREAMS_ONLY):
            raise BadFrame("not_a_stream", f"only a stream can {asked.verb}")
        if not caller.is_operator:
            if isinstance(asked.args, OPERATOR_ONLY):
                raise BadFrame("not_allowed", f"only the operator can {asked.verb}")
            self._notice(caller)
        return caller

    def _notice(self, caller: Caller) -> None:
        self.heard_at[caller.stream] = self._now()

    def _bucket(self, caller: Caller) -> Bucket:
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = Bucket(self._now())
        return bucket

    def _names_of(self, caller: Caller) -> RequestNames:
        return self._names.setdefault(caller, RequestNames())

    def _name(self) -> str:
        return f"{self._mark}.{next(self._numbers)}"

    # --- what ------------------------------------------------------------------------------------

    def _serve(self, asked: Asked, caller: Caller, request: str, visit: Visit) -> None:
        args = asked.args
        is_resumed = isinstance(args, wire.WaitingArgs) and args.ticket is not None
        call = None if is_resumed else self._meaning(args.call(caller, request))
        errand = Errand(caller, args, call, visit)

        def tell(answer: Answer) -> None:
            if not visit.is_gone:
                visit.say(self._worded(errand, asked.i, answer))

        errand.tell = tell
        if isinstance(args, wire.Heartbeat) and calls.Heartbeat not in CALLS:
            tell(why_not_heard(self._state(), caller) or Answer("done"))
        elif is_resumed:
            self._resume(errand)
        elif isinstance(args, wire.Inbox) and self._has_to_wait(errand, args):
            self._await_news(errand, args)
        elif errand.call is None:
            state = self._state()
            tell(why_not_heard(state, caller) or reads.READS[type(args)](state, caller, args))
        else:
            self._ask(errand, errand.call)

    def _meaning(self, call: Call | None) -> Call | None:
        """Whoever locks a folder without its slash means what is in it."""
        if not isinstance(call, calls.Lock) or not is_literal(call.path):
            return call
        stream = self._state().streams.get(call.caller.stream)
        if stream is None or stream.workspace is None or call.path.startswith("/"):
            return call
        is_folder = os.path.isdir(os.path.join(stream.workspace.path, call.path))
        return replace(call, path=f"{call.path}/") if is_folder else call

    def _ask(self, errand: Errand, call: Call) -> None:
        self._post(call, lambda outcome: self._replied(errand, call, outcome))

    def _replied(self, errand: Errand, call: Call, outcome: Refusal | Answer | None) -> None:
        """The engine has answered; a call that waits may go on waiting."""
        if not isinstance(outcome, Answer):
            reason = outcome or Refusal("the engine did not answer", "ask again")
            errand.tell(refused(reason.reason, reason.hint))
        elif isinstance(errand.args, wire.WaitingArgs) and is_waiting(outcome):
            self._wait(errand, errand.args, call, outcome)
        else:
            if outcome.outcome == "granted" and not errand.visit.is_gone:
                self._tickets.claim(call.caller, outcome)
            errand.tell(outcome)

    def _worded(self, errand: Errand, i: json_values.Json, answer: Answer) -> bytes:
        """Return the reply to an errand, with what only the gateway knows."""
        state = self._state()
        facts: dict[str, json_values.Json] = {}
        if isinstance(errand.args, wire.Lock) and answer.outcome != "granted":
            facts = reads.who_is_in_the_way(state, errand.caller, errand.args, self._now())
        elif isinstance(errand.args, wire.Register) and "attempt" in answer.facts:
            stream, attempt = StreamId(str(answer.facts["stream"])), int(answer.facts["attempt"])
            told = self._joining(stream, attempt)
            facts = {
                "token": told["ANABRANCH_TOKEN"],
                "directory": told["ANABRANCH_WORKSPACE"],
                "environment": told,
            }
        facts["messages_waiting"] = reads.messages_waiting(state, errand.caller)
        return wire.encode(i, answer, **facts)

    # --- waiting ---------------------------------------------------------------------------------

    def _wait(self, errand: Errand, args: wire.WaitingArgs, call: Call, answer: Answer) -> None:
        ticket = str(answer.facts["ticket"])
        request = self._request_of(call.caller, ticket) or call.request
        wait = self._tickets.add(call.caller, request, answer)
        if wait is None:
            self._withdraw(call.caller, ticket)
            hint = "wait for one of them first"
            errand.tell(refused("too many of your calls wait already", hint))
        elif errand.visit.is_gone:
            self._tickets.start_grace(wait)
        elif not args.waits:
            errand.tell(answer)
            self._tickets.start_grace(wait)
        else:
            self._listen(errand, args, wait)

    def _listen(self, errand: Errand, args: wire.WaitingArgs, wait: Wait) -> None:
        seconds = _bounded(args.wait_seconds)
        errand.visit.listener = self._tickets.listen(wait, seconds, errand.tell)

    def _resume(self, errand: Errand) -> None:
        """Go on with a wait by its ticket."""
        args = errand.args
        assert isinstance(args, wire.WaitingArgs)
        ticket = args.ticket or ""
        wait = self._tickets.find(errand.caller, ticket)
        if wait is None:
            errand.tell(refused(f"there is no ticket {ticket!r}", "ask again with the same words"))
        else:
            self._listen(errand, args, wait)

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
        """Nobody asks for a queued call any more, or has ever heard that it was granted."""
        caller, facts = wait.caller, wait.answer.facts
        if not wait.is_settled:
            self._withdraw(caller, wait.ticket)
        elif wait.answer.outcome == "granted" and "fence" in facts:
            back = calls.Unlock(caller=caller, request=self._name(), fence=int(facts["fence"]))
            self._post(back, lambda _: None)
        elif wait.answer.outcome == "granted" and "granted" in facts:
            amounts = dict(facts["granted"])
            self._post(
                calls.ReleaseResources(caller=caller, request=self._name(), amounts=amounts),
                lambda _: None,
            )

    def _withdraw(self, caller: Caller, ticket: str) -> None:
        request, number = self._name(), int(ticket)
        self._post(
            calls.Withdraw(caller=caller, request=request, ticket=number, is_abandoned=True),
            lambda _: None,
        )

    # --- reading the inbox -----------------------------------------------------------------------

    def _has_to_wait(self, errand: Errand, args: wire.Inbox) -> bool:
        state = self._state()
        is_heard = why_not_heard(state, errand.caller) is None
        return is_heard and args.waits and not reads.has_news(state, errand.caller)

    def _await_news(self, errand: Errand, args: wire.Inbox) -> None:
        loop = asyncio.get_running_loop()
        seconds = _bounded(args.wait_seconds)
        self._readers[errand] = loop.call_later(seconds, self._read_inbox, errand)

    def _read_inbox(self, errand: Errand) -> None:
        """Read what there is now, unless the reader has left: then it stays unread."""
        self._readers.pop(errand).cancel()
        if not errand.visit.is_gone and errand.call is not None:
            self._ask(errand, errand.call)


def _bounded(seconds: float) -> float:
    return min(seconds, wire.LONGEST_WAIT_SECONDS)
