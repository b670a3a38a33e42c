"""Being attached, without a stream: what is typed, what is shown again, how modes are left."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch_console.attached import shown
from anabranch_console.attached.typed import Keyboard
from tests.console.conftest import OpenConsole
from tests.console.scripted_source import ScriptedSource, plan_of, stream


@pytest.mark.parametrize("key", [b"\x1d", b"\x1b[93;5u", b"\x1b[93;5:1u", b"\x1b[27;5;93~"])
def test_one_key_leaves_however_it_is_said(key: bytes) -> None:
    """What was typed before it is handed on, what comes after is not."""
    keyboard = Keyboard()
    assert keyboard.take(b"ls" + key + b"rm") == [("typed", b"ls")]
    assert keyboard.has_left


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x1b[<0;10;5M", "moved"),
        (b"\x1b[I", "moved"),
        (b"\x1b[12;40R", "answered"),
        (b"\x1b[?62;22c", "answered"),
        (b"\x1b]11;rgb:0000/0000/0000\x1b\\", "answered"),
        (b"\x1bP>|tmux 3.4\x1b\\", "answered"),
        (b"\x1b[A", "typed"),
        (b"\x1bOP", "typed"),
    ],
)
def test_what_no_person_typed_is_told_apart(data: bytes, kind: str) -> None:
    """It says nothing about a line half typed, and two terminals must not both answer."""
    pieces = Keyboard().take(b"a" + data + b"b")
    assert b"".join(piece.data for piece in pieces) == b"a" + data + b"b"
    assert kind in {piece.kind for piece in pieces}
    assert all(piece.kind == "typed" for piece in pieces if piece.data != data)


@given(st.binary(max_size=40), st.integers(1, 9))
def test_what_is_pasted_is_handed_on_whole_and_leaves_nothing(pasted: bytes, length: int) -> None:
    """A key that leaves is none inside a paste, wherever that is cut."""
    data = b"\x1b[200~" + pasted.replace(b"\x1b", b"") + b"\x1d.\x1b[201~"
    keyboard, taken = Keyboard(), b""
    for piece in keyboard.take(data[:6]):
        taken += piece.data
    for at in range(6, len(data), length + 1):
        for piece in keyboard.take(data[at : at + length + 1]):
            taken += piece.data
    assert taken == data
    assert not keyboard.has_left
    keyboard.take(b"\x1d")
    assert keyboard.has_left


def test_what_was_there_before_asks_and_rings_nothing() -> None:
    """Questions were answered when they were asked; the clipboard is nobody's but the person's."""
    asks = b"\x1b[6n\x1b[c\x1b[>0q\x1b]52;c;aGk=\x07\x1b]0;title\x1b\\\x07"
    asks += b"\x1b[?1000h\x1b[18t\x1bP$qm\x1b\\"
    recent = b"half a line\n" + asks + b"\x1b[31mred\x1b[0m\x1b[2K\r\nlast"
    assert shown.before(recent, is_alternate=False, is_cut=True) == (
        b"\x1b[31mred\x1b[0m\x1b[2K\r\nlast"
    )


def test_what_was_there_before_begins_at_a_safe_place() -> None:
    """After a full-screen program that has left; where one has the screen, where it was cleared."""
    recent = b"$ vim\r\n\x1b[?1049h\x1b[2Jtext\x1b[?1049l$ ls\r\na.txt\r\n"
    assert shown.before(recent, is_alternate=False, is_cut=False) == b"$ ls\r\na.txt\r\n"
    recent = b"$ vim\r\n\x1b[?1049h\x1b[2Jold\x1b[2Jnew"
    assert shown.before(recent, is_alternate=True, is_cut=False) == b"\x1b[2Jnew"
    assert shown.before(b"middle of a screen", is_alternate=True, is_cut=True) == b""


def test_modes_are_left_as_they_were() -> None:
    """What a program switched on is switched off, the screen beside the normal one too."""
    now = shown.modes_of("?1049h ?1000h ?25l ?2004h >1u >4;2m")
    left = shown.leaving(now)
    for sequence in (b"?1049l", b"?1000l", b"?25h", b"?2004l", b"<1u", b">4;0m"):
        assert b"\x1b[" + sequence in left
    assert b"1049" not in shown.leaving(shown.modes_of(""))
    assert shown.leaving(shown.modes_of("")).endswith(b"\r\n"), "what is said then begins a line"
    assert not left.endswith(b"\r\n"), "the normal screen is as it was"
    assert shown.switching(shown.modes_of(""), now).startswith(b"\x1b[?1049h")


async def test_why_a_stream_has_no_terminal_is_said(open_console: OpenConsole) -> None:
    """By the same words as from a shell."""
    async with open_console() as console:
        await console.press("a")
        assert "has no terminal" in console.toasts()[-1]
        await console.press("s")
        assert "workspace" in console.toasts()[-1]
        await console.command("attach nobody")
        assert "there is no stream 'nobody'" in console.toasts()[-1]
        await console.command("enter nobody")
        assert "there is no stream 'nobody'" in console.toasts()[-1]


async def test_the_terminal_pane_calls_nobody_ended_who_runs(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    """One that runs and has no terminal has no terminal; that is all there is to say."""
    source = ScriptedSource(plan_of([stream("works"), stream("typist", tty=True)]), tmp_path)
    async with open_console(source) as console:
        console.screen.home.choose("typist")
        console.screen.home.open_panel()
        console.screen.home.details.show_tab("terminal")
        console.screen.home.choose("works")
        await console.frame()
        assert "works has no terminal" in console.shown()
        assert "it has ended" not in console.shown()
