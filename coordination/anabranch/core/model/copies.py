"""What is known of copies that streams had beside them: numbers only, as plain values."""

from __future__ import annotations

from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import Attempt, StreamId


class Speculation(msgspec.Struct, frozen=True, gc=False):
    """What has come of copies so far.

    ``copied`` is the newest attempt of each stream that was a copy, ``acted`` the newest that has
    asked for something by which others notice it, and ``set_aside`` are the attempts that ran
    beside another one and did not count. ``seconds_saved`` is what others were expected to take
    still when their copies won, ``seconds_spent`` what was worked for nothing.
    """

    copied: HashTrieMap[StreamId, Attempt] = HashTrieMap()
    acted: HashTrieMap[StreamId, Attempt] = HashTrieMap()
    set_aside: HashTrieMap[StreamId, tuple[Attempt, ...]] = HashTrieMap()
    copies: int = 0
    won: int = 0
    fenced: int = 0
    seconds_saved: float = 0.0
    seconds_spent: float = 0.0

    def newest(self, stream: StreamId, attempt: Attempt) -> Attempt:
        """Return the highest number that an attempt of a stream has, ``attempt`` being its own."""
        return max(attempt, self.copied.get(stream, 0))

    def before(self, stream: StreamId, attempt: Attempt) -> Attempt:
        """Return the attempt before one, those that did not count left out; 0 if there is none."""
        aside = self.set_aside.get(stream, ())
        number = attempt - 1
        while number in aside:
            number -= 1
        return number


def unpack(raw: Any) -> Speculation:
    """Return what a snapshot holds. Raises msgspec.ValidationError."""
    kinds: dict[str, Any] = {
        "copied": list[tuple[str, int]],
        "acted": list[tuple[str, int]],
        "set_aside": list[tuple[str, tuple[int, ...]]],
    }
    maps = {name: HashTrieMap(msgspec.convert(raw[name], kind)) for name, kind in kinds.items()}
    return Speculation(**{**raw, **maps})
