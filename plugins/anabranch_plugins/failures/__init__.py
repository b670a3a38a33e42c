"""The built-in failure classifiers."""

from __future__ import annotations

from anabranch.core.strategies import FailureClassifier
from anabranch.hookspecs import hookimpl
from anabranch_plugins.failures.by_exit_code import ByExitCode
from anabranch_plugins.failures.by_log import ByLog


@hookimpl
def anabranch_failure_classifiers() -> list[FailureClassifier]:
    return [ByLog(), ByExitCode()]
