"""What can be done in whatever log has the focus, or in that of the pane that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from anabranch.core.views.log_levels import LEVELS, Level
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb, VerbOwner
from anabranch_console.widgets.command_bar import Purpose
from anabranch_console.widgets.log_view import LogView

_ALL = "all"
_FILTERS = (None, Level.INFO, Level.WARNING, Level.ERROR)


class LogVerbs(VerbOwner):
    """Finds, wraps, follows, shows times and only what is bad enough.

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

    def toggle_times(self, argument: str) -> None:
        """Show when each line was written, or show no times."""
        log = self._log()
        log.show_times(not log.shows_times)

    def level(self, argument: str) -> None:
        """Show only what is at least so bad, ``all`` shows all; without a level take the next."""
        log, named = self._log(), argument.lower()
        if not named:
            at = _FILTERS.index(log.least) + 1
            log.show_from_level(_FILTERS[at % len(_FILTERS)])
        elif named in LEVELS or named == _ALL:
            least = LEVELS.get(named)
            log.show_from_level(None if least is Level.DEBUG else least)
        else:
            names = ", ".join(self.completions()["levels"])
            self._steering.tell("warning", f"{named!r} is not a level: give one of {names}")

    def no_file(self, argument: str) -> str | None:
        """Say so if what is shown is of a handler: nobody knows more of it than its lines."""
        if self._log().is_held:
            return "not of what a handler wrote; anabranch logs --handler I --level filters it"
        return None

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"levels": [_ALL, *(level.word for level in _FILTERS if level)]}

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
        Verb(
            "times",
            "Clock: when each line was written",
            ("C",),
            toggle_times,
            no_file,
            footer="Clock",
        ),
        Verb(
            "level",
            "Severity: without debug, warnings and errors, errors",
            ("S",),
            level,
            no_file,
            args="[LEVEL]",
            completes="levels",
            footer="Severity",
        ),
    )
