"""A trace for Chrome's and Perfetto's viewers: a row a stream, a slice an attempt.

The handlers of a stream that fans out stand in a group of their own: a row a slot, a slice a try.

The format is the Trace Event Format's JSON: complete events (``X``) with times in microseconds, and
instant ones (``i``) for what a person would want to see between them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

_RUN_ROW = 0
_RUN_GROUP = 1
_MOMENTS = frozenset(
    {"stream_stalled", "recovery_started", "retry_scheduled", "guardian_alerted", "conflict_found"}
    | {"conflict_foreseen", "convergence_merged", "checkpoint_merged", "deadlock_detected"}
    | {"breaker_opened", "breaker_closed", "strategy_faulted", "run_resumed", "run_needs_operator"}
)
_FACTS = ("handler", "attempt", "tries", "outcome", "exit_code", "signal", "reason")
_ENDS = frozenset({"stream_exited", "stream_lost"})


class Trace:
    """All attempts on a time line."""

    name = "trace"

    def render(self, report: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
        """Return the JSON."""
        rows = {s["stream"]: number for number, s in enumerate(report["streams"], start=1)}
        begin = _microseconds(events[0]["time"]) if events else 0
        drawn = [
            *_names(report, rows),
            *_attempts(events, rows, begin),
            *_moments(events, rows, begin),
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


def _named(what: str, row: int, name: str, group: int = _RUN_GROUP) -> dict[str, Any]:
    return {"ph": "M", "pid": group, "tid": row, "name": what, "args": {"name": name}}


def _attempts(
    events: Sequence[Mapping[str, Any]], rows: Mapping[str, int], begin: int
) -> Iterator[dict[str, Any]]:
    """Yield a slice from each start to its end; what still runs ends with the last event."""
    open_since: dict[tuple[str, int], int] = {}
    last = _microseconds(events[-1]["time"]) if events else 0
    for event in events:
        key = (event.get("stream", ""), event.get("attempt", 0))
        if event["type"] == "stream_started":
            open_since[key] = _microseconds(event["time"])
        elif event["type"] in _ENDS and key in open_since:
            end = _microseconds(event["time"])
            yield _slice(key, open_since.pop(key), end, rows, begin, event)
    for key, since in open_since.items():
        yield _slice(key, since, last, rows, begin, {})


def _slice(
    key: tuple[str, int],
    since: int,
    until: int,
    rows: Mapping[str, int],
    begin: int,
    event: Mapping[str, Any],
) -> dict[str, Any]:
    stream, attempt = key
    facts = {name: event[name] for name in ("exit_code", "signal", "reason") if name in event}
    return {
        "ph": "X",
        "pid": 1,
        "tid": rows.get(stream, _RUN_ROW),
        "name": f"{stream}, attempt {attempt}" if attempt > 1 else stream,
        "cat": "attempt",
        "ts": since - begin,
        "dur": max(0, until - since),
        "args": facts,
    }


def _moments(
    events: Sequence[Mapping[str, Any]], rows: Mapping[str, int], begin: int
) -> Iterator[dict[str, Any]]:
    for event in events:
        if event["type"] in _MOMENTS:
            row = rows.get(event.get("stream", ""), _RUN_ROW)
            facts = {n: event[n] for n in ("reason", "evidence", "remedy", "point") if n in event}
            yield {
                "ph": "i",
                "pid": 1,
                "tid": row,
                "name": event["type"].replace("_", " "),
                "cat": "event",
                "ts": _microseconds(event["time"]) - begin,
                "s": "t" if row else "g",
                "args": facts,
            }


def _handlers(
    events: Sequence[Mapping[str, Any]], rows: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield a slice from each handler's beginning to its end, below the name of its slot."""
    named: set[tuple[int, int]] = set()
    for event in events:
        if event["type"] != "handler_finished":
            continue
        slot, group = event["slot"], _RUN_GROUP + rows.get(event["stream"], _RUN_ROW)
        if (group, slot) not in named:
            named.add((group, slot))
            yield _named("process_name", slot, f"handlers of {event['stream']}", group)
            yield _named("thread_name", slot, f"slot {slot}", group)
        yield {
            "ph": "X",
            "pid": group,
            "tid": slot,
            "name": event["item"] or str(event["handler"]),
            "cat": "handler",
            "ts": round(event["began_at"] * 1e6),
            "dur": round(event["seconds"] * 1e6),
            "args": {name: event[name] for name in _FACTS},
        }


def _microseconds(time: str) -> int:
    return round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1e6)
