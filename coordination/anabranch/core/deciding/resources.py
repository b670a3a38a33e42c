"""Decisions about resources: who gets what, who waits, who uses more than was granted.

Theory of operation. A stream holds what the plan gives it from its admission on, and what it asked
for by calls; all is released when its process is gone. A request is granted when every amount is
free, answered with an offer when the caller does not want to wait, and queued otherwise.

Nobody starves. Small requests may pass a large one while it is young. Once a request, or a stream
that only resources keep from starting, has waited for :data:`RESERVE_SECONDS`, nobody younger gets
anything of what it asks for: the resources it needs drain towards it. Older goes before younger
without exception, so two that wait never hold each other up.

Besides the accounts there is the machine. When its memory is short, nothing new starts, whatever
the accounts say; and a stream that asks for more memory than is free right now waits while others
run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call
from anabranch.core.deciding import alone
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import breakers
from anabranch.core.deciding.hearing import Handler
from anabranch.core.deciding.messages import tell
from anabranch.core.deciding.streams import streams
from anabranch.core.deciding.streams.copies import held_beside
from anabranch.core.deciding.streams.serving import why_not_served
from anabranch.core.folds.resources import by_age, queued_answer
from anabranch.core.ids import StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.newest_state import once_a_state
from anabranch.core.model.resources import CPU, MEMORY, Amounts, WaitingRequest, excess_key, plus
from anabranch.core.model.state import State, Stream
from anabranch.core.wording import listing

RESERVE_SECONDS = 30.0
LEAST_MEMORY_MB = 256.0
LEAST_MEMORY_SHARE = 0.05
MOST_PRESSURE = 40.0
EXCESS_TOLERANCE = 1.1
TELL_AFTER_SECONDS = 5.0
STOP_AFTER_SECONDS = 30.0
MOST_WAITING_A_STREAM = 16

_ROUNDING = 1e-6

ENGINE = StreamId("engine")
"""Whom a message about too much use is from."""


class Reservation(msgspec.Struct, frozen=True):
    """Somebody has waited long enough for nobody younger to get what it asks for."""

    since: float
    stream: StreamId
    amounts: Amounts


# --- what there is -------------------------------------------------------------------------------


def capacity(state: State, name: str) -> float | None:
    """Return how much of a resource there is; None if the machine has not been measured yet.

    The plan's own word counts first, then what was measured. Of a token that nobody defines there
    is as much as the stream that uses most of it asks for.
    """
    declared = state.plan.resources.get(name)
    if declared is not None:
        return declared
    measured = state.resources.machine.get(name)
    if measured is not None or name in (CPU, MEMORY):
        return measured
    return state.topology.largest_use.get(name, 0.0)


def known_names(state: State) -> tuple[str, ...]:
    """Return the names of all resources of this run."""
    return tuple(dict.fromkeys((CPU, MEMORY, *state.plan.resources, *state.topology.largest_use)))


def free(state: State, name: str) -> float:
    """Return how much of a resource may be granted now."""
    whole = capacity(state, name)
    left = math.inf if whole is None else whole - state.resources.used.get(name, 0.0)
    if name == MEMORY:
        left = min(left, _free_memory(state))
    return max(0.0, round(left, 6))


def _free_memory(state: State) -> float:
    """Return what the machine can give now; with nobody at work the accounts alone decide."""
    table = state.resources
    if table.memory_available_mb is None or not table.held:
        return math.inf
    return table.memory_available_mb - table.fresh_memory_mb


def lacking(state: State, amounts: Mapping[str, float]) -> Amounts:
    """Return what is not free of what is asked for, by name; empty if all can be had."""
    missing = {n: amount - free(state, n) for n, amount in amounts.items()}
    return {name: amount for name, amount in missing.items() if amount > _ROUNDING}


def why_never(state: State, stream: StreamId, amounts: Mapping[str, float]) -> str | None:
    """Return why a stream can never have amounts beside what it holds, or None if it can."""
    holds = state.resources.held_by(stream)
    for name, amount in amounts.items():
        whole = capacity(state, name)
        if whole is not None and amount + holds.get(name, 0.0) > whole + _ROUNDING:
            more = f" beside the {holds[name]:g} it holds" if name in holds else ""
            return f"needs {amount:g} {name}{more}, and there are only {whole:g}"
    return None


def least_free_mb(total_mb: float) -> float:
    """Return how much of a machine's memory stays free: below that nothing starts."""
    return max(LEAST_MEMORY_MB, total_mb * LEAST_MEMORY_SHARE)


