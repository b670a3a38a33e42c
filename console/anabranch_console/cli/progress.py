"""A run as lines of text, for logs and for terminals that show no console."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from anabranch.core import events as ev
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.state import RunPhase, State
from anabranch.core.views.included import included_in_words
from anabranch.core.views.plugin_faults import fault_of
from anabranch.core.wording import counted, duration, flood
from anabranch.engine.handlers import HandlerTally, have_handlers, tally_of, without_progress
from anabranch.engine.masking import masked_tail
from anabranch.hostile_text import escape_for_terminal
from anabranch.paths import RunFolder
from anabranch_console.cli.output import glyph, paint, say, shown
from anabranch_console.cli.report_text import report_lines
from anabranch_console.presenters import (
    conflict_events,
    coordination_events,
    copy_events,
    guardian_events,
    handler_events,
    handler_words,
    review_events,
)

if TYPE_CHECKING:
    from anabranch.engine.host import RunHost

NAME_WIDTH_MAX = 24
LAST_WORDS_LINES = 20
_ENDS_OF_ATTEMPTS = ev.StreamSucceeded | ev.StreamFailed | ev.RetryScheduled
LAST_WORDS_INDENT = " " * 11
MOST_HANDLERS_NAMED = 3
"""So many handlers of an attempt that fail are named; the others are counted at its end."""


class Progress:
    """Prints events as they come, one line each, on stderr; with a failure, its last words.

    Args:
        state: the run as it is when its progress begins to be printed.
        folder: where logs lie; None where their last words are not wanted.
    """

    def __init__(self, state: State, folder: RunFolder | None = None) -> None:
        self._folder = folder
        self._failed_handlers: Counter[StreamId] = Counter()
        names = [len(p.id) for p in state.plan.streams]
        self._width = min(NAME_WIDTH_MAX, max([*names, len("converge")]))
        streams = counted(len(state.plan.streams), "stream")
        width = state.plan.max_parallel
        name = shown(state.plan.name, stream=sys.stderr)
        say(f"{name} · run {state.run} · {streams}, {width} at once")
        for warning in state.warnings:
            say(f"warning: {shown(warning, stream=sys.stderr)}")

    def tell(self, state: State, record: ev.Recorded) -> None:
        """Print one event, if it is worth a line."""
        if handler_events.is_noise(record.event):
            return
        for of_handler in self._handler_words(record.event):
            self._print(record.at, *of_handler)
        words = self._words(state, record.event)
        if words is None:
            return
        subject, public, text = words
        self._print(record.at, subject, public, text + self._of_handlers(state, record.event))
        for warning in getattr(record.event, "warnings", ()):
            mark = paint(glyph("stalled", sys.stderr), "stalled", sys.stderr)
            say(f"{'':9}  {mark} {shown(warning, stream=sys.stderr)}")
        if isinstance(record.event, ev.StreamFailed | ev.RetryScheduled):
            self._tell_last_words(state, record.event)

    def _of_handlers(self, state: State, event: ev.Event) -> str:
        """Return how far the handlers of a stream came whose attempt is over."""
        if self._folder is None or not isinstance(event, _ENDS_OF_ATTEMPTS):
            return ""
        has_handlers = event.stream in have_handlers(state, self._folder)
        tally = tally_of(self._folder, event.stream) if has_handlers else None
        return f"; {handler_words.counts_in_words(tally)}" if tally is not None else ""

    def tell_handlers(self, at: float, stream: StreamId, tally: HandlerTally) -> None:
        """Print how far the handlers of a stream are, at a time of the run."""
        counts, pace = handler_words.counts_in_words(tally), handler_words.pace_in_words(tally)
        self._print(at, stream, "running", f"{counts}; {pace}")

    def _print(self, at: float, subject: str, public: str, text: str) -> None:
        sign = paint(glyph(public, sys.stderr), public, sys.stderr)
        said = shown(text, stream=sys.stderr)
        say(f"{_clock(at)}  {sign} {subject:<{self._width}}  {said}")

    def _tell_last_words(self, state: State, event: ev.StreamFailed | ev.RetryScheduled) -> None:
        """Show the end of what an attempt that failed has written, and where the rest is."""
        if self._folder is None or not event.attempt:
            return
        log = self._folder.log(event.stream, event.attempt)
        if state.streams[event.stream].setup.failure:
            log = self._folder.setup_log(event.stream, event.attempt)
        words = masked_tail(log, LAST_WORDS_LINES)
        if event.stream in have_handlers(state, self._folder):
            words = without_progress(words)
        for line in words:
            say(f"{LAST_WORDS_INDENT}| {line}")
        if isinstance(event, ev.StreamFailed) and log.exists():
            say(f"{LAST_WORDS_INDENT}log: {escape_for_terminal(str(log))}")

    def _handler_words(self, event: ev.Event) -> Iterator[tuple[str, str, str]]:
        """Yield the first handlers of an attempt that fail; how many did is said at its end."""
        match event:
            case ev.HandlerFinished(outcome="failed"):
                self._failed_handlers[event.stream] += 1
                if self._failed_handlers[event.stream] <= MOST_HANDLERS_NAMED:
                    yield event.stream, "failed", handler_events.in_words(event)
            case ev.StreamSucceeded() | ev.StreamFailed() | ev.RetryScheduled():
                self._failed_handlers.pop(event.stream, None)

    def _words(self, state: State, event: ev.Event) -> tuple[str, str, str] | None:
        match event:
            case ev.SetupStarted():
                return event.stream, "setting_up", "sets its workspace up"
            case ev.StreamStarted():
                attempt = f", attempt {event.attempt}" if event.attempt > 1 else ""
                return event.stream, "running", f"started, pid {event.pid}{attempt}"
            case ev.ServiceReady():
                return event.stream, "ready", f"ready: {event.evidence}"
            case ev.ServiceUnhealthy():
                return event.stream, "unhealthy", f"unhealthy: {event.evidence}"
            case ev.StreamSucceeded():
                return event.stream, "succeeded", event.reason
            case ev.StreamFailed():
                return event.stream, "failed", event.reason
            case ev.RetryScheduled():
                return event.stream, "recovering", event.reason
            case ev.StreamSkipped():
                return event.stream, "skipped", event.reason
            case ev.StreamStopped():
                return event.stream, "stopped", event.reason
            case ev.StreamQuarantined():
                return event.stream, "quarantined", event.reason
            case ev.StreamBlocked():
                return event.stream, "needs_operator", event.reason
            case ev.OutputCut():
                return event.stream, "recovering", flood(event.left_out_bytes)
            case ev.StreamHeld():
                return event.stream, "stalled", f"held: {event.reason}"
            case ev.StreamLetGo():
                return event.stream, "running", "goes on: there is room on the disk again"
            case ev.StreamDelayed():
                return event.stream, "stalled", event.reason
            case ev.StreamCopied() | ev.CommitGranted() | ev.CopyTookOver() | ev.CopyEnded():
                return event.stream, "recovering", copy_events.in_words(event)
        return self._time_words(event) or self._guardian_words(event) or self._run_words(event)

    def _time_words(self, event: ev.Event) -> tuple[str, str, str] | None:
        match event:
            case ev.WindowFound():
                why = f"; {event.reason}" if event.reason else ""
                return event.stream, "waiting", f"waits for {event.shown}{why}"
            case ev.WindowMissed():
                return event.stream, "waiting", event.reason
            case ev.StreamQueued(window=window) if window:
                return event.stream, "waiting", f"waits for {window}"
        return None

    def _guardian_words(self, event: ev.Event) -> tuple[str, str, str] | None:
        match event:
            case ev.BreakerOpened() | ev.BreakerHalfOpened() | ev.BreakerClosed():
                sign = "running" if isinstance(event, ev.BreakerClosed) else "recovering"
                return "breaker", sign, guardian_events.in_words(event)
            case ev.RecoveryStarted() | ev.StreamAsked() | ev.GuardianAlerted():
                return event.stream, "recovering", guardian_events.in_words(event)
            case ev.ParallelismChanged():
                return "run", "recovering", guardian_events.in_words(event)
            case ev.StateRestored() if event.of:
                return event.of, "recovering", coordination_events.DETAILS[type(event)](event)
            case ev.DiskUseChanged():
                sign = "stalled" if event.shortage else "running"
                return "disk", sign, coordination_events.DETAILS[type(event)](event)
            case ev.OldRunsRemoved():
                return "old runs", "waiting", coordination_events.DETAILS[type(event)](event)
            case ev.OverheadExceeded():
                return "overhead", "stalled", event.reason
        return None

    def _run_words(self, event: ev.Event) -> tuple[str, str, str] | None:
        match event:
            case ev.ConvergenceMerged():
                text = f"merged {counted(len(event.merged), 'stream')}"
                name = "converge" if event.point == FINAL_POINT else event.point
                return name, "succeeded", text
            case ev.ConvergenceBlocked():
                return event.point, "needs_operator", event.reason
            case ev.AdoptionAsked():
                return event.point, "needs_operator", event.reason
            case ev.StreamAdopted():
                return event.point, "succeeded", f"{event.stream} is adopted: {event.reason}"
            case ev.ConvergenceLeftOut():
                text = f"left {', '.join(event.streams)} out: {event.reason}"
                return event.point, "quarantined", text
            case ev.ConvergenceAbandoned():
                return event.point, "skipped", event.reason
            case ev.StrategyFaulted():
                return "plugin", "quarantined", fault_of(event).words
            case ev.ConflictForeseen():
                return "radar", "stalled", conflict_events.DETAILS[type(event)](event)
            case ev.ConflictReopened():
                return "conflict", "recovering", conflict_events.DETAILS[type(event)](event)
            case ev.ConflictCleared() | ev.ConflictResolved() | ev.ResolverEnded():
                return "conflict", "running", conflict_events.DETAILS[type(event)](event)
            case ev.ResolverStarted():
                return event.point, "recovering", "the plan's resolver is asked"
            case ev.ConflictHandedBack():
                return event.stream, "recovering", event.reason
            case ev.ReviewTaken() | ev.WorkHandedBack():
                state = "succeeded" if isinstance(event, ev.ReviewTaken) else "recovering"
                return event.stream, state, review_events.DETAILS[type(event)](event)
            case ev.BaseCaptured() if event.left_out or event.warnings or event.included.files:
                return "base", "waiting", base_in_words(event)
            case ev.RunResumed():
                adopted = counted(event.adopted, "process")
                return "run", "running", f"{event.reason}; {adopted} adopted"
            case ev.StreamAdded(plan=plan):
                return event.stream, "waiting", f"added: {shown(plan.command_text)}"
            case ev.StreamReworded(plan=plan):
                return event.stream, "waiting", f"edited: {shown(plan.command_text)}"
            case ev.RunClosed():
                return "run", "running", event.reason
            case ev.RunStopRequested():
                return "run", "stopped", f"stopping: {event.reason}"
        return None


def base_in_words(event: ev.BaseCaptured) -> str:
    """Return what of the user's checkout the run does not follow, and what it takes along."""
    notes = list(event.warnings)
    if event.included.files:
        words = included_in_words(event.included)
        notes.insert(0, f"ignored files in each workspace: {shown(words)}")
    if event.left_out:
        files = counted(event.left_out, "uncommitted file")
        notes.append(f"{files} not part of this run (include_uncommitted = true takes them along)")
    return "; ".join(notes)


