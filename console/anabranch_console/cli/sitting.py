"""Sitting at a run until the person leaves, whether it is hosted from here or only looked at."""

from __future__ import annotations

from anabranch.paths import RunFolder
from anabranch_console.cli.desk import Desk, opened
from anabranch_console.cli.output import say
from anabranch_console.followed_run import FollowedRun


def sit_at(home: RunFolder) -> None:
    """Show a run until the person leaves; ends the command with its exit code."""
    seat = opened(home)
    try:
        if isinstance(seat, FollowedRun):
            _look_at(seat)
        else:
            from anabranch_console.cli.hosting import finish, host_in_console

            finish(host_in_console(seat))
    finally:
        seat.close()


def _look_at(seat: FollowedRun) -> None:
    desk = Desk(seat)
    try:
        last, left = desk.sit()
        from anabranch_console.cli.hosting import after_console, exit_code, finish

        host = last.host if isinstance(last, FollowedRun) else last
        if host is not None:
            finish(after_console(host, left))
        if left.message:
            say(left.message)
        if last.state.has_ended:
            finish(exit_code(last.state))
    finally:
        desk.close()
