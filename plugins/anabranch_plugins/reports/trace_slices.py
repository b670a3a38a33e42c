"""What each stream did when, as slices of time: attempts, waits by kind, the engine's own work.

Times are microseconds on the run's clock, which events tell in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

Event = Mapping[str, Any]

_TICK = 1000
"""Events tell times in milliseconds."""

ATTEMPT, WAIT, COORDINATION = "attempt", "wait", "coordination"


class Slice(NamedTuple):
    """One thing that a stream did, or waited for, from ``begin`` to ``end``."""

    stream: str
    category: str
    name: str
    begin: int
    end: int
    facts: Mapping[str, Any]


class _Open(NamedTuple):
    category: str
    name: str
    begin: int
    facts: Mapping[str, Any]


_PHASES = {
    "stream_registered": (WAIT, "dependency", "waits for its dependencies"),
    "stream_requeued": (WAIT, "dependency", "waits for its dependencies"),
    "retry_scheduled": (WAIT, "retry", "waits to be tried again"),
    "stream_blocked": (WAIT, "operator", "waits for a decision"),
    "stream_queued": (WAIT, "queue", "queued"),
    "stream_admitted": (COORDINATION, "workspace", "prepares its workspace"),
    "workspace_prepared": (COORDINATION, "process", "starts its process"),
    "stream_exited": (COORDINATION, "result", "keeps its work"),
    "stream_lost": (COORDINATION, "result", "keeps its work"),
    "recapture_requested": (COORDINATION, "result", "keeps its work"),
}
"""What a stream does from an event on, until its next one: category, kind, name."""

_ENDS = frozenset(
    {"stream_succeeded", "stream_failed", "stream_skipped", "stream_stopped", "stream_quarantined"}
)


_OF_COPIES = frozenset(
    {"stream_copied", "commit_granted", "copy_took_over", "attempt_fenced", "copy_ended"}
)
_COPY = "\0copy"
"""After a stream's name: the attempt beside its own."""


