"""A run that grows from the console: a new stream, one like another, one edited; and its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.config import PlanContext, open_plan
from anabranch.core import inputs
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.engine.trusting import Trust
from anabranch_console.attached.editing import EditorVisit
from anabranch_console.cli.beginning import start_choices
from anabranch_console.screens.consent import Consent
from anabranch_console.screens.form import Form
from anabranch_console.start_screen import StartApp
from tests.console.conftest import Console, OpenConsole, burst, settle

SIZES = ((40, 12), (80, 24), (120, 36), (200, 50))


def sent(console: Console) -> list[inputs.Command]:
    """Return what the engine was asked for."""
    return console.source.commands


async def fill(console: Console, **values: str) -> None:
    """Fill a form that is open in, by the names of its lines."""
    form = console.app.screen
    assert isinstance(form, Form)
    for name, value in values.items():
        form._inputs[name].value = value
    await settle(console.pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_new_stream_is_asked_for_and_added(
    open_console: OpenConsole, size: tuple[int, int]
) -> None:
    """What it would come to is shown while it is typed, at any size; enter sends it."""
    async with open_console(size=size) as console:
        await console.press("n")
        assert "Command" in console.shown()
        await fill(console, command="pytest -q", after="unit")
        assert "pytest runs pytest -q" in console.shown()
        await console.press("enter")
        (added,) = sent(console)
        assert isinstance(added, inputs.AddStream)
        assert added.stream.id == "pytest"
        assert added.stream.command == ("/bin/sh", "-c", "pytest -q")
        assert [d.stream for d in added.stream.depends_on] == ["unit"]
        assert added.stream.converge == FINAL_POINT


async def test_a_name_is_proposed_while_a_command_is_typed(open_console: OpenConsole) -> None:
    """It stands in the empty line, and what is typed there goes before it."""
    async with open_console() as console:
        await console.press("n")
        assert "one is proposed" in console.shown()
        await fill(console, command="make unit")
        (line,) = (line for line in console.shown().splitlines() if "Name" in line)
        assert "unit-2" in line
        assert "workspace of its own" in console.shown()
        assert "on a terminal" not in console.shown()
        await fill(console, terminal="yes", review="yes")
        assert "on a terminal, merged when you take it" in console.shown()
        await fill(console, name="own")
        (line,) = (line for line in console.shown().splitlines() if "Name" in line)
        assert "own" in line


async def test_a_burst_lands_in_the_lines_that_it_was_typed_for(open_console: OpenConsole) -> None:
    """From the key that opens the form to the one that sends it, with what is taken back."""
    async with open_console() as console:
        for number in range(2):
            name = f"own{number}"
            keys = ("n", f"make itx{number}", "left", "backspace", "tab", f"{name}z", "backspace")
            burst(console.app, *keys, "tab", "paste:unit", "enter")
            await settle(console.pilot)
            added = sent(console)[-1]
            assert isinstance(added, inputs.AddStream)
            assert (added.stream.id, added.stream.command_text) == (name, f"make it{number}")
            assert [d.stream for d in added.stream.depends_on] == ["unit"]
        assert len(sent(console)) == 2


async def test_the_blanks_of_a_template_take_a_burst_too(open_console: OpenConsole) -> None:
    """Its lines come while it is typed; what was typed as a command is what it is to do."""
    async with open_console() as console:
        burst(
            console.app, "n", "echo it", "tab", "own", *["tab"] * 5, "shel", "tab", " > it", "enter"
        )
        await settle(console.pilot)
        (added,) = sent(console)
        assert isinstance(added, inputs.AddStream)
        assert (added.stream.template, added.stream.prompt) == ("shell", "echo it > it")


async def test_all_lines_that_are_pasted_are_kept_and_it_is_said(
    open_console: OpenConsole,
) -> None:
    script = "cd src\n\n# build\nmake all \\\n  -j2"
    async with open_console() as console:
        await console.press("n")
        burst(console.app, f"paste:{script}\r\n", "tab", "paste:a\nb")
        await settle(console.pilot)
        form = console.app.screen
        assert isinstance(form, Form)
        assert (form.values["command"], form.values["name"]) == (script, "a b")
        assert any("5 lines were pasted" in toast for toast in console.toasts())


def test_an_editor_is_given_a_text_and_what_it_leaves_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it fails, or is not there; then the text is as it was, and it is said why."""
    monkeypatch.delenv("VISUAL", raising=False)
    taken: list[str] = []
    for command, words in (
        ('sh -c \'cat "$1" >> "$1.new"; echo b >> "$1.new"; mv "$1.new" "$1"\' sh', ""),
        ("false", "false ended with 1: the text is as it was"),
        (str(tmp_path / "none"), "cannot be started"),
    ):
        monkeypatch.setenv("EDITOR", command)
        assert words in EditorVisit("a", "command.sh", taken.append).run()
    assert taken == ["a\nb\n"]


