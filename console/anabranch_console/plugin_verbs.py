"""The verbs that go to what plugins bring: their panes and their actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from anabranch.core.ids import StreamId
from anabranch_console.plugged import Plugged
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner

MOST_CHOICES = 9


class PluginVerbs(VerbOwner):
    """``pane`` and ``do``.

    Args:
        plugged: the plugins at work.
        steering: asks questions and shows answers.
        go_to: shows a plugin's pane.
        chosen: returns the stream that an action is about.
    """

    name_of = "plugin-verbs"
    where = "anywhere"

    def __init__(
        self,
        plugged: Plugged,
        steering: Steering,
        go_to: Callable[[str], None],
        chosen: Callable[[], StreamId | None],
    ) -> None:
        self._plugged, self._steering = plugged, steering
        self._go_to, self._chosen = go_to, chosen

    def completions(self) -> Mapping[str, Iterable[str]]:
        plugins = self._plugged.plugins
        return {"panes": list(plugins.panes), "actions": list(plugins.actions)}

    def pane(self, argument: str) -> None:
        """Go to a plugin's pane: ``NAME``, or ask which."""
        panes = self._plugged.plugins.panes
        if argument and argument not in panes:
            self._steering.tell("warning", f"there is no pane {argument!r}; {_known(panes)}")
        elif argument or len(panes) == 1:
            self._go_to(argument or next(iter(panes)))
        elif not panes:
            self._steering.tell("info", "no plugin brings a pane")
        else:
            self._steering.choose("Which pane?", self._choices("panes", panes), self._go_to)

    def act(self, argument: str) -> None:
        """Let a plugin's action happen: ``NAME [STREAM]``, or ask which."""
        name, _, stream = argument.partition(" ")
        actions = self._plugged.plugins.actions
        if name and name not in actions:
            self._steering.tell("warning", f"there is no action {name!r}; {_known(actions)}")
        elif name:
            chosen = self._chosen()
            whom = stream or (str(chosen) if chosen else None)
            self._plugged.do(name, whom, self._tell_later)
        elif not actions:
            self._steering.tell("info", "no plugin brings an action")
        else:
            self._steering.choose("Which action?", self._choices("actions", actions), self.act)

    def _choices(self, kind: str, names: Iterable[str]) -> list[Choice]:
        few = list(names)[:MOST_CHOICES]
        title = self._plugged.plugins.title
        return [Choice(name, str(i), name, title(kind, name)) for i, name in enumerate(few, 1)]

    def _tell_later(self, answer: str) -> None:
        self._steering.later(self._steering.tell, "info", answer)

    verbs = (
        Verb("pane", "Pane of a plugin…", ("0",), pane, args="[NAME]", completes="panes"),
        Verb(
            "do",
            "Action of a plugin…",
            ("X",),
            act,
            args="[NAME [STREAM]]",
            completes="actions",
        ),
    )


def _known(found: Iterable[str]) -> str:
    names = ", ".join(found)
    return f"there are {names}" if names else "no plugin brings one"
