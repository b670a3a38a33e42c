"""Every hook of the engine, typed and dated. Plugins implement these with :data:`hookimpl`.

Hooks only collect what plugins bring, once, at start-up. Users choose it by its name, so the order
in which plugins load never matters. A module that sets ``HOOKS_VERSION`` says for which version of
the hooks it was written; one of a later version than the host's is set aside.
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
from anabranch.extending import Executor, Importer, Observer, ReportFormat, ResourceProbe

HOOKS_VERSION = 1
PROJECT = "anabranch"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class EngineHooks:
    """The hooks that a plugin may implement. None has arguments; each returns what it brings."""

    @hookspec
    def anabranch_convergence_types(self) -> Iterable[ConvergenceType]:
        """Return the convergence types this plugin brings.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_load_balancers(self) -> Iterable[LoadBalancer]:
        """Return the load balancers this plugin brings.

        One ranks the streams that are ready (``rank``), or places them in slots (``place``), or
        both; one of the two is enough.

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

    @hookspec
    def anabranch_importers(self) -> Iterable[Importer]:
        """Return the importers this plugin brings: ``anabranch import FILE`` reads by them.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_report_formats(self) -> Iterable[ReportFormat]:
        """Return the report formats this plugin brings: ``anabranch report --format NAME``.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_observers(self) -> Iterable[Observer]:
        """Return the observers this plugin brings; each hears of every event of a run.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_resource_probes(self) -> Iterable[ResourceProbe]:
        """Return the resource probes this plugin brings: what streams can ask for besides.

        .. versionadded:: 0.1
        """
        return ()

    @hookspec
    def anabranch_executors(self) -> Iterable[Executor]:
        """Return the executors this plugin brings: a stream is run by one that its plan names.

        .. versionadded:: 0.1
        """
        return ()
