"""Recovering streams by hand: which remedy, what it would do, and a yes that is not a slip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from anabranch.core.ids import StreamId
from anabranch.core.inputs import RecoverStream
from anabranch.core.model.state import State
from anabranch.core.strategies.rungs import SOFT
from anabranch.core.views.guardian import REMEDIES, Forecast, forecast
from anabranch_console.presenters.consequences import named
from anabranch_console.presenters.guardian_lines import of_recovering
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering

REASON = "asked for in the console"
_KEYS = {"soft": "s", "hard": "h", "fallback": "f"}


def recover_streams(
    model: RunModel, steering: Steering, streams: Sequence[StreamId], remedy: str = ""
) -> None:
    """Recover streams by a remedy, or ask which."""
    if not streams:
        steering.tell("warning", "no stream is chosen")
    elif remedy in REMEDIES:
        _recover_by(model, steering, streams, remedy)
    elif remedy:
        known = ", ".join(REMEDIES)
        steering.tell("warning", f"there is no remedy {remedy!r}; there are {known}")
    else:
        choices = [_remedy_choice(_forecasts(model, streams, one), one) for one in REMEDIES]
        chosen = next((c.id for c in choices if c.why_not is None), None)
        then = partial(_recover_by, model, steering, streams)
        steering.choose(f"Recover {named(streams)}", choices, then, chosen)


def why_not_recovered(state: State, stream: StreamId) -> str | None:
    """Return why no remedy fits a stream now; None if one does."""
    found = [forecast(state, stream, remedy) for remedy in REMEDIES]
    return found[0].refusal if all(one.refusal for one in found) else None


def _forecasts(model: RunModel, streams: Sequence[StreamId], remedy: str) -> list[Forecast]:
    return [forecast(model.state, stream, remedy) for stream in streams]


def _remedy_choice(found: Sequence[Forecast], remedy: str) -> Choice:
    able = [one for one in found if not one.refusal]
    detail = able[0].steps[0] if able and able[0].steps else ""
    refusal = None if able else found[0].refusal
    return Choice(remedy, _KEYS[remedy], remedy, detail, refusal)


def _recover_by(
    model: RunModel, steering: Steering, streams: Sequence[StreamId], remedy: str
) -> None:
    found = _forecasts(model, streams, remedy)
    for one in found:
        if one.refusal:
            steering.tell("warning", f"{one.stream}: {one.refusal}; {one.hint}")
    able = [one.stream for one in found if not one.refusal]
    if not able:
        return
    commands = [RecoverStream(stream=s, remedy=remedy, reason=REASON) for s in able]
    asked = of_recovering([one for one in found if not one.refusal])
    by_name = None if remedy == SOFT else named(able)
    steering.confirm(asked, partial(steering.steer, *commands), by_name=by_name)
