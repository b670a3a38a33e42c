"""What callers were answered, as far as it is remembered."""

from __future__ import annotations

from typing import Any

import msgspec

from anabranch.core.calls import Answer
from anabranch.core.ids import Attempt


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """The newest answers of one caller, oldest first, each beside its request."""

    attempt: Attempt
    requests: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


def refused(reason: str, hint: str, **facts: Any) -> Answer:
    """Return a refusal: why, and what to do now, both for people and models to read."""
    return Answer("refused", {"reason": reason, "hint": hint, **facts})