def shortage_of(state: State, available_mb: float, pressure: float | None) -> str:
    """Return why nothing new may start on a machine in this condition; empty if it may."""
    least = least_free_mb(state.resources.machine.get(MEMORY, 0.0))
    if available_mb < least:
        return f"only {available_mb:.0f} MB of memory are free; nothing starts below {least:.0f}"
    if pressure is not None and pressure > MOST_PRESSURE:
        return f"memory is under pressure ({pressure:.0f} % of the time somebody waits for it)"
    return ""


# --- who goes first ------------------------------------------------------------------------------


@once_a_state
def reservations(state: State, now: float) -> tuple[Reservation, ...]:
    """Return who has waited long enough to be waited for."""
    found = [
        Reservation(w.since, w.stream, w.amounts)
        for w in state.resources.queue
        if now - w.since >= RESERVE_SECONDS and lacking(state, w.amounts)
    ]
    if state.topology.largest_use and state.counts.active < state.max_parallel:
        found += _reserved_for_the_ready(state, now)
    return tuple(found)


def _reserved_for_the_ready(state: State, now: float) -> Iterator[Reservation]:
    for _, _, stream_id in state.ready:
        stream = state.streams[stream_id]
        since = ready_since(stream)
        if now - since < RESERVE_SECONDS:
            continue
        amounts = state.asks_of(stream_id)
        is_held = breakers.why_not_admitted(state, stream) is not None
        if amounts and not is_held and lacking(state, amounts):
            yield Reservation(since, stream_id, amounts)


def ready_since(stream: Stream) -> float:
    """Return since when nothing but slots and resources keeps a queued stream from starting."""
    return max(stream.since, stream.not_before)


def goes_before(
    reserved: Iterable[Reservation], since: float, stream: StreamId, amounts: Mapping[str, float]
) -> Reservation | None:
    """Return an older one that waits for something of the same, if there is one."""
    for other in reserved:
        if (other.since, other.stream) < (since, stream) and other.amounts.keys() & amounts.keys():
            return other
    return None


def kept_for(state: State) -> list[StreamId]:
    """Return for whom others wait, with requests or with their start: it has waited longer."""
    may_wait = state.resources.queue or (state.ready and state.topology.largest_use)
    reserved = reservations(state, state.at) if may_wait else ()
    if not reserved:
        return []
    waiting, ready = state.resources.queue, (state.streams[s] for _, _, s in state.ready)
    found = [goes_before(reserved, w.since, w.stream, w.amounts) for w in waiting]
    found += [goes_before_start(state, reserved, stream) for stream in ready]
    return list(dict.fromkeys(older.stream for older in found if older is not None))


def goes_before_start(
    state: State, reserved: Iterable[Reservation], stream: Stream
) -> Reservation | None:
    """Return who has waited longer for what a queued stream needs to start, if there is one."""
    amounts = state.asks_of(stream.id)
    return goes_before(reserved, ready_since(stream), stream.id, amounts) if amounts else None


def why_not_admitted(state: State, stream: Stream, reserved: Iterable[Reservation]) -> str | None:
    """Return what of the machine a queued stream has to wait for, and because of whom."""
    if state.resources.why_nothing_starts:
        return state.resources.why_nothing_starts
    amounts = state.asks_of(stream.id)
    if not amounts:
        return None
    missing = lacking(state, amounts)
    if missing:
        return "; ".join(_shortage(state, name, amounts[name]) for name in missing)
    older = goes_before_start(state, reserved, stream)
    return f"{older.stream} has waited longer for the same resources" if older else None


