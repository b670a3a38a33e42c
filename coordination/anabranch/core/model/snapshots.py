"""A state as bytes and back, so that a long journal need not be replayed from its first event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from rpds import HashTrieMap

from anabranch.core.events import Resolution
from anabranch.core.ids import StreamId
from anabranch.core.model import (
    breakers,
    copies,
    joined,
    lock_snapshots,
    messages,
    queues,
    resources,
    sharing,
    teardowns,
)
from anabranch.core.model.answers import Remembered
from anabranch.core.model.approval import Approval
from anabranch.core.model.breakers import Breaker
from anabranch.core.model.checkpoints import StreamCheckpoints
from anabranch.core.model.decisions import Decision
from anabranch.core.model.effects_done import EffectsDone
from anabranch.core.model.foreseen import Foreseen
from anabranch.core.model.fusion import Fusion
from anabranch.core.model.guardian import Guardian
from anabranch.core.model.handlers import Handled
from anabranch.core.model.ordering import Ordering
from anabranch.core.model.pieces import Row, in_pieces
from anabranch.core.model.plugin_faults import PluginFault
from anabranch.core.model.questions import Question
from anabranch.core.model.reviews import Review
from anabranch.core.model.slots import Slot
from anabranch.core.model.state import Base, Copy, Counts, Point, RunPhase, State, Stream
from anabranch.core.model.width import Width
from anabranch.core.plans.plan import Plan
from anabranch.core.plans.topology import Topology

SNAPSHOT_FORMAT = 2

K = TypeVar("K")
V = TypeVar("V")


def encode_state(state: State) -> bytes:
    """Return a state as MessagePack."""
    return b"".join(encode_in_pieces(state))


def encode_in_pieces(state: State) -> Iterator[bytes]:
    """Yield a state as MessagePack, piece by piece; that may take as long as it likes.

    A state never changes, and what is large of it is a map, or a history.
    """
    packed = {n: _PACK.get(n, _same)(getattr(state, n)) for n in state.__struct_fields__}
    rows = {n: Row(_flatten(v)) for n, v in packed.items() if isinstance(v, HashTrieMap)}
    return in_pieces(packed | rows, _flatten)


def decode_state(data: bytes) -> State:
    """Return the state that :func:`encode_state` wrote.

    Raises msgspec.ValidationError if the bytes are of another shape (an older format, say); the
    caller replays the journal instead.
    """
    raw = msgspec.msgpack.decode(data)
    if not isinstance(raw, dict) or set(raw) != set(State.__struct_fields__):
        raise msgspec.ValidationError("this is not a snapshot of this version")
    return State(**{name: _RESTORE.get(name, _same)(value) for name, value in raw.items()})


def _flatten(value: object) -> Any:
    if isinstance(value, HashTrieMap):
        return sorted(value.items(), key=lambda pair: pair[0])
    if isinstance(value, Topology):
        return value.plan
    raise TypeError(f"cannot store a {type(value).__name__}")


def _same(value: Any) -> Any:
    return value


def restore_map(pairs: Any, keys: type[K], values: type[V]) -> HashTrieMap[K, V]:
    """Return a map from the (key, value) pairs that it was written as."""
    return HashTrieMap(msgspec.convert(pairs, list[tuple[keys, values]]))  # type: ignore[valid-type]


_Ready = tuple[tuple[tuple[float, ...], int, StreamId], ...]

_PACK: dict[str, Callable[[Any], Any]] = {
    "shared": sharing.pack,
    "messages": messages.pack,
    "queues": queues.pack,
}

_RESTORE: dict[str, Callable[[Any], Any]] = {
    "shared": sharing.unpack,
    "messages": messages.unpack,
    "topology": lambda value: Topology(msgspec.convert(value, Plan)),
    "phase": RunPhase,
    "base": lambda value: msgspec.convert(value, Base | None),
    "streams": lambda value: restore_map(value, str, Stream),
    "points": lambda value: restore_map(value, str, Point),
    "ready": lambda value: msgspec.convert(value, _Ready),
    "counts": lambda value: msgspec.convert(value, Counts),
    "alone": tuple,
    "warnings": tuple,
    "approval": lambda value: msgspec.convert(value, Approval),
    "registry": joined.unpack,
    "resources": resources.unpack,
    "locks": lock_snapshots.restore,
    "checkpoints": lambda value: restore_map(value, str, StreamCheckpoints),
    "questions": lambda value: restore_map(value, str, tuple[Question, ...]),
    "resolutions": lambda value: restore_map(value, str, Resolution),
    "decisions": lambda value: restore_map(value, str, Decision),
    "foreseen": lambda value: restore_map(value, tuple[str, str], Foreseen),
    "verified": lambda value: restore_map(value, str, bool),
    "orderings": lambda value: restore_map(value, int, Ordering),
    "plugin_faults": lambda value: restore_map(value, str, PluginFault),
    "breakers": lambda value: breakers.restored(restore_map(value["by_name"], str, Breaker)),
    "guardian": lambda value: msgspec.convert(value, Guardian),
    "answers": lambda value: restore_map(value, str, Remembered),
    "effects": lambda value: msgspec.convert(value, EffectsDone),
    "width": lambda value: msgspec.convert(value, Width),
    "fusion": lambda value: msgspec.convert(value, Fusion),
    "queues": queues.unpack,
    "slots": lambda value: restore_map(value, int, Slot),
    "handlers": lambda value: restore_map(value, str, Handled),
    "copies": lambda value: restore_map(value, str, Copy),
    "speculation": copies.unpack,
    "reviews": lambda value: restore_map(value, str, Review),
    "teardowns": teardowns.unpack,
}
