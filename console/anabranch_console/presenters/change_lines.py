"""Changes of the shared state in words: a row for each, and what a value was and became."""

from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher

import msgspec

from anabranch.core import wording
from anabranch.core.model.messages import OPERATOR_NAME
from anabranch.core.model.sharing import Change
from anabranch.core.model.state import State
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, hard_wrap
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe, wall_clock

SHORT_CELLS = 400
MOST_DIFF_LINES = 600
MOST_KEYS = 200
_BEFORE_CELLS = 16
_KEY_CELLS = 18


def change_columns(wall: Callable[[], float]) -> list[Column[Change]]:
    """Return the columns of the change log; ``wall`` tells when the run began."""
    return [
        Column("VERSION", 7, 100, lambda c: Span(str(c.version), "accent"), "right"),
        Column("TIME", 8, 50, lambda c: Span(wall_clock(wall(), c.at), "muted")),
        Column("WHO", 14, 60, lambda c: Span(safe(c.stream or OPERATOR_NAME), "text"), grows=True),
        Column("KEY", 18, 90, lambda c: Span(safe(c.key), "strong"), is_path=True, grows=True),
        Column("BEFORE → AFTER", 0, 80, before_and_after),
    ]


def change_text(change: Change) -> str:
    """Return what a filter of the change log looks at."""
    return (
        f"{change.version} {change.stream or OPERATOR_NAME} {change.key}"
        f" {change.before or ''} {change.after or ''}"
    )


def before_and_after(change: Change) -> Line:
    """Return both values, shortened."""
    after = (
        Span("removed", "level.error")
        if change.after is None
        else Span(_short(change.after), "text")
    )
    if change.before is None:
        return (Span("new  ", "level.good"), after)
    return _fields(change) or _one(_short(change.before, _BEFORE_CELLS), after)


def _one(before: str, after: Span) -> Line:
    return (Span(before, "muted"), Span(" → ", "faint"), after)


def _fields(change: Change) -> Line:
    """Return the fields that differ, if an object became another one that is like it."""
    both = (change.before or "", change.after or "")
    if not all(text[:1] == "{" and len(text) <= SHORT_CELLS for text in both):
        return ()
    old, new = (msgspec.json.decode(text, type=dict[str, msgspec.Raw]) for text in both)
    if not old.keys() & new.keys():
        return ()
    spans: list[Span] = []
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = (bytes(side[name]).decode() if name in side else "" for side in (old, new))
        if before != after:
            spans.append(Span(f"{safe(name)} ", "text"))
            spans += _one(_short(before) or "new", Span(_short(after) or "removed", "text"))
            spans.append(Span("  "))
    return tuple(spans)


def _short(text: str, cells: int = SHORT_CELLS) -> str:
    words = safe(text[: cells + 1])
    return words if len(words) <= cells else f"{words[: cells - 1]}…"


# --- the panel beside ----------------------------------------------------------------------------


def change_detail(state: State, change: Change, glyphs: Glyphs, cells: int) -> list[Line]:
    """Return who changed what, the difference line by line, and the whole state it led to."""
    at = wall_clock(state.started_wall, change.at)
    dot = f" {glyphs.separator} "
    lines: list[Line] = [
        (Span(f"version {change.version}", "title"), Span(f"{dot}{safe(change.key)}", "strong")),
        (Span(f"{safe(change.stream or OPERATOR_NAME)}{dot}{at}", "text"),),
        (Span(f"hash {change.hash}", "faint"),),
        (),
    ]
    return [*lines, *diff_lines(change.before, change.after, cells), *_whole(state, change)]


def diff_lines(before: str | None, after: str | None, cells: int) -> list[Line]:
    """Return how one JSON text became another, as lines of - and +."""
    old, new = _pretty(before), _pretty(after)
    lines: list[Line] = []
    old_alike, new_alike = ([line.rstrip(",") for line in side] for side in (old, new))
    found = SequenceMatcher(None, old_alike, new_alike, autojunk=False).get_opcodes()
    for tag, old_from, old_to, new_from, new_to in found:
        if tag == "equal":
            lines += _signed("  ", new[new_from:new_to], "muted", cells)
            continue
        lines += _signed("- ", old[old_from:old_to], "level.error", cells)
        lines += _signed("+ ", new[new_from:new_to], "level.good", cells)
    return lines


def _signed(sign: str, texts: list[str], style: str, cells: int) -> list[Line]:
    room = max(cells - len(sign), 8)
    found: list[Line] = []
    for text in texts:
        first, *more = hard_wrap(safe(text), room)
        found.append((Span(sign + first, style),))
        found += [(Span("  " + piece, style),) for piece in more]
    return found


def _pretty(text: str | None) -> list[str]:
    if text is None:
        return []
    lines = msgspec.json.format(text, indent=2).splitlines()
    if len(lines) <= MOST_DIFF_LINES:
        return lines
    return [*lines[:MOST_DIFF_LINES], f"… {len(lines) - MOST_DIFF_LINES} more lines"]


def _whole(state: State, change: Change) -> list[Line]:
    version = state.shared.versions.get(change.version)
    if version is None:
        return [(), (Span("this version is not kept any more", "muted"),)]
    keys = sorted(version.values)
    changed = {c.key for c in version.changes}
    text = wording.counted(len(keys), "key")
    lines: list[Line] = [(), (Span(f"The whole state  {text}", "title"),)]
    for key in keys[:MOST_KEYS]:
        style = "level.good" if key in changed else "text"
        value = _short(version.values[key].text)
        name = safe(key).ljust(_KEY_CELLS)
        lines.append((Span(f"{name} ", style), Span(value, "muted")))
    if len(keys) > MOST_KEYS:
        lines.append((Span(f"and {len(keys) - MOST_KEYS} more", "muted"),))
    return lines
