"""Telling those who asked what came of it, and doing at once what must not wait for the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core.deciding.owed import stops_asked_for
from anabranch.core.model.outcome import Postponed, Refusal
from anabranch.core.model.state import State
from anabranch.engine.gateway.endpoint import Reply

_log = logging.getLogger(__name__)

Asked = tuple[inputs.Input, Reply | None]


def reply_with(reply: Reply, outcome: Refusal | calls.Answer | None) -> None:
    """Tell whoever asked; a reply that goes wrong must not stop the run."""
    try:
        reply(outcome)
    except Exception:
        _log.exception("a reply could not be given")


def stop_all_the_same(
    state: State, batch: Iterable[Asked], perform: Callable[[fx.Effect], None], trouble: str
) -> list[Asked]:
    """Send the signals of stops that cannot be noted for some ``trouble``, and tell who asked.

    Returns the batch as it still waits to be noted.
    """
    waiting: list[Asked] = []
    for given, reply in batch:
        stops = stops_asked_for(state, given)
        for effect in stops:
            perform(effect)
        if stops and reply is not None:
            hint = "its processes are being ended; the run says so itself once there is room"
            reply_with(reply, Postponed(f"the stop cannot be noted yet: {trouble}", hint))
        waiting.append((given, None if stops else reply))
    return waiting
