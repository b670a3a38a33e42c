"""Sitting at one run after the other: those that are hosted here go on while another is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from anabranch.engine.follower import RunFollower
from anabranch.engine.reaching_layers import reach_layers_of
from anabranch.engine.runs import find_run, read_run
from anabranch.errors import AnabranchError
from anabranch.paths import RunFolder
from anabranch_console.cli.main import here
from anabranch_console.followed_run import FollowedRun

if TYPE_CHECKING:
    from anabranch.engine.host import RunHost
    from anabranch_console.app import ConsoleExit

    Seat = RunHost | FollowedRun


def opened(home: RunFolder) -> Seat:
    """Return a run to sit at: hosted from here if it goes on and nobody does, else looked at.

    Who only looks does not wait for what hosts a run to be loaded.
    """
    reach_layers_of(home)  # while there is one thread; whoever needs them says why they are not
    found = read_run(home)
    if not found.is_hosted and found.state is not None and not found.state.has_ended:
        from anabranch.engine.resuming import AlreadyHosted

        try:
            return _host(home)
        except AlreadyHosted:
            pass  # somebody was quicker
    return FollowedRun(RunFollower(home), partial(_host, home))


def _host(home: RunFolder) -> RunHost:
    from anabranch.engine.resuming import resume_run
    from anabranch_console.cli.installed import installed

    loaded = installed()
    return resume_run(
        home,
        loaded.strategies,
        reason="console opened",
        retry_failed=False,
        extensions=loaded.extensions,
    )


class Desk:
    """The runs that somebody sits at, one at a time.

    Args:
        first: the one to begin with; whoever opened it closes it.
    """

    def __init__(self, first: Seat) -> None:
        self._first = first
        self._seats: dict[str, Seat] = {first.run: first}

    def sit(self, ending: Callable[[], str | None] = lambda: None) -> tuple[Seat, ConsoleExit]:
        """Show one run after the other until somebody leaves; return the last one, and how."""
        from anabranch_console.app import run_console

        seat, notice = self._first, ""
        while True:
            left = run_console(seat, ending if seat is self._first else lambda: None, notice)
            if left.next_run is None:
                return seat, left
            seat, notice = self._next(seat, left.next_run)

    def _next(self, seat: Seat, name: str) -> tuple[Seat, str]:
        """Return the run to sit at next, or the same one and why."""
        if name in self._seats:
            return self._seats[name], ""
        try:
            home = find_run(here(), name)
            found = self._seats.get(home.run) or opened(home)
        except AnabranchError as error:
            return seat, f"{error.message}; {error.hint}" if error.hint else error.message
        self._seats[home.run] = found
        return found, ""

    def close(self) -> None:
        """Stop hosting and following all but the first; streams run on."""
        for seat in self._seats.values():
            if seat is not self._first:
                seat.close()
