"""What can be done in whatever log has the focus, or in that of the pane that is shown."""

from __future__ import annotations

from collections.abc import Callable

from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner
from anabranch_console.widgets.command_bar import Purpose
from anabranch_console.widgets.log_view import LogView


class LogVerbs(VerbOwner):
    """Finds, wraps and follows.

    Args:
        steering: has what is to be found typed.
        log: returns the log that is meant.
        show: brings it into sight.
    """

    name_of = "log"
    where = "log"

    def __init__(
        self, steering: Steering, log: Callable[[], LogView], show: Callable[[], None]
    ) -> None:
        self._steering, self._log, self._show = steering, log, show

    def find(self, argument: str) -> None:
        """Find a text in the log, or ask which."""
        if argument:
            self._show()
            self._log().find(argument)
        else:
            self._steering.ask_in_bar(self._log().needle, Purpose.FIND)

    verbs = (
        Verb("find", "Find in the log", ("slash",), find, args="[TEXT]", footer="Find"),
        Verb("find-next", "Next hit", ("n",), lambda self, _: self._log().step_hit(1)),
        Verb("find-previous", "Previous hit", ("N",), lambda self, _: self._log().step_hit(-1)),
        Verb(
            "wrap",
            "Wrap long lines",
            ("w",),
            lambda self, _: self._log().toggle_wrap(),
            footer="Wrap",
        ),
        Verb(
            "follow",
            "Follow the log",
            ("F",),
            lambda self, _: self._log().follow(),
            footer="Follow",
        ),
    )
