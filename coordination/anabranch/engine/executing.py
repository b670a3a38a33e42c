"""Executors: plugins that say by which command line a stream's command is run.

An executor decides how, never what: it is shown the command and the place, and answers with an
argument vector that stands in the command's place (a container's, a remote shell's, a scheduler's).
Without an answer the attempt is not started: running it elsewhere would be worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from anabranch.core.plans.plan import StreamPlan
from anabranch.core.strategies.answers import WrongAnswer
from anabranch.engine.guarded_strategies import Guard
from anabranch.engine.performers.processes import ProcessSpec
from anabranch.extending import Executor, Launch

MOST_ARGUMENTS = 1_000


class Executing:
    """The executors of one run, behind its guard."""

    def __init__(self, executors: Mapping[str, Executor], guard: Guard) -> None:
        self._executors = executors
        self._guard = guard

    def applied(self, plan: StreamPlan, spec: ProcessSpec) -> ProcessSpec:
        """Return what to run; takes up to a second. Raises OSError without an answer."""
        if not plan.executor:
            return spec
        executor = self._executors.get(plan.executor)
        if executor is None:
            raise OSError(f"the executor {plan.executor!r} is not installed")
        argv = self._command_line(executor, spec, tuple(spec.argv), spec.cwd, spec.tty)
        if spec.setup is None:
            return replace(spec, argv=argv)
        given = spec.setup
        setup = self._command_line(executor, spec, given.argv, given.cwd, False)
        return replace(spec, argv=argv, setup=replace(given, argv=setup))

    def _command_line(
        self, executor: Executor, spec: ProcessSpec, argv: tuple[str, ...], cwd: str, tty: bool
    ) -> tuple[str, ...]:
        launch = Launch(spec.stream, spec.attempt, argv, cwd, dict(spec.env), tty)
        name = f"executor {executor.name}"
        answer = self._guard.ask(executor, name, partial(_asked, executor, launch), _nothing)
        if answer is None:
            raise OSError(f"the executor {executor.name!r} did not say how to run it")
        return answer


def _asked(executor: Executor, launch: Launch) -> tuple[str, ...] | None:
    found = executor.command_line(launch)
    words = None if isinstance(found, str) else tuple(found)
    if not words or len(words) > MOST_ARGUMENTS or not all(isinstance(w, str) for w in words):
        raise WrongAnswer("its command line is not a list of words")
    if any("\0" in word for word in words):
        raise WrongAnswer("its command line holds a zero byte")
    return words


def _nothing() -> tuple[str, ...] | None:
    return None