class Trouble:
    """Says what keeps the engine from going on, once, and when it is over."""

    def __init__(self) -> None:
        self._last_reason: str | None = None

    def is_news(self, reason: str | None) -> bool:
        """Return whether what is wrong now was not said yet, None if all is well."""
        return reason != self._last_reason

    def tell(self, reason: str | None) -> None:
        """Take what is wrong now; None if all is well."""
        if not self.is_news(reason):
            return
        self._last_reason = reason
        say(f"         ! {reason}; it is tried again" if reason else "         ! going on")


def tell_outcome(host: RunHost) -> None:
    """Say how the run ended and what to do next; the report goes to stdout."""
    state = host.state
    for line in report_lines(host.report()):
        click.echo(line)
    for line in next_steps(state):
        say(line)


def next_steps(state: State) -> list[str]:
    """Return what a person may want to do now."""
    if state.phase is RunPhase.CONVERGED:
        if state.approval.is_done:
            return [state.approval.message]
        if state.approval.hint:
            return [f"not approved: {state.approval.message}", f"  {state.approval.hint}"]
        return [_how_to_take_it(state)] if _has_result(state) else []
    if state.phase is RunPhase.NEEDS_OPERATOR:
        return [state.hint]
    return [f"go on with: anabranch resume {state.run}"]


def _how_to_take_it(state: State) -> str:
    if state.base is not None and state.base.head is None:
        return f"take it with: anabranch approve {state.run}"
    return f"take it with: git merge anabranch/{state.run} (or anabranch approve)"


def _has_result(state: State) -> bool:
    return any(s.result for s in state.streams.values())


def _clock(at: float) -> str:
    return f"{duration(at):>7}"
