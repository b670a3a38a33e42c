"""``anabranch stop``: end a run gracefully."""

from __future__ import annotations

import time

import click

from anabranch.core import inputs
from anabranch.engine import requests
from anabranch.engine.host import RunHost
from anabranch.engine.hosting import AlreadyHosted, resume_run
from anabranch.engine.runs import find_run, read_run
from anabranch.errors import AnabranchError, UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.installed import installed
from anabranch_console.cli.main import here
from anabranch_console.cli.output import run_argument, say

ANSWER_SECONDS = 10.0
MARGIN_SECONDS = 20.0


@click.command
@run_argument
def command(run: str | None) -> None:
    """Stop RUN (the latest): streams get TERM, their grace, then KILL. Their work is kept."""
    home = find_run(here(), run)
    found = read_run(home)
    if found.state is None:
        raise UsageError(f"run {home.run} cannot be read: {found.fault}", "see anabranch doctor")
    if found.state.has_ended:
        say(f"run {home.run} has already ended: {found.state.phase}")
        return
    try:
        host = resume_run(home, installed().strategies, reason="to stop it", retry_failed=False)
    except AlreadyHosted:
        _ask_the_host(home)
    else:
        _stop_here(host)
    say(f"run {home.run} is stopped; what its streams did is kept")


def _stop_here(host: RunHost) -> None:
    """Nobody hosts the run: host it for as long as stopping takes."""
    try:
        refusal = host.submit(inputs.StopRun(reason="stopped by you")).result()
        if refusal is not None:
            raise UsageError(refusal.reason, refusal.hint)
        host.wait()
    finally:
        host.close()


def _ask_the_host(home: RunFolder) -> None:
    """Ask the engine that hosts the run, and wait until the run has ended."""
    place = requests.leave(home.requests, requests.Request("stop-run", "stopped by you"))
    answer = requests.await_answer(place, ANSWER_SECONDS)
    if answer is None:
        raise AnabranchError(
            "the console that hosts the run does not answer",
            "it will stop the run when it wakes up; is it suspended?",
        )
    if answer.reason is not None:
        raise UsageError(answer.reason, answer.hint)
    state = read_run(home).state
    grace = state.plan.stop_grace_seconds if state else 0.0
    deadline = time.monotonic() + grace + MARGIN_SECONDS
    while time.monotonic() < deadline:
        state = read_run(home).state
        if state is not None and state.has_ended:
            return
        time.sleep(0.1)
    raise AnabranchError(f"run {home.run} is still stopping", f"see: anabranch status {home.run}")
