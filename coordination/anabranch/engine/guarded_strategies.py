"""Asking strategies that somebody else wrote, so that none of them can harm a run.

Every call is made in a thread of its own with a limit of time, on a view that cannot be changed.
All calls together have a limit as well, for each strategy and for all of them: many that take just
less than the limit of one would hold the engine up as long.
What it raises, a wrong answer, or none in time is the plugin's *fault*: the core's own strategy is
asked instead, and the fault is told by name. It changes nothing of the process, and what it prints
is kept out of the command's output, and told (:mod:`anabranch.plugin_call`). After
:data:`MOST_FAULTS`, or one answer that never came, the strategy is set aside and not asked again.
The built-in strategies are asked directly.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from anabranch.bounded_call import Caller, in_words
from anabranch.core import inputs
from anabranch.core.deciding.guardian.rungs import RUNGS
from anabranch.core.strategies import (
    Abandon,
    Ask,
    Checkpoint,
    Converge,
    Drop,
    EndAndRetry,
    EndedAttempt,
    EndRun,
    FailedAttempt,
    FailureClass,
    GiveUp,
    PointDecision,
    PointView,
    QueuedStream,
    RecoveryDecision,
    RemedyDecision,
    Retry,
    RunAlone,
    Strategies,
    Trouble,
    WaitForMore,
    fallbacks,
)
from anabranch.core.strategies.point_laws import fault_of
from anabranch.hostile_text import escape_for_terminal
from anabranch.plugin_call import Unmannerly, asked

LIMIT_SECONDS = 1.0
MOST_FAULTS = 3
BURST_SECONDS, SHARE = 1.0, 0.05
"""How long one strategy may hold the engine up at once, and what share of the time later on."""

BURST_OF_ALL_SECONDS, SHARE_OF_ALL = 3.0, 0.15
LONGEST_REASON = 500
LONGEST_DELAY_SECONDS = 24 * 3600.0
_OURS = ("anabranch", "anabranch_plugins")

T = TypeVar("T")


class StrategyUse(msgspec.Struct, frozen=True):
    """How a strategy has been asked in this run by this engine; ``seconds`` is the time it took."""

    calls: int = 0
    seconds: float = 0.0
    faults: int = 0
    last_fault: str = ""
    is_set_aside: bool = False


class WrongAnswer(Exception):
    """An answer that no strategy of its kind may give."""


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
                told = f"its answers have taken {self._seconds[name]:.1f} s, which others waited"
                self._blame(who, name, f"{told}; the core's own decides for a while")

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
    """Whether a strategy is one of ours: of a class that is found where it says it is."""
    kind = type(strategy)
    module = sys.modules.get(kind.__module__)
    return plugin_of(strategy) in _OURS and getattr(module, kind.__name__, None) is kind


def _unchangeable(view: Any) -> Any:
    """Return a view in which nothing can be changed, whoever else holds its parts."""
    changes = {
        field.name: MappingProxyType(dict(value))
        for field in msgspec.structs.fields(view)
        if isinstance(value := getattr(view, field.name), Mapping)
    }
    return replace(view, **changes) if changes else view


def _checked_reason(decision: Any) -> Any:
    reason = decision.reason
    if not isinstance(reason, str):
        raise WrongAnswer("its reason is no text")
    return replace(decision, reason=escape_for_terminal(reason)[:LONGEST_REASON])


def _is_number(value: object) -> bool:
    """Whether something is a plain number: the journal could not read any other one again."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_REMEDIES = (EndAndRetry, RunAlone, Drop, EndRun)
_METHODS = ("next_step", "rank", "after_failure", "remedy", "classify")


class Metered:
    """A strategy of ours: asked directly, and counted."""

    def __init__(self, strategy: Any, guard: Guard) -> None:
        self.name: str = strategy.name
        for ability in ("options_type", "merges_early", "takes_checkpoints"):
            if hasattr(strategy, ability):
                setattr(self, ability, getattr(strategy, ability))
        for method in _METHODS:
            if hasattr(strategy, method):
                ask = partial(guard.metered, self.name, getattr(strategy, method))
                setattr(self, method, ask)


class _Guarded(Generic[T]):
    """A strategy behind a guard; to others it looks like the strategy itself."""

    def __init__(self, strategy: T, guard: Guard) -> None:
        self._strategy = strategy
        self._guard = guard
        self.name: str = str(strategy.name)  # type: ignore[attr-defined]
        self.options_type = getattr(strategy, "options_type", None)
        self.merges_early = bool(getattr(strategy, "merges_early", False))
        self.takes_checkpoints = bool(getattr(strategy, "takes_checkpoints", False))


class GuardedConvergence(_Guarded[Any]):
    """A convergence type behind a guard."""

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next."""

        def call() -> PointDecision:
            found = self._strategy.next_step(_unchangeable(view), now)
            return _checked_point_decision(found, view)

        instead = lambda: fallbacks.CONVERGENCE.next_step(view, now)  # noqa: E731
        return self._guard.decide(self._strategy, self.name, call, instead)


def _checked_point_decision(found: object, view: PointView) -> PointDecision:
    if not isinstance(found, WaitForMore | Converge | Checkpoint | Abandon):
        raise WrongAnswer(f"{type(found).__name__} is no decision about a convergence point")
    fault = fault_of(view, found)
    if fault:
        raise WrongAnswer(fault)
    return _plain_point_decision(found, view)


def _plain_point_decision(found: PointDecision, view: PointView) -> PointDecision:
    """Return a decision made of our own parts: nothing of the plugin's is asked once it is over."""
    reason = _checked_reason(found).reason
    ours = {stream: stream for stream in (*view.arrived, *view.running)}
    match found:
        case Converge():
            return Converge(tuple(ours[s] for s in found.streams), reason, bool(found.is_final))
        case Checkpoint():
            return Checkpoint(tuple(ours[s] for s in found.streams), reason)
        case WaitForMore(look_again_at=at):
            return WaitForMore(reason, None if at is None else float(at))
    return Abandon(reason)


