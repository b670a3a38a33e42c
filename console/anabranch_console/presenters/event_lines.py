"""Events in words: time, level, subject, type and one sentence of detail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any, NamedTuple

from anabranch.core import events as ev
from anabranch.core import wording
from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.state import State
from anabranch.core.views.included import included_in_words
from anabranch.core.views.streams import exit_in_words
from anabranch.core.wording import conflicting
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, fit
from anabranch_console.presenters import (
    conflict_events,
    coordination_events,
    copy_events,
    guardian_events,
    handler_events,
    queue_events,
    review_events,
)
from anabranch_console.presenters.wording import ports_in_words, safe, wall_clock


class EventWords(NamedTuple):
    """An event as people read it."""

    level: str
    subject: str
    type: str
    detail: str


_GOOD = (
    ev.ServiceReady,
    ev.StreamSucceeded,
    ev.ConvergenceMerged,
    ev.RunConverged,
    ev.RunApproved,
    *review_events.GOOD,
)
_WARNINGS = (
    ev.RetryScheduled,
    ev.StreamDelayed,
    ev.ServiceUnhealthy,
    ev.OutputCut,
    ev.StreamHeld,
    ev.OverheadExceeded,
    ev.StreamSkipped,
    ev.StreamStopRequested,
    ev.StreamStopped,
    ev.StreamLost,
    ev.StreamBlocked,
    ev.AttemptFailed,
    ev.StreamCopied,
    ev.CopyTookOver,
    ev.ConvergenceDeparted,
    ev.RunStopRequested,
    ev.RunStopped,
    ev.ApprovalRefused,
    ev.RunNeedsOperator,
    ev.AdoptionAsked,
    *coordination_events.WARNINGS,
    *conflict_events.WARNINGS,
    *guardian_events.WARNINGS,
    *review_events.WARNINGS,
)
_ERRORS = (
    ev.StreamFailed,
    ev.StreamQuarantined,
    ev.ConflictFound,
    ev.ConvergenceBlocked,
    ev.ConvergenceAbandoned,
    ev.RunFailed,
    *coordination_events.ERRORS,
    *guardian_events.ERRORS,
)


LEVELS = ("routine", "info", "good", "warning", "error")
"""How much events matter, the least first; what is routine is shown to whoever asks for it."""

_ROUTINE = (ev.StreamHeartbeat, ev.LeaseRenewed, ev.MachineLoadChanged)


def level_of(event: ev.Event) -> str:
    """Return how much an event matters, one of :data:`LEVELS`."""
    if isinstance(event, _ROUTINE):
        return "routine"
    if isinstance(event, _ERRORS):
        return "error"
    if isinstance(event, _WARNINGS):
        return "warning"
    if isinstance(event, ev.StreamExited):
        return "info" if event.exit_code == 0 else "warning"
    if isinstance(event, ev.HandlerFinished):
        return "info" if event.outcome == "succeeded" else "warning"
    return "good" if isinstance(event, _GOOD) else "info"


def event_words(event: ev.Event) -> EventWords:
    """Return an event in words; text that came from outside is made safe."""
    subject = getattr(event, "stream", None) or getattr(event, "point", None)
    if not subject:
        subject = "operator" if isinstance(event, ev.CallEvent) else "run"
    if coordination_events.is_of_guardian(event):
        subject = "guardian"
    detail = _DETAILS.get(type(event), _plain_detail)(event)
    kind = ev.wire_name(type(event).__name__).replace("_", " ")
    return EventWords(level_of(event), safe(str(subject)), kind, safe(detail))


_TYPE_STYLES = {"info": "text", "routine": "muted"}


def event_line(state: State, record: ev.Recorded, glyphs: Glyphs, subject_cells: int) -> Line:
    """Return an event as one line of the events pane."""
    words = event_words(record.event)
    style = f"level.{words.level}"
    return (
        Span(wall_clock(state.started_wall, record.at), "muted"),
        Span(f" {glyphs.level(words.level)} ", style),
        Span(fit(words.subject, subject_cells), "strong"),
        Span(" "),
        Span(fit(words.type, 21), _TYPE_STYLES.get(words.level, style)),
        Span(" "),
        Span(words.detail, "muted"),
    )


def note_line(started_wall: float, at: float, level: str, text: str, glyphs: Glyphs) -> Line:
    """Return something the console itself has to say, as a line of the events pane."""
    return (
        Span(wall_clock(started_wall, at), "muted"),
        Span(f" {glyphs.level(level)} ", f"level.{level}"),
        Span("console ", "strong"),
        Span(safe(text), f"level.{level}"),
    )


def _plain_detail(event: ev.Event) -> str:
    return str(getattr(event, "reason", "") or "")


def _exited(event: ev.StreamExited) -> str:
    from anabranch.core.model.state import Exit

    words = exit_in_words(Exit(event.exit_code, event.signal, event.error))
    extras = []
    if event.survivors_ended:
        ended = wording.counted(event.survivors_ended, "left-over process", "left-over processes")
        extras.append(f"{ended} ended")
    if event.lost_bytes:
        extras.append(f"{event.lost_bytes} bytes of output lost")
    return ", ".join([words, *extras])


def _admitted(event: ev.StreamAdmitted) -> str:
    where = f", in slot {event.slot}" if event.slot else ""
    if event.takes_over:
        return f"attempt {event.attempt} goes on in the workspace of {event.takes_over}{where}"
    return f"attempt {event.attempt} gets a workspace{where}"


def _prepared(event: ev.WorkspacePrepared) -> str:
    place = f"…/{'/'.join(PurePath(event.path).parts[-2:])}"
    whose = f", which was that of {event.taken_from}" if event.taken_from else ""
    return f"{place}{whose}" + (f"; ports {ports_in_words(event.ports)}" if event.ports else "")


def _taken_along(event: ev.BaseCaptured) -> tuple[str, ...]:
    if not event.included.files:
        return ()
    return (f"ignored files in each workspace: {included_in_words(event.included)}",)


def _captured(event: ev.ResultCaptured | ev.PartialCaptured) -> str:
    files = wording.counted(event.files_changed, "file")
    return f"{files} in {event.commit[:10]}"


def _conflict(event: ev.ConflictFound) -> str:
    return conflicting(event.conflict.streams, [p.path for p in event.conflict.paths])


def _merged(event: ev.ConvergenceMerged) -> str:
    text = f"{wording.counted(len(event.merged), 'stream')} in {event.commit[:10]}"
    return f"{text} on {event.branch}" if event.branch else text


_DETAILS: dict[type[ev.Event], Callable[[Any], str]] = {
    **coordination_events.DETAILS,
    **conflict_events.DETAILS,
    **guardian_events.DETAILS,
    **handler_events.DETAILS,
    **copy_events.DETAILS,
    **queue_events.DETAILS,
    **review_events.DETAILS,
    ev.RunStarted: lambda e: (
        f"{e.plan.name}: {wording.counted(len(e.plan.streams), 'stream')}, "
        f"{e.plan.max_parallel} at a time"
    ),
    ev.BaseCaptured: lambda e: "; ".join(
        (f"{e.commit[:10]} on {(e.branch or 'no branch')}", *_taken_along(e), *e.warnings)
    ),
    ev.RunConverged: lambda e: f"the result stands on {e.branch}" if e.branch else "no changes",
    ev.OverheadExceeded: lambda e: e.reason,
    ev.OverheadWithin: lambda e: f"coordination takes {e.share:.0%} of all time spent again",
    ev.RunNeedsOperator: lambda e: f"{e.reason}; {e.hint}",
    ev.RunApproved: lambda e: e.message,
    ev.ApprovalRefused: lambda e: f"{e.reason}; {e.hint}",
    ev.StreamRegistered: lambda e: "",
    ev.StreamTimed: lambda e: f"{e.at} is sought {f'in {e.zone}' if e.zone else 'here'}",
    ev.WindowFound: lambda e: f"waits for {e.shown}{f'; {e.reason}' if e.reason else ''}",
    ev.WindowMissed: lambda e: e.reason,
    ev.StreamQueued: lambda e: (
        f"attempt {e.attempt}{f', waits for {e.window}' if e.window else ''}"
    ),
    ev.StreamAdmitted: _admitted,
    ev.WorkspacePrepared: _prepared,
    ev.StreamAdded: lambda e: e.plan.command_text,
    ev.StreamReworded: lambda e: e.plan.command_text,
    ev.SetupStarted: lambda e: f"setting its workspace up, attempt {e.attempt}",
    ev.SetupFinished: lambda e: e.failure or f"set up in {wording.length(e.seconds, 1)}",
    ev.TeardownRequested: lambda e: f"attempt {e.attempt}",
    ev.TeardownFinished: lambda e: e.failure or f"torn down in {wording.length(e.seconds, 1)}",
    ev.StreamStarted: lambda e: f"pid {e.pid}, attempt {e.attempt}",
    ev.StreamExited: _exited,
    ev.ServiceReady: lambda e: e.evidence,
    ev.ServiceUnhealthy: lambda e: f"since {wording.length(e.since, 1)}: {e.evidence}",
    ev.OutputCut: lambda e: wording.flood(e.left_out_bytes),
    ev.StreamHeld: lambda e: f"held: {e.reason}",
    ev.StreamLetGo: lambda e: "there is room on the disk again",
    ev.ResultCaptured: _captured,
    ev.PartialCaptured: _captured,
    ev.ConvergenceArrived: lambda e: f"at {'the end' if e.point == FINAL_POINT else e.point}",
    ev.ConvergenceDeparted: lambda e: f"without a result: {e.reason}",
    ev.ConvergenceStarted: lambda e: f"{wording.counted(len(e.streams), 'stream')}: {e.reason}",
    ev.ConvergenceMerged: _merged,
    ev.ConflictFound: _conflict,
}
