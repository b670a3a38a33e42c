"""Small pieces of prose that reasons and messages share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 file, 2 files, 3 processes."""
    several = plural or (f"{noun}es" if noun.endswith("s") else f"{noun}s")
    return f"{count} {noun if count == 1 else several}"


def spelled(name: str) -> str:
    """Return a name of ours as people read it: ``setting up``."""
    return name.replace("_", " ")


def size(count_bytes: int) -> str:
    """Return how much data it is, for people: ``17 bytes``, ``1.2 kB``, ``814 MB``."""
    if count_bytes < 1000:
        return counted(count_bytes, "byte")
    amount, units = count_bytes / 1000, ["kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.1f} {units[0]}" if amount < 9.95 else f"{amount:.0f} {units[0]}"


def listing(names: Iterable[object], most: int = 4) -> str:
    """Return names in one phrase, those beyond ``most`` counted: ``a, b and 3 more``."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"


def clauses(parts: Sequence[str], most: int) -> str:
    """Return clauses in one sentence, those beyond ``most`` counted: ``a; b; 3 more``."""
    more = [f"{len(parts) - most} more"] if len(parts) > most else []
    return "; ".join([*parts[:most], *more])


def width_in_words(width: int, was: int, reason: str) -> str:
    """Return how the width of a run has changed, and why: ``width 6 → 5: memory pressure 12 %``."""
    return f"width {was} → {width}: {reason}" if was else f"width {width}: {reason}"


def duration(seconds: float | None) -> str:
    """Return a length of time in a table: ``0.4s``, ``12s``, ``3m04s``, ``2h05m``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def instant(seconds: float) -> str:
    """Return a very short time in a sentence: ``0.4 ms``, ``12 ms``, ``1.3 s``."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def length(seconds: float, digits: int = 0) -> str:
    """Return a length of time in a sentence: ``8 s``, ``95 s``, ``12 min``, ``3 h``.

    Below 10 seconds so many ``digits`` follow the point.
    """
    if digits and seconds < 10:
        return f"{seconds:.{digits}f} s"
    whole = int(max(0.0, seconds))  # as a clock tells it, which may stand beside it
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"


def age(seconds: float) -> str:
    """Return how long ago something was: ``8s``, ``12m``, ``3h``, ``2d``."""
    whole = int(max(seconds, 0))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def conflicting(streams: Sequence[str], paths: Sequence[str]) -> str:
    """Return who is in conflict and where, the first paths by name: each of them once."""
    where = listing(dict.fromkeys(paths), 3)
    if len(streams) == 1:
        return f"{streams[0]} conflicts with what is there, in {where}"
    return f"{' and '.join(streams)} conflict in {where}"


def flood(left_out_bytes: int) -> str:
    """Say how much of a flood of output no log keeps."""
    mib = left_out_bytes / (1 << 20)
    return f"writes a flood: {mib:.0f} MiB of its output are left out of the log's middle"


def disk_size(count: int) -> str:
    """Return a number of bytes as disks are sold: ``640 B``, ``12 kB``, ``3.4 GB``."""
    value, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.5 and (larger := next(units, None)):
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"


def utc(wall: float) -> str | None:
    """Return a time of day as RFC 3339 in UTC; None if there is no such time."""
    try:
        moment = datetime.fromtimestamp(wall, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
