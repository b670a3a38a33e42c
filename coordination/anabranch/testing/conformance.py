"""The conformance suite: is a strategy what a strategy has to be?

Every strategy, whoever wrote it, is held to the same: *total* (it answers any view an engine could
show), *deterministic* and *without memory* (the same view, the same answer, whenever it is asked),
*pure* (no clock, no randomness, no files, nothing changed that it was given), *quick* (within its
time budget, also for large views) and true to the laws of its kind
(:mod:`anabranch.testing.laws`). A plugin's own tests call it in one line::

    from anabranch.testing.conformance import assert_conforms

    def test_it_conforms() -> None:
        assert_conforms(Quorum())
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

from anabranch.core.strategies import Placing, PointView, abilities_of
from anabranch.core.strategies.assigning import assigning
from anabranch.core.strategies.kinds import KINDS, Kind, Question
from anabranch.testing import laws, views
from anabranch.testing.purity import OVERDUE_SECONDS, Overdue, bounded, watched
from anabranch.testing.searching import search
from anabranch.testing.views import SeededSource, Source

BUDGET_SECONDS = 0.05
QUICK_EXAMPLES = 60
THOROUGH_EXAMPLES = 400
LARGE_SIZE = 2_000
_ASKED_AGAIN = 60
_METHODS = [question.method for kind in KINDS for question in kind.questions]
_NO_STRATEGY = f"it has none of the methods {', '.join(_METHODS[:-1])} and {_METHODS[-1]}"

Case = tuple[Any, ...]


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a strategy, and the smallest example that shows it."""

    strategy: str
    message: str
    example: str = ""

    def __str__(self) -> str:
        shown = f"\n  asked: {self.example}" if self.example else ""
        return f"{self.strategy}: {self.message}{shown}"


def assert_conforms(strategy: object, *, examples: int = THOROUGH_EXAMPLES) -> None:
    """Raise AssertionError with the smallest example if a strategy breaks a rule."""
    faults = find_faults(strategy, examples=examples)
    assert not faults, "\n".join(map(str, faults))


def kind_of(strategy: object) -> Kind | None:
    """Return which kind of strategy something is, by the methods it is asked with."""
    return next((kind for kind in KINDS if kind.asked_of(strategy)), None)


def find_faults(
    strategy: object,
    *,
    examples: int = THOROUGH_EXAMPLES,
    seed: int = 0,
    with_hypothesis: bool | None = None,
) -> list[Fault]:
    """Return everything found wrong with a strategy; an empty list if it conforms.

    Args:
        strategy: the strategy itself, as its plugin hands it over.
        examples: how many views it is shown.
        seed: which views those are, where hypothesis does not choose them.
        with_hypothesis: whether hypothesis searches; by default, whether it is installed.
    """
    name = str(getattr(strategy, "name", type(strategy).__name__))
    kind = kind_of(strategy)
    faults = [Fault(name, fault) for fault in _faults_of_form(strategy, kind)]
    if kind is None or faults:
        return faults
    for question in kind.asked_of(strategy):
        faults += _faults_of_answers(strategy, name, question, examples, seed, with_hypothesis)
    return faults


def _faults_of_answers(
    strategy: object,
    name: str,
    question: Question,
    examples: int,
    seed: int,
    with_hypothesis: bool | None,
) -> list[Fault]:
    """Return what is wrong with the answers of a strategy to one question."""
    draw = drawing(strategy, question)
    ask = bounded(getattr(strategy, question.method))

    def fault_of(case: Case) -> str:
        return _fault_of_answer(ask, question, case)

    remembers = _remembers(ask, draw, seed)  # asked first, while there is little to remember
    found = search(draw, fault_of, examples=examples, seed=seed, with_hypothesis=with_hypothesis)
    if found:
        return [Fault(name, found.fault, in_words(found.case))]
    return [Fault(name, *fault) for fault in (remembers, _is_slow(ask, draw, seed)) if fault]


def drawing(strategy: object, question: Question) -> Callable[[Source], Case]:
    """Return what draws the cases that a strategy is shown, its options included."""
    options_type, draw_view = abilities_of(strategy).options_type, views.DRAWN[question.view]
    if question.view is PointView and abilities_of(strategy).adopts_one:
        draw_view = views.draw_adopting_view
    if question.view is Placing and assigning(strategy):
        draw_view = views.draw_placing_with_queues

    def draw(source: Source) -> Case:
        if options_type is None:
            return draw_view(source)
        return draw_view(source, views.draw_options(source, options_type))

    return draw


