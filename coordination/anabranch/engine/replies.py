"""Telling those who asked what came of it, and doing at once what must not wait for the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from anabranch.core import calls
from anabranch.core import effects as fx
from anabranch.core.deciding.owed import stops_asked_for
from anabranch.core.model.outcome import Postponed, Refusal
from anabranch.core.model.state import State
from anabranch.engine.mailbox import Letter

_log = logging.getLogger(__name__)


def tell(letter: Letter, outcome: Refusal | calls.Answer | None) -> None:
    """Tell whoever asked, if somebody did; a reply that goes wrong must not stop the run."""
    try:
        if letter.reply is not None:
            letter.reply(outcome)
    except Exception:
        _log.exception("a reply could not be given")


def settle(answer: Future[Refusal | None], outcome: Refusal | calls.Answer | None) -> None:
    """Give one who waits what came of a command: nothing, or why it was refused."""
    if isinstance(outcome, calls.Answer) and outcome.outcome == "refused":
        outcome = Refusal(str(outcome.facts["reason"]), str(outcome.facts.get("hint", "")))
    if not answer.cancelled():
        answer.set_result(outcome if isinstance(outcome, Refusal) else None)


def stop_all_the_same(
    state: State, batch: Iterable[Letter], perform: Callable[[fx.Effect], None], trouble: str
) -> list[Letter]:
    """Send the signals of stops that cannot be noted for some ``trouble``, and tell who asked.

    Returns the batch as it still waits to be noted.
    """
    waiting: list[Letter] = []
    for letter in batch:
        stops = stops_asked_for(state, letter.given)
        for effect in stops:
            perform(effect)
        if stops:
            hint = "its processes are being ended; the run says so itself once there is room"
            tell(letter, Postponed(f"the stop cannot be noted yet: {trouble}", hint))
        waiting.append(letter._replace(reply=None if stops else letter.reply))
    return waiting
