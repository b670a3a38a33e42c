"""What leaving the console means: what runs on without it, and what waits for its return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.projections import run_state
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.wording import safe

if TYPE_CHECKING:
    from anabranch.engine.source import Hosting

LABEL_CELLS = 9
MOST_NAMED = 6
UNTIL = "until the run is hosted again"


def leaving_message(state: State, hosting: Hosting) -> str:
    """Return what goes on, and how to come back to it."""
    run = state.run
    if state.has_ended:
        text = f"{safe(state.plan.name)}: {run_state(state, True).replace('_', ' ')}"
        reason = f" ({safe(state.reason)})" if state.reason else ""
        return f"{text}{reason}. Its report: anabranch report {run}"
    if hosting == "elsewhere":
        return f"The run goes on elsewhere. Look again with: anabranch console {run}"
    running, waiting = running_streams(state), _waiting(state)
    waits = f"{wording.counted(waiting, 'waits', 'wait')} {UNTIL}" if waiting else ""
    if running:
        streams = wording.counted(len(running), "stream runs", "streams run")
        also = f"; {waits}" if waits else ""
        return f"{streams} on{also}. Come back with: anabranch console {run}"
    return f"The run is not over{f': {waits}' if waits else ''}. Go on with: anabranch resume {run}"


def running_streams(state: State) -> list[str]:
    """Return the streams that are at work."""
    return [str(plan.id) for plan in state.plan.streams if state.streams[plan.id].is_active]


def _waiting(state: State) -> int:
    """Return how many streams start nowhere while nobody hosts the run."""
    return sum(not s.has_ended and not s.is_active for s in state.streams.values())


def about_leaving(state: State) -> list[Line]:
    """Return what goes on if the console closes, and what does not."""
    running = running_streams(state)
    lines = [_line("run on", wording.listing(running, MOST_NAMED))]
    if waiting := _waiting(state):
        lines.append(_line("wait", f"{wording.counted(waiting, 'stream')}, {UNTIL}"))
    if any(state.stream_plan(StreamId(name)).tty for name in running):
        lines.append(_line("reached", "terminals, by anabranch attach STREAM"))
    return lines


def _line(label: str, text: str) -> Line:
    return (Span(label.ljust(LABEL_CELLS), "muted"), Span(safe(text), "text"))


def stopping_message(state: State) -> str:
    """Return what is said when everything is to be stopped."""
    running = wording.counted(state.counts.at_work, "stream")
    return f"Stopping {running}; what they have done is kept."
