"""The shared state and its history, as a value: every version of it can still be read.

A version is a number, counted from 1; version 0 is the empty beginning. Each holds a whole
persistent map, which shares all but one path with the map before it, and stands in a persistent
index, so reading any version of ten thousand costs two look-ups of O(log n). A version is what one
call made: a commit that sets three keys is three changes in one version, so nobody can read half of
it. A key's version is the version that changed it last; a key that is not there has version 0. JSON
null and "not there" are one and the same: setting a key to null removes it.

**The chain.** Each change carries a hash over itself and the hash before it. A change that is
altered, left out, added or moved breaks the chain from there on, and one that is missing at the end
shows against the head's hash. The chain has no key: it proves that a history is whole to whoever
knows its head, not who wrote it.

**How long.** Versions are kept up to MOST_KEPT_BYTES of memory, and ``versions_kept`` of the plan
may bound them further. The oldest version still there is ``floor``: it can be read, and changes are
known from there on. The journal knows every version for as long as the run is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.pieces import Row

MOST_KEPT_BYTES = 64 * 1024 * 1024
VERSION_BYTES = 3 * 1024
"""What a version costs besides its values: nodes of the maps that it does not share."""

_HASH_BYTES = 16
_ENCODER = msgspec.json.Encoder()


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A key's value, as canonical JSON text, and the version that set it."""

    text: str
    version: int


Values: TypeAlias = "HashTrieMap[str, Entry]"


class Change(msgspec.Struct, frozen=True, gc=False):
    """Who changed what, when; values as canonical JSON text, None where there is none."""

    version: int
    key: str
    before: str | None
    after: str | None
    stream: StreamId
    at: float
    hash: str


class Version(msgspec.Struct, frozen=True, gc=False):
    """A whole state, and the changes that led to it from the version before."""

    number: int
    values: Values = HashTrieMap()
    changes: tuple[Change, ...] = ()


class SharedState(msgspec.Struct, frozen=True, gc=False):
    """All versions from ``floor`` to ``head``.

    ``hash`` is the chain's end and ``anchor`` the hash that the change after ``floor`` builds on.
    ``bytes`` is about what the versions after ``floor`` take of memory.
    ``synced`` is the version that was last propagated; ``unsynced`` says when, and with which
    event, the first change after it came.
    """

    head: int = 0
    hash: str = ""
    floor: int = 0
    anchor: str = ""
    versions: HashTrieMap[int, Version] = HashTrieMap({0: Version(0)})
    synced: int = 0
    unsynced: tuple[float, Seq] | None = None
    bytes: int = 0

    @property
    def values(self) -> Values:
        """The newest values."""
        return self.versions[self.head].values

    def text(self, key: str) -> str | None:
        """Return a key's newest value as text, or None if it is not there."""
        entry = self.values.get(key)
        return entry.text if entry else None

    def changes(self, since: int = 0) -> Iterator[Change]:
        """Yield the changes after a version, oldest first, as far as they are kept."""
        for number in range(max(since, self.floor) + 1, self.head + 1):
            version = self.versions.get(number)
            yield from version.changes if version else ()


def chained_hash(
    previous: str,
    version: int,
    key: str,
    before: str | None,
    after: str | None,
    stream: StreamId,
    at: float,
) -> str:
    """Return the hash of a change that follows the change with hash ``previous``."""
    sides = [None if side is None else msgspec.Raw(side.encode()) for side in (before, after)]
    content = _ENCODER.encode([previous, version, key, *sides, stream, at])
    return blake2b(content, digest_size=_HASH_BYTES).hexdigest()


def hash_of(change: Change, previous: str) -> str:
    """Return the hash that a change must have after the change with hash ``previous``."""
    c = change
    return chained_hash(previous, c.version, c.key, c.before, c.after, c.stream, c.at)


def chain_faults(changes: Iterable[Change], anchor: str, version: int, head: str) -> list[str]:
    """Return where a row of changes is not whole, in words; an empty list is good.

    Args:
        changes: in their order.
        anchor: the hash that the first of them builds on.
        version: the version that the first of them builds on.
        head: the hash of the newest change there was.
    """
    faults, previous = [], anchor
    for change in changes:
        if change.version not in (version, version + 1):
            faults.append(f"version {change.version} of {change.key!r} follows version {version}")
        if hash_of(change, previous) != change.hash:
            faults.append(f"version {change.version} of {change.key!r} is not what was written")
        previous, version = change.hash, change.version
    if previous != head:
        faults.append(f"the history ends at version {version}, but that was not its end")
    return faults