class Slices:
    """Reads events in their order and makes slices of them.

    Args:
        events: all events of the run, as ``events --json`` has them.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self._begin = _zero(events)
        self._phases: dict[str, _Open] = {}
        self._calls: dict[str, dict[object, _Open]] = {}
        self._beside: dict[str, int] = {}
        self._now = 0

    def at(self, event: Event) -> int:
        """Return when an event happened."""
        return _microseconds(event["time"]) - self._begin

    def of(self, events: Iterable[Event]) -> Iterator[Slice]:
        """Yield the slices as they end; what still goes on ends with the last event."""
        for event in events:
            self._now = self.at(event)
            yield from self._follow(event)
        for stream in [*self._phases]:
            yield from self._leave(stream, {})

    def _follow(self, event: Event) -> Iterator[Slice]:
        kind, stream = event["type"], event.get("stream") or ""
        if kind in _OF_COPIES:
            yield from self._follow_copy(event)
            return
        if self._beside.get(stream, 0) == event.get("attempt"):
            stream += _COPY
        if kind == "stream_started":
            yield from self._leave(stream, event)
            attempt = event["attempt"]
            name = stream.removesuffix(_COPY)
            name = f"{name}, attempt {attempt}" if attempt > 1 else name
            self._phases[stream] = _Open(ATTEMPT, name, self._now, {"attempt": attempt})
        elif kind in _PHASES:
            yield from self._leave(stream, event)
            category, what, name = _PHASES[kind]
            self._phases[stream] = _Open(category, name, self._now, {"kind": what})
            yield from self._wait_for_its_time(event)
        elif kind == "stream_timed" and event["is_awaited"]:
            yield from self._leave(stream, event)
            name = f"waits for {event['at']} {event['zone']}".rstrip()
            self._phases[stream] = _Open(WAIT, name, self._now, {"kind": "time"})
        elif kind in _ENDS:
            yield from self._leave(stream, event)
        elif (wait := _wait_begun(event)) is not None:
            key, what, name = wait
            self._calls.setdefault(stream, {})[key] = _Open(WAIT, name, self._now, {"kind": what})
        elif (ended := _wait_ended(event)) is not None:
            found = self._calls.get(stream, {}).pop(ended, None)
            yield from self._closed(stream, found, {})

    def _follow_copy(self, event: Event) -> Iterator[Slice]:
        """Follow what befalls two attempts of a stream: the one beside has slices of its own."""
        kind, stream, attempt = event["type"], event["stream"], event["attempt"]
        if kind == "stream_copied":
            self._beside[stream] = attempt
            category, what, name = _PHASES["stream_admitted"]
            self._phases[stream + _COPY] = _Open(category, name, self._now, {"kind": what})
        elif kind == "copy_ended":
            self._beside.pop(stream, None)
            yield from self._leave(stream + _COPY, event)
        elif kind != "attempt_fenced" and attempt == self._beside.get(stream):
            self._beside[stream] = event["over" if kind == "commit_granted" else "of"]
            own, copy = (self._phases.pop(name, None) for name in (stream, stream + _COPY))
            found = {stream: copy, stream + _COPY: own}
            self._phases |= {name: phase for name, phase in found.items() if phase is not None}

    def _wait_for_its_time(self, event: Event) -> Iterator[Slice]:
        """Yield the delay of a stream that may not start at once; it is queued from then on."""
        stream, until = event["stream"], round(event.get("not_before", 0.0) * 1e6)
        if until - self._now > _TICK:
            queued = self._phases[stream]
            name = f"waits for {event.get('window') or 'its time'}"
            yield Slice(stream, WAIT, name, self._now, until, {"kind": "time"})
            self._phases[stream] = queued._replace(begin=until)

    def _leave(self, stream: str, event: Event) -> Iterator[Slice]:
        """Yield what a stream did until now, with the waits of its calls."""
        for call in self._calls.pop(stream, {}).values():
            yield from self._closed(stream, call, {})
        facts = {n: event[n] for n in ("exit_code", "signal", "reason") if n in event}
        yield from self._closed(stream, self._phases.pop(stream, None), facts)

    def _closed(self, stream: str, found: _Open | None, facts: Event) -> Iterator[Slice]:
        if found is None:
            return
        is_attempt = found.category == ATTEMPT
        end = max(self._now, found.begin + is_attempt)  # an arrow needs something to begin at
        if end > found.begin:
            facts = {**found.facts, **(facts if is_attempt else {})}
            name = stream.removesuffix(_COPY)
            yield Slice(name, found.category, found.name, found.begin, end, facts)


def _wait_begun(event: Event) -> tuple[object, str, str] | None:
    """Return what a stream begins to wait for by a call: its key, its kind, its name."""
    match event["type"]:
        case "lock_queued":
            return event["seq"], "lock", f"waits for lock {event['path']}"
        case "resources_queued":
            return event["seq"], "resource", f"waits for {', '.join(sorted(event['amounts']))}"
        case "convergence_arrived" if event.get("waits"):
            return event["point"], "point", f"waits at {event['point']}"
        case "arrival_wait_began":
            return event["point"], "point", f"waits at {event['point']}"
        case "stream_held":
            return "disk", "disk", "waits for room on the disk"
    return None


def _wait_ended(event: Event) -> object:
    """Return the key of the wait that is over, None if none is."""
    match event["type"]:
        case "lock_granted" | "lock_withdrawn" | "resources_granted" | "resources_withdrawn":
            key: object = event.get("ticket")
        case "arrival_released" | "arrival_wait_ended" | "convergence_withdrawn":
            key = event["point"]
        case "stream_let_go":
            key = "disk"
        case _:
            key = None
    return key


def lanes(slices: Iterable[Slice]) -> Iterator[tuple[int, Slice]]:
    """Yield each slice of one stream with the number of a row, in which slices only ever nest.

    A process may wait for two things at once, and slices that overlap cannot be drawn in one row.
    """
    open_until: list[list[int]] = []
    for part in sorted(slices, key=lambda s: (s.begin, -s.end)):
        for ends in open_until:
            while ends and ends[-1] <= part.begin:
                ends.pop()
        fits = (n for n, ends in enumerate(open_until) if not ends or part.end <= ends[-1])
        lane = next(fits, len(open_until))
        if lane == len(open_until):
            open_until.append([])
        open_until[lane].append(part.end)
        yield lane, part


def _zero(events: Sequence[Event]) -> int:
    """Return when the run's clock stood at zero; the first event comes a little later."""
    for event in events:
        if event["type"] == "run_started":
            wall: float = event["wall"]
            return round(wall * 1e6)
    return _microseconds(events[0]["time"]) if events else 0


def _microseconds(time: str) -> int:
    return round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1e6)
