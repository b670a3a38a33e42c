"""Numbers and moments as people read them: short, and stable enough not to flicker."""

from __future__ import annotations

import time
from collections.abc import Mapping

from anabranch.hostile_text import escape_for_terminal

NOTHING = "—"


def safe(text: str) -> str:
    """Return text that came from a stream, a file or git as harmless printable characters."""
    return escape_for_terminal(text)


LONGEST_SENTENCE = 400


def shortened(text: str) -> str:
    """Return a sentence short enough to be read: of a long one the middle goes, not its end."""
    if len(text) <= LONGEST_SENTENCE:
        return text
    return f"{text[: LONGEST_SENTENCE // 2]} … {text[-LONGEST_SENTENCE // 2 :]}"


def clock(seconds: float | None) -> str:
    """Return a duration in five cells: ``02:31``, ``1h02m`` or ``3d04h``."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    if minutes < 60:
        return f"{minutes:02}:{rest:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def memory(count: int | None) -> str:
    """Return a number of bytes as ``310M`` or ``1.2G``."""
    if not count:
        return NOTHING
    mebibytes = count / 2**20
    if mebibytes < 1000:
        return f"{max(mebibytes, 1):.0f}M"
    return f"{mebibytes / 1024:.1f}G"


def size(count: int) -> str:
    """Return how large a file is, as ``108K``, ``310M`` or ``1.2G``."""
    return f"{max(round(count / 2**10), 1)}K" if count < 2**20 else memory(count)


def ports_in_words(ports: Mapping[str, int]) -> str:
    """Return ports by their names: ``web 20112, db 20481``."""
    return ", ".join(f"{name} {port}" for name, port in ports.items())


def percent(value: float | None) -> str:
    """Return a share of one processor: ``41%``."""
    return NOTHING if value is None else f"{value:.0f}%"


def wall_clock(started_wall: float, at: float) -> str:
    """Return a moment of the run clock as local time, ``14:02:11``."""
    return time.strftime("%H:%M:%S", time.localtime(started_wall + at))
