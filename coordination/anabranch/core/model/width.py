"""How many streams may run at a time, where the machine decides it."""

from __future__ import annotations

import msgspec

KEPT_CHANGES = 200


class Change(msgspec.Struct, frozen=True, gc=False):
    """When the width became what it is, and why."""

    at: float
    width: int
    reason: str


class Width(msgspec.Struct, frozen=True, gc=False):
    """The width that the machine bears; ``current`` is None while the plan's own holds.

    ``since`` is when it last changed. It ``has_peaked`` once it had to be cut: from then on it
    grows step by step. ``widest`` is the most that it was in this run, ``changes`` are the newest.
    """

    current: int | None = None
    since: float = 0.0
    has_peaked: bool = False
    widest: int = 0
    changes: tuple[Change, ...] = ()
