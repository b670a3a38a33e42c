"""How many checkouts are kept ready."""

from __future__ import annotations

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    """At ``most`` so many are kept ready, and none of a project of fewer files."""

    most: int
    fewest_files: int = 0


NO_MORE = Bounds(0)
WHATEVER_COMES = Bounds(1_000_000)
