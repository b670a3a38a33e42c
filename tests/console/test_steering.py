"""Commands to the engine: asked for, confirmed, sent, and answered word for word."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from anabranch.core.inputs import ApproveRun, Command, RetryStream, StopRun, StopStream
from anabranch.core.model.outcome import Refusal
from anabranch.engine.resuming import AlreadyHosted
from anabranch_console.app import ConsoleExit
from tests.console.conftest import Console, OpenConsole, settle
from tests.console.scripted_source import (
    ScriptedSource,
    demo_source,
    finish_everything,
    plan_of,
    stream,
)


async def _choose(console: Console, name: str) -> None:
    position = console.screen.home.grid.index_of(name)
    assert position is not None
    console.screen.home.grid.put_cursor(position)
    await settle(console.pilot)


async def test_stopping_a_stream_asks_first(open_console: OpenConsole) -> None:
    """The menu, the question with its consequences, y, and the command is sent."""
    async with open_console() as console:
        await _choose(console, "unit")
        await console.press("x", "s")
        shown = console.shown()
        assert "Stop unit?" in shown
        assert "integration, e2e: skipped" in shown
        assert "[ Cancel ]" in shown
        await console.press("y")
        await console.frame()
        (command,) = console.source.commands
        assert isinstance(command, StopStream)
        assert command.stream == "unit"
        assert console.source.state.streams[command.stream].phase == "stopped"
        assert "■ stopped" in console.shown()


async def test_what_keeps_the_engine_from_going_on_is_told(open_console: OpenConsole) -> None:
    """Once, and when it is over: as without a console."""
    async with open_console() as console:
        console.source.trouble = "the disk is full: /x"
        for _ in range(3):
            await console.frame()
        assert console.shown().count("nothing goes on: the disk is full: /x") == 1
        header = console.shown().splitlines()[0]
        assert "nothing goes on" in header, "for as long as it lasts, not only in a toast"
        console.source.trouble = None
        await console.frame()
        assert "it goes on again" in console.shown()
        assert "nothing goes on" not in console.shown().splitlines()[0]


async def test_a_host_that_does_not_answer_is_told_as_long_as_it_is_silent(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Its run looks like one in which nothing happens; its end is not that it goes on again."""
    source = demo_source(tmp_path, hosting="elsewhere")
    async with open_console(source) as console:
        assert "hosted elsewhere" in console.shown().splitlines()[0]
        source.trouble = "the run's host has not answered since 12:00:00"
        await console.frame()
        assert "host does not answer" in console.shown().splitlines()[0]
        source.trouble, source._hosting = None, "nobody"
        await console.frame()
        assert "its host has gone; nobody hosts the run now" in console.toasts()
        assert "it goes on again" not in console.shown()


