"""The rows of one changed file: its hunks line by line, with the notes where they belong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal, NamedTuple

from anabranch.core.events import ReviewNote
from anabranch.core.model.reviews import Noted
from anabranch.hostile_text import utf8_text

if TYPE_CHECKING:
    from anabranch.engine.differences import FileDifference

AROUND = 2
"""How many lines above and below belong to a note's place."""

LONGEST_ANCHOR = 1_000
MOST_WORDS = 400
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")

Kind = Literal["remark", "hunk", "line", "note", "gone"]


class DiffRow(NamedTuple):
    """One row. ``before`` and ``after`` are line numbers, 0 where there is no such line.

    A ``note`` has the number of the event that added it; one that is ``gone`` has lost its place.
    """

    kind: Kind
    text: str
    sign: str = " "
    before: int = 0
    after: int = 0
    note: int = 0


def rows_of(file: FileDifference, notes: Sequence[Noted] = ()) -> list[DiffRow]:
    """Return the rows of a file, the notes on it below the lines that they are about."""
    rows = [*_remarks(file), *_lines(file)]
    own = [noted for noted in notes if noted.note.path == utf8_text(file.path)]
    if not own:
        return rows
    places = Places(rows)
    placed: dict[int, list[DiffRow]] = {}
    lost: list[DiffRow] = []
    for noted in own:
        note = noted.note
        at = places.of(note)
        row = DiffRow("note", note.text, note=noted.number)
        if at is not None:
            placed.setdefault(at, []).append(row)
        elif note.line:
            text = f"{note.text}  (the line is gone: {note.line.strip()})"
            lost.append(DiffRow("gone", text, note=noted.number))
        else:
            lost.append(row)
    return [*lost, *(each for i, row in enumerate(rows) for each in (row, *placed.get(i, ())))]


def _remarks(file: FileDifference) -> Iterator[DiffRow]:
    if file.before_path != file.path:
        yield DiffRow("remark", f"was {file.before_path}")
    has_both = "000000" not in (file.before_mode, file.after_mode)
    if has_both and file.before_mode != file.after_mode:
        yield DiffRow("remark", f"mode {file.before_mode} -> {file.after_mode}")
    if file.cut:
        yield DiffRow("remark", file.cut)
    elif file.is_binary:
        yield DiffRow("remark", "binary, or too large to be shown")
    elif not file.hunks and not file.added and not file.removed:
        yield DiffRow("remark", f"{file.status}; no line differs")


def _lines(file: FileDifference) -> Iterator[DiffRow]:
    for hunk in file.hunks:
        counts = f"-{hunk.before_start},{hunk.before_count} +{hunk.after_start},{hunk.after_count}"
        yield DiffRow("hunk", f"@@ {counts} @@ {hunk.heading}".rstrip())
        before, after = hunk.before_start, hunk.after_start
        for line in hunk.lines:
            sign, text = line[:1], line[1:]
            if sign == "\\":
                yield DiffRow("remark", text.strip())
            elif sign == "+":
                yield DiffRow("line", text, sign, 0, after)
            elif sign == "-":
                yield DiffRow("line", text, sign, before, 0)
            else:
                yield DiffRow("line", text, " ", before, after)
            before += sign in (" ", "-")
            after += sign in (" ", "+")


def note_at(rows: Sequence[DiffRow], index: int) -> int:
    """Return the number of the note at an index, or of the only one on the line there; else 0."""
    if index >= len(rows) or rows[index].note:
        return rows[index].note if index < len(rows) else 0
    below: list[int] = []
    for row in rows[index + 1 :]:
        if row.kind != "note":
            break
        below.append(row.note)
    return below[0] if len(below) == 1 else 0


# --- where notes belong --------------------------------------------------------------------------


def anchored(path: str, rows: Sequence[DiffRow], index: int, text: str = "") -> ReviewNote:
    """Return a note on the line at an index, or on the first one after it; else on the file."""
    at = next((i for i in range(index, len(rows)) if rows[i].kind == "line"), None)
    if at is None:
        return ReviewNote(path=utf8_text(path), text=text)
    row, side = rows[at], _side(rows[at])
    same = _of_side(rows, side)
    here = same.index(at)
    above = same[max(here - AROUND, 0) : here]
    below = same[here + 1 : here + 1 + AROUND]
    return ReviewNote(
        path=utf8_text(path),
        text=text,
        line=_anchor(row),
        above=tuple(_anchor(rows[i]) for i in above),
        below=tuple(_anchor(rows[i]) for i in below),
        number=row.before if side == "before" else row.after,
        side=side,
    )


