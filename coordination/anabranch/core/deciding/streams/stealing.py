"""Stealing in two steps: a free slot asks for what waits for another one, and that one lets go.

Between the two anything may happen, as soon as they are on different machines: so a steal names the
lease of the thief and the version of the victim's queue, and comes to nothing if either has moved
on. It changes no queue until it is answered, and then both in one event: nobody is lost, nor in two
queues. It stays known until those that were stolen have started, or are elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.queues import StealUnderWay
from anabranch.core.model.slots import slot_of
from anabranch.core.model.state import State
from anabranch.core.strategies import Steal


def ask(draft: Draft, steal: Steal) -> None:
    """Ask the owner of a queue for streams that wait in it."""
    state = draft.state
    with draft.because_of(cause_of(draft, steal.streams)):
        draft.emit(
            ev.StealAsked(
                thief=steal.thief,
                incarnation=slot_of(state.slots, steal.thief).incarnation,
                victim=steal.victim,
                version=state.queues.of(steal.victim).version,
                queued=as_queued(state, steal.streams),
                reason=steal.reason,
            )
        )


def as_queued(state: State, streams: Iterable[StreamId]) -> tuple[ev.QueuedAttempt, ...]:
    """Return streams that wait, as events tell them."""
    attempts = {name: state.streams[name].attempt for name in streams}
    return tuple(ev.QueuedAttempt(stream=s, attempt=attempt) for s, attempt in attempts.items())


def cause_of(draft: Draft, streams: Iterable[StreamId]) -> Seq:
    """Return what leads to an event about streams that wait.

    They were queued just now, or something has happened that concerns the slot they wait for.
    """
    return max(draft.cause or 0, *(draft.state.streams[name].cause for name in streams))


def owed(state: State) -> Iterator[fx.AskVictim]:
    """Yield what owners of queues are to be asked."""
    for steal in state.queues.steals.values():
        if not steal.is_released:
            streams = tuple((queued.stream, queued.attempt) for queued in steal.streams)
            yield fx.AskVictim(victim=steal.victim, streams=streams, cause=steal.number)


def let_go(effect: fx.AskVictim) -> inputs.VictimAnswered:
    """Return what the owner of a queue on this machine answers: it has started nothing by itself.

    Whether its queue is still what was asked about is looked at where the answer is heard.
    """
    released = tuple(ev.QueuedAttempt(stream=s, attempt=attempt) for s, attempt in effect.streams)
    return inputs.VictimAnswered(steal=effect.cause, released=released, cause=effect.cause)


def answered(draft: Draft, fact: inputs.VictimAnswered) -> None:
    """Move what was let go of into the queue of the thief, if all is as it was."""
    steal = draft.state.queues.steals.get(fact.steal)
    if steal is None or steal.is_released:
        return  # it has been answered before
    refused = why_refused(draft.state, steal)
    streams = tuple(queued for queued in steal.streams if queued in fact.released)
    if refused is None and not streams:
        refused = f"slot {steal.victim} has started them meanwhile"
    if refused is not None:
        draft.emit(
            ev.StealRefused(
                steal=steal.number, thief=steal.thief, victim=steal.victim, reason=refused
            )
        )
        return
    draft.emit(
        ev.StreamsStolen(steal=steal.number, thief=steal.thief, victim=steal.victim, queued=streams)
    )


def why_refused(state: State, steal: StealUnderWay) -> str | None:
    """Return what has changed since something was asked for, None if nothing that matters."""
    if slot_of(state.slots, steal.thief).incarnation != steal.incarnation:
        return f"slot {steal.thief} has got something else to do meanwhile"
    if steal.thief > state.max_parallel:
        return f"slot {steal.thief} is beyond the width by now"
    if state.queues.of(steal.victim).version != steal.version:
        return f"the queue of slot {steal.victim} has changed meanwhile"
    for queued in steal.streams:
        stream = state.streams[queued.stream]
        if stream.phase is not Phase.QUEUED or stream.attempt != queued.attempt:
            return f"{queued.stream} does not wait any more"
    return None
