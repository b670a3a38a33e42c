"""Who holds and who waits for which resources, and what the machine has, as values.

Amounts are numbers under a name: ``cpu_cores``, ``memory_mb``, and any token of the plan's own.
The folds keep a running total of what is held, so no decision adds up all holders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import Attempt, Seq, StreamId

Amounts = dict[str, float]

CPU = "cpu_cores"
MEMORY = "memory_mb"

_DIGITS = 6
"""Amounts are kept to a millionth, so that sums of fractions come back to zero."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """What one attempt holds.

    ``fresh_memory_mb`` was granted since the machine's load was last seen (reading ``load``): the
    stream has hardly used it yet, so the free memory that was seen then still counts it as free.
    """

    attempt: Attempt
    amounts: Amounts
    fresh_memory_mb: float = 0.0
    load: int = 0


class WaitingRequest(msgspec.Struct, frozen=True, gc=False):
    """A request in the queue; ``ticket`` is the number of the event that put it there."""

    ticket: Seq
    stream: StreamId
    attempt: Attempt
    amounts: Amounts
    since: float
    request: str


class Excess(msgspec.Struct, frozen=True, gc=False):
    """How far the answer to a stream that uses too much has gone."""

    attempt: Attempt
    response: str
    since: float


class ResourceTable(msgspec.Struct, frozen=True, gc=False):
    """All there is to know about resources; ``load`` counts the readings of the machine's load."""

    machine: Amounts = {}
    memory_available_mb: float | None = None
    memory_pressure: float | None = None
    shortage: str = ""
    disk_bytes: int = 0
    disk_shortage: str = ""
    load: int = 0
    fresh_memory_mb: float = 0.0
    used: Amounts = {}
    held: HashTrieMap[StreamId, Held] = HashTrieMap()
    queue: tuple[WaitingRequest, ...] = ()
    exceeded: HashTrieMap[str, Excess] = HashTrieMap()

    @property
    def why_nothing_starts(self) -> str:
        """Why nothing new may start here; empty if nothing speaks against it."""
        return self.disk_shortage or self.shortage

    def held_by(self, stream: StreamId) -> Amounts:
        """Return what a stream holds."""
        held = self.held.get(stream)
        return held.amounts if held else {}


def plus(one: Mapping[str, float], other: Mapping[str, float], sign: int = 1) -> Amounts:
    """Return the sum (or with ``sign`` -1 the difference) of two sets of amounts, without zeros."""
    names = {**one, **other}
    sums = {n: round(one.get(n, 0.0) + sign * other.get(n, 0.0), _DIGITS) for n in names}
    return {name: amount for name, amount in sums.items() if amount > 0}


def excess_key(stream: StreamId, resource: str) -> str:
    """Return under what name an excess is kept."""
    return f"{stream}/{resource}"


def unpack(raw: Any) -> ResourceTable:
    """Return the table that a snapshot holds. Raises msgspec.ValidationError."""
    kinds: dict[str, Any] = {
        "machine": Amounts,
        "used": Amounts,
        "queue": tuple[WaitingRequest, ...],
    }
    restored = {name: msgspec.convert(raw[name], kind) for name, kind in kinds.items()}
    maps = {"held": list[tuple[str, Held]], "exceeded": list[tuple[str, Excess]]}
    restored |= {n: HashTrieMap(msgspec.convert(raw[n], kind)) for n, kind in maps.items()}
    return ResourceTable(**{**raw, **restored})