def _in_box(line: str) -> list[str]:
    """What stands inside the innermost box of a line of the screen, word by word."""
    parts = line.split("│")
    return parts[len(parts) // 2].split() if len(parts) > 2 else []


async def test_consequences_are_whole_on_a_narrow_screen(open_console: OpenConsole) -> None:
    """They wrap where there is room below, and where there is none the cut is marked."""
    async with open_console(size=(60, 24)) as console:
        await _choose(console, "unit")
        await console.press("x", "s")
        text = " ".join(piece for line in console.shown().splitlines() for piece in _in_box(line))
        assert "after 10 s the process tree is killed" in text
        assert "y Stop" in text
    async with open_console(size=(60, 14)) as console:
        await _choose(console, "unit")
        await console.press("x", "s")
        shown = console.shown()
        assert "y Stop" in shown
        (how,) = [words for words in map(_in_box, shown.splitlines()) if "how" in words]
        assert how[-1].endswith("…")
        assert "killed" not in shown


async def test_what_is_asked_is_seen_however_much_there_is_to_say(
    open_console: OpenConsole,
) -> None:
    """What is to be typed, and that it cannot be undone: the middle of the rest goes instead."""
    for size in ((120, 24), (80, 24), (60, 15)):
        async with open_console(size=size) as console:
            console.screen.home.listed.marked.update(
                s for s, row in console.screen.model.rows.items() if row.state == "running"
            )
            await console.command("recover")
            await console.press("h")
            shown = console.shown()
            assert "type 5 marked streams to recover" in shown, size
            assert "undo" in shown, size
            assert "more lines" in shown, size


async def test_every_choice_can_be_seen_on_a_low_screen(open_console: OpenConsole) -> None:
    """The highlighted one is among those there is room for; a click takes what it points at."""
    async with open_console(size=(60, 10)) as console:
        await _choose(console, "unit")
        await console.press("x")
        assert "1 of 9" in console.shown()
        await console.press("up")
        assert "▸ S  Stop the whole run" in console.shown()
        rows = console.shown().splitlines()
        at = next(y for y, row in enumerate(rows) if "Stop the whole run" in row)
        console.app.screen.hold_off(0)  # type: ignore[attr-defined]
        await console.pilot.click(offset=(rows[at].index("Stop the whole"), at))
        await settle(console.pilot)
        assert "Stop the whole run?" in console.shown()


@pytest.mark.parametrize("keys", [("enter",), ("escape",), ("n",), ("x", "s", "enter")])
async def test_cancel_is_what_happens_by_itself(
    keys: tuple[str, ...], open_console: OpenConsole
) -> None:
    """Enter, escape, n and repeating the same keys all cancel."""
    async with open_console() as console:
        await _choose(console, "unit")
        await console.press("x", "s", *keys)
        assert console.source.commands == []


async def test_a_hasty_yes_is_no_yes(open_console: OpenConsole) -> None:
    """A y in the first moment was typed for something else."""
    async with open_console() as console:
        console.screen.steering.hold_off_seconds = 60.0
        await _choose(console, "unit")
        await console.press("x", "s", "y", "tab", "enter")
        assert console.source.commands == []
        assert "Stop unit?" in console.shown()


async def test_retrying_a_failed_stream(open_console: OpenConsole) -> None:
    """By command, with the name completed; the stream runs again."""
    async with open_console() as console:
        await console.command("retry types")
        assert "types as attempt 2" in console.shown()
        await console.press("y")
        await console.frame()
        assert isinstance(console.source.commands[0], RetryStream)
        assert console.source.state.streams[console.source.commands[0].stream].attempt == 2
        assert "retry types: asked for" in console.toasts()


async def test_marked_streams_are_stopped_together(open_console: OpenConsole) -> None:
    """Verbs act on the marks, and the question says so."""
    async with open_console() as console:
        await _choose(console, "auth-session")
        await console.press("space", "space")
        assert "2 marked" in console.shown()
        await console.command("stop")
        assert "Stop 2 marked streams?" in console.shown()
        await console.press("y")
        assert [c.stream for c in console.source.commands if isinstance(c, StopStream)] == [
            "auth-session",
            "auth-tokens",
        ]
        assert console.screen.home.listed.marked == set()


async def test_a_refusal_is_shown_word_for_word(
    open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reason and hint stand in a toast and in the events."""
    async with open_console() as console:

        def refuse(command: Command) -> Future[Refusal | None]:
            answer: Future[Refusal | None] = Future()
            answer.set_result(Refusal("unit is [red]holy[/]", "leave it"))
            return answer

        monkeypatch.setattr(console.source, "submit", refuse)
        await _choose(console, "unit")
        await console.press("x", "s", "y")
        assert console.toasts()[-1] == "unit is [red]holy[/]; leave it"
        assert "unit is [red]holy[/]; leave it" in console.shown()


@pytest.mark.parametrize("is_late", [False, True])
async def test_an_engine_that_fails_is_told(
    is_late: bool, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that cannot be sent, or whose answer is an error, is no traceback."""
    async with open_console() as console:

        def fail(command: Command) -> Future[Refusal | None]:
            if not is_late:
                raise RuntimeError("engine closed")
            answer: Future[Refusal | None] = Future()
            answer.set_exception(RuntimeError("engine closed"))
            return answer

        monkeypatch.setattr(console.source, "submit", fail)
        await console.command("stop unit")
        await console.press("y")
        assert console.toasts()[-1] == "stop unit: RuntimeError: engine closed"


async def test_what_cannot_be_done_says_why(open_console: OpenConsole) -> None:
    """Stopping what has ended, retrying what runs, and streams that do not exist."""
    async with open_console() as console:
        for command, shown in (
            ("stop lint", "it has ended"),
            ("retry unit", "it has not ended; stop it first"),
            ("retry lint", "it has succeeded"),
            ("stop nobody", "there is no stream 'nobody' in this run"),
            ("approve", "only a converged run can be approved; this one goes on"),
        ):
            await console.command(command)
            assert shown in console.toasts()[-1]
        assert console.source.commands == []


async def test_a_run_that_is_hosted_elsewhere_is_steered_too(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """The header says where its engine is; what is asked for goes to it; q only leaves."""
    async with open_console(demo_source(tmp_path, hosting="elsewhere"), size=(160, 36)) as console:
        assert "hosted elsewhere" in console.shown()
        await console.command("retry types")
        await console.press("y")
        assert [type(c) for c in console.source.commands] == [RetryStream]
        await console.press("q")
        result = console.app.return_value
        assert result is not None
        assert "goes on elsewhere" in result.message


class Hostable(ScriptedSource):
    """A run that nobody hosts, until somebody does here."""

    is_taken = False

    def open_host(self) -> ScriptedSource:
        """Open a host of the run."""
        if self.is_taken:
            raise AlreadyHosted("somebody was quicker", "follow it")
        return self

    def host_here(self, host: object) -> None:
        """Show and steer the run through its host."""
        self._hosting = "here"


@pytest.mark.parametrize("answer", ["y", "escape"])
async def test_a_run_that_nobody_hosts_is_taken_over_when_somebody_agrees(
    answer: str, open_console: OpenConsole, tmp_path: Path
) -> None:
    """Steering asks whether to host it here; yes does what was asked for, once it is hosted."""
    streams = [stream("a"), stream("b", "a")]
    source = Hostable(plan_of(streams), tmp_path, hosting="nobody")
    async with open_console(source, size=(160, 36)) as console:
        assert "not hosted" in console.shown()
        assert "interrupted" in console.shown()
        await console.command("stop-run")
        await console.press("y")
        assert "Nobody hosts this run: host it here?" in console.shown()
        assert not source.commands
        await console.press(answer)
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert [type(c) for c in source.commands] == ([StopRun] if answer == "y" else [])
        assert source.hosting == ("here" if answer == "y" else "nobody")


async def test_a_run_that_is_over_is_hosted_for_what_was_agreed_to(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """Approving asks its own question and no other."""
    source = Hostable(plan_of([stream("a")]), tmp_path, hosting="nobody")
    finish_everything(source)
    async with open_console(source) as console:
        assert "x A brings it to your branch" in console.shown()
        await console.press("x", "A", "y")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert [type(c) for c in source.commands] == [ApproveRun]


async def test_who_is_too_late_to_host_a_run_says_so(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """And nothing is sent anywhere."""
    source = Hostable(plan_of([stream("a")]), tmp_path, hosting="nobody")
    source.is_taken = True
    async with open_console(source) as console:
        await console.command("stop-run")
        await console.press("y", "y")
        await console.app.workers.wait_for_complete()
        await console.frame()
        assert "somebody was quicker; follow it" in console.toasts()
        assert not source.commands


async def test_approving_a_converged_run(open_console: OpenConsole, tmp_path: Path) -> None:
    """The banner offers it, x A asks, y does it, and the banner says it is done."""
    source = ScriptedSource(plan_of([stream("a"), stream("b", "a")]), tmp_path)
    finish_everything(source)
    async with open_console(source) as console:
        assert "x A brings it to your branch" in console.shown()
        await console.press("x", "A")
        assert "main to the merged result" in console.shown()
        await console.press("y")
        await console.frame()
        assert isinstance(console.source.commands[0], ApproveRun)
        assert "main moved to mmmm" in console.shown()
        await console.press("x", "A")
        assert "it was approved before" in console.toasts()[-1]


async def test_what_others_run_or_obey_is_named_and_asked_about_once_more(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """A first yes takes nothing of it; the second question has the paths, and only its yes does."""
    source = ScriptedSource(plan_of([stream("a")]), tmp_path)
    finish_everything(source)
    source.sensitive = ".github/workflows/ci.yml"
    async with open_console(source) as console:
        await console.press("x", "A", "y")
        await console.frame()
        shown = console.shown()
        assert "Approve that too?" in shown
        assert ".github/workflows/ci.yml" in shown
        assert "git diff" in shown
        await console.press("escape")
        assert source.commands == [ApproveRun()]
        assert "x A asks about that" in console.shown()
        await console.press("x", "A", "y")
        await console.frame()
        assert source.commands == [ApproveRun(), ApproveRun(allow_sensitive=True)]
        assert "main moved to mmmm" in console.shown()


async def test_stopping_the_whole_run(open_console: OpenConsole) -> None:
    """Through the menu, with a question that counts what ends."""
    async with open_console() as console:
        await console.press("x", "S")
        assert "5 running" in console.shown()
        await console.press("y")
        await console.frame()
        assert isinstance(console.source.commands[0], StopRun)
        assert "■ Stopped" in console.shown()


@pytest.mark.parametrize(
    ("keys", "message", "wants_stop"),
    [
        (("q", "enter"), "5 streams run on; 4 wait", False),
        (("q", "l"), "5 streams run on", False),
        (("ctrl+q", "s"), "Stopping 5 streams", True),
    ],
)
async def test_quitting_while_streams_run(
    keys: tuple[str, ...], message: str, wants_stop: bool, open_console: OpenConsole
) -> None:
    """The dialog offers to leave them running, which is also what enter does, or to stop all."""
    async with open_console() as console:
        await console.press(*keys)
        result = console.app.return_value
        assert isinstance(result, ConsoleExit)
        assert result.message.startswith(message)
        assert result.wants_stop is wants_stop
        assert console.source.commands == []


async def test_quitting_can_be_cancelled(open_console: OpenConsole) -> None:
    """c and escape stay."""
    async with open_console() as console:
        await console.press("q", "c", "q", "escape", "q", "j", "j", "enter")
        assert console.app.return_value is None
        assert console.app.is_running
        await console.command("q")
        assert "5 streams are running" in console.shown()


async def test_quitting_asks_nothing_when_nothing_runs(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """A run that has ended is left at once, with its outcome and its report."""
    source = demo_source(tmp_path)
    finish_everything(source)
    async with open_console(source) as console:
        await console.press("q")
        result = console.app.return_value
        assert result is not None
        assert "split-auth: failed (types: exit 1)" in result.message
