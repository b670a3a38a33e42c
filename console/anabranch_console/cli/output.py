"""How commands speak: data on stdout, talk on stderr, JSON when asked, colour when wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from anabranch.hostile_text import escape_for_terminal, json_text
from anabranch_console.cli.terminal import is_screen, speaks_utf8, wants_colour
from anabranch_console.glyphs import ASCII, COLOURS, UNICODE
from anabranch_console.lines import cut_right, fit, text_cells

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema 1).")
run_argument = click.argument("run", required=False)

COLUMN_CELLS = 120


def say(text: str = "") -> None:
    """Talk to the person, on stderr."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json_text(value, indent=2, is_ascii=not speaks_utf8()))


def print_json_line(value: Any) -> None:
    """Print one line of JSON on stdout, at once."""
    click.echo(json_text(value, is_ascii=not speaks_utf8()))


def glyph(state: str, stream: Any = None) -> str:
    """Return a state's sign, in what a stream (stdout by default) can show."""
    return (UNICODE if speaks_utf8(stream) else ASCII).states.get(state, " ")


def paint(text: str, state: str, stream: Any = None) -> str:
    """Return text in the colour of a state, if colours are wanted."""
    colour = COLOURS.get(state)
    return click.style(text, fg=colour) if colour and wants_colour(stream) else text


def shown(text: str, cells: int = 200, stream: Any = None) -> str:
    """Return text from outside so that it can do no harm to a terminal, on one line.

    On a screen it is cut to so many cells; a file, a pipe or a CI log gets it whole.
    """
    safe = escape_for_terminal(text)
    return cut_right(safe, cells) if is_screen(stream) else safe


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], state_column: int = -1) -> None:
    """Print aligned columns. ``state_column`` is painted; the last column is not padded.

    One long value would push everything after it away, so only the last column is whole in a file.
    """
    table = [list(head)]
    for *cells, last in rows:
        table.append([*(cut_right(shown(cell), COLUMN_CELLS) for cell in cells), shown(last)])
    widths = [max(text_cells(row[i]) for row in table) for i in range(len(head))]
    for number, row in enumerate(table):
        cells = [fit(cell, width) for cell, width in zip(row, widths, strict=True)]
        if number and state_column >= 0:
            state = row[state_column].split(" ", 1)[-1].replace(" ", "_")
            cells[state_column] = paint(cells[state_column], state)
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if not number and wants_colour() else line)
