"""Looks once a second whether somebody is needed, and makes it known: on the screen, by the
terminal's bell and desktop notices, in its title, and by a command of the user's.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from time import monotonic

from anabranch.core.model.state import State
from anabranch_console.notices.deciding import Need, Rings, in_words, needs_of
from anabranch_console.notices.settings import Settings
from anabranch_console.notices.signals import BELL, desktop_notice, window_title
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering

HERE_SECONDS = 60.0
"""So long after a key, or the mouse, somebody is taken to look at what the screen shows."""
COMMAND_SECONDS = 10.0
_FOR_A_TIME = re.compile(r"(\d{1,4})(s|m|h)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Noticing:
    """Rings for one run.

    Args:
        model: the run.
        steering: shows toasts and has threads.
        settings: what the user wants.
        write: writes bytes to the terminal; False if somebody else has it now.
        looked_at: returns the stream whose own pane is shown while somebody is here.
        environ: says which terminal it is.
        now: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        settings: Settings,
        write: Callable[[str], bool],
        looked_at: Callable[[], str | None],
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._model, self._steering, self._settings = model, steering, settings
        self._write, self._looked_at, self._now = write, looked_at, now
        self._desktop = settings.desktop_in(environ)
        self.rings = Rings(settings.delay_seconds, settings.mute)
        self._seen: tuple[State, str] | None = None
        self._needs: list[Need] = []
        self._title = ""
        self._has_failed = False

    def look(self) -> None:
        """Ring for what is due, and bring the title up to date."""
        if not self._write(""):
            return  # somebody else has the terminal: what is due then rings afterwards
        model, is_live = self._model, self._model.time.past is None
        state, hosting = model.state if is_live else model.live_state, model.source.hosting
        if self._seen is None or self._seen[0] is not state or self._seen[1] != hosting:
            self._seen = (state, hosting)
            known = model.attentions.known if is_live else None
            self._needs = needs_of(state, known, is_hosted=hosting != "nobody")
        due = self.rings.look(self._needs, self._now(), self._looked_at())
        if due:
            self._ring(state, due)
        self._name_window(state)

    def _ring(self, state: State, due: Sequence[Need]) -> None:
        text, title = in_words(due), f"anabranch {state.plan.name}"
        worst = max(due, key=lambda need: ("info", "warning", "error").index(need.level))
        self._steering.tell(worst.level, text)
        signals = BELL if self._settings.bell else ""
        self._write(signals + desktop_notice(self._desktop, title, text))
        if self._settings.command:
            first = min(due, key=lambda need: need.rank)
            values = {
                "title": title,
                "text": text,
                "name": first.name,
                "run": state.run,
                "count": str(len(due)),
            }
            command = self._settings.command
            self._steering.in_thread(
                lambda: fault_of_telling(command, values), self._blame_command, "notices"
            )

    def _blame_command(self, fault: str) -> None:
        """Say once that the user's command does not work."""
        if fault and not self._has_failed:
            self._has_failed = True
            self._steering.tell("warning", safe(f"the command for notices: {fault}"))

    def _name_window(self, state: State) -> None:
        if not self._settings.title:
            return
        names = {need.name for need in self._needs if need.rank < 2 and need.sort != "over"}
        needed = f"{len(names)} need you, " if len(names) > 1 else "1 needs you, " if names else ""
        working = sum(stream.is_active for stream in state.streams.values())
        doing = f"{working} at work" if not state.has_ended else state.phase.replace("_", " ")
        title = f"{needed}{doing} | {state.plan.name} | anabranch"
        if title != self._title:
            self._title = title
            self._write(window_title(title))

    # --- muting ----------------------------------------------------------------------------------

    def can_mute(self, argument: str, known: Collection[str]) -> bool:
        """Return whether it is a time, ``off``, nothing, or a name or glob of somebody known."""
        is_word = argument in ("", "off") or _FOR_A_TIME.fullmatch(argument) is not None
        return is_word or any(fnmatchcase(name, argument) for name in known)

    def mute(self, argument: str, chosen: Sequence[str]) -> None:
        """Mute a stream, everything for a time (``10m``), or nothing any more (``off``)."""
        argument = argument.strip()
        wanted = _FOR_A_TIME.fullmatch(argument)
        if argument == "off":
            self.rings.mute_all(self._now())
            self._steering.tell("info", "notices ring again")
        elif wanted:
            seconds = int(wanted[1]) * _UNITS[wanted[2]]
            self.rings.mute_all(self._now() + seconds)
            self._steering.tell("info", f"nothing rings for {argument}; :mute off ends that")
        else:
            for name in [argument] if argument else chosen:
                is_muted = self.rings.mute(name)
                self._steering.tell("info", f"{name} {'is muted' if is_muted else 'rings again'}")


def fault_of_telling(command: str, values: Mapping[str, str]) -> str:
    """Run a user's command with values in its placeholders; return what is wrong with it."""
    from anabranch.handlers.placeholders import blanks_in

    (line,) = blanks_in(command).filled(values.__getitem__)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=COMMAND_SECONDS,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {COMMAND_SECONDS:g} s"
    except (OSError, ValueError) as error:
        return str(error)
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return "" if done.returncode == 0 else f"exit {done.returncode} {said[-1] if said else ''}"
