"""What is written to a person's terminal beside the stream's own output.

What was there before is shown from a safe place on, without what would ask the terminal something
or ring its bell once more; modes are switched as the program has them, and off when it is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from anabranch.holder.screen_modes import ALTERNATE, USUALLY_ON, ScreenModes

MOST_LINES = 200
CUT_SHORT = b"\x18\x1b\\"
"""Ends whatever sequence is half written."""

MOUSE = (9, 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1015, 1016)
_RESTORED = frozenset({1, 5, *USUALLY_ON, *ALTERNATE, *MOUSE, 1004, 2004, 2031, 2048})
"""Modes that whoever comes later gets: none that moves the cursor or lasts but a frame."""

_OTHERWISE_RESET = b"\x1b[4l\x1b7\x1b[?6l\x1b[r\x1b8\x1b>\x1b(B\x0f\x1b[0m\x1b[0 q"
"""Inserting, the region that scrolls, the keypad, letters, colours, the cursor's look."""

_ASKS = re.compile(
    rb"\x1b\[[?>=]?[\d;]*[cnx]"  # what it is, where the cursor is
    rb"|\x1b\[[?>=<][\d;]*[a-zA-Z]|\x1b\[\??[\d;]*\$p"  # modes, keys, and how they are
    rb"|\x1b\[[\d;]*t"  # the window
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, colours, the clipboard, notices
    rb"|\x1b[P_^][^\x1b]*\x1b\\"  # other strings
    rb"|\x1bZ|\x1bc|\x05|\x07",
    re.DOTALL,
)
_LEAVES_ALTERNATE = re.compile(rb"\x1b\[\?(?:1049|1047|47)l")
_CLEARS = re.compile(rb"\x1b\[\?(?:1049|1047|47)h|\x1b\[[23]?J|\x1bc")


def before(recent: bytes, *, is_alternate: bool, is_cut: bool) -> bytes:
    """Return what to show of the output so far, without effects but on what is seen.

    Args:
        recent: the end of it.
        is_alternate: whether a full-screen program has the screen: then from where it was cleared.
        is_cut: whether it begins anywhere, perhaps in the middle of a sequence.
    """
    if is_alternate:
        cleared = list(_CLEARS.finditer(recent))
        recent = recent[cleared[-1].start() :] if cleared else b""
    else:
        left = list(_LEAVES_ALTERNATE.finditer(recent))
        lines = recent[left[-1].end() if left else 0 :].splitlines(keepends=True)
        recent = b"".join(lines[-MOST_LINES:] if left or not is_cut else lines[1:][-MOST_LINES:])
    return _ASKS.sub(b"", recent)


def modes_of(text: str) -> ScreenModes:
    """Return modes as a holder writes them."""
    modes = ScreenModes()
    for part in text.split():
        modes.saw(b"\x1b[" + part.encode())
    return modes


def switching(now: ScreenModes, wanted: ScreenModes) -> bytes:
    """Return what brings a terminal from some modes to others.

    What keys send belongs to the screen that is shown: it goes before that and comes after it.
    """
    are_other_keys = now.keyboard != wanted.keyboard
    off = [number for number in now.set if number not in wanted.set]
    on = [number for number in wanted.set if number in _RESTORED and number not in now.set]
    said = [b"\x1b[<%du" % len(now.keyboard)] if are_other_keys and now.keyboard else []
    said += [_switch(number, not now.set[number]) for number in reversed(_alternate_first(off))]
    said += [_switch(number, wanted.set[number]) for number in _alternate_first(on)]
    if are_other_keys:
        said += [b"\x1b[>%du" % flags for flags in wanted.keyboard]
    if now.other_keys != wanted.other_keys:
        said.append(b"\x1b[>4;%dm" % wanted.other_keys)
    return b"".join(said)


def leaving(now: ScreenModes) -> bytes:
    """Return what makes a terminal as it was: the program's modes off, the normal screen.

    Whatever is said next begins a line, also where the program has written into that screen.
    """
    restored = CUT_SHORT + _OTHERWISE_RESET + switching(now, ScreenModes()) + b"\x1b[0m\x1b[?25h"
    return restored if now.is_alternate else restored + b"\r\n"


def _alternate_first(numbers: Iterable[int]) -> list[int]:
    return sorted(numbers, key=lambda number: number not in ALTERNATE)


def _switch(number: int, is_on: bool) -> bytes:
    return b"\x1b[?%d%c" % (number, b"h" if is_on else b"l")