async def test_the_stream_that_was_added_is_gone_to(open_console: OpenConsole) -> None:
    """As soon as it is there; what was chosen before is left."""
    async with open_console() as console:
        await console.press("n")
        await fill(console, command="make wares")
        await console.press("enter")
        await settle(console.pilot)
        await console.frame()
        assert console.screen.home.cursor == "wares"
        assert not console.toasts()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "type the command that it runs"),
        ({"command": "x", "after": "nobody"}, "there is no stream 'nobody'"),
        ({"command": "x", "name": "unit"}, "there is a stream 'unit' in this run already"),
        ({"command": "x", "name": "a/b"}, "cannot name a stream"),
        ({"command": "x", "workspace": "mine"}, "a workspace is isolated, clone or shared"),
        ({"command": "x", "template": "shel"}, "did you mean `shell`?"),
        ({"command": "x", "terminal": "zzz"}, "Terminal is yes or no, not 'zzz'"),
        ({"command": "x", "review": "perhaps"}, "Review is yes or no, not 'perhaps'"),
    ],
)
async def test_what_cannot_be_added_says_why_and_is_not_sent(
    open_console: OpenConsole, values: dict[str, str], why: str
) -> None:
    async with open_console() as console:
        await console.press("n")
        await fill(console, **values)
        assert why in console.shown()
        await console.press("enter")
        assert isinstance(console.app.screen, Form)
        await console.press("escape")
        assert sent(console) == []


