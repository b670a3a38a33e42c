"""Keeping what a run teaches for those that come after it."""

from __future__ import annotations

import logging

from anabranch.core.model.state import State
from anabranch.core.views.samples import samples_of
from anabranch.engine.durations import learn
from anabranch.paths import RunFolder

_log = logging.getLogger(__name__)


def keep_lessons(home: RunFolder, state: State) -> None:
    """Keep what the run teaches; without room for it, later ones know less, and that is all."""
    try:
        learn(home.project, samples_of(state))
        if state.handlers:
            from anabranch.engine.handler_durations import learn_handlers  # few runs have them

            learn_handlers(home, state)
    except OSError as error:
        _log.debug("nothing is learned from the run: %s", error)