def why_queued(state: State, stream: Stream) -> str:
    """Return why a queued stream has not started: not its time, no slot, or no room here."""
    if stream.not_before > state.at:
        return f"waits for {stream.window.why or 'its time'}"
    held = alone.why_not_beside(state, stream, state.at) or breakers.why_not_admitted(state, stream)
    held = held or why_not_served(state, stream)
    if not held and state.counts.active < state.max_parallel:
        held = why_not_admitted(state, stream, reservations(state, state.at))
    if held:
        return f"ready; {held}"
    any_slot = f"one of {state.max_parallel} slots" if state.max_parallel > 1 else "the only slot"
    return f"ready; waits for {state.queues.wanted_by(stream.id) or any_slot}"


def _shortage(state: State, name: str, amount: float) -> str:
    holders = holders_of(state, name)
    held = f"; held by {listing(holders)}" if holders else ""
    whole = capacity(state, name)
    of = "" if whole is None else f" of {whole:g}"
    return f"needs {amount:g} {name}, {free(state, name):g}{of} free{held}"


def holders_of(state: State, name: str) -> list[StreamId]:
    """Return who holds some of a resource, in order of name."""
    return sorted(s for s, held in state.resources.held.items() if name in held.amounts)


# --- the plan's own ------------------------------------------------------------------------------


def grant_to_admitted(draft: Draft, stream: Stream) -> None:
    """Give an admitted stream what its plan asks for."""
    amounts = {n: a for n, a in draft.state.asks_of(stream.id).items() if a > 0}
    if amounts:
        draft.emit(ev.ResourcesGranted(stream.id, stream.attempt, "", amounts=amounts))


def give_back(draft: Draft, stream: Stream) -> None:
    """Release everything of a stream whose process is gone, and forget what it waits for."""
    if stream.phase is Phase.PREPARING:
        return
    held = draft.state.resources.held.get(stream.id)
    for waiting in draft.state.resources.queue:
        if waiting.stream == stream.id:
            draft.emit(
                ev.ResourcesWithdrawn(
                    stream.id,
                    waiting.attempt,
                    "",
                    ticket=waiting.ticket,
                    reason="its process is gone",
                )
            )
    amounts = plus(held.amounts, held_beside(draft.state, stream.id), -1) if held else {}
    if held is not None and amounts:
        draft.emit(
            ev.ResourcesReleased(
                stream.id, held.attempt, "", amounts=amounts, reason="its process is gone"
            )
        )


def serve_queue(draft: Draft) -> None:
    """Grant what has become free to those who wait, the most urgent first."""
    if not draft.state.resources.queue:
        return
    reserved = reservations(draft.state, draft.now)
    for waiting in by_age(draft.state, draft.now):
        if lacking(draft.state, waiting.amounts):
            continue
        if goes_before(reserved, waiting.since, waiting.stream, waiting.amounts) is None:
            draft.emit(
                ev.ResourcesGranted(
                    waiting.stream,
                    waiting.attempt,
                    waiting.request,
                    amounts=waiting.amounts,
                    ticket=waiting.ticket,
                )
            )


# --- calls ---------------------------------------------------------------------------------------


