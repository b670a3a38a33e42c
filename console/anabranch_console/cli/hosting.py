"""Hosting a run from the command line: with the console on a terminal, as text without one.

Leaving is never killing: whichever way this process ends, streams run on under their holders,
unless the person has said that an interruption is to stop them. What is asked of a run (a time
limit, what an interruption means) holds for both front ends alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, ParamSpec

import click
import msgspec
from msgspec.structs import replace

from anabranch import exit_codes
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase, State
from anabranch.core.plans.extending import extended, why_not_extended
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.core.views.projections import event_line
from anabranch.core.views.rest import awaits_more
from anabranch.core.wording import counted
from anabranch.engine.feed import FRAME_LIMIT
from anabranch.engine.runs import records_of
from anabranch.engine.source import Frame
from anabranch.errors import AnabranchError, UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli import progress
from anabranch_console.cli.durations import Duration
from anabranch_console.cli.handler_progress import (
    BottomLine,
    Milestones,
    can_rewrite_lines,
    running_tallies,
)
from anabranch_console.cli.interrupting import Interrupts, TimeLimit, interruptible
from anabranch_console.cli.main import here
from anabranch_console.cli.output import print_json_line, say, shown
from anabranch_console.cli.terminal import can_show_console, is_in_ci
from anabranch_console.followed_run import FollowedRun

_log = logging.getLogger("anabranch.talk")

if TYPE_CHECKING:
    from anabranch.engine.host import RunHost
    from anabranch.plugins import Loaded
    from anabranch_console.app import ConsoleExit

CODES = {
    RunPhase.CONVERGED: exit_codes.DONE,
    RunPhase.FAILED: exit_codes.FAILED,
    RunPhase.STOPPED: exit_codes.FAILED,
    RunPhase.NEEDS_OPERATOR: exit_codes.NEEDS_OPERATOR,
}
PULL_SECONDS = 0.25

STOP, LEAVE = "stop", "leave"
interrupt_option = click.option(
    "--on-interrupt",
    type=click.Choice([STOP, LEAVE]),
    help="What Ctrl-C, TERM and HUP do to its streams: end them, or leave them running. "
    "[default: leave; stop where CI is set]",
)


time_limit_option = click.option(
    "--time-limit", type=Duration(), help="Stop the run after this long (exit 124)."
)


class Wishes(msgspec.Struct, frozen=True):
    """How a run is to be hosted, whichever front end shows it.

    Args:
        headless: no console, even on a terminal.
        as_json: events as JSON lines instead of words.
        time_limit_seconds: stop the run when it has gone on for so long.
        on_interrupt: ``stop`` or ``leave``; None for what is usual here.
        leaves_at_rest: an open run is left once it has nothing to do.
    """

    headless: bool = False
    as_json: bool = False
    time_limit_seconds: float | None = None
    on_interrupt: str | None = None
    leaves_at_rest: bool = False

    @property
    def stops_when_interrupted(self) -> bool:
        """A job of continuous integration that is cancelled leaves nobody to go on with it."""
        return (self.on_interrupt or (STOP if is_in_ci() else LEAVE)) == STOP


class Outside(msgspec.Struct, frozen=True):
    """What may end the hosting of a run besides the person at its console."""

    limit: TimeLimit
    interrupts: Interrupts
    stops_when_interrupted: bool


def open_run_with(stream: StreamPlan, plan: Plan, found: Loaded) -> RunHost:
    """Begin an open run whose first turn has its first stream already, so that no kill parts them.

    Raises AnabranchError, and then nothing has begun.
    """
    from anabranch.engine.starting import start_run  # here, for most commands begin no run

    fault = why_not_extended(plan, stream)
    if fault is not None:
        raise UsageError(*fault)
    begun = extended(plan, stream)
    return start_run(here(), begun, found.strategies, extensions=found.extensions)


def host_run(host: RunHost, wishes: Wishes) -> int:
    """See a hosted run through, or leave it running; return the exit code."""
    try:
        with TimeLimit(host, wishes.time_limit_seconds) as limit, interruptible() as interrupts:
            outside = Outside(limit, interrupts, wishes.stops_when_interrupted)
            if wishes.as_json or wishes.headless or not can_show_console():
                return _host_as_text(host, wishes, outside)
            return host_in_console(host, outside)
    finally:
        host.close()
        for words in host.observing.last_words:
            say(words)


def host_in_console(host: RunHost, outside: Outside | None = None) -> int:
    """Show the console until the person leaves it; return the exit code."""
    from anabranch_console.cli.desk import Desk

    desk = Desk(host)
    try:
        seat, left = desk.sit(lambda: _why_it_closes(host, outside))
        return after_console(host if isinstance(seat, FollowedRun) else seat, left, outside)
    finally:
        desk.close()


def after_console(host: RunHost, left: ConsoleExit, outside: Outside | None = None) -> int:
    """Do what was wanted when the console was left; return the exit code."""
    was_ended = left.was_ended or bool(outside and outside.interrupts.count)
    is_interrupted = was_ended and bool(outside and outside.stops_when_interrupted)
    if left.wants_stop or is_interrupted:
        say(f"stopping run {host.run}; streams get their grace time")
        reason = "interrupted" if is_interrupted else "stopped by you"
        host.submit(inputs.StopRun(reason=reason)).result()
        host.wait()
    if left.message and not is_interrupted:
        say(left.message)
    host.wait(0)  # raises what went wrong with the engine, if something did
    if outside and outside.limit.was_reached:
        return exit_codes.TIME_LIMIT
    return exit_codes.INTERRUPTED if is_interrupted else exit_code(host.state)


def _why_it_closes(host: RunHost, outside: Outside | None) -> str | None:
    """Return what to say when the console closes by itself; None while it stays open."""
    if outside and outside.interrupts.count:
        return leaving_words(host.state)
    if outside and outside.limit.was_reached and host.state.has_ended:
        return f"the time limit was reached. Go on with: anabranch resume {host.run}"
    return None


def _host_as_text(host: RunHost, wishes: Wishes, outside: Outside) -> int:
    cursor = _where_to_begin(host)
    telling = _Telling(host, wishes)
    while True:
        ended = host.wait(PULL_SECONDS)
        frame = _news(host, cursor)
        cursor = frame.cursor
        telling.tell(frame)
        if ended and host.state.seq == cursor:
            break
        if wishes.leaves_at_rest and awaits_more(host.state) and host.state.seq == cursor:
            return _left_open(host)
        if outside.interrupts.news():
            telling.make_room()
            if _is_left(host, outside):
                return exit_codes.INTERRUPTED
    telling.tell_outcome()
    if outside.limit.was_reached:
        return exit_codes.TIME_LIMIT
    return exit_codes.INTERRUPTED if outside.interrupts.count else exit_code(host.state)


def _left_open(host: RunHost) -> int:
    """Leave an open run that has nothing to do; return whether all went well with its streams."""
    say(f"run {host.run} is open: anabranch add goes on with it, anabranch close ends it")
    failed = [s.id for s in host.state.streams.values() if s.phase is Phase.FAILED]
    return exit_codes.FAILED if failed else exit_codes.DONE


def _is_left(host: RunHost, outside: Outside) -> bool:
    """Do what an interruption is to do; whether that is to leave."""
    if not outside.stops_when_interrupted or outside.interrupts.count > 1:
        say(leaving_words(host.state))
        return True
    say(f"interrupted: stopping run {host.run}; once more leaves it to end by itself")
    host.submit(inputs.StopRun(reason="interrupted"))
    return False


class _Telling:
    """Shows a run in words or in JSON. What goes wrong with that does not end it."""

    def __init__(self, host: RunHost, wishes: Wishes) -> None:
        self._host = host
        self._progress: progress.Progress | None = None
        self._trouble = progress.Trouble()
        self._bottom = BottomLine() if can_rewrite_lines() else None
        self._milestones = Milestones()
        if not wishes.as_json:
            self._progress = progress.Progress(host.state, RunFolder(host.folder))
            if wishes.stops_when_interrupted and wishes.on_interrupt is None:
                say("CI is set: an interruption stops the streams (--on-interrupt leave does not)")

    def tell(self, frame: Frame) -> None:
        """Tell what happened, and how far handlers are."""
        trouble = self._host.trouble
        if frame.events or self._trouble.is_news(trouble):
            self.make_room()
        for record in frame.events:
            _safely(self._tell_one, frame.state, record)
        self._trouble.tell(trouble)
        if self._progress is not None:
            _safely(self._tell_handlers, self._progress, frame.state)

    def _tell_one(self, state: State, record: ev.Recorded) -> None:
        if self._progress is None:
            print_json_line(event_line(state, record))
        else:
            self._progress.tell(state, record)

    def _tell_handlers(self, printed: progress.Progress, state: State) -> None:
        tallies, now = running_tallies(state, RunFolder(self._host.folder)), self._host.now()
        if self._bottom is not None:
            self._bottom.show(tallies)
            return
        for stream in self._milestones.passed(tallies, now):
            printed.tell_handlers(now, stream, tallies[stream])

    def make_room(self) -> None:
        """Take away the line that is written anew, as others are printed now."""
        if self._bottom is not None:
            self._bottom.erase()

    def tell_outcome(self) -> None:
        """Show how it ended."""
        self.make_room()
        if self._progress is not None:
            _safely(progress.tell_outcome, self._host)


P = ParamSpec("P")


def _safely(tell: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
    try:
        tell(*arguments, **named)
    except AnabranchError as error:
        say(f"         ! something could not be shown: {shown(error.message)}")
    except Exception as error:
        _log.exception("something could not be shown")
        say(f"         ! something could not be shown: {type(error).__name__}; see engine.log")


def _news(host: RunHost, cursor: int) -> Frame:
    """Return what is new; what the host no longer has at hand is read from the journal."""
    frame = host.take(cursor)
    if not frame.missed:
        return frame
    records = tuple(islice(records_of(RunFolder(host.folder), cursor), FRAME_LIMIT))
    return replace(frame, cursor=records[-1].seq, events=records, missed=0) if records else frame


def _where_to_begin(host: RunHost) -> int:
    """Return the event after which this host's own part of the run begins."""
    resumed = [r.seq for r in host.take(0).events if isinstance(r.event, ev.RunResumed)]
    return resumed[-1] - 1 if resumed else 0


def exit_code(state: State) -> int:
    """Return the exit code that says how a run stands."""
    if not state.has_ended:
        return exit_codes.INTERRUPTED
    approval = state.approval
    is_wanted = bool(approval.is_requested or approval.message or approval.hint)
    if state.phase is RunPhase.CONVERGED and is_wanted and not approval.is_done:
        return exit_codes.NEEDS_OPERATOR if state.approval.kind else exit_codes.WOULD_LOSE_WORK
    return CODES[state.phase]


def leaving_words(state: State) -> str:
    """Return what to say to somebody who leaves a run that is not over."""
    running = sum(s.pid is not None and s.is_active for s in state.streams.values())
    streams = counted(running, "stream runs", "streams run")
    return f"left: {streams} on. Go on with: anabranch resume {state.run}"


def finish(code: int) -> None:
    """End the command with a code."""
    raise click.exceptions.Exit(code)
