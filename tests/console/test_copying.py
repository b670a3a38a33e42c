"""Copying: which clipboard is meant, and what a patch of a difference looks like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anabranch.engine.differences import Difference, FileDifference, Hunk
from anabranch_console.built_in_verbs import WAYS
from anabranch_console.clipboard import MOST_BY_TERMINAL_BYTES, native_command, put_by
from anabranch_console.presenters.patch_text import patch_text
from tests.console.conftest import OpenConsole, settle


@pytest.mark.parametrize(
    ("environ", "programs", "command"),
    [
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "wl-copy xclip", "wl-copy"),
        ({"DISPLAY": ":0"}, "wl-copy xclip", "xclip -selection clipboard"),
        ({"DISPLAY": ":0"}, "xsel", "xsel --clipboard --input"),
        ({}, "wl-copy xclip", None),
        ({}, "pbcopy", "pbcopy"),
        ({"DISPLAY": ":0"}, "", None),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "a b"}, "xclip", None),
        (
            {"DISPLAY": ":0", "SSH_CONNECTION": "a b", "ANABRANCH_CLIPBOARD": "native"},
            "xclip",
            "xclip -selection clipboard",
        ),
        ({"DISPLAY": ":0", "ANABRANCH_CLIPBOARD": "osc52"}, "xclip", None),
    ],
)
def test_the_clipboard_is_that_of_whoever_sits_here(
    environ: dict[str, str], programs: str, command: str | None
) -> None:
    """A program of this machine, unless the person is elsewhere or wants none."""
    found = native_command(environ, lambda name: name if name in programs.split() else None)
    assert (" ".join(found) if found else None) == command


def test_a_program_that_does_not_take_it_is_known(tmp_path: Path) -> None:
    """Then the terminal is asked."""
    taken = tmp_path / "taken"
    assert put_by(("tee", str(taken)), "ä text")
    assert taken.read_text("utf-8") == "ä text"
    assert not put_by((sys.executable, "-c", "exit(1)"), "text")
    assert not put_by(("no-such-program",), "text")


async def test_what_a_terminal_would_not_take_is_told(open_console: OpenConsole) -> None:
    """Rather than copied in part, or not at all."""
    async with open_console() as console:
        console.screen.steering.copy("x" * (MOST_BY_TERMINAL_BYTES + 1), "it")
        await console.frame()
        assert "it is too long" in console.toasts()[-1]
        assert console.app.clipboard == ""


def test_a_patch_is_one_that_git_applies(tmp_path: Path) -> None:
    """Changed, new, gone, renamed, another mode, a name that needs quotes; binaries are named."""
    for name, text in {"a": "1\n2\n", "gone": "x\n", "old": "same\n", 'q"\t': "q\n"}.items():
        (tmp_path / name).write_text(text)
    text = "100644"
    files = (
        FileDifference(
            "a", "modified", "a", text, text, 1, 1, (Hunk(1, 2, 1, 2, "", (" 1", "-2", "+3")),)
        ),
        FileDifference(
            "gone", "deleted", "gone", text, "000000", 0, 1, (Hunk(1, 1, 0, 0, "", ("-x",)),)
        ),
        FileDifference(
            "new", "added", "new", "000000", "100755", 1, 0, (Hunk(0, 0, 1, 1, "", ("+n",)),)
        ),
        FileDifference("to", "renamed", "old", text, text, 0, 0),
        FileDifference(
            'q"\t', "modified", 'q"\t', text, text, 1, 1, (Hunk(1, 1, 1, 1, "", ("-q", "+r")),)
        ),
        FileDifference("picture", "modified", "picture", text, text),
    )
    patch = patch_text(Difference("b", "a", files))
    assert "# left out: picture: binary" in patch
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch, text=True, check=True)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"a": "1\n3\n", "new": "n\n", "to": "same\n", 'q"\t': "r\n"}


async def test_the_mouse_selects_in_every_pane(open_console: OpenConsole) -> None:
    """What was dragged over is what ctrl+c copies, as text."""
    async with open_console() as console:
        for pane in WAYS:
            console.screen.go_to(pane)
            await settle(console.pilot)
            await console.pilot.mouse_down(offset=(3, 4))
            await console.pilot.hover(offset=(30, 6))
            await console.pilot.mouse_up(offset=(30, 6))
            await settle(console.pilot)
            selected = console.screen.get_selected_text()
            assert selected, pane
            await console.press("ctrl+c")
            assert console.app.clipboard == selected, pane
            console.screen.clear_selection()
