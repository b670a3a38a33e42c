"""What is near to a slot: whatever may still be warm there for a stream.

Near is a stream's own earlier attempt, a stream that it depends on, and one with a capability in
common, if that one runs in the slot or was the last that did.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.ids import StreamId
from anabranch.core.strategies import FreeSlot, QueuedStream, SlotQueue

Key = tuple[str, str]


def keys_of(stream: QueuedStream) -> Iterator[Key]:
    """Yield what a stream is near to."""
    yield ("stream", stream.stream)
    yield from (("stream", other) for other in stream.depends_on)
    yield from (("capability", name) for name in stream.capabilities)


def keys_at(slot: FreeSlot | SlotQueue) -> Iterator[Key]:
    """Yield what is near at a slot."""
    if slot.last is not None:
        yield from _keys_of_last(slot.last, slot.last_capabilities)


def keys_after(stream: QueuedStream) -> Iterator[Key]:
    """Yield what is near at a slot once a stream has run there."""
    yield from _keys_of_last(stream.stream, stream.capabilities)


def _keys_of_last(last: StreamId, capabilities: tuple[str, ...]) -> Iterator[Key]:
    yield ("stream", last)
    yield from (("capability", name) for name in capabilities)
