"""Notices as bytes for the terminal: the bell, desktop notices, the window's title.

Text comes from streams, so whatever could steer a terminal is made visible before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from anabranch.hostile_text import escape_for_terminal

Desktop = Literal["osc9", "osc777", "osc99", "none"]

BELL = "\a"
KEEP_TITLE, BRING_TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
MOST_CHARACTERS = 160
_END = "\x1b\\"


def desktop_for(environ: Mapping[str, str]) -> Desktop:
    """Return the sequence by which the terminal shows a notice on the desktop, if one is known."""
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if "TMUX" in environ or term.startswith(("tmux", "screen")):
        return "none"  # they pass nothing on by themselves; the bell marks the window there
    if "KITTY_WINDOW_ID" in environ or term == "xterm-kitty":
        return "osc99"
    if program in ("iTerm.app", "WezTerm", "ghostty") or term == "xterm-ghostty":
        return "osc9"
    if "VTE_VERSION" in environ or term.startswith(("foot", "rxvt-unicode")):
        return "osc777"
    return "none"


def desktop_notice(kind: Desktop, title: str, text: str) -> str:
    """Return what shows a notice on the desktop; empty if that cannot be done."""
    title, text = _clean(title), _clean(text)
    if kind == "osc9":
        return f"\x1b]9;{title}: {text}{_END}"
    if kind == "osc777":
        return f"\x1b]777;notify;{title.replace(';', ',')};{text.replace(';', ',')}{_END}"
    if kind == "osc99":
        first = f"\x1b]99;i=anabranch:d=0;{title}{_END}"
        return f"{first}\x1b]99;i=anabranch:d=1:p=body;{text}{_END}"
    return ""


def window_title(text: str) -> str:
    """Return what sets the window's title."""
    return f"\x1b]2;{_clean(text)}{_END}"


def _clean(text: str) -> str:
    line = escape_for_terminal(" ".join(text.split()))
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
