"""The ladder by hand: a person triggers a remedy, and is told beforehand what it would do."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import runs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import ladder
from anabranch.core.deciding.guardian.diagnosis import WELL, diagnose
from anabranch.core.deciding.streams import scheduling, streams
from anabranch.core.deciding.streams.restoring import last_good
from anabranch.core.deciding.undoing import undoing_after, unsettled
from anabranch.core.deciding.waiting.reasons import standing
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import StreamId
from anabranch.core.model.guardian import PERSON
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State, Stream
from anabranch.core.strategies import GiveUp
from anabranch.core.strategies.rungs import HARD, SOFT
from anabranch.core.wording import listing

FALLBACK = "fallback"
KEYS_NAMED = 4
REMEDIES = (SOFT, HARD, FALLBACK)

_BY_HAND = "asked for by a person"


class Forecast(msgspec.Struct, frozen=True):
    """What a remedy would do, without doing it; ``refusal`` says why it would do nothing."""

    stream: StreamId
    remedy: str
    diagnosis: str
    evidence: str
    steps: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    touched: tuple[StreamId, ...] = ()
    undo: str = ""
    refusal: str = ""
    hint: str = ""


def recover(draft: Draft, command: inputs.RecoverStream) -> Refusal | None:
    """Carry out a remedy for a stream."""
    refusal = why_not(draft.state, command.stream, command.remedy)
    if refusal is not None:
        return refusal
    stream = draft.stream(command.stream)
    if stream.has_ended or stream.phase is Phase.BLOCKED:
        return _start_again(draft, stream, command)
    return _WAYS[command.remedy](draft, stream, command.reason or _BY_HAND)


def why_not(state: State, name: StreamId, remedy: str) -> Refusal | None:
    """Return why a remedy cannot be carried out now, or None."""
    stream = state.streams.get(name)
    if stream is None:
        return runs.unknown_stream(state, name)
    if remedy not in REMEDIES:
        return Refusal(f"there is no remedy {remedy!r}", f"remedies: {', '.join(REMEDIES)}")
    if stream.phase is Phase.SUCCEEDED:
        return Refusal(f"{name} has succeeded", "there is nothing to recover")
    if state.stop_reason and not state.has_ended:
        return Refusal("the run is stopping", "recover the stream when the run has stopped")
    if stream.phase is Phase.QUEUED:
        return Refusal(f"{name} waits for its turn: {stream.reason}", "it starts by itself")
    if stream.phase is Phase.WAITING:
        return Refusal(f"{name} has not begun: {stream.reason}", "recover what it waits for")
    if stream.phase is Phase.CAPTURING:
        return Refusal(f"{name} has ended; its work is being kept", "wait a moment")
    if remedy == SOFT and stream.phase is not Phase.RUNNING:
        return Refusal(f"{name} is {stream.phase.words}, so it can be asked nothing", "try hard")
    if stream.is_active and stream.stop:
        reason = stream.stop.reason if stream.stop else stream.reason
        return Refusal(f"{name} is being ended already: {reason}", "wait a moment")
    return None


def _start_again(draft: Draft, stream: Stream, command: inputs.RecoverStream) -> Refusal | None:
    """Run a stream again that is over: it has no process to end."""
    again = inputs.RetryStream(stream=stream.id, reason=command.reason or _BY_HAND)
    refusal = runs.retry_stream(draft, again)
    if refusal is None and command.remedy == FALLBACK and draft.state.plan.fallback == "sequential":
        draft.emit(
            ev.ParallelismChanged(max_parallel=1, reason=f"{stream.id} runs alone: {again.reason}")
        )
    return refusal


def _soft(draft: Draft, stream: Stream, reason: str) -> None:
    evidence = stream.liveness.evidence or reason
    ladder.finish(draft, stream, "called_off", "a person asks anew")
    ladder.ask(draft, draft.stream(stream.id), _diagnosis(draft, stream), evidence, PERSON)


def _hard(draft: Draft, stream: Stream, reason: str) -> None:
    ladder.finish(draft, stream, "escalated", reason)
    diagnosis = _diagnosis(draft, stream)
    ladder.begin_hard(draft, draft.stream(stream.id), diagnosis, reason, PERSON)
    with draft.because_of_last_event():
        _end_or_begin(draft, draft.stream(stream.id), reason)


def _fallback(draft: Draft, stream: Stream, reason: str) -> None:
    ladder.finish(draft, stream, "escalated", reason)
    diagnosis = _diagnosis(draft, stream)
    decision = ladder.begin_fallback(draft, draft.stream(stream.id), diagnosis, reason, PERSON)
    with draft.because_of_last_event():
        stream = draft.stream(stream.id)
        if isinstance(decision, GiveUp) and not stream.is_active:
            draft.emit(ev.StreamStopped(stream.id, reason=decision.reason))
        else:
            _end_or_begin(draft, stream, reason)


def _end_or_begin(draft: Draft, stream: Stream, reason: str) -> None:
    """End what runs; what only waits for its next try does not have to wait for it."""
    if stream.phase is Phase.RETRYING:
        scheduling.enqueue(draft, stream)
    elif stream.is_active and not stream.stop:
        streams.request_stop(draft, stream, reason, Phase.FAILED)


def _diagnosis(draft: Draft, stream: Stream) -> str:
    found = diagnose(draft.state, stream)
    return found if found != WELL else _BY_HAND


_WAYS: dict[str, Callable[[Draft, Stream, str], None]] = {
    SOFT: _soft,
    HARD: _hard,
    FALLBACK: _fallback,
}


# --- what would happen -----------------------------------------------------------------------


def forecast(state: State, name: StreamId, remedy: str) -> Forecast:
    """Return what a remedy would do to a stream, and to others, without doing it."""
    refusal = why_not(state, name, remedy)
    stream = state.streams.get(name)
    if stream is None or refusal is not None:
        refused = refusal or runs.unknown_stream(state, name)
        return Forecast(name, remedy, "", "", refusal=refused.reason, hint=refused.hint)
    evidence = evidence_of(state, stream)
    rung = state.plan.fallback if remedy == FALLBACK else remedy
    touched = _touched(state, stream, rung)
    return Forecast(
        name,
        remedy,
        standing(state, stream),
        evidence,
        tuple(_steps(state, stream, rung)),
        tuple(_kept(stream, rung)),
        touched,
        _undo(stream, rung),
    )


def evidence_of(state: State, stream: Stream) -> str:
    """Return what speaks for a diagnosis; a remedy's that is over was about another attempt."""
    if stream.liveness.verdict:
        return stream.liveness.evidence
    care = stream.care
    is_about_now = care.evidence and (care.remedy or care.alert)
    return care.evidence if is_about_now else reason_for(state, stream)


