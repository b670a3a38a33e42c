"""Speculation: a straggler gets a second copy on an idle slot, and one of the two may commit.

*When*: a stream that its plan calls repeatable has worked for longer than 19 of 20 times before,
nobody wants its slot, and what it asks for is free twice. *Who counts*: the first of both that
succeeds, or that asks for something by which others would notice it. That right is granted once
(``commit_granted``), by the one writer, before any effect: two can never have it. The other one is
fenced: it is ended, what it had written is kept, and it counts for nothing.

If the straggler fails, its copy goes on as the stream; if the copy fails, nothing has happened.
As soon as somebody is ready and lacks what a copy has, the copy makes way.
"""

from __future__ import annotations

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call
from anabranch.core.deciding import alone, resources
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import breakers
from anabranch.core.deciding.owed import exited_well
from anabranch.core.deciding.streams import checkpoints
from anabranch.core.deciding.streams.copies import give_back
from anabranch.core.deciding.streams.straggling import past_at
from anabranch.core.model.at_work import elapsed_of
from anabranch.core.model.lifecycle import LIVE, Phase
from anabranch.core.model.resources import MEMORY
from anabranch.core.model.slots import Slot, free_slots
from anabranch.core.model.state import Copy, State, Stream
from anabranch.core.plans.forecast import expected_rest
from anabranch.core.plans.repeating import most_copies
from anabranch.core.wording import counted, length

_UNNOTICED = (calls.Heartbeat, calls.Renew)
"""Calls that change nothing for others: each of two may make them."""


def settle(draft: Draft) -> None:
    """Let copies make way for whoever is ready, and copy a straggler if a slot is idle."""
    state = draft.state
    if not state.topology.repeated or state.base is None or state.has_ended:
        return
    _make_way(draft)
    straggler = None if state.stop_reason else _straggler(draft.state, draft.now)
    if straggler is not None:
        _copy(draft, straggler)


# --- when ----------------------------------------------------------------------------------------


def _straggler(state: State, now: float) -> Stream | None:
    """Return who takes longest for its habits, if the machine has nothing else to do."""
    is_crowded = state.counts.active >= state.max_parallel or state.runs_alone is not None
    if is_crowded or len(state.copies) >= most_copies(state.plan) or _due(state, now):
        return None
    found = []
    for name in state.topology.repeated:
        stream = state.streams[name]
        past = past_at(state, stream)
        if past is not None and now >= past and _has_room(state, stream, now):
            long = state.stream_plan(name).long_seconds or 0.0
            found.append((-(now - past) / max(long, 0.001), state.topology.position[name], stream))
    return min(found)[2] if found else None


def _has_room(state: State, stream: Stream, now: float) -> bool:
    """Return whether all that a stream asks for, and the memory that it takes, is there twice."""
    if state.expected_memory_mb(stream.id) > resources.free(state, MEMORY):
        return False
    if breakers.why_not_admitted(state, stream) is not None:
        return False
    reserved = resources.reservations(state, now)
    return resources.why_not_admitted(state, stream, reserved) is None


def _due(state: State, now: float) -> list[Stream]:
    """Return who is ready, waiting for a slot or for anything else that the machine has."""
    queued = (state.streams[name] for _, _, name in state.ready)
    return [stream for stream in queued if stream.not_before <= now]


def _copy(draft: Draft, stream: Stream) -> None:
    state, plan = draft.state, draft.state.stream_plan(stream.id)
    idle = state.max_parallel - state.counts.active
    slot: Slot | None = next(free_slots(state.slots, state.max_parallel), None)
    if slot is None:
        return
    long = plan.long_seconds or 0.0
    amounts = {n: a for n, a in state.asks_of(stream.id).items() if a > 0}
    with draft.because_of(max(stream.cause, draft.cause or 0)):
        draft.emit(
            ev.StreamCopied(
                stream.id,
                attempt=state.speculation.newest(stream.id, stream.attempt) + 1,
                of=stream.attempt,
                elapsed_seconds=round(elapsed_of(stream, draft.now), 3),
                long_seconds=long,
                idle_slots=idle,
                slot=slot.number,
                incarnation=slot.incarnation + 1,
                placed_because=f"past its p95 of {length(long, 1)}, and "
                f"{counted(idle, 'slot')} idle",
                amounts=amounts,
            )
        )
        if amounts:
            draft.emit(ev.ResourcesGranted(stream.id, stream.attempt, "", amounts=amounts))


def _make_way(draft: Draft) -> None:
    """Fence as many copies as there are streams that are ready and lack what copies have."""
    state = draft.state
    copies = [c for c in state.copies.values() if c.is_hopeful]
    if not copies:
        return
    leaving = len(state.copies) - len(copies)
    waiting = [s for s in _due(state, draft.now) if _lacks_what_copies_have(draft, s, copies)]
    reasons = [f"{stream.id} is ready and needs what it has" for stream in waiting]
    too_many = state.counts.active - state.max_parallel
    reasons += [f"{counted(state.max_parallel, 'stream')} may run at a time now"] * too_many
    copies.sort(key=lambda c: (c.since, c.run.id))
    for copy, reason in zip(reversed(copies), reasons[leaving:], strict=False):
        fence(draft, copy, reason)


