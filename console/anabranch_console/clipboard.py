"""Putting text into the clipboard: by a program of this machine, else by the person's terminal.

A program is certain, and knows no limit that matters; the terminal's sequence (OSC 52) reaches the
clipboard of whoever sits at the other end of a connection, if their terminal takes it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping

MOST_BY_TERMINAL_BYTES = 74_000
"""Of more, many terminals take nothing."""

PATIENCE_SECONDS = 3.0
SETTING = "ANABRANCH_CLIPBOARD"

_WAYLAND, _X11 = "WAYLAND_DISPLAY", "DISPLAY"
_NATIVE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (_WAYLAND, ("wl-copy",)),
    (_X11, ("xclip", "-selection", "clipboard")),
    (_X11, ("xsel", "--clipboard", "--input")),
    ("", ("pbcopy",)),
    ("WSL_DISTRO_NAME", ("clip.exe",)),
)
"""Programs, and the variable without which they reach no clipboard."""


def native_command(
    environ: Mapping[str, str], which: Callable[[str], str | None] = shutil.which
) -> tuple[str, ...] | None:
    """Return the program that takes text for the clipboard of whoever sits here, if there is one.

    Over a remote connection there is none: its clipboard is not the person's.
    ``ANABRANCH_CLIPBOARD`` is ``auto``, ``native`` (also then) or ``osc52`` (never one).
    """
    wish = environ.get(SETTING, "auto")
    if wish == "osc52" or (wish != "native" and environ.get("SSH_CONNECTION")):
        return None
    for variable, command in _NATIVE:
        if (not variable or environ.get(variable)) and which(command[0]):
            return command
    return None


def put_by(command: tuple[str, ...], text: str) -> bool:
    """Give text to a program, and wait a little for it; false if it did not take it."""
    try:
        subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True
