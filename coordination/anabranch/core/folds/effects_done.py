"""Counting the engine's own effects, by the events that tell how they ended."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core.model.effects_done import EffectsDone

_DONE = frozenset(
    {
        ev.WorkspacePrepared,
        ev.StreamStarted,
        ev.ResultCaptured,
        ev.PartialCaptured,
        ev.ConvergenceMerged,
        ev.StreamSynced,
    }
)


def counted(known: EffectsDone, event: ev.Event) -> EffectsDone:
    """Return the counts after an event."""
    if type(event) in _DONE:
        return EffectsDone(known.done + 1, known.failed)
    if isinstance(event, ev.AttemptFailed) and not event.is_permanent:
        return EffectsDone(known.done, known.failed + 1)
    if isinstance(event, ev.ConvergenceBlocked) and event.is_fault:
        return EffectsDone(known.done, known.failed + 1)
    return known
