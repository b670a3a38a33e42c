"""What is known about workspaces that streams take over from those before them."""

from __future__ import annotations

import msgspec


class Fusion(msgspec.Struct, frozen=True, gc=False):
    """What a workspace of a stream's own takes to make, in seconds, and how many were taken over.

    ``own_seconds`` is the least that was seen in this run, None while none was made.
    """

    own_seconds: float | None = None
    taken_over: int = 0
