"""How commands speak: data on stdout, talk on stderr, JSON when asked, colour when wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from anabranch.hostile_text import cut_to_cells, escape_for_terminal

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema 1).")
run_argument = click.argument("run", required=False)

_STATE_COLOURS = {
    "succeeded": "green",
    "converged": "green",
    "running": "cyan",
    "starting": "cyan",
    "failed": "red",
    "needs_operator": "yellow",
    "quarantined": "yellow",
    "recovering": "yellow",
    "stalled": "yellow",
    "interrupted": "yellow",
    "stopped": "yellow",
}
GLYPHS = {
    "waiting": "·",
    "queued": "○",
    "starting": "◌",
    "running": "●",
    "recovering": "↻",
    "stalled": "◐",
    "succeeded": "✓",
    "converged": "✓",
    "failed": "✗",
    "skipped": "−",
    "quarantined": "≠",
    "stopped": "■",
    "interrupted": "◐",
    "needs_operator": "!",
}
_PLAIN_GLYPHS = {
    "waiting": ".",
    "queued": "o",
    "starting": ":",
    "running": "*",
    "recovering": "~",
    "stalled": "?",
    "succeeded": "+",
    "converged": "+",
    "failed": "x",
    "skipped": "-",
    "quarantined": "#",
    "stopped": "=",
    "interrupted": "?",
    "needs_operator": "!",
}


def say(text: str = "") -> None:
    """Talk to the person, on stderr."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_json_line(value: Any) -> None:
    """Print one line of JSON on stdout, at once."""
    click.echo(msgspec.json.encode(value))
    sys.stdout.flush()


def has_terminal() -> bool:
    """Whether a full-screen console can be shown."""
    env = os.environ
    return (
        sys.stdin.isatty()
        and sys.stdout.isatty()
        and env.get("TERM", "dumb") != "dumb"
        and not env.get("CI")
        and not env.get("NO_COLOR")
    )


def wants_colour(stream: Any = None) -> bool:
    """Whether a stream (stdout by default) is to be coloured."""
    target = sys.stdout if stream is None else stream
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return bool(target.isatty()) and not plain


def glyph(state: str) -> str:
    """Return a state's sign, in what the terminal can show."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    table = GLYPHS if encoding == "utf8" else _PLAIN_GLYPHS
    return table.get(state, " ")


def paint(text: str, state: str, stream: Any = None) -> str:
    """Return text in the colour of a state, if colours are wanted."""
    colour = _STATE_COLOURS.get(state)
    return click.style(text, fg=colour) if colour and wants_colour(stream) else text


def shown(text: str, cells: int = 200) -> str:
    """Return text from outside so that it can do no harm to a terminal, on one line."""
    return cut_to_cells(escape_for_terminal(text), cells)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], state_column: int = -1) -> None:
    """Print aligned columns. ``state_column`` is painted; the last column is not padded."""
    table = [list(head), *[[shown(cell, 120) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for number, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if number and state_column >= 0:
            cells[state_column] = paint(cells[state_column], row[state_column].split(" ")[-1])
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if not number and wants_colour() else line)


def duration(seconds: float | None) -> str:
    """Return seconds in a short form: 0.4s, 12s, 3m04s, 2h05m."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"