async def test_a_stream_is_made_of_a_template(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.press("n")
        await fill(console, command="echo it", template="shell")
        await console.press("enter")
        (added,) = sent(console)
        assert isinstance(added, inputs.AddStream)
        assert (added.stream.template, added.stream.prompt) == ("shell", "echo it")


async def test_one_like_another_has_its_command_and_another_name(
    open_console: OpenConsole,
) -> None:
    async with open_console() as console:
        chosen = console.screen.home.cursor
        assert chosen is not None
        before = set(console.source.state.streams)
        await console.press("c")
        await console.press("enter")
        (added,) = sent(console)
        assert isinstance(added, inputs.AddStream)
        like = console.source.state.stream_plan(chosen)
        assert added.stream.command_text == like.command_text
        assert added.stream.id not in before


async def test_a_failed_stream_is_edited_and_tried_again(open_console: OpenConsole) -> None:
    """Only one that can be tried again; what it is tried with is the new command."""
    async with open_console() as console:
        failed = next(s.id for s in console.source.state.streams.values() if s.phase == "failed")
        await console.command(f"edit-stream {failed}")
        await fill(console, command="better")
        await console.press("enter")
        (asked,) = sent(console)
        assert isinstance(asked, inputs.RewordStream)
        assert (asked.stream.id, asked.stream.command_text) == (failed, "better")
        running = next(s.id for s in console.source.state.streams.values() if s.phase == "running")
        await console.command(f"edit-stream {running}")
        assert "stop it first" in console.shown()


async def test_an_open_run_says_so_and_is_closed_after_a_question(
    open_console: OpenConsole,
) -> None:
    async with open_console() as console:
        await console.press("x", "C")
        assert sent(console) == []
        await console.press("escape")
        topology = console.source.state.topology
        opened = type(topology)(replace(topology.plan, is_open=True))
        console.source._state = replace(console.source.state, topology=opened)
        console.source.feed(inputs.StopStream(stream=StreamId("unit"), reason="to be seen"))
        await console.frame()
        assert ", open" in console.shown()
        await console.press("x", "C")
        await console.press("y")
        assert [type(command) for command in sent(console)] == [inputs.CloseRun]


async def test_another_run_that_is_not_there_is_said_to_be_so(open_console: OpenConsole) -> None:
    async with open_console() as console:
        await console.command("runs nonsense")
        await console.pilot.app.workers.wait_for_complete()
        await settle(console.pilot)
        assert "fits 0 runs" in console.shown()
        assert console.app.is_running


async def test_the_start_screen_asks_what_to_begin_with(tmp_path: Path) -> None:
    """A stream that is typed there is what it returns; what cannot be done says why not."""
    app = begun(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("r")
        await pilot.press("n")
        await settle(pilot)
        form = app.screen
        assert isinstance(form, Form)
        form._inputs["command"].value = "make"
        await settle(pilot)
        await pilot.press("enter")
    wanted = app.return_value
    assert wanted is not None
    assert wanted.stream is not None
    assert (wanted.choice, wanted.stream.id) == ("new", "make")


@pytest.mark.parametrize(("key", "choice"), [("d", "demo"), ("w", "write"), ("escape", None)])
async def test_the_start_screen_returns_what_was_chosen(
    tmp_path: Path, key: str, choice: str | None
) -> None:
    app = begun(tmp_path)
    async with app.run_test(size=(60, 15)) as pilot:
        await pilot.press(key)
    assert (app.return_value.choice if app.return_value else None) == choice


async def test_what_the_plan_would_run_is_shown_whole_and_agreed_to_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an open run nobody has asked for it. A yes counts when its end has been on the screen."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    check = "\n".join(f"check {number} \x1b[31m" for number in range(30))
    app = begun(tmp_path, verify=check)
    async with app.run_test(size=(80, 16)) as pilot:
        burst(app, "n", "make", "enter")
        await settle(pilot)
        assert isinstance(app.screen, Consent)
        await pilot.press("escape")
        burst(app, "n", "enter")  # with what was typed before the no
        await settle(pilot)
        assert isinstance(app.screen, Consent)
        app.screen.hold_off(0.0)
        burst(app, "y")
        await settle(pilot)
        assert isinstance(app.screen, Consent)  # nobody has seen how it ends
        await pilot.press("space", "space", "space")
        await settle(pilot)
        strips = app.screen._compositor.render_strips()
        text = "\n".join(strip.text for strip in strips)
        assert "check 29 \\x1b[31m" in text
        burst(app, "y")
        await settle(pilot)
    assert app.return_value is not None
    again = begun(tmp_path, verify=check)
    async with again.run_test(size=(80, 16)) as pilot:
        burst(again, "n", "make", "enter")
        await settle(pilot)
    assert again.return_value is not None


async def test_a_template_of_the_project_is_agreed_to_once_in_the_console(
    open_console: OpenConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A no adds nothing; after a yes it is as good as one's own."""
    project = with_template(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    async with open_console() as console:
        console.source._state = replace(console.source.state, project=str(project))
        for answer, count in (("n", 0), ("y", 1), ("", 2)):
            await console.press("n")
            if answer != "y":  # what was typed before the no is there again
                await fill(console, template="t")
                await fill(console, **{"blank what": f"it {count}"})
            await console.press("enter")
            if answer:
                assert isinstance(console.app.screen, Consent)
                assert "x {what}" in console.shown()
                await console.press(answer)
            assert len(sent(console)) == count


def with_template(folder: Path) -> Path:
    """Return a folder with a plan in which there is a template."""
    text = 'version = 1\n[templates.t]\ncommand = "x {what}"\n'
    (folder / "anabranch.toml").write_text(text)
    return folder


def begun(project: Path, verify: str = "") -> StartApp:
    """Return the start screen of a folder with nothing in it, or with a check of its results."""
    context = PlanContext()
    plan = open_plan("shop", context)
    plan = replace(plan, points=(replace(plan.points[-1], verify=verify),))
    choices = start_choices([], has_plan=False)
    return StartApp(plan, choices, [], context, {}, Trust(project))
