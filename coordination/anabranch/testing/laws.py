"""What must be true of every decision of a strategy, kind by kind.

Each law takes the strategy's method, what it was asked and what it answered, and returns what is
wrong in words, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import msgspec

from anabranch.core.strategies import (
    Abandon,
    AskForOne,
    Assigning,
    Checkpoint,
    Converge,
    Drop,
    EndAndRetry,
    EndedAttempt,
    EndRun,
    FailedAttempt,
    FailureClass,
    GiveUp,
    Placing,
    PointView,
    QueuedStream,
    Retry,
    RunAlone,
    Trouble,
    WaitForMore,
    answers,
)
from anabranch.core.strategies import Ask as AskForSign
from anabranch.core.strategies.point_laws import LEAST_LOOK_SECONDS, POINT_LAWS, PointLaw
from anabranch.testing.views import with_arrival

LONGEST_DELAY_SECONDS = 86_400.0
LONGEST_REASON = 500
LONGEST_CLASS_NAME = 80

Ask = Callable[..., Any]
Law = Callable[[Ask, tuple[Any, ...], Any], str]


# --- every decision that has a reason ------------------------------------------------------------


def it_says_why(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It gives a reason: not empty, and at most 500 characters; people see it."""
    reason = decision.reason
    if not isinstance(reason, str) or not reason.strip():
        return "the reason is empty; it is what people see in the console and in the report"
    if len(reason) > LONGEST_REASON:
        return f"the reason is {len(reason)} characters long; {LONGEST_REASON} is the most"
    return ""


# --- convergence types ---------------------------------------------------------------------------


