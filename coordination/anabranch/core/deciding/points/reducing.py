"""What the values that streams bring to a convergence point come to together.

A reducer says for a value whether it can take it, when the value arrives, so the last to come never
finds out that nothing can be made of what the others brought. Values are taken in the order of the
plan, not of arrival: the same values always come to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anabranch.core.ids import StreamId

Values = Mapping[StreamId, Any]

REDUCERS = ("collect", "merge", "sum", "max", "min")


def why_not_reducible(reducer: str, value: Any) -> str | None:
    """Return why a reducer cannot take a value, or None if it can."""
    if reducer in ("sum", "max", "min") and value is not None and not _is_number(value):
        return f"this point takes the {reducer} of numbers"
    if reducer == "merge" and value is not None and not isinstance(value, dict):
        return "this point merges objects"
    return None


def reduce_values(reducer: str, values: Values) -> Any:
    """Return what the values come to; None if nobody brought one. ``values`` in plan order."""
    if reducer not in _REDUCE:
        return dict(values)
    brought = {stream: value for stream, value in values.items() if value is not None}
    return _REDUCE[reducer](brought) if brought else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _merge(values: Values) -> Any:
    """Merge the fields of all objects; where several brought one, the last of the plan stands."""
    merged: dict[str, Any] = {}
    for value in values.values():
        merged |= value
    return merged


_REDUCE: dict[str, Callable[[Values], Any]] = {
    "merge": _merge,
    "sum": lambda values: sum(values.values()),
    "max": lambda values: max(values.values()),
    "min": lambda values: min(values.values()),
}
