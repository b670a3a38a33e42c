"""Asking strategies that somebody else wrote, so that none of them can harm a run.

Every call is made in a thread of its own with a limit of time, on a view that cannot be changed.
All calls together have a limit as well, for each strategy and for all of them: many that take just
less than the limit of one would hold the engine up as long.
What it raises, a wrong answer, or none in time is the plugin's *fault*: the core's own strategy is
asked instead, and the fault is reported by name. It changes nothing of the process, and what it
prints is kept out of the command's output, and reported (:mod:`anabranch.plugin_call`). After
:data:`MOST_FAULTS`, or one answer that never came, the strategy is set aside and not asked again.
The built-in strategies are asked directly.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from anabranch.bounded_call import Caller, in_words
from anabranch.core import inputs
from anabranch.core.strategies import Strategies, abilities_of
from anabranch.core.strategies.answers import WrongAnswer
from anabranch.core.strategies.kinds import KINDS, Kind, Question
from anabranch.hostile_text import escape_for_terminal
from anabranch.plugin_call import Unmannerly, asked

LIMIT_SECONDS = 1.0
MOST_FAULTS = 3
BURST_SECONDS, SHARE = 1.0, 0.05
"""How long one strategy may hold the engine up at once, and what share of the time later on."""

BURST_OF_ALL_SECONDS, SHARE_OF_ALL = 3.0, 0.15
LONGEST_REASON = 500
_OURS = ("anabranch", "anabranch_plugins")

T = TypeVar("T")


class StrategyUse(msgspec.Struct, frozen=True):
    """How a strategy has been asked in this run by this engine; ``seconds`` is the time it took."""

    calls: int = 0
    seconds: float = 0.0
    faults: int = 0
    last_fault: str = ""
    is_set_aside: bool = False


class Allowance:
    """Seconds that may be spent: so many at once, and a share of the time that passes."""

    def __init__(self, burst_seconds: float, share: float, now: Callable[[], float]) -> None:
        self._burst, self._share, self._now = burst_seconds, share, now
        self._left, self._at = burst_seconds, now()

    @property
    def left(self) -> float:
        """Seconds that are left now; overdrawn, if it is less than 0."""
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._at) * self._share)
        self._at = now
        return self._left

    def spend(self, seconds: float) -> None:
        """Take some seconds, whether they are there or not."""
        self._left = self.left - seconds


class Guard:
    """Asks strategies, counts their faults, and tells of them. Safe to use from any thread."""

    def __init__(
        self,
        limit_seconds: float = LIMIT_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_seconds = limit_seconds
        self._now = now
        self._allowances: dict[str, Allowance] = {}
        self._allowance = Allowance(BURST_OF_ALL_SECONDS, SHARE_OF_ALL, now)
        self._callers = threading.local()
        self._faults: Counter[str] = Counter()
        self._aside: set[str] = set()
        self._calls: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._last_faults: dict[str, str] = {}
        self._noted: set[tuple[str, str]] = set()
        self._news: queue.SimpleQueue[inputs.StrategyFault] = queue.SimpleQueue()

    def decide(self, who: object, name: str, call: Callable[[], T], instead: Callable[[], T]) -> T:
        """Ask for a decision: the same as :meth:`ask`, but the engine waits for it.

        So there is a limit to what all calls take; beyond it the core's own decides.
        """
        own = self._allowances.get(name)
        if own is None:
            own = self._allowances[name] = Allowance(BURST_SECONDS, SHARE, self._now)
        if own.left <= 0 or self._allowance.left <= 0:
            return instead()
        began = self._now()
        try:
            return self.ask(who, name, call, instead)
        finally:
            took = self._now() - began
            self._allowance.spend(took)
            own.spend(took)
            if own.left <= 0 and name not in self._aside:
                reason = f"its answers have taken {self._seconds[name]:.1f} s, while others waited"
                self._blame(who, name, f"{reason}; the core's own decides for a while")

    def ask(self, who: object, name: str, call: Callable[[], T], instead: Callable[[], T]) -> T:
        """Return what a plugin answers, or something instead if it is unfit."""
        if name in self._aside:
            return instead()
        try:
            within = partial(self._caller().within, self._limit_seconds, partial(asked, call))
            answer, printed = self.metered(name, within)
        except TimeoutError:
            self._blame(who, name, f"no answer within {self._limit_seconds:g} s", is_last=True)
        except (WrongAnswer, Unmannerly) as error:
            self._blame(who, name, str(error))
        except BaseException as error:  # a plugin may raise anything, SystemExit too
            self._blame(who, name, in_words(error))
        else:
            if printed:
                self.note(who, name, "prints", f"it printed {printed!r}", is_heeded=True)
            return answer
        return instead()

    def _caller(self) -> Caller:
        """Return the thread that asks for whoever calls: a slow observer delays no decision."""
        found: Caller | None = getattr(self._callers, "own", None)
        if found is None:
            found = self._callers.own = Caller("anabranch-strategy")
        return found

    def metered(self, name: str, call: Callable[..., T], *arguments: Any) -> T:
        """Return what a call returns, and count it and the time it took."""
        began = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            self._calls[name] += 1
            self._seconds[name] += time.perf_counter() - began

    def use(self) -> dict[str, StrategyUse]:
        """Return how each strategy that was asked has done so far, by name. A snapshot."""
        return {
            name: StrategyUse(
                self._calls[name],
                self._seconds[name],
                self._faults[name],
                self._last_faults.get(name, ""),
                name in self._aside,
            )
            for name in list(self._calls)
        }

    def news(self) -> list[inputs.StrategyFault]:
        """Return the faults that nobody has been told of yet."""
        found = []
        while not self._news.empty():
            found.append(self._news.get())
        return found

    def blame(self, name: str, fault: str) -> None:
        """Count and tell a fault that no call has shown."""
        self._blame(None, name, fault)

    def note(
        self, who: object, name: str, kind: str, fault: str, *, is_heeded: bool = False
    ) -> None:
        """Tell once of a kind of misdeed for which nobody is set aside.

        ``is_heeded``: its answer is taken all the same.
        """
        if (name, kind) in self._noted:
            return
        self._noted.add((name, kind))
        self._last_faults[name] = escape_for_terminal(fault)[:LONGEST_REASON]
        self._tell(who, name, is_heeded=is_heeded)

    def _blame(self, who: object, name: str, fault: str, *, is_last: bool = False) -> None:
        self._faults[name] += 1
        self._last_faults[name] = escape_for_terminal(fault)[:LONGEST_REASON]
        if is_last or self._faults[name] >= MOST_FAULTS:
            self._aside.add(name)
        self._tell(who, name)

    def _tell(self, who: object, name: str, *, is_heeded: bool = False) -> None:
        self._news.put(
            inputs.StrategyFault(
                plugin="" if who is None else plugin_of(who),
                strategy=name,
                fault=self._last_faults[name],
                count=max(1, self._faults[name]),
                is_set_aside=name in self._aside,
                is_heeded=is_heeded,
            )
        )


def plugin_of(strategy: object) -> str:
    """Return the package that a strategy comes from."""
    return type(strategy).__module__.partition(".")[0]


def is_built_in(strategy: object) -> bool:
    """Return whether a strategy is one of ours: of a class that is found where it says it is."""
    kind = type(strategy)
    module = sys.modules.get(kind.__module__)
    return plugin_of(strategy) in _OURS and getattr(module, kind.__name__, None) is kind


def _unchangeable(view: Any) -> Any:
    """Return a view in which nothing can be changed, whoever else holds its parts."""
    changes: dict[str, Any] = {}
    for name in view.__struct_fields__:
        value = getattr(view, name)
        if isinstance(value, Mapping):
            changes[name] = MappingProxyType(dict(value))
        elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
            changes[name] = tuple(map(_unchangeable, value))
    return replace(view, **changes) if changes else view


def _readable(decision: T) -> T:
    """Return a decision whose texts are short and harmless to a terminal."""
    if isinstance(decision, tuple):
        return cast(T, tuple(map(_readable, decision)))
    if not isinstance(decision, msgspec.Struct):
        return decision
    texts = {
        name: escape_for_terminal(text)[:LONGEST_REASON]
        for name in decision.__struct_fields__
        if isinstance(text := getattr(decision, name), str)
    }
    return replace(decision, **texts)


class Metered:
    """A strategy of ours: asked directly, and counted."""

    def __init__(self, strategy: Any, kind: Kind, guard: Guard) -> None:
        self.name: str = strategy.name
        _take_abilities(self, strategy)
        for question in kind.asked_of(strategy):
            method = getattr(strategy, question.method)
            setattr(self, question.method, partial(guard.metered, self.name, method))


class Guarded:
    """A strategy behind a guard; to others it looks like the strategy itself."""

    def __init__(self, strategy: Any, kind: Kind, guard: Guard) -> None:
        self.name: str = str(strategy.name)
        self._strategy, self._kind, self._guard = strategy, kind, guard
        _take_abilities(self, strategy)
        for question in kind.asked_of(strategy):
            setattr(self, question.method, partial(self._ask, question))

    def _ask(self, question: Question, view: Any, *more: Any) -> Any:
        def call() -> Any:
            found = getattr(self._strategy, question.method)(_unchangeable(view), *more)
            return _readable(question.checked(found, view))

        instead = partial(getattr(self._kind.instead, question.method), view, *more)
        return self._guard.decide(self._strategy, self.name, call, instead)


def _take_abilities(double: Metered | Guarded, strategy: object) -> None:
    """Give a strategy's double its abilities."""
    able = abilities_of(strategy)
    for name in able.__struct_fields__:
        setattr(double, name, getattr(able, name))


def guarded(strategies: Strategies, guard: Guard) -> Strategies:
    """Return the same strategies, those of plugins behind a guard, all of them counted."""

    def behind(kind: Kind) -> dict[str, Any]:
        found: Mapping[str, Any] = getattr(strategies, kind.field)
        return {
            name: (Metered if is_built_in(one) else Guarded)(one, kind, guard)
            for name, one in found.items()
        }

    return Strategies(**{kind.field: behind(kind) for kind in KINDS})
