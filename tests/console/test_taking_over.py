"""A command that nobody is there to take: this console hosts the run, or says why it does not."""

from __future__ import annotations

from pathlib import Path

from anabranch.core.inputs import ApproveRun, StopStream
from anabranch_console.followed_run import CanBeHosted
from tests.console.conftest import OpenConsole
from tests.console.scripted_source import ScriptedSource, finish_everything, plan_of, stream


class _Left(ScriptedSource):
    """A run whose host was killed, and that can be hosted here."""

    def open_host(self) -> ScriptedSource:
        self._hosting = "here"
        return self

    def host_here(self, host: object) -> None:
        """It is its own host."""


async def test_a_yes_where_nobody_hosts_any_more_asks_to_host_and_is_carried_out(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = _Left(plan_of([stream("a"), stream("b")]), tmp_path)
    assert isinstance(source, CanBeHosted)
    async with open_console(source) as console:
        await console.press("x", "s")
        source._hosting = "nobody"
        await console.frame()
        await console.press("y")
        await console.frame()
        assert "host" in console.shown()
        await console.press("y")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert [type(command) for command in source.commands] == [StopStream]


async def test_a_run_that_nobody_hosts_says_how_to_and_is_hosted_from_any_pane(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = _Left(plan_of([stream("a"), stream("b")]), tmp_path, hosting="nobody")
    async with open_console(source, size=(200, 40)) as console:
        assert "not hosted, x H hosts it here" in console.shown()
        await console.press("6")
        await console.press("x", "H", "y")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert source.hosting == "here"
        await console.command("host")
        assert "it is hosted already" in console.shown()


async def test_hosting_that_goes_wrong_is_told_and_can_be_tried_again(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Whatever went wrong: what is asked for next is not swallowed."""
    source = _Left(plan_of([stream("a"), stream("b")]), tmp_path, hosting="nobody")
    good, source.open_host = source.open_host, _broken  # type: ignore[method-assign]
    async with open_console(source) as console:
        await console.command("host")
        await console.press("y")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert any("no room" in toast for toast in console.toasts())
        source.open_host = good  # type: ignore[method-assign]
        await console.command("host")
        await console.press("y")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert source.hosting == "here"


async def test_the_result_is_approved_from_any_pane(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    finish_everything(source)
    async with open_console(source) as console:
        await console.press("6")
        assert "x A brings it to your branch" in console.shown()
        await console.press("x", "A", "y")
        assert [type(command) for command in source.commands] == [ApproveRun]


def _broken() -> ScriptedSource:
    raise OSError("no room")
