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
from anabranch.core.strategies.balancing import LoadBalancer, QueuedStream
from anabranch.core.strategies.convergence import (
    Abandon,
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


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of strategy.

    ``field`` of ``Strategies`` holds those that are installed, ``hook`` brings them. One is an
    ``interface``, whose ``method`` is asked about a ``view`` and answers with one of ``decisions``;
    ``checked`` holds an answer to that (:mod:`anabranch.core.strategies.answers`), and where there
    is none that may be followed, the core's own is asked ``instead``.

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
    view: type[msgspec.Struct]
    method: str
    decisions: tuple[type[msgspec.Struct], ...] = ()
    checked: Callable[[Any, Any], Any]
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


_FALLBACK: Key = ("coordination", "recovery", "fallback")

KINDS = (
    Kind(
        name="convergence",
        title="Convergence types",
        field="convergence",
        hook="anabranch_convergence_types",
        interface=ConvergenceType,
        view=PointView,
        method="next_step",
        decisions=(WaitForMore, Converge, Checkpoint, Abandon),
        checked=answers.point_decision,
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
        view=QueuedStream,
        method="rank",
        checked=answers.rank,
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
        view=FailedAttempt,
        method="after_failure",
        decisions=(Retry, GiveUp),
        checked=answers.recovery_decision,
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
        view=Trouble,
        method="remedy",
        decisions=(Ask, EndAndRetry, RunAlone, Drop, EndRun),
        checked=answers.remedy_decision,
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
        view=EndedAttempt,
        method="classify",
        decisions=(FailureClass,),
        checked=answers.failure_class,
        instead=fallbacks.CLASSIFIER,
        used_for="every failure",
    ),
)

CHOICES = {kind.choice: kind for kind in KINDS if kind.choice}
"""The kinds of which another one can be chosen while a run goes on, by what people call them."""
