"""A trace for Chrome's and Perfetto's viewers: a row a stream, a slice an attempt or a wait.

The handlers of a stream that fans out stand in a group of their own: a row a slot, a slice a try.
Arrows lead from a dependency to whoever waited for it, and a counter shows how many streams ran.

The format is the Trace Event Format's JSON, with times in microseconds: complete events (``X``),
instant ones (``i``) for what a person would want to see between them, flows (``s``, ``f``) and
counters (``C``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from anabranch_plugins.reports.trace_flows import Flow, flows
from anabranch_plugins.reports.trace_slices import ATTEMPT, Event, Slice, Slices, lanes

_RUN_ROW = 0
_RUN_GROUP = 1
_MOMENTS = frozenset(
    {"stream_stalled", "recovery_started", "retry_scheduled", "guardian_alerted", "conflict_found"}
    | {"conflict_foreseen", "convergence_merged", "checkpoint_merged", "deadlock_detected"}
    | {"breaker_opened", "breaker_closed", "strategy_faulted", "run_resumed", "run_needs_operator"}
    | {"window_missed"}
)
_FACTS = ("handler", "attempt", "tries", "outcome", "exit_code", "signal", "reason")


Places = dict[str, list[tuple[Slice, int]]]
"""The slices of each stream, with the row in which each of them stands."""


class Trace:
    """All attempts on a time line."""

    name = "trace"

    def render(self, report: Mapping[str, Any], events: Sequence[Event]) -> str:
        """Return the JSON."""
        rows = {s["stream"]: number for number, s in enumerate(report["streams"], start=1)}
        reading = Slices(events)
        slices = list(reading.of(events))
        placed: Places = {}
        drawn = [
            *_names(report, rows),
            *_slices(slices, rows, placed),
            *_flows(flows(events, slices), rows, placed),
            *_width(events, slices, reading),
            *_moments(events, rows, reading),
            *_handlers(events, rows),
        ]
        other = {"run": report["run"], "plan": report["plan"], "state": report["state"]}
        lines = ",\n".join(map(json.dumps, drawn))
        rest = f'"displayTimeUnit": "ms",\n"otherData": {json.dumps(other)}'
        return f'{{"traceEvents": [\n{lines}\n],\n{rest}}}\n'


def _names(report: Mapping[str, Any], rows: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    yield _named("process_name", _RUN_ROW, f"{report['plan']} {report['run']}")
    yield _named("thread_name", _RUN_ROW, "the run")
    for stream, row in rows.items():
        yield _named("thread_name", row, stream)
        yield _placed(row, row)


def _named(what: str, row: int, name: str, group: int = _RUN_GROUP) -> dict[str, Any]:
    return {"ph": "M", "pid": group, "tid": row, "name": what, "args": {"name": name}}


def _placed(row: int, place: float) -> dict[str, Any]:
    """Say where a row stands among the others."""
    about = {"ph": "M", "pid": _RUN_GROUP, "tid": row, "name": "thread_sort_index"}
    return {**about, "args": {"sort_index": place}}


def _slices(
    slices: Iterable[Slice], rows: Mapping[str, int], placed: Places
) -> Iterator[dict[str, Any]]:
    """Yield what streams did; what overlaps in one stream goes to a further row of it.

    Where each slice stands is noted in ``placed``.
    """
    of_stream: dict[str, list[Slice]] = {}
    for part in slices:
        of_stream.setdefault(part.stream, []).append(part)
    free = count(len(rows) + 1)
    for stream, parts in of_stream.items():
        own = [rows[stream]] if stream in rows else []
        for lane, part in lanes(parts):
            if lane == len(own):
                own.append(next(free))
                yield _named("thread_name", own[lane], f"{stream}, at the same time")
                yield _placed(own[lane], own[0])
            placed.setdefault(stream, []).append((part, own[lane]))
            yield {
                "ph": "X",
                "pid": _RUN_GROUP,
                "tid": own[lane],
                "name": part.name,
                "cat": part.category,
                "ts": part.begin,
                "dur": part.end - part.begin,
                "args": part.facts,
            }


def _flows(
    found: Iterable[Flow], rows: Mapping[str, int], placed: Places
) -> Iterator[dict[str, Any]]:
    """Yield both ends of each arrow, in the rows of the attempts that they are of."""

    def row(stream: str, at: int) -> int:
        parts = (p for p in placed.get(stream, ()) if p[0].begin <= at < p[0].end)
        own = rows.get(stream, _RUN_ROW)
        return next((row for part, row in parts if part.category == ATTEMPT), own)

    for number, flow in enumerate(found, start=1):
        name = f"{flow.target} needs {flow.source}"
        about = {"pid": _RUN_GROUP, "name": name, "cat": "dependency", "id": number}
        yield {"ph": "s", "tid": row(flow.source, flow.leaves), "ts": flow.leaves, **about}
        reaches = row(flow.target, flow.reaches)
        end = {"ph": "f", "bp": "e", "tid": reaches, "ts": flow.reaches}
        yield {**end, **about}


def _width(
    events: Sequence[Event], slices: Iterable[Slice], reading: Slices
) -> Iterator[dict[str, Any]]:
    """Yield how many streams ran and how many might have, whenever either has changed."""
    steps: list[tuple[int, int, int | None]] = []
    for part in slices:
        if part.category == ATTEMPT:
            steps += [(part.begin, 1, None), (part.end, -1, None)]
    for event in events:
        if event["type"] == "run_started":
            steps.append((reading.at(event), 0, event["plan"]["max_parallel"]))
        elif event["type"] == "parallelism_changed":
            steps.append((reading.at(event), 0, event["max_parallel"]))
    running, allowed, at_once = 0, 0, {}
    for at, more, limit in sorted(steps, key=lambda step: step[0]):
        running, allowed = running + more, allowed if limit is None else limit
        at_once[at] = {"running": running, "allowed": allowed}
    for at, args in at_once.items():
        about = {"ph": "C", "pid": _RUN_GROUP, "tid": _RUN_ROW, "name": "width"}
        yield {**about, "ts": at, "args": args}


def _moments(
    events: Sequence[Event], rows: Mapping[str, int], reading: Slices
) -> Iterator[dict[str, Any]]:
    for event in events:
        if event["type"] in _MOMENTS:
            row = rows.get(event.get("stream", ""), _RUN_ROW)
            facts = {n: event[n] for n in ("reason", "evidence", "remedy", "point") if n in event}
            yield {
                "ph": "i",
                "pid": _RUN_GROUP,
                "tid": row,
                "name": event["type"].replace("_", " "),
                "cat": "event",
                "ts": reading.at(event),
                "s": "t" if row else "g",
                "args": facts,
            }


def _handlers(events: Sequence[Event], rows: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield a slice from each handler's beginning to its end, below the name of its slot.

    Beginnings are kept to the millisecond, so one may seem to lie before the end of the one before.
    """
    free_at: dict[tuple[int, int], int] = {}
    for event in events:
        if event["type"] != "handler_finished":
            continue
        slot, group = event["slot"], _RUN_GROUP + rows.get(event["stream"], _RUN_ROW)
        if (group, slot) not in free_at:
            yield _named("process_name", slot, f"handlers of {event['stream']}", group)
            yield _named("thread_name", slot, f"slot {slot}", group)
        began = round(event["began_at"] * 1e6)
        begin = max(began, free_at.get((group, slot), began))
        end = max(began + round(event["seconds"] * 1e6), begin)
        free_at[group, slot] = end
        yield {
            "ph": "X",
            "pid": group,
            "tid": slot,
            "name": event["item"] or str(event["handler"]),
            "cat": "handler",
            "ts": begin,
            "dur": end - begin,
            "args": {name: event[name] for name in _FACTS},
        }
