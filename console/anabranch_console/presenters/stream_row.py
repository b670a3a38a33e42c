"""One stream as one row: the numbers behind the columns, rounded to what is shown.

Rounding happens here, so two rows are equal exactly when they look equal, and a stream whose
processor time moved by a thousandth is not painted again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.views.accounting import worked_seconds
from anabranch.core.views.attention import Attention
from anabranch.core.views.conflicts import foreseen_with
from anabranch.core.views.copies import copy_of, since_in_words
from anabranch.core.views.projections import files_changed_by
from anabranch.core.views.waiting import called_waits, in_short, reason_for
from anabranch.core.wording import listing
from anabranch_console.presenters import handler_words
from anabranch_console.presenters.wording import safe, wall_clock

if TYPE_CHECKING:
    from anabranch.engine.handlers import HandlerTally
    from anabranch.engine.vitals import Vitals

_MEBIBYTE = 2**20

LOUD = ("blocked", "conflict")
"""What is said of a stream instead of its state: that it runs is not what matters of it."""

URGENCY = (
    "failed",
    "quarantined",
    "unhealthy",
    "stalled",
    "recovering",
    "running",
    "ready",
    "starting",
    "setting_up",
    "queued",
    "waiting",
    "stopped",
    "skipped",
    "succeeded",
)
"""States in the order in which they want attention."""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """What the table shows of a stream. Times are whole seconds, memory is whole mebibytes.

    ``files`` may be wrong while ``files_are_estimated``: git has not counted them yet.
    ``progress`` is how far it is, in percent, as it says or as its handlers are.
    ``attention`` is how it stands towards whoever looks (:mod:`anabranch.core.views.attention`).
    """

    id: StreamId
    position: int
    state: str
    attempt: int
    now: str
    age_seconds: int | None = None
    files: int | None = None
    cpu: int | None = None
    memory_bytes: int | None = None
    elapsed_seconds: int | None = None
    disk_bytes: int | None = None
    is_active: bool = False
    is_kept_waiting: bool = False
    files_are_estimated: bool = False
    attention: str = ""
    needs_you: bool = False
    progress: int | None = None

    @property
    def urgency(self) -> int:
        """Where it stands among those that want attention, those that need a person first."""
        if self.attention in LOUD:
            return -1
        return URGENCY.index(self.state) if self.state in URGENCY else len(URGENCY)


def stream_row(
    state: State,
    stream: Stream,
    vitals: Vitals | None,
    now: float,
    tally: HandlerTally | None = None,
    attention: Attention | None = None,
) -> StreamRow:
    """Return the row of one stream at run time ``now``; ``tally`` is of its handlers."""
    current = vitals if _is_current(stream, vitals) else None
    live = current if stream.is_active else None
    captured = files_changed_by(stream)
    counted = files_changed_by(stream, current.files_changed if current else None)
    is_estimate = captured is None and live is not None and live.files_are_estimated
    return StreamRow(
        id=stream.id,
        position=state.topology.position[stream.id],
        state=stream.public_state,
        attempt=stream.attempt,
        now=_in_conflict(stream, attention) or what_now(state, stream, current, now, tally),
        age_seconds=None if live is None else _whole(live.progress_age_seconds),
        files=counted or None,
        files_are_estimated=is_estimate,
        cpu=None if live is None or live.cpu_percent is None else round(live.cpu_percent),
        memory_bytes=live.memory_bytes // _MEBIBYTE * _MEBIBYTE if live else None,
        disk_bytes=current.disk_bytes if current else None,
        elapsed_seconds=_whole(elapsed(stream, now)),
        is_active=stream.is_active,
        is_kept_waiting=stream.is_active and bool(called_waits(state, stream.id)),
        attention=attention.state if attention else "",
        needs_you=attention is not None and attention.needs_you,
        progress=_progress(stream, tally),
    )


def _in_conflict(stream: Stream, attention: Attention | None) -> str:
    """Return what a conflict is about that a stream is in, or waits for a decision about."""
    if attention is None or not (stream.has_ended or attention.state == "conflict"):
        return ""
    return safe(attention.why) if attention.state in ("conflict", "waiting") else ""


def _progress(stream: Stream, tally: HandlerTally | None) -> int | None:
    """Return how far a stream is that runs, in percent."""
    if stream.phase is not Phase.RUNNING:
        return None
    if tally is not None:
        return (
            round(100 * tally.ended / tally.total) if tally.is_total_known and tally.total else None
        )
    said = stream.liveness.progress
    return None if said is None else round(100 * min(max(said, 0.0), 1.0))


def what_now(
    state: State,
    stream: Stream,
    vitals: Vitals | None,
    now: float,
    tally: HandlerTally | None = None,
) -> str:
    """Return what the stream says while it runs, and else why it is where it is.

    What it says of itself, in a heartbeat, goes before the last line that it wrote; how far its
    handlers are before both. What it waits for from others comes first, then a conflict that is
    foreseen.
    """
    said = _said(state, stream, vitals, now, tally)
    copy = copy_of(state, stream)
    if copy is not None and not stream.has_ended:
        said = f"{safe(since_in_words(copy, now))}; {said}"
    if not len(state.foreseen) or stream.has_ended or called_waits(state, stream.id):
        return said
    others = [str(other) for other in foreseen_with(state, stream.id)]
    return f"would conflict with {safe(listing(others, 2))}; {said}" if others else said


def _said(
    state: State, stream: Stream, vitals: Vitals | None, now: float, tally: HandlerTally | None
) -> str:
    waits = called_waits(state, stream.id) if stream.phase is Phase.RUNNING else []
    if waits:
        age = wording.age(now - min(w.since for w in waits))
        return safe(f"waits {age} for {in_short(waits)}")
    if tally is not None and (stream.has_ended or stream.phase is Phase.RUNNING):
        how_far = handler_words.in_short(tally, is_running=not stream.has_ended)
        return f"{how_far}; {safe(reason_for(state, stream))}" if stream.has_ended else how_far
    status = safe(stream.liveness.status).strip()
    if stream.phase is Phase.RUNNING and status:
        progress = stream.liveness.progress
        return status if progress is None else f"{status} {progress:.0%}"
    last = _meant_for_people(vitals.last_line) if vitals is not None else ""
    if stream.phase is Phase.RUNNING and last:
        return safe(last)
    if stream.phase is Phase.SETTING_UP:
        return f"setting up: {safe(last)}" if last else safe(stream.reason)
    reason = safe(reason_for(state, stream))
    if stream.phase is Phase.FAILED and vitals is not None and vitals.last_line:
        return f"{reason}: {safe(vitals.last_line)}"
    return f"{reason}{_until(state, stream)}"


def _meant_for_people(line: str) -> str:
    """Return the message of a line of JSON, nothing of an answer of our own to a call."""
    if not (line.startswith("{") and line.endswith("}")):
        return line
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if "ok" in found and "i" in found:
        return ""
    said = found.get("message", found.get("msg"))
    return said if isinstance(said, str) and said.strip() else line


def _until(state: State, stream: Stream) -> str:
    """Say when the time comes that a queued stream waits for."""
    if stream.phase is not Phase.QUEUED or stream.not_before <= state.at:
        return ""
    return f", until {wall_clock(state.started_wall, stream.not_before)}"


def elapsed(stream: Stream, now: float) -> float | None:
    """Return the seconds that its attempts have run, as the report counts them; None before."""
    return None if stream.first_started_at is None else worked_seconds(stream, now)


def _is_current(stream: Stream, vitals: Vitals | None) -> bool:
    return vitals is not None and vitals.attempt == stream.attempt


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
