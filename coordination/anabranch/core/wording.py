"""Small pieces of prose that reasons and messages share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 file, 2 files, 3 processes."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def conflicting(streams: Sequence[str], paths: Sequence[str]) -> str:
    """Return who is in conflict and where, the first paths by name: each of them once."""
    listed = list(dict.fromkeys(paths))
    where = ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
    if len(streams) == 1:
        return f"{streams[0]} conflicts with what is there, in {where}"
    return f"{' and '.join(streams)} conflict in {where}"


def utc(wall: float) -> str | None:
    """Return a time of day as RFC 3339 in UTC; None if it is none."""
    try:
        moment = datetime.fromtimestamp(wall, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
