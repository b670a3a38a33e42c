"""Decisions about handlers: what a look at the book of a stream's handlers found is written down.

A look is known by where in the book it began. One that does not begin where the last one ended,
as it comes twice or too late, tells what is known: so each end is told once, whoever died between.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.sharing import Author, record
from anabranch.core.ids import Seq, StreamId
from anabranch.core.json_values import Json, NotJson, checked_text
from anabranch.core.model.handlers import Handled, results_key
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream


def seen(draft: Draft, fact: inputs.HandlersSeen) -> None:
    """Record how handlers have ended, in the order of their ends."""
    known = draft.state.handlers.get(fact.stream, Handled())
    if fact.stream not in draft.state.streams or fact.since != known.book_offset:
        return
    if fact.left:  # before any of those ends that it has tried all the same
        draft.emit(
            ev.HandlersLeft(
                stream=fact.stream,
                attempt=fact.attempt,
                count=fact.left,
                book_offset=fact.book_offset,
            )
        )
    for ended in fact.ended:
        draft.emit(ended)
    if fact.skipped:
        draft.emit(
            ev.HandlersSkipped(
                stream=fact.stream,
                attempt=fact.attempt,
                count=fact.skipped,
                book_offset=fact.book_offset,
            )
        )
    if fact.heard:
        draft.emit(
            ev.HandlerRequestsHeard(
                stream=fact.stream,
                attempt=fact.attempt,
                requests=fact.heard,
                book_offset=fact.book_offset,
            )
        )
    if fact.stopped:
        draft.emit(
            ev.HandlersStopped(
                stream=fact.stream,
                attempt=fact.attempt,
                reason=fact.stopped,
                book_offset=fact.book_offset,
            )
        )


def owed_to(state: State, stream: Stream) -> Iterator[fx.RecoverHandler]:
    """Yield what is to be passed on to the program that runs a stream's handlers."""
    known = state.handlers.get(stream.id)
    if known is None or stream.phase is not Phase.RUNNING or known.attempt != stream.attempt:
        return
    for one in known.requested:
        if one.is_passed_on:
            continue
        yield fx.RecoverHandler(
            stream=stream.id, attempt=stream.attempt, handler=one.handler, cause=one.cause
        )


def are_chosen(state: State, stream: StreamId) -> bool:
    """Return whether a stream's attempt is about single handlers, which a person has asked for."""
    return bool(state.handlers.get(stream, Handled()).chosen)


def asked_late(state: State, stream: Stream) -> tuple[Seq, ...]:
    """Return which requests a stream's attempt has ended without having taken up."""
    known = state.handlers.get(stream.id)
    if known is None or known.attempt != stream.attempt:
        return ()
    return tuple(one.cause for one in known.requested)


def share_results(draft: Draft, stream: Stream, results: Json) -> None:
    """Put what the handlers of a stream found into the shared state, if they found anything."""
    text = None if results is None else checked_text(results)
    if text is None or isinstance(text, NotJson):
        return
    record(draft, Author(stream.id, stream.attempt), {results_key(stream.id): text})
