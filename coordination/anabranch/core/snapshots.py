"""A state as bytes and back, so that a long journal need not be replayed from its first event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import StreamId
from anabranch.core.plan import Plan
from anabranch.core.state import Approval, Base, Counts, Point, RunPhase, State, Stream
from anabranch.core.topology import Topology

SNAPSHOT_FORMAT = 1


def encode_state(state: State) -> bytes:
    """Return a state as MessagePack."""
    return msgspec.msgpack.encode(
        {name: getattr(state, name) for name in state.__struct_fields__}, enc_hook=_flatten
    )


def decode_state(data: bytes) -> State:
    """Return the state that :func:`encode_state` wrote.

    Raises msgspec.ValidationError if the bytes are of another shape (an older format, say); the
    caller replays the journal instead.
    """
    raw = msgspec.msgpack.decode(data)
    if not isinstance(raw, dict) or set(raw) != set(State.__struct_fields__):
        raise msgspec.ValidationError("this is no snapshot of this version")
    return State(**{name: _RESTORE.get(name, _same)(value) for name, value in raw.items()})


def _flatten(value: object) -> object:
    if isinstance(value, HashTrieMap):
        return sorted(value.values(), key=lambda item: item.id)
    if isinstance(value, Topology):
        return value.plan
    raise TypeError(f"cannot store a {type(value).__name__}")


def _same(value: Any) -> Any:
    return value


def _streams(value: Any) -> HashTrieMap[StreamId, Stream]:
    return HashTrieMap({s.id: s for s in msgspec.convert(value, list[Stream])})


_Ready = tuple[tuple[tuple[float, ...], int, StreamId], ...]

_RESTORE: dict[str, Callable[[Any], Any]] = {
    "topology": lambda value: Topology(msgspec.convert(value, Plan)),
    "phase": RunPhase,
    "base": lambda value: msgspec.convert(value, Base | None),
    "streams": _streams,
    "points": lambda value: HashTrieMap({p.id: p for p in msgspec.convert(value, list[Point])}),
    "ready": lambda value: msgspec.convert(value, _Ready),
    "counts": lambda value: msgspec.convert(value, Counts),
    "approval": lambda value: msgspec.convert(value, Approval),
}
