"""Steering a run from a command: through whoever hosts it, or by hosting it for that long."""

from __future__ import annotations

import time
from collections.abc import Callable

from anabranch.core.inputs import Command
from anabranch.core.model.outcome import NotYet
from anabranch.core.model.state import State
from anabranch.core.views.rest import awaits_more
from anabranch.engine import requests
from anabranch.engine.host import RunHost
from anabranch.engine.resuming import AlreadyHosted, resume_run, stop_unhosted
from anabranch.engine.runs import read_run
from anabranch.errors import MachineShort, UsageError, WorldError
from anabranch.paths import RunFolder
from anabranch_console.cli.installed import installed
from anabranch_console.cli.output import say
from anabranch_console.cli.which_run import with_run_named

ANSWER_SECONDS = 10.0
UNDER_WAY_SECONDS = 600.0
"""Merges, and the checks of what was merged, take what they take."""
POLL_SECONDS = 0.1


def state_of(home: RunFolder) -> State:
    """Return a run's newest state. Raises WorldError if its journal cannot be read."""
    found = read_run(home)
    if found.state is None:
        raise WorldError(f"run {home.run} cannot be read: {found.fault}", "see anabranch doctor")
    return found.state


def steer(
    home: RunFolder,
    command: Command,
    reason: str,
    is_done: Callable[[State], bool] | None = None,
) -> State:
    """Have a command carried out and return the state after it; a refusal is a UsageError.

    If nobody hosts the run, this process does, for a ``reason`` that the run notes, until the run
    is at rest again, or ``is_done``.
    """
    try:
        return _steer(home, command, reason, is_done)
    except UsageError as error:
        raise UsageError(error.message, with_run_named(error.hint, home.run)) from error


def _steer(
    home: RunFolder,
    command: Command,
    reason: str,
    is_done: Callable[[State], bool] | None = None,
) -> State:
    try:
        loaded = installed()
        host = resume_run(
            home,
            loaded.strategies,
            reason=reason,
            retry_failed=False,
            extensions=loaded.extensions,
        )
    except AlreadyHosted:
        if not ask_the_host(home, command):
            return _steer(home, command, reason, is_done)
        return state_of(home)
    except MachineShort as error:
        if not stop_unhosted(home, state_of(home), command):
            raise
        raise type(error)(
            f"the stop cannot be noted: {error.message}",
            "its processes are being ended all the same; stop it once more when that is mended",
        ) from error
    try:
        return _steer_here(host, command, is_done)
    finally:
        host.close()


def await_state(home: RunFolder, is_so: Callable[[State], bool], patience_seconds: float) -> State:
    """Return the state once something is so, or the newest one when patience is over."""
    deadline = time.monotonic() + patience_seconds
    while True:
        state = state_of(home)
        if is_so(state) or time.monotonic() > deadline:
            return state
        time.sleep(POLL_SECONDS)


def _steer_here(host: RunHost, command: Command, is_done: Callable[[State], bool] | None) -> State:
    have_it_done(host, command)
    while not host.wait(POLL_SECONDS):
        if awaits_more(host.state) or (is_done is not None and is_done(host.state)):
            break
    return host.state


def have_it_done(host: RunHost, command: Command) -> None:
    """Have a command done where this process hosts; what is under way comes to its end first.

    Raises UsageError if it is refused.
    """
    deadline = time.monotonic() + UNDER_WAY_SECONDS
    is_said = False
    while (refusal := host.submit(command).result()) is not None:
        if not isinstance(refusal, NotYet) or time.monotonic() > deadline:
            raise UsageError(refusal.reason, refusal.hint)
        if not is_said:
            say(f"{refusal.reason}; this waits until that is done")
            is_said = True
        time.sleep(POLL_SECONDS)


def ask_the_host(home: RunFolder, command: Command) -> bool:
    """Have whoever hosts a run do it; False if it left without having heard."""
    answer = requests.ask_host(home, command, ANSWER_SECONDS)
    if answer is None:
        return False
    if answer.is_postponed:
        raise WorldError(answer.reason or "", answer.hint)
    if answer.reason is not None:
        raise UsageError(answer.reason, answer.hint)
    return True
