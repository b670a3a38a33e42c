"""How changes look: the table of files, and each row of a file as a line with meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.code_spans import Piece
from anabranch_console.presenters.diff_rows import DiffRow, other_words
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe

if TYPE_CHECKING:
    from anabranch.engine.differences import FileDifference

LONGEST_LINE = 4_096
_NUMBER_CELLS = 5
_SIGNS = {"+": "diff.added", "-": "diff.removed"}
_LETTERS = {
    "added": "A", "deleted": "D", "modified": "M", "renamed": "R", "copied": "C", "retyped": "T",
}  # fmt: skip
_STATUS_STYLES = {"added": "diff.added", "deleted": "diff.removed"}


class FileRow(NamedTuple):
    """A changed file in the table, and how many notes there are on it."""

    file: FileDifference
    notes: int

    @property
    def path(self) -> str:
        return self.file.path


def file_columns(glyphs: Callable[[], Glyphs]) -> list[Column[FileRow]]:
    """Return the columns of the changed files."""

    def notes(row: FileRow) -> Span:
        return Span(f"{glyphs().mark}{row.notes}" if row.notes else "", "badge.warning")

    return [
        Column("", 1, 95, _letter),
        Column("FILE", 0, 100, lambda r: Span(safe(r.path), "strong"), is_path=True),
        Column("+", 4, 90, lambda r: _count(r.file.added, "diff.added"), "right"),
        Column("-", 4, 90, lambda r: _count(r.file.removed, "diff.removed"), "right"),
        Column("", 3, 85, notes),
    ]


def _letter(row: FileRow) -> Span:
    return Span(_LETTERS[row.file.status], _STATUS_STYLES.get(row.file.status, "muted"))


def _count(number: int | None, style: str) -> Span:
    if number is None:
        return Span("bin", "muted")
    text = str(number) if number < 10_000 else f"{number // 1000}k"
    return Span(text, style if number else "muted")


def row_line(
    row: DiffRow, glyphs: Glyphs, pieces: Sequence[Piece], partner: str | None, left: int = 0
) -> Line:
    """Return a row as a line: its number, its sign, and its text from the character ``left`` on.

    ``pieces`` are the colours of its code, ``partner`` the line that it stands for or replaces.
    """
    if row.kind == "line":
        text = shown_text(row)
        style = _SIGNS.get(row.sign, "muted")
        number = row.before if row.sign == "-" else row.after
        label = (Span(f"{number:>{_NUMBER_CELLS}} ", "muted"), Span(f"{row.sign} ", style))
        return (*label, *_painted(row.sign, text, pieces, partner, left))
    indent = Span(" " * (_NUMBER_CELLS + 1))
    if row.kind == "hunk":
        return (Span(safe(row.text), "accent"),)
    if row.kind == "remark":
        return (indent, Span(safe(row.text), "muted"))
    style = "level.warning" if row.kind == "gone" else "badge.warning"
    return (indent, Span(f"{glyphs.mark} ", "badge.warning"), Span(safe(row.text), style))


def shown_text(row: DiffRow) -> str:
    """Return the text of a row as harmless characters, as much of it as is ever shown."""
    return safe(row.text[:LONGEST_LINE])


def _painted(
    sign: str, text: str, pieces: Sequence[Piece], partner: str | None, left: int
) -> list[Span]:
    """Return a line's text in its colours, what its partner has not in stronger ones."""
    plain = "diff.removed" if sign == "-" else "text"
    styles = [plain] * len(text)
    for piece in () if sign == "-" else pieces:
        styles[piece.start : piece.end] = [piece.style] * (min(piece.end, len(text)) - piece.start)
    if partner is not None:
        for start, end in other_words(text, partner):
            styles[start:end] = [f"{_SIGNS[sign]}.word"] * (end - start)
    spans: list[Span] = []
    begin = left
    for at in range(left + 1, len(text) + 1):
        if at == len(text) or styles[at] != styles[begin]:
            spans.append(Span(text[begin:at], styles[begin]))
            begin = at
    return spans
