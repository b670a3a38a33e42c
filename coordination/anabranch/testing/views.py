"""Views for strategies: any that an engine could show, and none that it could not.

Views are drawn from a source of choices, so that the same drawing serves a seeded search, which
needs nothing, and hypothesis, which shrinks what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import inspect as types

from anabranch.core.ids import PointId, StreamId
from anabranch.core.strategies import (
    Assigning,
    EndedAttempt,
    FailedAttempt,
    FreeSlot,
    Placing,
    PointView,
    QueuedStream,
    RunningStream,
    SlotQueue,
    Trouble,
)

Item = TypeVar("Item")
_PLACES = ("waiting", "running", "arrived", "merged", "left out", "departed")
_LONGEST_SECONDS = 100_000.0


class Source(Protocol):
    """Where choices come from; ``size`` bounds how much is drawn."""

    size: int

    def whole(self, low: int, high: int) -> int: ...

    def real(self, low: float, high: float) -> float: ...

    def pick(self, items: Sequence[Item]) -> Item: ...


class SeededSource:
    """Choices from a seed; the edges of a range come up more often than the middle."""

    def __init__(self, seed: object, size: int) -> None:
        self.size = size
        self._random = Random(repr(seed))

    def whole(self, low: int, high: int) -> int:
        if self._random.random() < 0.25:
            return self._random.choice((low, high))
        return self._random.randint(low, high)

    def real(self, low: float, high: float) -> float:
        if self._random.random() < 0.25:
            return self._random.choice((low, high))
        return round(self._random.uniform(low, high), 3)

    def pick(self, items: Sequence[Item]) -> Item:
        return self._random.choice(items)


def draw_point_view(source: Source, options: Any = None) -> tuple[PointView, float]:
    """Draw a view of a convergence point, and the time of asking (seconds, run clock)."""
    names = [StreamId(f"s{n}") for n in range(source.whole(0, source.size))]
    places = {name: source.pick(_PLACES) for name in names}
    opened = source.real(0.0, 100.0)
    now = opened + source.real(0.0, 10_000.0)
    arrived = [name for name in names if places[name] in ("arrived", "merged", "left out")]
    times = sorted(source.real(opened, now) for _ in arrived)
    checkpoint = source.real(opened, now) if source.pick((False, True)) else None
    drawn: dict[str, Any] = {
        "point": PointId("point"),
        "expected": len(names),
        "arrived": tuple(arrived),
        "departed": {n: "exit code 1" for n in names if places[n] == "departed"},
        "options": {} if options is None else options,
        "arrived_at": dict(zip(arrived, times, strict=True)),
        "running": {n: source.real(opened, now) for n in names if places[n] == "running"},
        "merged": tuple(n for n in names if places[n] == "merged"),
        "left_out": tuple(n for n in names if places[n] == "left out"),
        "opened_at": opened,
        "checkpoint_at": checkpoint,
        "interval_seconds": source.real(0.5, 3600.0),
        "priorities": {name: source.whole(-3, 3) for name in names},
    }
    return _made(PointView, drawn), now


def draw_adopting_view(source: Source, options: Any = None) -> tuple[PointView, float]:
    """Draw a view of a point of whose streams one is adopted, and the time of asking."""
    view, now = draw_point_view(source, options)
    failed = {stream: "exit 1" for stream in view.arrived if source.pick((False, False, True))}
    able = [stream for stream in view.arrived if stream not in failed]
    is_chosen = bool(able) and source.pick((False, True))
    chosen = source.pick(able) if is_chosen else None
    drawn = msgspec.structs.replace(
        view,
        merged=(),
        left_out=(),
        adopts_one=True,
        adopted=chosen,
        failed_check=failed,
        files_changed={stream: source.whole(0, 40) for stream in view.arrived},
    )
    return drawn, now


def with_arrival(view: PointView, now: float) -> PointView | None:
    """Return the view as it is after one more participant has arrived, if one can."""
    known = {*view.arrived, *view.departed}
    coming = next((s for n in range(view.expected) if (s := StreamId(f"s{n}")) not in known), None)
    if coming is None:
        return None
    return msgspec.structs.replace(
        view,
        arrived=(*view.arrived, coming),
        arrived_at={**view.arrived_at, coming: now},
        running={stream: since for stream, since in view.running.items() if stream != coming},
    )


def draw_queued_stream(source: Source, options: Any = None) -> tuple[QueuedStream]:
    """Draw a stream that is ready to run."""
    estimate = source.real(0.0, _LONGEST_SECONDS)
    position = source.whole(0, max(1, source.size) * 10)
    drawn: dict[str, Any] = {
        "stream": StreamId(f"s{position}"),
        "position": position,
        "priority": source.whole(-100, 100),
        "estimate_seconds": estimate,
        "remaining_path_seconds": estimate + source.real(0.0, _LONGEST_SECONDS),
        "attempt": source.whole(1, 5),
        "options": {} if options is None else options,
    }
    return (_made(QueuedStream, drawn),)


_CAPABILITIES = ("web", "database", "docs")
_RESOURCES = ("cpu_cores", "tokens")


def draw_placing(source: Source, options: Any = None) -> tuple[Placing, float]:
    """Draw a queue, the slots that are free, and what runs elsewhere, and the time of asking."""
    now = source.real(0.0, _LONGEST_SECONDS)
    free = {name: source.real(1.0, 8.0) for name in _RESOURCES if source.pick((False, True))}
    width = source.whole(1, max(1, source.size))
    queue = [_waiting(source, n, now, free, options) for n in range(source.whole(0, source.size))]
    numbers = list(range(1, width + 1))
    taken = [number for number in numbers if source.pick((False, False, True))]
    drawn: dict[str, Any] = {
        "queue": tuple(queue),
        "slots": tuple(_free_slot(source, n, now) for n in numbers if n not in set(taken)),
        "running": tuple(_running(source, number) for number in taken),
        "free": free,
        "max_parallel": width,
        "seed": source.whole(0, 2**32 - 1),
        "options": {} if options is None else options,
    }
    return _made(Placing, drawn), now


def draw_placing_with_queues(source: Source, options: Any = None) -> tuple[Placing, float]:
    """Draw the same for a balancer that has slots own queues: some wait for one that is free."""
    view, now = draw_placing(source, options)
    numbers = [0, *(slot.number for slot in view.slots)]
    owned = [msgspec.structs.replace(s, own_slot=source.pick(numbers)) for s in view.queue]
    return msgspec.structs.replace(view, queue=tuple(owned)), now


def draw_assigning(source: Source, options: Any = None) -> tuple[Assigning, float]:
    """Draw a common queue, the slots with their own ones, and the time of asking."""
    view, now = draw_placing(source, options)
    owners = [0, 0, *range(1, view.max_parallel + 1)]
    queues: dict[int, list[QueuedStream]] = {owner: [] for owner in owners}
    for stream in view.queue:
        owner = source.pick(owners)
        queues[owner].append(msgspec.structs.replace(stream, own_slot=owner))
    running = {one.slot: one for one in view.running}
    drawn: dict[str, Any] = {
        "queue": tuple(queues[0]),
        "slots": tuple(
            _slot_queue(source, number, running.get(number), queues[number])
            for number in range(1, view.max_parallel + 1)
        ),
        "max_parallel": view.max_parallel,
        "seed": view.seed,
        "options": view.options,
    }
    return _made(Assigning, drawn), now


def _slot_queue(
    source: Source, number: int, running: RunningStream | None, streams: list[QueuedStream]
) -> SlotQueue:
    has_run = running is not None or source.pick((False, True))
    return SlotQueue(
        slot=number,
        is_free=running is None,
        rest_seconds=0.0 if running is None else running.rest_seconds,
        last=StreamId(f"d{source.whole(0, 7)}") if has_run else None,
        last_capabilities=(source.pick(_CAPABILITIES),) if has_run else (),
        streams=tuple(streams),
        is_under_way=source.pick((False, False, True)),
    )


def _waiting(
    source: Source, position: int, now: float, free: Mapping[str, float], options: Any
) -> QueuedStream:
    """Draw a stream of a queue: it may start by itself, so all that it asks for is free."""
    (plain,) = draw_queued_stream(source, options)
    asked = {name: source.real(0.0, most) for name, most in free.items() if source.pick((0, 1))}
    return msgspec.structs.replace(
        plain,
        stream=StreamId(f"s{position}"),
        position=position,
        queued_at=source.real(0.0, now),
        depends_on=(StreamId(f"d{position % 7}"),) if source.pick((False, True)) else (),
        capabilities=(source.pick(_CAPABILITIES),) if source.pick((False, True)) else (),
        resources=asked,
    )


def _free_slot(source: Source, number: int, now: float) -> FreeSlot:
    leases = source.whole(0, 3)
    if not leases:
        return FreeSlot(number)
    since = source.real(0.0, now)
    last = StreamId(f"d{source.whole(0, 7)}")
    capabilities = (source.pick(_CAPABILITIES),) if source.pick((False, True)) else ()
    return FreeSlot(number, leases, source.real(0.0, since), since, last, capabilities)


def _running(source: Source, number: int) -> RunningStream:
    elapsed, rest = source.real(0.0, _LONGEST_SECONDS), source.real(0.0, _LONGEST_SECONDS)
    return RunningStream(StreamId(f"r{number}"), number, elapsed, rest)


def draw_failed_attempt(source: Source, options: Any = None) -> tuple[FailedAttempt]:
    """Draw an attempt that did not succeed."""
    retries = source.whole(0, max(1, source.size))
    drawn: dict[str, Any] = {
        "stream": StreamId("s0"),
        "attempt": retries + 1,
        "retries": retries,
        "max_retries": source.whole(0, max(1, source.size)),
        "reason": source.pick(("exit code 1", "ended by signal 9", "timed out after 1.0 s", "")),
        "is_permanent": source.pick((False, True)),
        "seed": source.whole(0, 2**32 - 1),
        "options": {} if options is None else options,
    }
    return (_made(FailedAttempt, drawn),)


def draw_trouble(source: Source, options: Any = None) -> tuple[Trouble, float]:
    """Draw a stream in trouble, and the time of asking (seconds, run clock)."""
    attempt = source.whole(1, max(1, source.size) + 1)
    drawn: dict[str, Any] = {
        "stream": StreamId("s0"),
        "attempt": attempt,
        "diagnosis": source.pick(("silent", "never started", "crashed", "resource hog")),
        "evidence": source.pick(("no progress for 12 min", "2 processes, 0 % CPU", "")),
        "hard_recoveries": source.whole(0, attempt),
        "max_retries": source.whole(0, max(1, source.size)),
        "grace_seconds": source.real(0.1, 600.0),
        "is_optional": source.pick((False, True)),
        "options": {} if options is None else options,
    }
    return _made(Trouble, drawn), source.real(0.0, _LONGEST_SECONDS)


_LOG_LINES = (
    *("", "ok", "429 Too Many Requests", "connection refused", "No space left on device"),
    *("MemoryError", "invalid api key", "Traceback (most recent call last):", "\ufffd" * 40),
    "x" * 5_000,
)


def draw_ended_attempt(source: Source, options: Any = None) -> tuple[EndedAttempt]:
    """Draw an attempt that ended without success, with the last lines of its log."""
    how = source.pick(("code", "signal", "lost"))
    drawn: dict[str, Any] = {
        "stream": StreamId("s0"),
        "attempt": source.whole(1, 5),
        "exit_code": source.whole(1, 255) if how == "code" else None,
        "signal": source.whole(1, 64) if how == "signal" else None,
        "reason": source.pick(("exit code 1", "ended by signal 9", "its holder was killed", "")),
        "log_tail": tuple(source.pick(_LOG_LINES) for _ in range(source.whole(0, source.size))),
        "options": {} if options is None else options,
    }
    return (_made(EndedAttempt, drawn),)


DRAWN: dict[type[msgspec.Struct], Callable[..., tuple[Any, ...]]] = {
    PointView: draw_point_view,
    QueuedStream: draw_queued_stream,
    Placing: draw_placing,
    Assigning: draw_assigning,
    FailedAttempt: draw_failed_attempt,
    Trouble: draw_trouble,
    EndedAttempt: draw_ended_attempt,
}
"""What draws the arguments that a strategy is asked with, by what it is asked about."""


def draw_options(source: Source, options_type: type[msgspec.Struct]) -> msgspec.Struct:
    """Draw options that a strategy says it takes: its defaults, or any valid values."""
    info = types.type_info(options_type)
    assert isinstance(info, types.StructType)
    drawn: dict[str, Any] = {}
    for field in info.fields:
        if field.required or source.pick((False, True)):
            drawn[field.encode_name] = _value(source, field.type)
    try:
        return msgspec.convert(drawn, options_type)
    except (msgspec.ValidationError, ValueError):  # the type has rules of its own
        return msgspec.convert({}, options_type)


def _value(source: Source, info: types.Type) -> Any:
    """Draw a plain value of a type, within the bounds that it states."""
    if isinstance(info, types.BoolType):
        return source.pick((False, True))
    if isinstance(info, types.IntType):
        low, high = _bounds(info, 0, 100)
        return source.whole(int(low), int(high))
    if isinstance(info, types.FloatType):
        return source.real(*_bounds(info, 0.0, 1000.0))
    if isinstance(info, types.LiteralType):
        return source.pick(list(info.values))
    if isinstance(info, types.EnumType):
        return source.pick([member.value for member in info.cls])
    if isinstance(info, types.UnionType):
        return _value(source, source.pick(list(info.types)))
    if isinstance(info, types.NoneType):
        return None
    if isinstance(info, types.ListType | types.SetType | types.VarTupleType):
        return [_value(source, info.item_type) for _ in range(source.whole(0, 3))]
    if isinstance(info, types.DictType):
        return {}
    return source.pick(("", "a", "some text"))


def _bounds(info: types.IntType | types.FloatType, low: float, high: float) -> tuple[float, float]:
    step = 1 if isinstance(info, types.IntType) else 1e-3
    least = info.ge if info.ge is not None else info.gt + step if info.gt is not None else None
    most = info.le if info.le is not None else info.lt - step if info.lt is not None else None
    if least is None:
        least = low if most is None else min(low, most)
    return least, max(least, high) if most is None else most


def _made(kind: type[Any], drawn: Mapping[str, Any]) -> Any:
    """Return a view with all that was drawn for it."""
    return kind(**{name: drawn[name] for name in kind.__struct_fields__ if name in drawn})
