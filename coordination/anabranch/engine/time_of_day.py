"""When a time of day comes in a zone: the only place that knows zones.

The rule is one sentence: *a time of day comes at the first instant at which clocks in its zone show
it, or a later one of that day.* So a time that is left out when clocks go forward comes at the
first instant after the gap, and one that comes twice when they go back is the first of the two.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS_TRIED = range(-1, 4)
"""Around the day of a moment; zones have left out whole days when they changed sides."""


def zone_named(name: str) -> ZoneInfo | None:
    """Return a zone, None for that of the machine. Raises ZoneInfoNotFoundError."""
    return ZoneInfo(name) if name else None


def next_time(at: str, zone: ZoneInfo | None, after: float) -> float:
    """Return when a time of day comes first from a moment on, in seconds since 1970.

    Args:
        at: the time, ``HH:MM`` or ``HH:MM:SS``.
        zone: where clocks show it; None for the zone of the machine.
        after: the moment, in seconds since 1970.
    """
    day = datetime.fromtimestamp(after, zone).date()
    clock = time.fromisoformat(at)
    days = (day + timedelta(days=days) for days in DAYS_TRIED)
    found = (_first_instant(datetime.combine(one, clock), zone) for one in days)
    return next(instant for instant in found if instant >= after)


def shown(instant: float, zone: ZoneInfo | None) -> str:
    """Return what clocks in a zone show then: ``2026-03-29 03:00 CEST``."""
    there = datetime.fromtimestamp(instant, zone)
    there = there if zone is not None else there.astimezone()
    seconds = ":%S" if there.second else ""
    return there.strftime(f"%Y-%m-%d %H:%M{seconds} %Z").rstrip()


def _first_instant(wanted: datetime, zone: ZoneInfo | None) -> float:
    """Return the first instant at which clocks show a time, or have just left it out."""
    before, after = (_instant(wanted.replace(fold=fold), zone) for fold in (0, 1))
    if _shows(before, zone) == wanted:
        return before
    # It is left out: by the clocks of after the change it lies before that, and the other way.
    low, high = int(after), int(before)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _shows(middle, zone) >= wanted else (middle, high)
    return float(high)


def _instant(there: datetime, zone: ZoneInfo | None) -> float:
    return there.replace(tzinfo=zone).timestamp()


def _shows(instant: float, zone: ZoneInfo | None) -> datetime:
    return datetime.fromtimestamp(instant, zone).replace(tzinfo=None, fold=0)
