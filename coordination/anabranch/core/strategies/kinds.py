"""The kinds of strategies, one row each: who loads, guards, checks, chooses or shows one reads it.

A new kind is its interface (a module beside this one, a field of
:class:`~anabranch.core.strategies.Strategies`, a hook specification, the laws that it is tested by)
and a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from anabranch.core.strategies import answers, fallbacks
from anabranch.core.strategies.assigning import Assigning, Assignment, Assigns, Steal
from anabranch.core.strategies.balancing import (
    LoadBalancer,
    Placement,
    Places,
    Placing,
    QueuedStream,
    Ranks,
)
from anabranch.core.strategies.convergence import (
    Abandon,
    AskForOne,
    Checkpoint,
    Converge,
    ConvergenceType,
    PointView,
    WaitForMore,
)
from anabranch.core.strategies.failures import EndedAttempt, FailureClass, FailureClassifier
from anabranch.core.strategies.recovery import FailedAttempt, GiveUp, RecoveryStrategy, Retry
from anabranch.core.strategies.remedies import (
    Ask,
    Drop,
    EndAndRetry,
    EndRun,
    Remedy,
    RunAlone,
    Trouble,
)
from anabranch.core.strategies.rungs import HARD, RUNGS, SOFT

Key = tuple[str, ...]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy can be asked.

    A ``method`` of an ``interface`` is asked about a ``view`` and answers with ``decisions``;
    ``checked`` holds an answer to that (:mod:`anabranch.core.strategies.answers`).
    """

    method: str
    interface: type
    view: type[msgspec.Struct]
    checked: Callable[[Any, Any], Any]
    decisions: tuple[type[msgspec.Struct], ...] = ()

    def is_for(self, strategy: object) -> bool:
        """Say whether a strategy can be asked this."""
        return callable(getattr(strategy, self.method, None))


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of strategy.

    ``field`` of ``Strategies`` holds those that are installed, ``hook`` brings them. One is an
    ``interface`` that answers at least one of the ``questions``; where there is no answer that may
    be followed, the core's own is asked ``instead``.

    A plan names one under ``plan_keys``, ``usual`` if it does not say, and none of ``not_named``;
    ``task`` says what for. ``choice`` is what a person calls the kind who chooses another one while
    a run goes on; for convergence types that is done at one point (``is_at_points``). Of a kind
    without plan keys all are asked. ``used_for`` says what the plan has the one for that it names.
    """

    name: str
    title: str
    field: str
    hook: str
    interface: type
    questions: tuple[Question, ...]
    instead: Any
    used_for: str
    task: str = ""
    plan_keys: tuple[Key, ...] = ()
    usual: frozenset[str] = frozenset()
    not_named: frozenset[str] = frozenset()
    choice: str = ""
    is_at_points: bool = False

    @property
    def word(self) -> str:
        """What people call the kind."""
        return self.choice or self.name

    def asked_of(self, strategy: object) -> tuple[Question, ...]:
        """Return the questions that a strategy answers."""
        return tuple(question for question in self.questions if question.is_for(strategy))


_FALLBACK: Key = ("coordination", "recovery", "fallback")

KINDS = (
    Kind(
        name="convergence",
        title="Convergence types",
        field="convergence",
        hook="anabranch_convergence_types",
        interface=ConvergenceType,
        questions=(
            Question(
                method="next_step",
                interface=ConvergenceType,
                view=PointView,
                decisions=(WaitForMore, Converge, Checkpoint, AskForOne, Abandon),
                checked=answers.point_decision,
            ),
        ),
        instead=fallbacks.CONVERGENCE,
        used_for="points",
        task="convergence",
        plan_keys=(("coordination", "convergence_type"), ("convergence", "*", "type")),
        usual=frozenset({"barrier"}),
        choice="convergence",
        is_at_points=True,
    ),
    Kind(
        name="balancer",
        title="Load balancers",
        field="balancers",
        hook="anabranch_load_balancers",
        interface=LoadBalancer,
        questions=(
            Question(method="rank", interface=Ranks, view=QueuedStream, checked=answers.rank),
            Question(
                method="place",
                interface=Places,
                view=Placing,
                decisions=(Placement,),
                checked=answers.placements,
            ),
            Question(
                method="assign",
                interface=Assigns,
                view=Assigning,
                decisions=(Assignment, Steal),
                checked=answers.assignments,
            ),
        ),
        instead=fallbacks.BALANCER,
        used_for="the queue",
        task="balancing",
        plan_keys=(("coordination", "balancer"),),
        usual=frozenset({"longest-first"}),
        choice="balancer",
    ),
    Kind(
        name="recovery",
        title="Recovery strategies",
        field="recovery",
        hook="anabranch_recovery_strategies",
        interface=RecoveryStrategy,
        questions=(
            Question(
                method="after_failure",
                interface=RecoveryStrategy,
                view=FailedAttempt,
                decisions=(Retry, GiveUp),
                checked=answers.recovery_decision,
            ),
        ),
        instead=fallbacks.RECOVERY,
        used_for="retries",
        task="recovery",
        plan_keys=(_FALLBACK,),
        usual=frozenset({"retry"}),
        choice="recovery",
    ),
    Kind(
        name="remedy",
        title="Remedies",
        field="remedies",
        hook="anabranch_remedies",
        interface=Remedy,
        questions=(
            Question(
                method="remedy",
                interface=Remedy,
                view=Trouble,
                decisions=(Ask, EndAndRetry, RunAlone, Drop, EndRun),
                checked=answers.remedy_decision,
            ),
        ),
        instead=fallbacks.REMEDY,
        used_for="last resort",
        task="recovery",
        plan_keys=(_FALLBACK,),
        usual=frozenset(RUNGS),
        not_named=frozenset({SOFT, HARD}),
        choice="fallback",
    ),
    Kind(
        name="classifier",
        title="Failure classifiers",
        field="classifiers",
        hook="anabranch_failure_classifiers",
        interface=FailureClassifier,
        questions=(
            Question(
                method="classify",
                interface=FailureClassifier,
                view=EndedAttempt,
                decisions=(FailureClass,),
                checked=answers.failure_class,
            ),
        ),
        instead=fallbacks.CLASSIFIER,
        used_for="every failure",
    ),
)

CHOICES = {kind.choice: kind for kind in KINDS if kind.choice}
"""The kinds of which another one can be chosen while a run goes on, by what people call them."""
