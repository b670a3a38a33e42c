"""Setting up: the plan's own command makes a new workspace ready before the stream's command runs.

The holder runs both, so this outlives the engine as the stream does. One that fails fails the
attempt, and its command never runs; it is tried again, with a new workspace, like any failure.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams import observed
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch.core.strategies.failures import FailureClass

SETUP_FAILED = FailureClass("setup failed")
"""The workspace could not be made ready: that says nothing about the stream's own command."""


def began(draft: Draft, fact: inputs.SetupBegan) -> None:
    """Record that a setup runs. If somebody asked for the stream's end meanwhile, it is owed."""
    stream = draft.stream(fact.stream)
    if stream.phase is not Phase.STARTING:
        return
    draft.emit(observed.setup_began(fact))
    if stream.stop:
        draft.emit(
            ev.StreamStopRequested(
                stream.id, attempt=stream.attempt, reason=stream.stop.reason, then=stream.stop.then
            )
        )


def done(draft: Draft, fact: inputs.SetupDone) -> None:
    """Record how a setup ended; what follows of a failed one follows of the attempt's end."""
    if is_news(draft.stream(fact.stream)):
        draft.emit(observed.setup_done(fact))


def is_news(run: Stream) -> bool:
    """Return whether the end of a setup is not known yet."""
    is_there = run.phase in (Phase.SETTING_UP, Phase.STOPPING)
    return is_there and run.setup.began_at is not None and run.setup.seconds is None
