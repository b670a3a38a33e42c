"""Workspaces that have to be left in good order: the plan's teardowns that are owed."""

from __future__ import annotations

from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import Attempt, Seq, StreamId


class Teardown(msgspec.Struct, frozen=True, gc=False):
    """One that is owed to an attempt, since the event ``cause``."""

    attempt: Attempt
    cause: Seq


class Teardowns(msgspec.Struct, frozen=True, gc=False):
    """The teardowns of a run: what is ``owed``, and for which attempts there ever was one."""

    owed: HashTrieMap[StreamId, tuple[Teardown, ...]] = HashTrieMap()
    asked: HashTrieMap[StreamId, tuple[Attempt, ...]] = HashTrieMap()

    def owed_to(self, stream: StreamId) -> tuple[Teardown, ...]:
        """Return those that a stream's attempts have not had yet."""
        return self.owed.get(stream, ())

    def with_owed(self, stream: StreamId, teardown: Teardown) -> Teardowns:
        """Return them with one more, the first and only one of its attempt."""
        asked = (*self.asked.get(stream, ()), teardown.attempt)
        owed = (*self.owed_to(stream), teardown)
        return Teardowns(self.owed.insert(stream, owed), self.asked.insert(stream, asked))

    def without(self, stream: StreamId, attempt: Attempt) -> Teardowns:
        """Return them without the one of an attempt."""
        rest = tuple(t for t in self.owed_to(stream) if t.attempt != attempt)
        owed = self.owed.insert(stream, rest) if rest else self.owed.discard(stream)
        return Teardowns(owed, self.asked)


def unpack(value: Any) -> Teardowns:
    """Return what was written as a snapshot."""
    return Teardowns(
        HashTrieMap(msgspec.convert(value["owed"], list[tuple[StreamId, tuple[Teardown, ...]]])),
        HashTrieMap(msgspec.convert(value["asked"], list[tuple[StreamId, tuple[Attempt, ...]]])),
    )
