"""Merging concurrent versions of the shared state: key by key, and inside objects field by field.

Both sides began at the same base. What only one side changed is taken; what both changed alike
stands; what both changed differently is a clash, shown with both sides. Lists and plain values are
whole: two sides that changed one list differently clash. Laws that tests hold: merging what is
already there changes nothing, and disjoint changes come to the same in either order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import msgspec

from anabranch.core.json_values import Json, text_of, value_of


class Clash(msgspec.Struct, frozen=True):
    """One place that both sides changed differently; ``path`` leads into the object under ``key``.

    A side that has nothing there is None.
    """

    key: str
    path: tuple[str, ...]
    base: Json
    current: Json
    yours: Json

    def as_json(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {**msgspec.structs.asdict(self), "path": list(self.path)}


class Merge(msgspec.Struct, frozen=True):
    """What has to change so that both sides are in: the new text by key, None to remove a key."""

    changes: dict[str, str | None]
    clashes: tuple[Clash, ...]


class _Absent(Enum):
    ABSENT = 0


_ABSENT: Final = _Absent.ABSENT
_Found = Json | _Absent
Lookup = Callable[[str], str | None]
"""Gives a key's value as canonical text, or None."""


def merge(base: Lookup, current: Lookup, yours: Mapping[str, str | None]) -> Merge:
    """Merge proposed texts, made from ``base``, into ``current``.

    A key with a clash changes nothing, not even in the fields that agree.
    """
    changes: dict[str, str | None] = {}
    clashes: list[Clash] = []
    for key in sorted(yours):
        was, now, wanted = base(key), current(key), yours[key]
        if wanted in (was, now):
            continue
        if now == was:
            changes[key] = wanted
            continue
        found: list[Clash] = []
        merged = _merge_values(key, (), _value(was), _value(now), _value(wanted), found)
        clashes += found
        if not found:
            changes[key] = None if merged is _ABSENT else text_of(merged)
    return Merge(changes, tuple(clashes))


def _value(text: str | None) -> _Found:
    return _ABSENT if text is None else value_of(text)


def _merge_values(
    key: str,
    path: tuple[str, ...],
    base: _Found,
    current: _Found,
    yours: _Found,
    clashes: list[Clash],
) -> _Found:
    if _same(current, yours) or _same(base, yours):
        return current
    if _same(base, current):
        return yours
    if not (isinstance(current, dict) and isinstance(yours, dict)):
        clashes.append(
            Clash(key, path, *(None if v is _ABSENT else v for v in (base, current, yours)))
        )
        return current
    origin = base if isinstance(base, dict) else {}
    merged = {}
    for field in {**current, **yours}:
        was, now, wanted = (side.get(field, _ABSENT) for side in (origin, current, yours))
        value = _merge_values(key, (*path, field), was, now, wanted, clashes)
        if value is not _ABSENT:
            merged[field] = value
    return merged


def _same(one: _Found, other: _Found) -> bool:
    """Return whether two values are the same JSON: unlike in Python, 1, 1.0 and true are not."""
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return bool(one == other) and text_of(one) == text_of(other)


def patched(text: str | None, patch: Json) -> Json:
    """Return a value with a JSON Merge Patch (RFC 7396) applied.

    An object's fields are set one by one, null removes a field; anything else replaces the whole.
    """
    return _patched(None if text is None else value_of(text), patch)


def _patched(target: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = _patched(result.get(field), value)
    return result
