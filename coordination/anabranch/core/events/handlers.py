"""Events of handlers: how each run of a stream's command over one of its items has ended."""

from __future__ import annotations

from typing import Literal

from anabranch.core.events.base import Event, StreamEvent
from anabranch.core.ids import Attempt, Seq, StreamId


class HandlerFinished(Event, frozen=True, kw_only=True):
    """A handler of a stream has ended; it is known by the place of its item, counted from 0.

    ``reason`` says why where neither code nor signal does; ``tries`` how often the attempt has run
    it by now. It ran for ``seconds`` from ``began_at`` on (run seconds); no two run in one ``slot``
    at a time. ``was_left``: it had failed before, and its attempt had first left it so.
    ``book_offset`` is where its line ends in the book of the stream's handlers.
    """

    stream: StreamId
    attempt: Attempt
    handler: int
    item: str
    outcome: Literal["succeeded", "failed"]
    exit_code: int | None
    signal: int | None
    reason: str
    seconds: float
    began_at: float
    slot: int
    tries: int
    book_offset: int
    was_left: bool = False


class HandlerRecoveryRequested(StreamEvent, frozen=True, kw_only=True):
    """A person wants a handler ended, if it runs, and tried again.

    ``is_chosen``: the stream had ended, and its ``attempt`` runs only those of its handlers that
    failed and are asked for, and what waits for them.
    """

    attempt: Attempt
    handler: int
    reason: str
    is_chosen: bool = False


class HandlerRecoveryPassedOn(StreamEvent, frozen=True, kw_only=True):
    """The program that runs the handlers will read it; ``request`` is the event that wanted it."""

    attempt: Attempt
    handler: int
    request: Seq


class HandlerRequestsHeard(Event, frozen=True, kw_only=True):
    """The program that runs the handlers has taken up what a person wants: these requests."""

    stream: StreamId
    attempt: Attempt
    requests: tuple[Seq, ...]
    book_offset: int


class HandlersAskedLate(StreamEvent, frozen=True, kw_only=True):
    """These requests came when the attempt took up no more: the next one is about them."""

    attempt: Attempt
    requests: tuple[Seq, ...]


class HandlersStopped(Event, frozen=True, kw_only=True):
    """An attempt has not run all handlers that there are: too many have failed, or items ended."""

    stream: StreamId
    attempt: Attempt
    reason: str
    book_offset: int


class HandlersLeft(Event, frozen=True, kw_only=True):
    """An attempt has left handlers as they had failed, as nobody asked for them: ``count`` more."""

    stream: StreamId
    attempt: Attempt
    count: int
    book_offset: int


class HandlersSkipped(Event, frozen=True, kw_only=True):
    """An attempt has left handlers out, as they were done before: ``count`` more of them."""

    stream: StreamId
    attempt: Attempt
    count: int
    book_offset: int