def request(draft: Draft, call: calls.RequestResources) -> None:
    """Grant, offer less, or queue."""
    state, caller = draft.state, call.caller
    amounts = {n: round(float(a), 6) for n, a in call.amounts.items()}
    refusal = _why_refused(state, call, amounts)
    if refusal is not None:
        draft.answer = refusal
        return
    waiting = [w for w in state.resources.queue if w.stream == caller.stream]
    same = next((w for w in waiting if w.amounts == amounts), None)
    if same is not None:
        draft.answer = queued_answer(state, same, draft.now)
        return
    never = _why_never_with(state, caller.stream, amounts, waiting)
    if never is not None:
        draft.answer = refused(never, "wait for those first, or withdraw them", never=True)
        return
    reserved = reservations(state, draft.now)
    older = goes_before(reserved, draft.now, caller.stream, amounts)
    if not lacking(state, amounts) and older is None:
        draft.emit(
            ev.ResourcesGranted(caller.stream, caller.attempt, call.request, amounts=amounts)
        )
    elif "negotiation" not in state.plan.protocols:
        holders = sorted({s for name in lacking(state, amounts) for s in holders_of(state, name)})
        hint = "ask again later: the plan has switched negotiation off, so nothing is queued"
        draft.answer = refused(f"not free: {_in_words(amounts)}", hint, holders=holders)
    elif not call.wait:
        draft.answer = _offer(state, amounts, older)
    elif len(waiting) >= MOST_WAITING_A_STREAM:
        reason = f"{caller.stream} waits for {len(waiting)} requests already"
        draft.answer = refused(reason, "wait for those, or withdraw them")
    else:
        draft.emit(ev.ResourcesQueued(caller.stream, caller.attempt, call.request, amounts=amounts))


def _why_never_with(
    state: State, stream: StreamId, amounts: Amounts, waiting: Iterable[WaitingRequest]
) -> str | None:
    """Return why a stream can never have amounts beside what it waits for already, or None.

    Whichever it got first, it would keep the other from itself.
    """
    both = amounts
    for other in waiting:
        both = plus(both, other.amounts)
    shared = {name: both[name] for name in amounts}
    never = why_never(state, stream, shared)
    return f"{never}, as it waits for some already" if never else None


def _why_refused(state: State, call: calls.RequestResources, amounts: Amounts) -> Answer | None:
    if call.caller.is_operator:
        return refused("only streams hold resources", "ask from inside a stream")
    bad = why_unsound(amounts)
    if bad:
        return refused(bad, "ask for amounts above 0, such as db=1")
    known = known_names(state)
    for name in amounts:
        if name not in known:
            hint = f"this run has: {', '.join(known)}; the plan names others under " + (
                "[coordination.resources]"
            )
            return refused(f"there is no resource {name[:64]!r}", hint)
    never = why_never(state, call.caller.stream, amounts)
    if never:
        return refused(never, "ask for less, or give back what you hold first", never=True)
    return None


def why_unsound(amounts: Mapping[str, float]) -> str | None:
    """Return what is wrong with amounts that somebody asks for or gives back, or None."""
    if not amounts:
        return "no amounts were given"
    for name, amount in amounts.items():
        if not math.isfinite(amount) or not 0 < amount <= 1e15:
            return f"{amount:g} is not an amount of {name[:64]}"
    return None


def _offer(state: State, amounts: Amounts, older: Reservation | None) -> Answer:
    """Say what could be had at once; nothing is granted by an offer."""
    kept = older.amounts.keys() if older else set[str]()
    less = {n: 0.0 if n in kept else min(a, free(state, n)) for n, a in amounts.items()}
    holders = sorted({s for name in lacking(state, amounts) for s in holders_of(state, name)})
    if older is not None:
        holders = [*holders, older.stream]
    if any(less.values()):
        return Answer("offer", {"offer": less, "wanted": amounts, "holders": holders})
    reason = f"nothing is free of {', '.join(amounts)}"
    return refused(reason, "ask again and wait, or later", holders=holders, offer=less)


def release(draft: Draft, call: calls.ReleaseResources) -> None:
    """Give amounts back that the caller holds."""
    caller = call.caller
    amounts = {n: round(float(a), 6) for n, a in call.amounts.items()}
    holds = draft.state.resources.held_by(caller.stream)
    over = plus(amounts, holds, -1)
    bad = why_unsound(amounts)
    if bad or over:
        reason = bad or f"{caller.stream} does not hold {_in_words(over)} more of this"
        draft.answer = refused(reason, f"it holds {_in_words(holds) or 'nothing'}", holds=holds)
        return
    draft.emit(ev.ResourcesReleased(caller.stream, caller.attempt, call.request, amounts=amounts))


