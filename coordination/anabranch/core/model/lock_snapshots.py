"""A lock table as a snapshot holds it."""

from __future__ import annotations

from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.model.locks import Contention, Deadlock, Entry, Holder, LockTable, Violation


def restore(value: Any) -> LockTable:
    """Return the lock table that a snapshot holds. Raises msgspec.ValidationError."""
    return LockTable(
        entries=_map(value["entries"], str, Entry),
        patterns=_map(value["patterns"], str, bool),
        holders=HashTrieMap({name: _restored_holder(raw) for name, raw in value["holders"]}),
        violations=_map(value["violations"], str, tuple[Violation, ...]),
        contentions=msgspec.convert(value["contentions"], tuple[Contention, ...]),
        deadlocks=msgspec.convert(value["deadlocks"], tuple[Deadlock, ...]),
    )


def _restored_holder(raw: Any) -> Holder:
    return Holder(
        raw["attempt"],
        raw["until"],
        raw["doubted_by"],
        _map(raw["held"], int, str),
        _map(raw["asked"], int, str),
    )


def _map(pairs: Any, keys: Any, values: Any) -> HashTrieMap[Any, Any]:
    return HashTrieMap(msgspec.convert(pairs, list[tuple[keys, values]]))
