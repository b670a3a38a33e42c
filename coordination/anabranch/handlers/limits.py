"""When to give up: after how many failures nothing more is started."""

from __future__ import annotations

from typing import NamedTuple

FEWEST_FOR_A_SHARE = 20
"""Of how many a share of failures is taken at least, while nobody knows how many there are."""


class FailureLimit(NamedTuple):
    """A number of failures, or a share of them (0..1); without either all may fail."""

    number: int | None = None
    share: float | None = None

    @classmethod
    def of(cls, given: int | float | str | None) -> FailureLimit:
        """Return a limit from a number, a share (0..1) or a share in text. Raises ValueError."""
        if given is None:
            return cls()
        if isinstance(given, int) and given >= 0:
            return cls(number=given)
        try:
            share = given if isinstance(given, float) else _percentage(str(given))
        except ValueError:
            share = -1.0
        if not 0.0 <= share <= 1.0:
            raise ValueError(
                f'max_failures is {given!r}: give a number, or a share as 0.05 or "5%"'
            )
        return cls(share=share)

    def most(self, expected: int | None, seen: int) -> int | None:
        """Return how many may fail.

        Args:
            expected: how many handlers there will be, None if nobody knows.
            seen: how many there were so far.
        """
        if self.share is None:
            return self.number
        return int(self.share * (expected or max(seen, FEWEST_FOR_A_SHARE)))


def _percentage(text: str) -> float:
    """Return ``5%`` as 0.05. Raises ValueError."""
    number, sign, rest = text.partition("%")
    if not sign or rest.strip():
        raise ValueError(text)
    return float(number) / 100