class GuardedBalancer(_Guarded[Any]):
    """A load balancer behind a guard."""

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return where a stream stands in the queue."""

        def call() -> tuple[float, ...]:
            found = tuple(self._strategy.rank(_unchangeable(view)))
            if not all(isinstance(n, float | int) and math.isfinite(n) for n in found):
                raise WrongAnswer("its rank is no tuple of numbers")
            return tuple(float(number) for number in found)

        instead = lambda: fallbacks.BALANCER.rank(view)  # noqa: E731
        return self._guard.decide(self._strategy, self.name, call, instead)


class GuardedRecovery(_Guarded[Any]):
    """A recovery strategy behind a guard."""

    def after_failure(self, view: FailedAttempt) -> RecoveryDecision:
        """Return whether and when the stream is tried again."""

        def call() -> RecoveryDecision:
            found = self._strategy.after_failure(_unchangeable(view))
            if not isinstance(found, Retry | GiveUp):
                raise WrongAnswer(f"{type(found).__name__} is no decision about a failure")
            reason: str = _checked_reason(found).reason
            if isinstance(found, GiveUp):
                return GiveUp(reason)
            delay = found.delay_seconds
            if not _is_number(delay) or not 0 <= delay <= LONGEST_DELAY_SECONDS:
                raise WrongAnswer(f"{delay!r} s is no delay")
            if view.retries >= view.max_retries:
                used = f"{view.retries} of {view.max_retries} retries are used up"
                raise WrongAnswer(f"it tries again though {used}")
            return Retry(float(delay), reason)

        instead = lambda: fallbacks.RECOVERY.after_failure(view)  # noqa: E731
        return self._guard.decide(self._strategy, self.name, call, instead)


class GuardedRemedy(_Guarded[Any]):
    """A rung of the guardian's ladder behind a guard."""

    def remedy(self, view: Trouble, now: float) -> RemedyDecision:
        """Return what is done about a stream in trouble."""

        def call() -> RemedyDecision:
            found = self._strategy.remedy(_unchangeable(view), now)
            if not isinstance(found, Ask | EndAndRetry | RunAlone | Drop | EndRun):
                raise WrongAnswer(f"{type(found).__name__} is no remedy")
            if not isinstance(found, Ask):
                kind = next(k for k in _REMEDIES if isinstance(found, k))
                return kind(_checked_reason(found).reason)
            if not isinstance(found.text, str) or not found.text.strip():
                raise WrongAnswer("its question has no text")
            wait = found.wait_seconds
            if not _is_number(wait) or not 0 < wait <= LONGEST_DELAY_SECONDS:
                raise WrongAnswer(f"{wait!r} s is no time to wait for an answer")
            return Ask(escape_for_terminal(found.text)[:LONGEST_REASON], float(wait))

        instead = lambda: RUNGS["sequential"].remedy(view, now)  # noqa: E731
        return self._guard.decide(self._strategy, self.name, call, instead)


class GuardedClassifier(_Guarded[Any]):
    """A failure classifier behind a guard."""

    def classify(self, view: EndedAttempt) -> FailureClass | None:
        """Return the class of a failure, or None."""

        def call() -> FailureClass | None:
            found = self._strategy.classify(_unchangeable(view))
            if found is None:
                return None
            if not isinstance(found, FailureClass):
                raise WrongAnswer(f"{type(found).__name__} is no class of failures")
            if not (isinstance(found.name, str) and isinstance(found.evidence, str)):
                raise WrongAnswer("its name or its evidence is no text")
            if not isinstance(found.is_permanent, bool):
                raise WrongAnswer("it does not say whether the failure is permanent")
            if not any(found.evidence in line for line in (*view.log_tail, view.reason)):
                raise WrongAnswer("its evidence is in no line of the log")
            return FailureClass(
                escape_for_terminal(found.name)[:LONGEST_REASON],
                bool(found.is_permanent),
                escape_for_terminal(found.evidence)[:LONGEST_REASON],
            )

        return self._guard.decide(self._strategy, self.name, call, lambda: None)


def guarded(strategies: Strategies, guard: Guard) -> Strategies:
    """Return the same strategies, those of plugins behind a guard, all of them counted."""

    def behind(found: Mapping[str, Any], kind: type[_Guarded[Any]]) -> dict[str, Any]:
        return {
            name: Metered(s, guard) if is_built_in(s) else kind(s, guard)
            for name, s in found.items()
        }

    return Strategies(
        behind(strategies.convergence, GuardedConvergence),
        behind(strategies.balancers, GuardedBalancer),
        behind(strategies.recovery, GuardedRecovery),
        behind(strategies.remedies, GuardedRemedy),
        behind(strategies.classifiers, GuardedClassifier),
    )
