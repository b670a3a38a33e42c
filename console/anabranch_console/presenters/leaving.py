"""What is said on the normal screen after the console has closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.core import wording
from anabranch.core.model.state import State
from anabranch.core.views.projections import run_state
from anabranch_console.presenters.wording import safe

if TYPE_CHECKING:
    from anabranch.engine.source import Hosting


def leaving_message(state: State, hosting: Hosting) -> str:
    """Return what goes on, and how to come back to it."""
    run = state.run
    if state.has_ended:
        text = f"{safe(state.plan.name)}: {run_state(state, True).replace('_', ' ')}"
        reason = f" ({safe(state.reason)})" if state.reason else ""
        return f"{text}{reason}. Its report: anabranch report {run}"
    if hosting == "elsewhere":
        return f"The run goes on elsewhere. Look again with: anabranch console {run}"
    running = state.counts.active
    if running:
        streams = wording.counted(running, "stream runs", "streams run")
        return f"{streams} on. Come back with: anabranch console {run}"
    return f"The run is not over. Go on with: anabranch resume {run}"


def stopping_message(state: State) -> str:
    """Return what is said when everything is to be stopped."""
    running = wording.counted(state.counts.active, "stream")
    return f"Stopping {running}; what they have done is kept."
