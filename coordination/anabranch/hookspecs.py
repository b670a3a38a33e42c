"""Every hook of the engine, typed and dated. Plugins implement these with :data:`hookimpl`.

Hooks only collect strategies, once, at start-up. Users choose a strategy by its name, so the order
in which plugins load never matters.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from anabranch.core.strategies import (
    ConvergenceType,
    FailureClassifier,
    LoadBalancer,
    RecoveryStrategy,
    Remedy,
)

HOOKS_VERSION = 1
PROJECT = "anabranch"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class EngineHooks:
    """The hooks that a strategy plugin may implement."""

    @hookspec
    def anabranch_convergence_types(self) -> Iterable[ConvergenceType]:
        """Return the convergence types this plugin brings.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_load_balancers(self) -> Iterable[LoadBalancer]:
        """Return the load balancers this plugin brings.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_recovery_strategies(self) -> Iterable[RecoveryStrategy]:
        """Return the recovery strategies this plugin brings.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_remedies(self) -> Iterable[Remedy]:
        """Return the rungs of the guardian's ladder that this plugin brings.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_failure_classifiers(self) -> Iterable[FailureClassifier]:
        """Return the failure classifiers this plugin brings. Those of plugins are asked first.

        .. versionadded:: 0.1
        """
        return ()