class Places:
    """Finds where notes belong among the rows of a file."""

    def __init__(self, rows: Sequence[DiffRow]) -> None:
        self._rows = rows
        self._of_side = {side: _of_side(rows, side) for side in ("after", "before")}
        self._texts = {
            side: [_anchor(rows[i]) for i in known] for side, known in self._of_side.items()
        }

    def of(self, note: ReviewNote) -> int | None:
        """Return where the line of a note is now; None if it is gone, or one of several alike.

        Lines that read the same are told apart by those around them, then by how near they are.
        """
        if not note.line:
            return None
        same, texts = self._of_side[note.side], self._texts[note.side]
        found: list[tuple[int, int, int]] = []
        for here, text in enumerate(texts):
            if text == note.line:
                above = texts[max(here - AROUND, 0) : here]
                below = texts[here + 1 : here + 1 + AROUND]
                alike = _alike(above[::-1], note.above[::-1]) + _alike(below, note.below)
                row = self._rows[same[here]]
                number = row.before if note.side == "before" else row.after
                found.append((-alike, abs(number - note.number), same[here]))
        if not found:
            return None
        alike, _, at = min(found)
        has_neighbours = bool(note.above or note.below)
        is_sure = alike < 0 or not has_neighbours or (len(found) == 1 and bool(note.line.strip()))
        return at if is_sure else None


def _alike(texts: Sequence[str], others: Sequence[str]) -> int:
    return sum(one == other for one, other in zip(texts, others, strict=False))


def _side(row: DiffRow) -> Literal["after", "before"]:
    return "before" if row.sign == "-" else "after"


def _of_side(rows: Sequence[DiffRow], side: str) -> list[int]:
    other = "+" if side == "before" else "-"
    return [i for i, row in enumerate(rows) if row.kind == "line" and row.sign != other]


def _anchor(row: DiffRow) -> str:
    return utf8_text(row.text)[:LONGEST_ANCHOR]


# --- moving, and staying where one was -----------------------------------------------------------


def next_hunk(rows: Sequence[DiffRow], index: int, step: int) -> int | None:
    """Return the hunk after the row at an index with 1, the one before it with -1."""
    ahead = range(index + 1, len(rows)) if step > 0 else range(index - 1, -1, -1)
    return next((i for i in ahead if rows[i].kind == "hunk"), None)


def same_place(before: Sequence[DiffRow], index: int, after: Sequence[DiffRow]) -> int:
    """Return where the row at an index is in other rows of the same file, or what is nearest."""
    if not 0 <= index < len(before) or not after:
        return 0
    row = before[index]
    number = row.after or row.before or _number_near(before, index)
    alike = (row.kind, row.sign, row.text)
    same = [i for i, r in enumerate(after) if (r.kind, r.sign, r.text) == alike]
    numbered = same or [i for i, r in enumerate(after) if r.kind == "line"]
    if not numbered:
        return min(index, len(after) - 1)
    return min(numbered, key=lambda i: abs((after[i].after or after[i].before) - number))


def _number_near(rows: Sequence[DiffRow], index: int) -> int:
    near = (r.after or r.before for r in rows[index:] if r.kind == "line")
    return next(near, 0)


# --- words ---------------------------------------------------------------------------------------


def partners(rows: Sequence[DiffRow]) -> dict[int, int]:
    """Return which removed line stands for which added one, both ways.

    A run of removed lines and the run of added ones right after it go together, line by line.
    """
    found: dict[int, int] = {}
    removed: list[int] = []
    added: list[int] = []

    def pair() -> None:
        for one, other in zip(removed, added, strict=False):
            found[one], found[other] = other, one
        removed.clear()
        added.clear()

    for index, row in enumerate(rows):
        if row.kind == "line" and row.sign == "-":
            if added:
                pair()
            removed.append(index)
        elif row.kind == "line" and row.sign == "+" and removed:
            added.append(index)
        elif row.kind in ("line", "hunk"):
            pair()
    pair()
    return found


def other_words(text: str, other: str) -> list[tuple[int, int]]:
    """Return the pieces of a line that its partner does not have; none where all is different."""
    words, others = _WORDS.findall(text), _WORDS.findall(other)
    if not words or not others or max(len(words), len(others)) > MOST_WORDS:
        return []
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    if matcher.ratio() < 0.3:
        return []
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return [
        (starts[begin], starts[end])
        for tag, begin, end, _, _ in matcher.get_opcodes()
        if tag in ("replace", "delete")
    ]
