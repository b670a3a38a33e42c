"""Decisions about streams that join a run by themselves, and about what they can do for others.

The plan's own streams are registered when the run starts. An outside process joins with an
operator's token: it brings a name, what it is capable of and what it waits for; it lives by its
heartbeat, and it is over when it says so, when it has arrived at the run's final point with the
others, when it falls silent for longer than the plan's heartbeat timeout, or when the run ends.

A dependency on a capability that no stream of the plan has waits for somebody to join. It waits
while anything else goes on, and at least as long as a heartbeat may take; then nobody is expected
any more, and the stream is skipped like any other whose wait can have no end. What runs, but waits
for that very stream, does not go on.
"""

from __future__ import annotations

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.calls import Call
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.ids import FINAL_POINT, PointId, StreamId, stream_fault
from anabranch.core.model.answers import refused
from anabranch.core.model.joined import JoinedStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import Dependency
from anabranch.core.plans.topology import hopes_to_meet
from anabranch.core.wording import listing

MOST_JOINED = 1000
LONGEST_CAPABILITY = 128
MOST_CAPABILITIES = 64


def register(draft: Draft, call: calls.Register) -> None:
    """Let an outside stream in; with unmet dependencies its caller waits under a ticket."""
    refusal = _why_refused(draft.state, call)
    if refusal is not None:
        reason, hint = refusal
        draft.answer = refused(reason, hint)
        return
    before = draft.state.registry.joined.get(call.id)
    attempt = before.attempt + 1 if before else 1
    depends_on = tuple(dict.fromkeys(call.needs))
    is_ready = not _missing(draft.state, depends_on)
    draft.emit(
        ev.StreamJoined(
            call.id,
            attempt,
            call.request,
            capabilities=call.capabilities,
            depends_on=depends_on,
            is_ready=is_ready,
        )
    )


def _why_refused(state: State, call: calls.Register) -> tuple[str, str] | None:
    if not call.caller.is_operator:
        return "only an operator's token lets a stream join", "start it with the run's own token"
    if "registration" not in state.plan.protocols:
        hint = "add it to [coordination] protocols and start the run anew"
        return "the plan has switched registration off: nothing joins from outside", hint
    if state.has_ended or state.stop_reason:
        standing = state.phase.value if state.has_ended else "stopping"
        return f"the run is {standing}", "nothing joins it any more"
    fault = stream_fault(call.id)
    if fault:
        return f"{call.id[:64]!r} cannot name a stream: {fault}", "choose another name"
    if call.id in state.streams or state.registry.live(call.id):
        return f"there is a stream {call.id!r} in this run already", "choose another name"
    joined = state.registry.joined
    if len(joined) >= MOST_JOINED and sum(j.is_live for j in joined.values()) >= MOST_JOINED:
        return f"{MOST_JOINED} streams have joined already", "let some leave first"
    capabilities = call.capabilities
    is_long = any(not c or len(c) > LONGEST_CAPABILITY for c in capabilities)
    if is_long or len(capabilities) > MOST_CAPABILITIES:
        return "too many or too long capabilities", f"at most {MOST_CAPABILITIES} short words"
    unknown = [s for s in call.needs if s not in state.streams]
    if unknown:
        known = listing((p.id for p in state.plan.streams), 8)
        return f"there is no stream {unknown[0][:64]!r} to depend on", f"its streams: {known}"
    never = [s for s in call.needs if _can_never_succeed(state.streams[s])]
    if never:
        return f"{never[0]} {state.streams[never[0]].phase}, so this would wait for ever", "leave"
    return None


def _missing(state: State, depends_on: tuple[StreamId, ...]) -> list[StreamId]:
    return [s for s in depends_on if state.streams[s].phase is not Phase.SUCCEEDED]


def _can_never_succeed(stream: Stream) -> bool:
    return stream.has_ended and stream.phase is not Phase.SUCCEEDED


def leave_by_itself(draft: Draft, call: calls.Leave) -> None:
    """Let an outside stream go that is done."""
    joined = draft.state.registry.live(call.caller.stream)
    if joined is None:
        hint = "a stream of the plan is over when its process ends"
        draft.answer = refused("only a stream that joined by itself can leave", hint)
        return
    reason = call.reason[:500] or ("done" if call.has_succeeded else "it says that it failed")
    draft.emit(as_left(joined, reason, call.has_succeeded, call.request))


def as_left(
    joined: JoinedStream, reason: str, has_succeeded: bool = False, request: str = ""
) -> ev.StreamLeft:
    """Return that an outside stream is over; who still waits for it to be let in is told so."""
    waits = not joined.is_ready
    answered = joined.request if waits else request
    return ev.StreamLeft(
        joined.id,
        joined.attempt,
        answered,
        has_succeeded=has_succeeded,
        reason=reason,
        was_waiting=waits,
    )


def fell_silent(draft: Draft, fact: inputs.JoinedStreamSilent) -> None:
    """Let an outside stream go that was not heard from for too long."""
    joined = draft.state.registry.live(fact.stream)
    if joined is not None and joined.attempt == fact.attempt:
        draft.emit(as_left(joined, fact.evidence))


