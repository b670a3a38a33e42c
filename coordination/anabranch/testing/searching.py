"""Looking for a case that breaks a rule, and for the smallest such case.

With hypothesis installed (the extra ``testing``) it searches and shrinks. Without it, cases come
from a seed, the small ones first, and once one fails, smaller ones are tried again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar

import msgspec

from anabranch.testing.views import Item, SeededSource, Source

Case = TypeVar("Case")
LARGEST_SIZE = 12
SMALLER_TRIALS = 300
SHRINKING_SECONDS = 2.0
LONGEST_SHRINKING_SECONDS = 20.0


class _Patience:
    """How long smaller cases are tried: by what is computed, so that a busy machine finds the same.

    A strategy that waits computes nothing, and ends it by the clock.
    """

    def __init__(self) -> None:
        self._computed = time.process_time() + SHRINKING_SECONDS
        self._clock = time.monotonic() + LONGEST_SHRINKING_SECONDS

    @property
    def is_over(self) -> bool:
        return time.process_time() > self._computed or time.monotonic() > self._clock


class Found(msgspec.Struct, frozen=True):
    """A case that breaks a rule, and what is wrong with it."""

    fault: str
    case: Any


def search(
    draw: Callable[[Source], Case],
    fault_of: Callable[[Case], str],
    *,
    examples: int,
    seed: int = 0,
    with_hypothesis: bool | None = None,
) -> Found | None:
    """Return the smallest case found for which ``fault_of`` says something, if there is one.

    ``with_hypothesis`` is by default whether it is installed.
    """
    if with_hypothesis is None:
        with_hypothesis = find_spec("hypothesis") is not None
    if with_hypothesis:
        return _search_with_hypothesis(draw, fault_of, examples)
    return _search_by_seed(draw, fault_of, examples, seed)


def _search_by_seed(
    draw: Callable[[Source], Case], fault_of: Callable[[Case], str], examples: int, seed: int
) -> Found | None:
    for number in range(examples):
        size = number * (LARGEST_SIZE + 1) // examples
        case = draw(SeededSource((seed, number), size))
        if fault := fault_of(case):
            return _smallest(draw, fault_of, Found(fault, case), size, seed)
    return None


def _smallest(
    draw: Callable[[Source], Case],
    fault_of: Callable[[Case], str],
    found: Found,
    size: int,
    seed: int,
) -> Found:
    """Try cases of no larger size for a while; keep the one that is shortest to tell."""
    patience = _Patience()
    for number in range(SMALLER_TRIALS):
        if patience.is_over:
            break
        case = draw(SeededSource(("smaller", seed, number), number * size // SMALLER_TRIALS))
        if len(repr(case)) < len(repr(found.case)) and (fault := fault_of(case)):
            found = Found(fault, case)
    return found


def _search_with_hypothesis(
    draw: Callable[[Source], Case], fault_of: Callable[[Case], str], examples: int
) -> Found | None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Flaky

    class Drawn:
        size = LARGEST_SIZE

        def __init__(self, take: Callable[[Any], Any]) -> None:
            self._take = take

        def whole(self, low: int, high: int) -> int:
            return int(self._take(st.integers(low, high)))

        def real(self, low: float, high: float) -> float:
            return float(self._take(st.floats(low, high, allow_subnormal=False)))

        def pick(self, items: Sequence[Item]) -> Item:
            chosen: Item = self._take(st.sampled_from(items))
            return chosen

    found: list[Found] = []
    patience: list[_Patience] = []

    class Broken(Exception):
        pass

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.composite(lambda take: draw(Drawn(take)))())
    def trial(case: Case) -> None:
        if patience and patience[0].is_over:
            return  # hypothesis takes it for flaky, and ends
        if fault := fault_of(case):
            found.append(Found(fault, case))
            patience.append(_Patience())
            raise Broken

    try:
        trial()
    except (Broken, Flaky):
        return min(reversed(found), key=lambda one: len(repr(one.case)))
    return None
