"""All verbs that the console brings: those of the screen, and those of each pane.

They are the source of key bindings, commands, completion, palette, footer, help and key docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.binding import Binding

from anabranch_console.attending import Attending, Peeking
from anabranch_console.growing import Growing
from anabranch_console.other_runs import OtherRuns
from anabranch_console.panes.conflicts import ConflictsPane
from anabranch_console.panes.convergence import ConvergencePane
from anabranch_console.panes.diff import DiffPane
from anabranch_console.panes.graph import GraphPane
from anabranch_console.panes.guardian import GuardianPane
from anabranch_console.panes.handlers import HandlersPane
from anabranch_console.panes.history import HistoryPane
from anabranch_console.panes.locks import LocksPane
from anabranch_console.panes.log_verbs import LogVerbs
from anabranch_console.panes.messages import MessagesPane
from anabranch_console.panes.pane import Pane
from anabranch_console.panes.plugins import PluginsPane
from anabranch_console.panes.pressure import PressurePane
from anabranch_console.panes.resources import ResourcesPane
from anabranch_console.panes.stream_actions import StreamActions
from anabranch_console.panes.stream_terminals import StreamTerminals
from anabranch_console.panes.streams import StreamsPane
from anabranch_console.panes.timeline import TimelinePane
from anabranch_console.plugin_verbs import PluginVerbs
from anabranch_console.registry import Known, Registry, known_of
from anabranch_console.screens.anywhere import Anywhere, EveryList, EveryTable
from anabranch_console.the_run import TheRun
from anabranch_console.travel import Travel
from anabranch_console.verbs import Verb, VerbOwner, shown_key

PANES: tuple[type[Pane[Any]], ...] = (
    StreamsPane,
    LocksPane,
    HistoryPane,
    MessagesPane,
    ResourcesPane,
    ConflictsPane,
    GuardianPane,
    ConvergencePane,
    PluginsPane,
    TimelinePane,
    GraphPane,
    PressurePane,
)
"""The panes: a digit goes to each of the first nine, a key of its own to any other."""

WAYS: Mapping[str, str] = {
    pane.name_of: pane.way or str(digit) for digit, pane in enumerate(PANES, 1)
}
"""The keys that go to the panes, by the names of these."""

TITLES: Mapping[str, str] = {pane.name_of: pane.title for pane in PANES}
"""What the tabs call the panes, by the names of these."""

OWNERS: tuple[type[VerbOwner], ...] = (
    Anywhere,
    Attending,
    PluginVerbs,
    EveryList,
    EveryTable,
    *(StreamsPane, Growing, StreamActions, Peeking, StreamTerminals, HandlersPane, DiffPane),
    LogVerbs,
    *(LocksPane, HistoryPane, Travel, MessagesPane, ConflictsPane, GuardianPane, ConvergencePane),
    PluginsPane,
    *(TimelinePane, GraphPane),
    TheRun,
    OtherRuns,
)
"""Whoever brings verbs, in the order of help."""


def _ways() -> list[Known]:
    """Return the verbs that go to the panes: by key, by name and by alias."""
    return [
        Known(_way_to(pane, key), Anywhere.name_of, Anywhere.where, "")
        for key, pane in zip(WAYS.values(), PANES, strict=True)
    ]


def _way_to(pane: type[Pane[Any]], key: str) -> Verb[Anywhere]:
    def go(anywhere: Anywhere, argument: str) -> None:
        anywhere.go_to(pane.name_of, argument)

    return Verb(pane.name_of, pane.full_title, (key,), go, aliases=pane.aliases, args="[/FILTER]")


BUILT_IN = Registry(
    [*known_of(Anywhere), *_ways(), *(known for owner in OWNERS[1:] for known in known_of(owner))]
)
"""All verbs but those of plugins' panes."""

_BOUND_BY_LISTS = EveryList.name_of


def bindings() -> list[Binding]:
    """Return the bindings of the screen, those of the most particular place first.

    Lists bind their moves themselves, so that they move in dialogs too.
    """
    known = [one for one in BUILT_IN.known.values() if one.owner != _BOUND_BY_LISTS]
    known.sort(key=lambda one: (one.owner != LogVerbs.name_of, not one.pane))
    return [
        Binding(
            ",".join(one.verb.direct_keys),
            f"key('{one.verb.id}')",
            one.verb.title,
            show=False,
            id=one.verb.id,
        )
        for one in known
        if one.verb.direct_keys
    ]


def taken_keys() -> set[str]:
    """Return the keys that mean something in every pane."""
    known = [one for one in BUILT_IN.known.values() if one.owner != LogVerbs.name_of]
    everywhere = [one.verb for one in known if not one.pane]
    return {key for verb in everywhere for key in verb.keys}


def keys_markdown() -> str:
    """Return all verbs as a Markdown table, for the documentation."""
    lines = ["| where | keys | command | does |", "| --- | --- | --- | --- |"]
    for one in BUILT_IN.known.values():
        keys = " ".join(f"`{shown_key(key)}`" for key in one.verb.keys).replace("|", "\\|")
        lines.append(f"| {one.where} | {keys} | `{one.verb.usage}` | {one.verb.title} |")
    return "\n".join(lines) + "\n"