def _steps(state: State, stream: Stream, rung: str) -> list[str]:
    name, grace = stream.id, f"{state.plan.soft_grace_seconds:g} s"
    if rung == SOFT:
        way = state.stream_plan(name).ask.words
        return [
            f"a message in {name}'s inbox asks for a sign",
            *([f"and so does {way}"] if way else []),
            f"without one within {grace}, and if it still stands still: hard",
        ]
    ends = (
        [
            f"process {stream.pid} and all below it get TERM, then KILL after "
            f"{state.plan.stop_grace_seconds:g} s"
        ]
        if stream.pid and stream.is_active
        else []
    )
    keeps = [f"what {name} has changed is kept as a commit"] if stream.is_active else []
    again = [
        f"attempt {stream.attempt + 1} of {name} starts as soon as a slot is free",
        *_goes_on_from(state, stream),
    ]
    if rung == "degrade":
        return [*ends, *keeps, f"{name} is dropped; the rest goes on"]
    if rung == "stop":
        return [*ends, *keeps, "every other stream is stopped too, its work kept"]
    if rung == "sequential":
        return [*ends, *keeps, *again, "from now on one stream runs at a time"]
    return [*ends, *keeps, *again]


def _goes_on_from(state: State, stream: Stream) -> list[str]:
    """Return which files and which shared state the next attempt finds."""
    taken = last_good(state, stream)
    version, keys = unsettled(state, stream, stream.started_at)
    if taken is None:
        files = ["its files are those that it started from: it took no checkpoint"]
        if state.stream_plan(stream.id).fan is not None:
            left = "its files are as its handlers have left them"
            files = [f"{left}; only those are run that are not done"]
        if not keys:
            return files
        left = f"{listing(keys)} in the shared state stay as this attempt left them"
        command = f"anabranch state restore {version} --stream {stream.id}"
        return [*files, f"{left}; {command} takes that back"]
    label = f" ({taken.label})" if taken.label else ""
    steps = [f"its files are those of checkpoint {taken.number}{label}"]
    undoing = undoing_after(state, stream, taken)
    for key in sorted(undoing.changes)[:KEYS_NAMED]:
        was = undoing.changes[key]
        now = state.shared.text(key) or "nothing"
        steps.append(f"shared state: {key} goes back from {now[:40]} to {(was or 'nothing')[:40]}")
    if len(undoing.changes) > KEYS_NAMED:
        steps.append(
            f"and {len(undoing.changes) - KEYS_NAMED} more keys of the shared state go back"
        )
    if undoing.left:
        steps.append(f"others have changed since, so it stays: {listing(undoing.left)}")
    if undoing.changes:
        command = f"anabranch state restore {state.shared.head} --stream {stream.id}"
        steps.append(f"{command} brings the shared state of now back")
    return steps


def _kept(stream: Stream, rung: str) -> list[str]:
    if rung == SOFT:
        return ["everything: nothing is ended"]
    found = [f"the log: {stream.log}"] if stream.log else []
    if stream.is_active:
        found.append(f"its changes, under refs/anabranch/partial/…/{stream.id}")
    return [*found, *stream.partial]


def _touched(state: State, stream: Stream, rung: str) -> tuple[StreamId, ...]:
    """Return who else feels it: those behind the stream, or everybody who runs."""
    if rung == "stop":
        others = [s.id for s in state.plan.streams if not state.streams[s.id].has_ended]
        return tuple(s for s in others if s != stream.id)
    if rung == SOFT:
        return ()
    return tuple(state.topology.in_merge_order(state.topology.descendants(stream.id)))


def _undo(stream: Stream, rung: str) -> str:
    if rung == SOFT:
        return "any sign of life calls it off"
    if rung in ("degrade", "stop"):
        return f"anabranch recover {stream.id} hard starts it again"
    return "it cannot be undone; what the ended attempt had done is kept"


def in_words(found: Forecast) -> list[str]:
    """Return a forecast as lines for people."""
    if found.refusal:
        return [found.refusal, found.hint]
    lines = [f"{found.stream}: {found.diagnosis}; {found.evidence}"]
    lines += [f"would: {step}" for step in found.steps]
    lines += [f"kept: {kept}" for kept in found.kept]
    if found.touched:
        lines.append(f"touches: {listing(found.touched, 5)}")
    lines.append(f"undo: {found.undo}")
    return lines
