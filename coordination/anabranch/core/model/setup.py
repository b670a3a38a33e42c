"""How the setup of an attempt's workspace went."""

from __future__ import annotations

import msgspec


class Setup(msgspec.Struct, frozen=True, gc=False):
    """What is known of the setup of a stream's newest attempt.

    ``began_at`` is in run seconds, None if there was none; ``seconds`` is how long it took, None
    before its end, and ``failure`` why the workspace is not ready.
    """

    began_at: float | None = None
    seconds: float | None = None
    exit_code: int | None = None
    failure: str = ""
