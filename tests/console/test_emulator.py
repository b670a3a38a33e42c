"""The emulated terminal: what it makes of output, and of the toolkit's keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch_console.attached.emulator import Emulator
from anabranch_console.attached.typed import Piece


def emulator(output: bytes = b"", rows: int = 4, columns: int = 20) -> tuple[Emulator, list[Piece]]:
    """Return an emulator that has been shown something, and what it says to the stream."""
    said: list[Piece] = []
    made = Emulator(rows, columns, said.append)
    made.feed(output)
    return made, said


@pytest.mark.parametrize(
    ("key", "character", "data"),
    [
        ("a", "a", b"a"),
        ("A", "A", b"A"),
        ("space", " ", b" "),
        ("plus", "+", b"+"),
        ("ü", "ü", "ü".encode()),
        ("enter", "\r", b"\r"),
        ("tab", "\t", b"\t"),
        ("shift+tab", None, b"\x1b[Z"),
        ("backspace", "\x7f", b"\x7f"),
        ("escape", "\x1b", b"\x1b"),
        ("up", None, b"\x1b[A"),
        ("ctrl+left", None, b"\x1b[1;5D"),
        ("pagedown", None, b"\x1b[6~"),
        ("f5", None, b"\x1b[15~"),
        ("ctrl+c", "\x03", b"\x03"),
        ("ctrl+q", "\x11", b"\x11"),
        ("ctrl+backslash", "\x1c", b"\x1c"),
        ("ctrl+underscore", "\x1f", b"\x1f"),
        ("ctrl+@", "\x00", b"\x00"),
        ("alt+b", "b", b"\x1bb"),
    ],
)
def test_keys_become_what_terminals_send(key: str, character: str | None, data: bytes) -> None:
    """By the toolkit's names for them; each is something that a person typed."""
    made, said = emulator()
    made.key(key, character)
    assert said == [Piece("typed", data)]


def test_keys_are_as_the_program_wants_them() -> None:
    """Other arrows, brackets around what is pasted, the mouse and the focus if it hears them."""
    made, said = emulator()
    made.mouse(0, 0, 0, "press", set())
    made.focus(is_in=True)
    assert not said
    made.feed(b"\x1b[?1h\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[?1004h")
    made.key("up", None)
    made.paste("one\ntwo")
    made.mouse(2, 1, 0, "press", set())
    made.focus(is_in=False)
    assert said == [
        Piece("typed", b"\x1bOA"),
        Piece("typed", b"\x1b[200~one\ntwo\x1b[201~"),
        Piece("moved", b"\x1b[<0;3;2M"),
        Piece("moved", b"\x1b[O"),
    ]


def test_questions_are_answered_as_by_a_terminal() -> None:
    """It is no person who answers."""
    made, said = emulator(b"ab\x1b[6n")
    assert said == [Piece("answered", b"\x1b[1;3R")]
    assert made.cursor == (2, 0)


def test_rows_are_painted_with_colours_wide_signs_and_the_cursor() -> None:
    """A wide sign is one of two cells."""
    made, _ = emulator("a漢\x1b[1;31mred\x1b[0m".encode())
    segments = made.segments_of(0, cursor=6)
    assert "".join(segment.text for segment in segments) == made.text_of(0)
    assert made.text_of(0).rstrip() == "a漢red"
    by_text = {segment.text: segment.style for segment in segments}
    red = by_text["red"]
    assert red is not None
    assert red.bold
    assert red.color is not None
    assert red.color.number == 1
    cursor = by_text[" "]
    assert cursor is not None
    assert cursor.reverse


def test_only_rows_that_have_changed_are_named() -> None:
    """Also after another size, and from one screen to the other and back."""
    made, _ = emulator(b"one\r\ntwo")
    assert made.changed_rows() == [0, 1, 2, 3]
    assert made.changed_rows() == []
    made.feed(b"\r\nthree")
    assert made.changed_rows() == [2]
    made.resize(5, 20)
    assert made.changed_rows() == [0, 1, 2, 3, 4]
    made.feed(b"\x1b[1;1Hx")
    assert made.changed_rows() == [0]
    for switch in (b"\x1b[?1049h", b"\x1b[?1049l"):
        made.feed(switch)
        assert made.changed_rows() == [0, 1, 2, 3, 4]


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(1, 9), st.integers(1, 9))
def test_nothing_that_is_written_breaks_it(pieces: list[bytes], rows: int, columns: int) -> None:
    """A stream's output is hostile."""
    made, _ = emulator(b"", rows, columns)
    for piece in pieces:
        made.feed(b"\x1b[" + piece)
        made.feed(piece)
        for row in made.changed_rows():
            made.segments_of(row, 0)
    made.resize(3, 3)
    made.changed_rows()
    assert made.segments_of(2) is not None