def it_answers_about_a_point(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It returns ``WaitForMore``, ``Converge``, ``Checkpoint``, ``AskForOne`` or ``Abandon``."""
    if isinstance(decision, WaitForMore | Converge | Checkpoint | AskForOne | Abandon):
        return ""
    return f"it returned {decision!r}, which is not a decision about a point"


def seen_in_one_answer(law: PointLaw) -> Law:
    """Return a law of the engine's as one of the suite's."""

    @wraps(law)
    def hold(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
        return law(asked[0], decision)

    return hold


def it_looks_again_later(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It asks to be asked again after now; asked then, it names no time less than 0.1 s later."""
    view, now = asked
    if not isinstance(decision, WaitForMore) or decision.look_again_at is None:
        return ""
    again = decision.look_again_at
    if again <= now:
        return f"it asks to be asked again at {again!r}, which is not after now ({now!r})"
    then = ask(view, again)
    if not isinstance(then, WaitForMore) or then.look_again_at is None:
        return ""
    least = again + LEAST_LOOK_SECONDS
    if then.look_again_at >= least or math.isclose(then.look_again_at, least):
        return ""
    return (
        f"asked at {again!r}, the time that it named, it wants to be asked again at "
        f"{then.look_again_at!r}, less than {LEAST_LOOK_SECONDS:g} s later"
    )


def one_more_arrival_is_no_step_back(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """If it converges, it also does once one more has arrived."""
    view, now = asked
    more = with_arrival(view, now)
    if not isinstance(decision, Converge) or more is None:
        return ""
    then = ask(more, now)
    if isinstance(then, Converge):
        return ""
    return f"it converges, but no more once {more.arrived[-1]!r} has arrived too: {then!r}"


def time_is_no_step_back(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """If it converges, it also does later, if nothing else has changed."""
    view, now = asked
    if not isinstance(decision, Converge):
        return ""
    for later in (now + 1.0, now + 100_000.0):
        then = ask(view, later)
        if not isinstance(then, Converge):
            return f"it converges now, but no more {later - now:g} s later: {then!r}"
    return ""


# --- load balancers ------------------------------------------------------------------------------


def a_rank_is_finite_numbers(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """A rank is a tuple of finite numbers, at least one: no NaN, no infinity, no text."""
    if not isinstance(decision, tuple) or not decision:
        return f"the rank is {decision!r}, not a tuple of numbers"
    for number in decision:
        if isinstance(number, bool) or not isinstance(number, int | float):
            return f"the rank holds {number!r}, which is not a number"
        if not math.isfinite(number):
            return f"the rank holds {number!r}, which has no place in an order"
    return ""


def ranks_are_of_one_length(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """All ranks of a balancer have as many numbers."""
    simplest = ask(QueuedStream(asked[0].stream, 0, 0, 0.0, 0.0, 1))
    if len(simplest) == len(decision):
        return ""
    return f"ranks have {len(simplest)} numbers for one stream and {len(decision)} for another"


def it_places_what_fits(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It places streams of the queue in free slots, each stream and each slot at most once.

    Together they ask for no more resources than are free, and who waits in a slot's own queue is
    placed there.
    """
    view: Placing = asked[0]
    if not isinstance(decision, tuple | list):
        return f"it returned {decision!r}, not a sequence of placements"
    try:
        answers.placements(decision, view)
    except answers.WrongAnswer as error:
        return str(error)
    return ""


def it_says_why_there(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It gives a reason for each: not empty, and at most 500 characters; people see it."""
    return next((fault for one in decision if (fault := it_says_why(ask, asked, one))), "")


def it_does_not_leave_everything_idle(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """While nothing runs, it places at least one of those that may start."""
    view: Placing = asked[0]
    if decision or view.running or not view.queue or not view.slots:
        return ""
    return f"nothing runs, {len(view.queue)} may start, and it places nobody"


def it_assigns_and_steals_what_may_be(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It assigns streams of the common queue to slots that it is shown, each at most once.

    A steal is for a free slot without a queue, from one that is not free, and of no more than the
    later half of that one's queue, rounded up; no slot is part of two, nor of one that is under way
    already.
    """
    view: Assigning = asked[0]
    if not isinstance(decision, tuple | list):
        return f"it returned {decision!r}, not a sequence of assignments and steals"
    try:
        answers.assignments(decision, view)
    except answers.WrongAnswer as error:
        return str(error)
    return ""


# --- recovery strategies -------------------------------------------------------------------------


def it_answers_about_a_failure(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It returns ``Retry`` or ``GiveUp``."""
    if isinstance(decision, Retry | GiveUp):
        return ""
    return f"it returned {decision!r}, which is not a decision about a failure"


def a_delay_is_finite(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """A delay is a finite number of seconds, from 0 to a day."""
    if not isinstance(decision, Retry):
        return ""
    delay = decision.delay_seconds
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not math.isfinite(delay):
        return f"the delay is {delay!r}, not a finite number of seconds"
    if not 0.0 <= delay <= LONGEST_DELAY_SECONDS:
        return f"the delay is {delay!r} s; it lies between 0 and {LONGEST_DELAY_SECONDS:g}"
    return ""


def it_keeps_to_the_retries(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It gives up once ``retries`` has reached ``max_retries``."""
    view: FailedAttempt = asked[0]
    if isinstance(decision, Retry) and view.retries >= view.max_retries:
        return f"it tries again though {view.retries} of {view.max_retries} retries are used up"
    return ""


# --- remedies ------------------------------------------------------------------------------------


def it_answers_about_a_trouble(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It returns ``Ask``, ``EndAndRetry``, ``RunAlone``, ``Drop`` or ``EndRun``."""
    if isinstance(decision, AskForSign | EndAndRetry | RunAlone | Drop | EndRun):
        return ""
    return f"it returned {decision!r}, which is not a remedy"


def a_remedy_says_why(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It says why; a question has a text, and waits for a finite time of more than 0 seconds."""
    if not isinstance(decision, AskForSign):
        return it_says_why(ask, asked, decision)
    if not isinstance(decision.text, str) or not decision.text.strip():
        return "it asks nothing"
    wait = decision.wait_seconds
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not math.isfinite(wait):
        return f"it waits for {wait!r}, not a finite number of seconds"
    if not 0.0 < wait <= LONGEST_DELAY_SECONDS:
        return f"it waits for {wait!r} s; it lies between 0 and {LONGEST_DELAY_SECONDS:g}"
    return ""


# --- failure classifiers -------------------------------------------------------------------------


def it_answers_with_a_class(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """It returns a ``FailureClass`` with a name, or None for what it does not know."""
    if decision is None:
        return ""
    if not isinstance(decision, FailureClass):
        return f"it returned {decision!r}, which is not a class of failures"
    if not isinstance(decision.name, str) or not decision.name.strip():
        return "its class has no name"
    if len(decision.name) > LONGEST_CLASS_NAME:
        return f"the name is {len(decision.name)} characters long; {LONGEST_CLASS_NAME} is the most"
    return ""


def its_evidence_was_shown_to_it(ask: Ask, asked: tuple[Any, ...], decision: Any) -> str:
    """Its evidence, if it gives any, is part of a line of the log or of the reason."""
    view: EndedAttempt = asked[0]
    if decision is None or not decision.evidence:
        return ""
    evidence = decision.evidence
    if not isinstance(evidence, str):
        return f"its evidence is {evidence!r}, which is not a text"
    if any(evidence in line for line in (view.reason, *view.log_tail)):
        return ""
    return f"its evidence {evidence!r} is in nothing that it was shown"


LAWS: dict[type[msgspec.Struct], tuple[Law, ...]] = {
    PointView: (
        it_answers_about_a_point,
        it_says_why,
        *map(seen_in_one_answer, POINT_LAWS),
        it_looks_again_later,
        one_more_arrival_is_no_step_back,
        time_is_no_step_back,
    ),
    QueuedStream: (a_rank_is_finite_numbers, ranks_are_of_one_length),
    Placing: (it_places_what_fits, it_says_why_there, it_does_not_leave_everything_idle),
    Assigning: (it_assigns_and_steals_what_may_be, it_says_why_there),
    FailedAttempt: (
        it_answers_about_a_failure,
        it_says_why,
        a_delay_is_finite,
        it_keeps_to_the_retries,
    ),
    Trouble: (it_answers_about_a_trouble, a_remedy_says_why),
    EndedAttempt: (it_answers_with_a_class, its_evidence_was_shown_to_it),
}
"""What strategies are held to, by what they are asked about."""
