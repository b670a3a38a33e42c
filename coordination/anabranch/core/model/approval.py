"""How far the way of a result to the user's branch has gone, as a value."""

from __future__ import annotations

import msgspec


class Approval(msgspec.Struct, frozen=True, gc=False):
    """How far the way of the result to the user's branch has gone.

    ``kind`` is what kept it back, as the event that said so has it.
    """

    is_requested: bool = False
    is_done: bool = False
    message: str = ""
    hint: str = ""
    allow_sensitive: bool = False
    onto: str | None = None
    kind: str = ""
