"""Names of streams made from the names that other tools allow."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def stream_names(names: Iterable[str]) -> dict[str, str]:
    """Return a stream's name for each name, no two the same."""
    made: dict[str, str] = {}
    for name in names:
        plain = _UNFIT.sub("-", name).strip("-._") or "stream"
        found, number = plain, 2
        while found in made.values():
            found, number = f"{plain}-{number}", number + 1
        made[name] = found
    return made
