"""Takes up in a console what was chosen in one before, and has it remembered when it changes.

Theme, order, details and times in logs are the person's, for every run. The pane and the filters,
that of logs by level too, belong to the run they were chosen in: a filter of another run would
hide what nobody has seen yet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from anabranch.core.views.log_levels import LEVELS
from anabranch_console.built_in_verbs import WAYS
from anabranch_console.panes.pane import Pane
from anabranch_console.panes.sorted_pane import SortedPane
from anabranch_console.remembering import RUN, Choice, Memory
from anabranch_console.screens.run_screen import RunScreen

_DETAILS = "details"
_LOG_TIMES = "log times"
_LOG_LEVEL = "log level"
_NO_DETAILS = "-no-details"


class Recalling:
    """Gives a screen what is remembered, and looks from time to time what has changed.

    Args:
        screen: the screen of the run.
        memory: where it is remembered.
        theme: returns the theme that is used, and what it is remembered as.
    """

    def __init__(
        self, screen: RunScreen, memory: Memory, theme: Callable[[], tuple[str, str]]
    ) -> None:
        self._screen, self._memory, self._theme = screen, memory, theme
        self.known, self.problem = memory.recall()
        self._of_run = f"{RUN}{screen.model.source.run} "
        self._seen: dict[str, Choice | None] = {}
        self._recalled: set[str] = set()
        screen.arrived = self.recall_pane

    def recall(self) -> None:
        """Take up what was chosen before, once the screen is there."""
        screen = self._screen
        screen.set_class(self.known.get(_DETAILS) is False, _NO_DETAILS)
        self.recall_pane(screen.home)
        self._recall_log()
        mode = self.known.get(f"{self._of_run}pane")
        if isinstance(mode, str) and mode in WAYS:
            screen.go_to(mode)
        self._seen = self._chosen()

    def _recall_log(self) -> None:
        """Take up whether logs have times, and of this run which lines of them are shown."""
        log = self._screen.home.log_view
        log.show_times(self.known.get(_LOG_TIMES) is True)
        level = self.known.get(f"{self._of_run}{_LOG_LEVEL}")
        log.show_from_level(LEVELS.get(level) if isinstance(level, str) else None)

    def recall_pane(self, pane: Pane[Any]) -> None:
        """Take up order and filter of a pane that is shown for the first time."""
        if pane.place in self._recalled:
            return
        self._recalled.add(pane.place)
        order = self.known.get(f"sort {pane.place}")
        if isinstance(pane, SortedPane) and isinstance(order, list):
            pane.take_order(order)
        text = self.known.get(f"{self._of_run}filter {pane.place}")
        if isinstance(text, str):
            pane.apply_filter(text)
        self._seen.update(_of_pane(pane, self._of_run))

    def look(self) -> dict[str, Choice | None]:
        """Return what was chosen since the last look, None for what was taken back."""
        if len(self._screen.app.screen_stack) > 1:  # a theme may only be looked at there
            return {}
        before, self._seen = self._seen, self._chosen()
        return {name: c for name, c in self._seen.items() if before.get(name) != c}

    def look_and_keep(self) -> None:
        """Have remembered what was chosen since the last look, in a thread."""
        changed = self.look()
        if changed:
            keep = partial(self._memory.keep, changed)
            self._screen.run_worker(keep, thread=True, group="remembering")

    def keep_last(self) -> None:
        """Remember what was chosen since the last look, as the console closes."""
        changed = self.look()
        if changed:
            self._memory.keep(changed)

    def _chosen(self) -> dict[str, Choice | None]:
        screen = self._screen
        theme, name = self._theme()
        chosen: dict[str, Choice | None] = dict(self._seen)
        chosen[name] = theme
        chosen[_DETAILS] = False if screen.has_class(_NO_DETAILS) else None
        chosen[f"{self._of_run}pane"] = screen.mode if screen.mode in WAYS else None
        log = screen.home.log_view
        chosen[_LOG_TIMES] = log.shows_times or None
        chosen[f"{self._of_run}{_LOG_LEVEL}"] = log.least.word if log.least else None
        for pane in screen.panes.values():
            if pane.place in self._recalled:
                chosen.update(_of_pane(pane, self._of_run))
        return chosen


def _of_pane(pane: Pane[Any], of_run: str) -> dict[str, Choice | None]:
    chosen: dict[str, Choice | None] = {f"{of_run}filter {pane.place}": pane.filter.text or None}
    if isinstance(pane, SortedPane):
        order = pane.order
        way = "down" if order.is_reversed else "up"
        chosen[f"sort {pane.place}"] = None if order.is_usual else [order.sort, way]
    return chosen