def _lacks_what_copies_have(draft: Draft, stream: Stream, copies: list[Copy]) -> bool:
    state = draft.state
    if alone.waits_for_calm(state, stream, draft.now):
        return True
    if breakers.why_not_admitted(state, stream) is not None:
        return False
    if state.counts.active >= state.max_parallel:
        return True
    asks = state.asks_of(stream.id)
    return any(asks.keys() & copy.holds.keys() for copy in copies)


# --- who counts ----------------------------------------------------------------------------------


def before_call(draft: Draft, call: Call) -> bool:
    """Grant the right to commit to the first of two that asks for what others notice.

    Returns whether the call is dealt with: what a copy says of itself is heard by nobody.
    """
    copy = draft.state.copies.get(call.caller.stream)
    if copy is None or not copy.is_hopeful:
        return False
    is_copy = call.caller.attempt == copy.run.attempt
    if isinstance(call, _UNNOTICED):
        draft.answer = Answer("done") if is_copy else None
        return is_copy
    has_process = copy.run.phase in LIVE or not is_copy
    if has_process and (is_copy or call.caller.attempt == draft.stream(copy.run.id).attempt):
        verb = str(call.__struct_config__.tag)
        _grant(draft, copy, call.caller.attempt, f"it was the first to ask for something: {verb}")
    return False


def follow(draft: Draft, event: ev.StreamEvent) -> bool:
    """Decide what an end means for the other one; return whether it was of one beside."""
    state = draft.state
    copy = state.copies.get(event.stream)
    if copy is None:
        attempt = getattr(event, "attempt", None)
        return attempt in state.speculation.set_aside.get(event.stream, ())
    if isinstance(event, ev.StreamStopRequested):
        if copy.is_hopeful and event.attempt == draft.stream(event.stream).attempt:
            fence(draft, copy, f"the stream is to end: {event.reason}")
    elif isinstance(event, ev.StreamExited | ev.StreamLost):
        _ended(draft, copy, event)
    copy = draft.state.copies.get(event.stream)
    return copy is not None and getattr(event, "attempt", None) == copy.run.attempt


def _ended(draft: Draft, copy: Copy, event: ev.StreamExited | ev.StreamLost) -> None:
    own, beside = draft.stream(event.stream), copy.run
    if event.attempt == beside.attempt:
        is_first = beside.stop is None and own.phase is not Phase.CAPTURING and not own.stop
        if is_first and exited_well(draft.state, beside):
            _grant(draft, copy, beside.attempt, "it was the first to succeed")
    elif event.attempt == own.attempt and copy.is_hopeful and not own.stop:
        if exited_well(draft.state, own):
            _grant(draft, copy, own.attempt, "it was the first to succeed")
        else:
            _take_over(draft, copy, own)


def _grant(draft: Draft, copy: Copy, to: int, reason: str) -> None:
    """Give one of two the right to commit, and fence the other one."""
    own, beside = draft.stream(copy.run.id), copy.run
    is_copy = to == beside.attempt
    over = own if is_copy else beside
    saved = _expected_rest(draft, own) if is_copy else 0.0
    if is_copy:
        checkpoints.give_back(draft, own)
    draft.emit(
        ev.CommitGranted(
            own.id,
            attempt=to,
            over=over.attempt,
            reason=reason,
            saved_seconds=round(saved, 3),
        )
    )
    winner = f"attempt {to} has the right to commit: {reason}"
    fence(draft, draft.state.copies[own.id], winner)


def _expected_rest(draft: Draft, stream: Stream) -> float:
    estimate = draft.state.stream_plan(stream.id).estimate_seconds
    return expected_rest(estimate, elapsed_of(stream, draft.now))


def _take_over(draft: Draft, copy: Copy, own: Stream) -> None:
    """Let the copy of one that has failed go on as the stream."""
    checkpoints.give_back(draft, own)
    exit_ = own.exit
    how = own.failure or (f"exit {exit_.status}" if exit_ else "it ended without a word")
    draft.emit(
        ev.CopyTookOver(
            own.id,
            attempt=copy.run.attempt,
            of=own.attempt,
            reason=f"attempt {own.attempt} failed: {how}",
        )
    )
    give_back(draft, draft.state.copies[own.id])


def fence(draft: Draft, copy: Copy, reason: str) -> None:
    """Have one of two end; from now on it has no effect, and nothing has failed."""
    draft.emit(ev.AttemptFenced(copy.run.id, attempt=copy.run.attempt, reason=reason))


def memory_is_short(draft: Draft, fact: inputs.MemorySeen) -> bool:
    """Fence the newest copy where the machine is short of memory: nobody else has to end then."""
    copies = [c for c in draft.state.copies.values() if c.is_hopeful]
    if fact.is_short and copies:
        newest = max(copies, key=lambda c: (c.since, c.run.id))
        with draft.because_of(newest.run.cause):
            fence(draft, newest, "the machine is short of memory")
        return True
    return fact.is_short and any(c.run.phase is Phase.STOPPING for c in draft.state.copies.values())
