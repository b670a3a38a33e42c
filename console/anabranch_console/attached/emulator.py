"""A terminal without a screen: what a stream writes becomes rows of cells, keys become bytes.

The work is that of a kept library (bittty). What it has to say to the stream goes into an outbox: a
program's questions are answered as any terminal answers them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from bittty import Board, KeyEvent, KeyModifiers
from bittty.style import Color as CellColour
from bittty.style import Style as CellStyle
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from anabranch_console.attached.typed import Piece

_MODIFIERS = {
    "shift": KeyModifiers.SHIFT,
    "alt": KeyModifiers.ALT,
    "ctrl": KeyModifiers.CTRL,
    "super": KeyModifiers.SUPER,
    "hyper": KeyModifiers.HYPER,
    "meta": KeyModifiers.META,
}
_CURSOR = Style(reverse=True)


class _Cable:
    """What the library writes to: a program's terminal, at the other end of an outbox."""

    closed = False

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say = say

    def write(self, data: str) -> int:
        self._say(data.encode("utf-8", "replace"))
        return len(data)

    def write_bytes(self, data: bytes) -> int:
        self._say(data)
        return len(data)

    def flush(self) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    def configure_line(self, line: object) -> None: ...


class Emulator:
    """The screen of one terminal.

    Args:
        rows, columns: its size.
        put: takes what is to be sent to the stream.
    """

    def __init__(self, rows: int, columns: int, put: Callable[[Piece], object]) -> None:
        self._kind, self._put = "answered", put
        self._size = rows, columns
        self._page: Any = None
        self._seen = 0
        self._board = self._made()

    def _made(self) -> Board:
        board = Board(width=self._size[1], height=self._size[0])
        board.host.attach(_Cable(self._say))
        return board

    def _say(self, data: bytes) -> None:
        self._put(Piece(self._kind, data))

    # --- what is shown ---------------------------------------------------------------------------

    def feed(self, output: bytes) -> None:
        """Take output; what the library cannot make sense of begins a fresh screen."""
        try:
            self._board.feed_host_data(output)
        except Exception:
            self._board = self._made()

    def resize(self, rows: int, columns: int) -> None:
        """Take another size."""
        if (rows, columns) != self._size:
            self._size = rows, columns
            self._board.resize(columns, rows)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._size[0]

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return self._size[1]

    def changed_rows(self) -> list[int]:
        """Return which rows have changed since this was asked last."""
        page = self._board.display.page
        is_same = page is self._page
        changed = page.dirty_rows(self._seen) if is_same else range(page.height)
        self._page, self._seen = page, page.observe()
        return list(changed)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """The column and the row of the cursor, None while it is hidden."""
        found = self._board.display.cursor
        return None if found is None else (int(found[0]), int(found[1]))

    @property
    def wants_mouse(self) -> bool:
        """Whether the program hears the mouse."""
        return bool(self._board.mouse.capture() != "off")

    @property
    def has_alternate_screen(self) -> bool:
        """Whether a full-screen program has the screen."""
        return bool(self._board.blitter.in_alt_screen)

    def text_of(self, row: int) -> str:
        """Return a row as text."""
        return str(self._board.display.page.get_line_text(row))

    def segments_of(self, row: int, cursor: int | None = None) -> list[Segment]:
        """Return a row as it is painted, with the cursor in a column."""
        page = self._board.display.page
        if not 0 <= row < page.height:
            return []
        segments: list[Segment] = []
        text, style = "", Style.null()
        for column, (of_cell, sign) in enumerate(page.grid[row]):
            found = _painted(of_cell)
            if column == cursor:
                found += _CURSOR
            if found is not style and found != style and text:
                segments.append(Segment(text, style))
                text = ""
            style = found
            text += str(sign)
        return [*segments, Segment(text, style)] if text else segments

    # --- what is typed ---------------------------------------------------------------------------

    def key(self, key: str, character: str | None) -> None:
        """Send a key by the toolkit's name for it: ``ctrl+a``, ``up``, ``shift+tab``."""
        *before, name = key.split("+") if key != "+" else [key]
        modifiers = KeyModifiers.NONE
        for modifier in before:
            modifiers |= _MODIFIERS.get(modifier, KeyModifiers.NONE)
        is_text = bool(character) and character is not None and character.isprintable()
        commands = modifiers & ~KeyModifiers.SHIFT
        if is_text and not commands and character:
            self._as("typed", lambda: self._board.input_text(character))
            return
        if commands and len(name) > 1 and (sign := _SIGNS.get(name)):
            name = sign
        event = KeyEvent(name, modifiers, text=character if is_text else None)
        self._as("typed", lambda: self._board.input_key_event(event))

    def paste(self, text: str) -> None:
        """Send what was pasted, as the program wants it."""
        self._as("typed", lambda: self._board.input_paste(text))

    def mouse(self, column: int, row: int, button: int, what: str, modifiers: set[str]) -> None:
        """Send what the mouse did, if the program hears it; columns and rows count from 0."""
        self._as(
            "moved",
            lambda: self._board.input_mouse(column + 1, row + 1, button, what, modifiers),
        )

    def focus(self, *, is_in: bool) -> None:
        """Say that the screen has the keys now, or has not, if the program asked to be told."""
        self._as("moved", lambda: self._board.set_focus(is_in))

    def _as(self, kind: str, act: Callable[[], object]) -> None:
        self._kind = kind
        try:
            act()
        except ValueError:
            pass  # a key that no terminal has
        finally:
            self._kind = "answered"


_SIGNS = {
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "backslash": "\\",
    "slash": "/",
    "underscore": "_",
    "circumflex_accent": "^",
    "at": "@",
    "space": " ",
    "full_stop": ".",
    "comma": ",",
    "minus": "-",
    "question_mark": "?",
}
"""What the toolkit's names of signs are, where they come with ctrl or alt."""


@lru_cache(maxsize=4096)
def _painted(style: CellStyle) -> Style:
    """Return a cell's style as it is painted."""
    return Style(
        color=_colour(style.fg),
        bgcolor=_colour(style.bg),
        bold=style.bold,
        dim=style.dim,
        italic=style.italic,
        underline=style.underline,
        blink=style.blink,
        reverse=style.reverse,
        conceal=style.conceal,
        strike=style.strike,
        overline=style.overline,
    )


def _colour(colour: CellColour | None) -> Color | None:
    if colour is None or colour.mode == "default":
        return None
    if isinstance(colour.value, tuple):
        return Color.from_rgb(*colour.value)
    return Color.from_ansi(int(colour.value or 0))
