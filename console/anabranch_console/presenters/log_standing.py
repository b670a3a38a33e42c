"""How a view of a log stands, in words: how much of it is shown, and what is hidden."""

from __future__ import annotations

from anabranch.core.views.log_levels import Level
from anabranch.core.wording import counted
from anabranch.engine.log_index import LogIndex
from anabranch_console.log_texts import Window
from anabranch_console.presenters.wording import size

MOST_BREVITY = 2


def window_in_words(window: Window, *, is_following: bool) -> str:
    """Return how much of a log a window is that is not empty."""
    if window.is_whole:
        return counted(len(window.lines), "line")
    place = "last" if is_following else f"at {window.place_percent} %"
    whole = f"{window.size:,}" if window.counts_lines else size(window.size)
    return f"{place} {counted(len(window.lines), 'line')} of {whole}"


def index_in_words(index: LogIndex, is_reading: bool, brevity: int) -> str:
    """Return what a filter hides, and how far the logs have been read; a greater brevity less."""
    words = []
    if index.least is not None:
        hidden = f": {index.hidden:,} hidden" if brevity < MOST_BREVITY else ""
        words.append(f"{level_in_words(index.least)}{hidden}")
        if index.unrecognised and not brevity:
            words.append(f"{index.unrecognised:,} of them without a level")
    if is_reading:
        words.append(f"read {100 - 100 * index.unread // max(index.size, 1)} %")
    if index.let_go and not brevity:
        words.append(f"the first {index.let_go:,} let go")
    return ", ".join(words)


def level_in_words(least: Level) -> str:
    """Return what a filter shows: ``errors``, ``warnings, errors``, ``no debug``."""
    words = {Level.ERROR: "errors", Level.WARNING: "warnings, errors"}
    return words.get(least, "no debug")
