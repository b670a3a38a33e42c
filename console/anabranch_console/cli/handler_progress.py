"""How far the handlers of a run are, in a run that is shown as lines of text.

On a terminal one line stands below all others and is written anew: counts, rate and rest time.
Elsewhere a line is printed at each tenth of what there is to do, and once a minute in which
anything has ended: a log of a hundred thousand handlers has a dozen lines about them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State
from anabranch.engine.handlers import HandlerTally, have_handlers, tally_of
from anabranch.paths import RunFolder
from anabranch_console.cli.output import shown
from anabranch_console.cli.terminal import is_in_ci, is_screen
from anabranch_console.lines import cut_right
from anabranch_console.presenters import handler_words

TENTHS = 10
QUIET_SECONDS = 60.0
DEFAULT_CELLS = 80
_ERASE_LINE = "\r\x1b[K"


def can_rewrite_lines() -> bool:
    """Return whether whoever reads stderr sees a line that is written over another one."""
    return is_screen(sys.stderr) and os.environ.get("TERM", "dumb") != "dumb" and not is_in_ci()


def running_tallies(state: State, run: RunFolder) -> dict[StreamId, HandlerTally]:
    """Return how far the handlers of each stream are that runs."""
    running = [s for s in have_handlers(state, run) if state.streams[s].phase is Phase.RUNNING]
    found = {stream: tally_of(run, stream) for stream in sorted(running)}
    return {stream: tally for stream, tally in found.items() if tally is not None}


class BottomLine:
    """The line of a terminal that stands below all others, and makes room for those to come."""

    def __init__(self) -> None:
        self._line = ""

    def show(self, tallies: Mapping[StreamId, HandlerTally]) -> None:
        """Say how far all are."""
        parts = [f"{s} {handler_words.in_short(t, is_running=True)}" for s, t in tallies.items()]
        line = cut_right(shown("; ".join(parts), stream=sys.stderr), _cells() - 1)
        if line != self._line:
            click.echo(_ERASE_LINE + line, err=True, nl=False)
            self._line = line

    def erase(self) -> None:
        """Make room for what is printed next."""
        self.show({})


class Milestones:
    """Says which lines are worth printing where lines stay: each tenth, and that it goes on."""

    def __init__(self) -> None:
        self._said: dict[StreamId, tuple[HandlerTally, float]] = {}

    def passed(self, tallies: Mapping[StreamId, HandlerTally], now: float) -> list[StreamId]:
        """Return the streams that are to be told of at a time in seconds, and take them as told."""
        found = [stream for stream, tally in tallies.items() if self._is_news(stream, tally, now)]
        self._said |= {stream: (tallies[stream], now) for stream in found}
        return found

    def _is_news(self, stream: StreamId, tally: HandlerTally, now: float) -> bool:
        before, at = self._said.setdefault(stream, (HandlerTally(0, 0, 0, 0), now))
        if tally.ended < before.ended:  # another attempt has begun
            self._said[stream] = (tally, now)
            return False
        is_due = now - at >= QUIET_SECONDS and tally.ended > before.ended
        return is_due or (tally.is_total_known and _tenth(tally) > _tenth(before, tally.total))


def _tenth(tally: HandlerTally, total: int | None = None) -> int:
    return tally.ended * TENTHS // max(tally.total if total is None else total, 1)


def _cells() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or DEFAULT_CELLS
    except (OSError, ValueError):
        return DEFAULT_CELLS
