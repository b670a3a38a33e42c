"""Whose keys work where the focus is."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widget import Widget

from anabranch_console.panes.history import HistoryPane
from anabranch_console.panes.log_verbs import LogVerbs
from anabranch_console.registry import Registry
from anabranch_console.screens.anywhere import Anywhere, EveryTable
from anabranch_console.travel import Travel
from anabranch_console.widgets.log_view import LogView


def places_of(registry: Registry, mode: str, focused: Widget | None) -> Sequence[str]:
    """Return who brings the keys that work, the most particular last but those that work anywhere.

    Args:
        registry: all verbs.
        mode: the pane that is shown.
        focused: what has the focus in it.
    """
    if isinstance(focused, LogView):
        return (LogVerbs.name_of, Anywhere.name_of)
    if focused is not None and focused.id == "terminal":
        return ()  # a program has all keys
    of_pane = {known.owner for known in registry.known.values() if known.pane == mode}
    travel = (Travel.name_of,) if mode == HistoryPane.name_of else ()
    own = [place for place in registry.places() if place in of_pane]
    return (EveryTable.name_of, *own, *travel, Anywhere.name_of)