def as_ended(joined: JoinedStream, now: float) -> Stream:
    """Return an outside stream as the one kind of value that everybody releases things for."""
    phase = Phase.SUCCEEDED if joined.has_succeeded else Phase.STOPPED
    return Stream(joined.id, phase, now, joined.ticket, joined.reason, attempt=joined.attempt)


def dependents_of(state: State, joined: JoinedStream) -> list[StreamId]:
    """Return the plan's streams that wait for a capability that an outside stream has."""
    return [
        s.id
        for s in state.plan.streams
        if any(d.capability in joined.capabilities for d in s.depends_on if d.capability)
    ]


def waiting_for_what(state: State, stream: StreamId) -> list[StreamId]:
    """Return the streams that have not begun and wait for a capability that a stream has."""
    joined, plan = state.registry.joined.get(stream), state.topology.streams.get(stream)
    able = joined or plan
    if able is None or not able.capabilities:
        return []
    return [
        s.id
        for s in state.plan.streams
        if state.streams[s.id].phase is Phase.WAITING
        and any(d.capability in able.capabilities for d in s.depends_on if d.capability)
    ]


def reconsider_joined(draft: Draft, stream: Stream) -> None:
    """Let outside streams begin, or give up, that depend on a stream of the plan that has ended."""
    for joined in list(draft.state.registry.joined.values()):
        if joined.has_left or joined.is_ready or stream.id not in joined.depends_on:
            continue
        if _can_never_succeed(stream):
            reason = f"it needs {stream.id}, which {stream.phase}"
            draft.emit(as_left(joined, reason))
        elif not _missing(draft.state, joined.depends_on):
            draft.emit(ev.StreamReady(joined.id, joined.attempt, joined.request))


def arrived_with_all(draft: Draft, point: PointId, stream: StreamId) -> None:
    """Let an outside stream go that has arrived at the run's final point with all others."""
    joined = draft.state.registry.live(stream)
    if joined is not None and point == FINAL_POINT:
        reason = "arrived at the final point with the others"
        draft.emit(as_left(joined, reason, has_succeeded=True))


def dismiss_all(draft: Draft) -> bool:
    """Let go whoever is still part of a run that is over. False if there was nobody."""
    seen = len(draft.events)
    for joined in list(draft.state.registry.joined.values()):
        if joined.is_live:
            draft.emit(as_left(joined, "the run has ended"))
    return len(draft.events) > seen


# --- capabilities --------------------------------------------------------------------------------


def providers(state: State, capability: str) -> list[JoinedStream]:
    """Return the outside streams with a capability, those that left included."""
    return [j for j in state.registry.joined.values() if capability in j.capabilities]


def is_met(state: State, dependency: Dependency) -> bool:
    """Return whether an outside stream meets a dependency on its capability."""
    for joined in providers(state, dependency.capability):
        match dependency.condition:
            case "started" | "ready":
                if joined.is_ready:
                    return True
            case "completed":
                if joined.has_left:
                    return True
            case "succeeded" | "converged":
                if joined.has_succeeded:
                    return True
    return False


def may_still_meet(state: State, dependency: Dependency) -> bool:
    """Return whether an outside stream may yet meet a dependency on a capability."""
    found = providers(state, dependency.capability)
    if any(joined.is_live for joined in found) or is_met(state, dependency):
        return True
    return not dependency.providers and not found


def who_can_meet(state: State, dependency: Dependency) -> list[StreamId]:
    """Return everybody who may yet bring a capability; empty if that may be somebody unknown."""
    outside = [j.id for j in providers(state, dependency.capability) if j.is_live]
    planned = [s for s in dependency.providers if not state.streams[s].has_ended]
    return [*planned, *outside]


def somebody_may_join_for(state: State, stream: Stream, now: float) -> bool:
    """Return whether a waiting stream may still hope for an outside stream with a capability."""
    waits_for = [d for d in state.stream_plan(stream.id).depends_on if d.capability]
    if any(j.is_live for d in waits_for for j in providers(state, d.capability)):
        return True
    return now < hoped_until(state, stream)


def hopes_in_vain(state: State, stream: Stream, now: float) -> bool:
    """Say whether a waiting stream needs a capability that nobody has, or will come to have."""
    if not 0.0 < hoped_until(state, stream) <= now:
        return False
    return any(
        d.capability and not is_met(state, d) and not who_can_meet(state, d)
        for d in state.stream_plan(stream.id).depends_on
    )


def hoped_until(state: State, stream: Stream) -> float:
    """Return until when a waiting stream hopes for somebody to join; 0 if nobody has to."""
    plan = state.stream_plan(stream.id)
    if not hopes_to_meet(plan):
        return 0.0
    return stream.since + plan.heartbeat_timeout_seconds


CALLS: dict[type[Call], Handler] = {
    calls.Register: register,
    calls.Leave: leave_by_itself,
}
