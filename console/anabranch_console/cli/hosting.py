"""Hosting a run from the command line: with the console on a terminal, as text without one.

Leaving is never killing: whichever way this process ends, streams run on under their holders.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.projections import event_line
from anabranch.core.state import RunPhase, State
from anabranch.engine.host import RunHost
from anabranch_console.cli import progress
from anabranch_console.cli.output import has_terminal, print_json_line, say

EXIT_CODES = {
    RunPhase.CONVERGED: 0,
    RunPhase.FAILED: 1,
    RunPhase.STOPPED: 1,
    RunPhase.NEEDS_OPERATOR: 4,
}
EXIT_NEEDS_OPERATOR = 4
EXIT_WOULD_LOSE_WORK = 5
EXIT_TIME_LIMIT = 124
EXIT_INTERRUPTED = 130
PULL_SECONDS = 0.25


def host_run(
    host: RunHost, *, headless: bool, as_json: bool, time_limit_seconds: float | None = None
) -> int:
    """See a hosted run through, or leave it running; return the exit code."""
    try:
        if as_json or headless or not has_terminal():
            return _host_as_text(host, as_json, time_limit_seconds)
        return host_in_console(host)
    finally:
        host.close()


def host_in_console(host: RunHost) -> int:
    """Show the console until the person leaves it; return the exit code."""
    from anabranch_console.app import run_console

    left = run_console(host)
    if left.wants_stop:
        say(f"stopping run {host.run}; streams get their grace time")
        host.submit(inputs.StopRun(reason="stopped by you")).result()
        host.wait()
    if left.message:
        say(left.message)
    return exit_code(host.state)


def _host_as_text(host: RunHost, as_json: bool, time_limit_seconds: float | None) -> int:
    cursor = _where_to_begin(host)
    told = progress.Progress(host.state) if not as_json else None
    trouble = progress.Trouble()
    with _interruptible() as interrupted:
        limit_reached = False
        while True:
            ended = host.wait(PULL_SECONDS)
            frame = host.take(cursor)
            cursor = frame.cursor
            for record in frame.events:
                if as_json:
                    print_json_line(event_line(frame.state, record))
                elif told:
                    told.tell(frame.state, record)
            trouble.tell(host.trouble)
            if ended and host.state.seq == cursor:
                break
            if interrupted.is_set():
                return _leave(host)
            if time_limit_seconds and not limit_reached and host.now() > time_limit_seconds:
                limit_reached = True
                host.submit(inputs.StopRun(reason="the time limit was reached"))
    if told:
        progress.tell_outcome(host)
    return EXIT_TIME_LIMIT if limit_reached else exit_code(host.state)


def _where_to_begin(host: RunHost) -> int:
    """Return the event after which this host's own part of the run begins."""
    resumed = [r.seq for r in host.take(0).events if isinstance(r.event, ev.RunResumed)]
    return resumed[-1] - 1 if resumed else 0


def exit_code(state: State) -> int:
    """Return the exit code that tells how a run stands."""
    if not state.has_ended:
        return EXIT_INTERRUPTED
    refused = state.phase is RunPhase.CONVERGED and state.approval.hint
    if refused:
        return EXIT_NEEDS_OPERATOR if state.approval.kind else EXIT_WOULD_LOSE_WORK
    return EXIT_CODES[state.phase]


def _leave(host: RunHost) -> int:
    say(leaving_words(host.state))
    return EXIT_INTERRUPTED


def leaving_words(state: State) -> str:
    """Return what to tell somebody who leaves a run that is not over."""
    running = sum(s.pid is not None and s.is_active for s in state.streams.values())
    noun = "stream runs" if running == 1 else "streams run"
    return f"left: {running} {noun} on. Go on with: anabranch resume {state.run}"


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn Ctrl-C and a polite end into an event; both leave the streams running."""
    asked = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(code: int) -> None:
    """End the command with a code."""
    raise click.exceptions.Exit(code)