def _in_words(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in amounts.items())


CALLS: dict[type[Call], Handler] = {
    calls.RequestResources: request,
    calls.ReleaseResources: release,
}


# --- what is seen --------------------------------------------------------------------------------


def machine_seen(draft: Draft, fact: inputs.MachineSeen) -> None:
    """Record what the machine has."""
    if fact.capacity != draft.state.resources.machine:
        draft.emit(ev.MachineMeasured(capacity=fact.capacity))


def load_seen(draft: Draft, fact: inputs.MachineLoad) -> None:
    """Record the machine's free memory and what is scarce, if it has changed enough to matter."""
    state = draft.state
    if state.has_ended:
        return  # to whoever looks at a run that is over it does not matter
    shortage = shortage_of(state, fact.memory_available_mb, fact.memory_pressure)
    shortage = shortage or (fact.short_of if state.counts.active else "")  # else nobody gives back
    table = state.resources
    seen = (fact.memory_available_mb, fact.memory_pressure, bool(shortage))
    if seen != (table.memory_available_mb, table.memory_pressure, bool(table.shortage)):
        draft.emit(
            ev.MachineLoadChanged(
                memory_available_mb=fact.memory_available_mb,
                memory_pressure=fact.memory_pressure,
                shortage=shortage,
            )
        )


def usage_seen(draft: Draft, fact: inputs.UsageSeen) -> None:
    """Deal with a stream that uses more than it was granted, or does so no longer."""
    stream = draft.stream(fact.stream)
    if stream.phase is not Phase.RUNNING:
        return
    granted = draft.state.resources.held_by(stream.id)
    for name, used in ((MEMORY, fact.memory_mb), (CPU, fact.cpu_cores)):
        excess = draft.state.resources.exceeded.get(excess_key(stream.id, name))
        is_known = excess is not None and excess.attempt == stream.attempt
        if name in granted and used > granted[name] * EXCESS_TOLERANCE:
            _exceeded(draft, draft.stream(stream.id), name, used)
        elif is_known:
            draft.emit(ev.ResourcesWithin(stream=stream.id, attempt=stream.attempt, resource=name))


def _exceeded(draft: Draft, stream: Stream, name: str, used: float) -> None:
    """Show it, then tell the stream, then stop it, as far as the plan wants."""
    granted = draft.state.resources.held_by(stream.id)[name]
    response = _next_response(draft, stream, name)
    if response is None:
        return
    draft.emit(
        ev.ResourcesExceeded(
            stream=stream.id,
            attempt=stream.attempt,
            resource=name,
            granted=granted,
            used=round(used, 3),
            response=response,
        )
    )
    words = f"it uses {used:.6g} {name} and was granted {granted:g}"
    if response == "tell":
        body = {
            "kind": "resources_exceeded",
            "resource": name,
            "granted": granted,
            "used": used,
            "text": f"{words}; use less, or request more",
        }
        tell(draft, stream.id, body, ENGINE)
    elif response == "stop":
        streams.request_stop(draft, stream, words, Phase.FAILED)


def _next_response(draft: Draft, stream: Stream, name: str) -> str | None:
    excess = draft.state.resources.exceeded.get(excess_key(stream.id, name))
    if excess is None or excess.attempt != stream.attempt:
        return "show"
    most, passed = draft.state.plan.on_excess, draft.now - excess.since
    if excess.response == "show" and most != "show" and passed >= TELL_AFTER_SECONDS:
        return "tell"
    if excess.response == "tell" and most == "stop" and passed >= STOP_AFTER_SECONDS:
        return "stop"
    return None