def decisions_digest(strategy: object, seed: int = 0) -> str:
    """Return a digest of what a strategy decides on many views, to compare between processes.

    Two processes that hash strings differently show up whoever depends on the order of a set.
    """
    kind = kind_of(strategy)
    if kind is None:
        return ""
    digest = blake2b(digest_size=8)
    for question in kind.asked_of(strategy):
        draw, ask = drawing(strategy, question), getattr(strategy, question.method)
        for number in range(_ASKED_AGAIN):
            case = draw(SeededSource(("digest", seed, number), 8))
            digest.update(repr(ask(*case)).encode("utf-8", "replace"))
    return digest.hexdigest()


def in_words(case: Case) -> str:
    """Return a case as the arguments that an author can paste into a test."""
    return ", ".join(map(repr, case))


def _faults_of_form(strategy: object, kind: Kind | None) -> list[str]:
    faults = []
    name = getattr(strategy, "name", None)
    if not isinstance(name, str) or not name:
        faults.append("it has no name (a non-empty string)")
    elif not name.replace("-", "").replace("_", "").isalnum():
        faults.append(f"the name {name!r} has characters other than letters, digits, - and _")
    if kind is None:
        faults.append(_NO_STRATEGY)
    options_type = abilities_of(strategy).options_type
    if options_type is not None:
        faults += _faults_of_options(options_type)
    return faults


def _faults_of_options(options_type: Any) -> list[str]:
    if not (isinstance(options_type, type) and issubclass(options_type, msgspec.Struct)):
        return [f"its options_type is {options_type!r}, not a msgspec.Struct"]
    faults = []
    config = options_type.__struct_config__
    if not config.frozen:
        faults.append("its options_type is not frozen, so somebody could change it during a run")
    if not config.forbid_unknown_fields:
        faults.append("its options_type lets unknown keys pass (forbid_unknown_fields=True)")
    return faults


def _fault_of_answer(ask: Callable[..., Any], question: Question, case: Case) -> str:
    """Ask once; return what is wrong with the answer, or with how it came about."""
    given = copy.deepcopy(case)
    try:
        answer, impurities = watched(lambda: ask(*case))
    except (Exception, SystemExit, Overdue) as error:
        return _in_words(error)
    if impurities:
        return "; ".join(impurities)
    if case != given:
        return "it changed what it was given"
    try:
        again = ask(*copy.deepcopy(given))
        if again != answer and repr(again) != repr(answer):
            return f"asked twice, it answers differently: {answer!r}, then {again!r}"
        for law in laws.LAWS[question.view]:
            if fault := law(ask, given, answer):
                return fault
    except (Exception, SystemExit, Overdue) as error:
        return _in_words(error)
    return ""


def _in_words(error: BaseException) -> str:
    if isinstance(error, Overdue):
        return f"it did not come back within {OVERDUE_SECONDS:g} s of its own"
    return f"it raised {type(error).__name__}: {error}"


def _remembers(
    ask: Callable[..., Any], draw: Callable[[Source], Case], seed: int
) -> tuple[str, str] | None:
    """Ask many views in one order, then in another: who keeps no state answers the same.

    What else is wrong with an answer is found by the search.
    """
    cases = [draw(SeededSource(("again", seed, n), 6)) for n in range(_ASKED_AGAIN)]
    try:
        first = [repr(ask(*case)) for case in cases]
        for case, answer in reversed(list(zip(cases, first, strict=True))):
            then = repr(ask(*case))
            if then != answer:
                return f"it remembers: {answer} at first, {then} later", in_words(case)
    except (Exception, SystemExit, Overdue):
        return None
    return None


def _is_slow(
    ask: Callable[..., Any], draw: Callable[[Source], Case], seed: int
) -> tuple[str, str] | None:
    """Time the largest views, by processor time and the best of three: others may be busy."""
    for number in range(3):
        case = draw(SeededSource(("large", seed, number), LARGE_SIZE))
        try:
            took = min(_seconds(ask, case) for _ in range(3))
        except (Exception, SystemExit, Overdue) as error:
            return _in_words(error), _outline(case)
        if took > BUDGET_SECONDS:
            budget = f"the budget is {BUDGET_SECONDS * 1000:.0f} ms"
            return f"it took {took * 1000:.0f} ms of processor time; {budget}", _outline(case)
    return None


def _seconds(ask: Callable[..., Any], case: Case) -> float:
    begun = time.thread_time()
    ask(*case)
    return time.thread_time() - begun


def _outline(case: Case) -> str:
    text = in_words(case)
    return text if len(text) < 300 else f"{text[:300]}… ({len(text)} characters)"