# --- folding -------------------------------------------------------------------------------------


def with_change(shared: SharedState, change: Change) -> SharedState:
    """Return the state after a change: one more in the newest version, or the first of the next."""
    newest = shared.versions[shared.head]
    entry = newest.values.get(change.key)
    if entry is not None and entry.text == change.before:
        change = replace(change, before=entry.text)  # one text in memory, not two alike
    version = _following(newest, change)
    return replace(
        shared,
        head=change.version,
        hash=change.hash,
        bytes=shared.bytes + _cost_of(change),
        versions=shared.versions.insert(change.version, version),
    )


def _cost_of(change: Change) -> int:
    return VERSION_BYTES + len(change.key) + len(change.after or "")


def _following(newest: Version, change: Change) -> Version:
    values = newest.values
    if change.after is None:
        values = values.discard(change.key)
    else:
        values = values.insert(change.key, Entry(change.after, change.version))
    has_begun = change.version == newest.number
    return Version(change.version, values, (*newest.changes, change) if has_begun else (change,))


def without_old_versions(shared: SharedState, kept: int | None) -> SharedState:
    """Return the state with the newest ``kept`` versions only, and no more than fit in memory."""
    most = shared.head if kept is None else max(kept, 1) - 1
    while shared.head - shared.floor > most or (
        shared.bytes > MOST_KEPT_BYTES and shared.head > shared.floor
    ):
        oldest = shared.versions[shared.floor + 1]
        versions = shared.versions.remove(shared.floor)
        shared = replace(
            shared,
            floor=oldest.number,
            anchor=oldest.changes[-1].hash,
            bytes=shared.bytes - sum(map(_cost_of, oldest.changes)),
            versions=versions.insert(oldest.number, replace(oldest, changes=())),
        )
    return shared


# --- snapshots -----------------------------------------------------------------------------------


def pack(shared: SharedState) -> dict[str, Any]:
    """Return the state as plain values: the oldest version whole, then what changed.

    The hashes are left out, for they follow from the rest; only the last is kept, as the proof.
    """
    floor = shared.versions[shared.floor]
    return {
        "floor": floor.number,
        "anchor": shared.anchor,
        "values": sorted((key, e.text, e.version) for key, e in floor.values.items()),
        "changes": Row((c.version, c.key, c.after, c.stream, c.at) for c in shared.changes()),
        "hash": shared.hash,
        "synced": shared.synced,
        "unsynced": shared.unsynced,
    }


class _Packed(msgspec.Struct):
    floor: int
    anchor: str
    values: list[tuple[str, str, int]]
    changes: list[tuple[int, str, str | None, StreamId, float]]
    hash: str
    synced: int
    unsynced: tuple[float, Seq] | None


def unpack(raw: Any) -> SharedState:
    """Return the state that :func:`pack` took apart.

    Raises msgspec.ValidationError if it has another shape or its chain does not end as it should.
    """
    packed = msgspec.convert(raw, _Packed)
    values = {key: Entry(text, version) for key, text, version in packed.values}
    floor, anchor = packed.floor, packed.anchor
    versions = {floor: Version(floor, HashTrieMap(values))}
    newest, end, kept_bytes = versions[floor], anchor, 0
    for number, key, after, stream, at in packed.changes:
        entry = newest.values.get(key)
        before = entry.text if entry else None
        end = chained_hash(end, number, key, before, after, stream, at)
        change = Change(number, key, before, after, stream, at, end)
        newest = versions[number] = _following(newest, change)
        kept_bytes += _cost_of(change)
    if end != packed.hash:
        raise msgspec.ValidationError("the history of the shared state is not whole")
    return SharedState(
        head=newest.number,
        hash=end,
        floor=floor,
        anchor=anchor,
        versions=HashTrieMap(versions),
        synced=packed.synced,
        unsynced=packed.unsynced,
        bytes=kept_bytes,
    )
