"""What the person's terminal is and wants: a console or lines, colours or none, which signs."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Mapping
from typing import Any

_OFF = ("", "0", "false", "no")


def is_in_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this is a job of continuous integration, which nobody looks at."""
    return environ.get("CI", "").lower() not in _OFF


def can_show_console(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a full-screen console is to be shown without being asked for by name."""
    return why_no_console(environ) is None and not is_in_ci(environ)


def why_no_console(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return why a full-screen console cannot be shown; None if it can.

    It reads from stdin and paints on stderr, so each standard stream has to be the terminal.
    """
    if not all(map(_is_terminal, (sys.__stdin__, sys.__stdout__, sys.__stderr__))):
        return "the console needs a terminal: stdin, stdout and stderr"
    if environ.get("TERM", "dumb") in ("dumb", ""):
        return "the console needs a terminal that can move its cursor, and TERM says it cannot"
    if not is_in_foreground():
        return "the console needs the terminal for itself, and runs in its background"
    return None


def is_in_foreground() -> bool:
    """Say whether the terminal is ours to use: who uses it from the background is stopped by it."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True  # it is not the terminal that controls us, so it cannot stop us either


def wants_colour(stream: Any = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream (stdout by default) is to be coloured.

    NO_COLOR comes first, then FORCE_COLOR and CLICOLOR_FORCE, then CLICOLOR and what the stream is.
    """
    if environ.get("NO_COLOR"):
        return False
    forced = environ.get("FORCE_COLOR")
    if forced:
        return forced.lower() not in _OFF
    if environ.get("CLICOLOR_FORCE", "0") not in _OFF:
        return True
    if environ.get("CLICOLOR", "1") == "0" or environ.get("TERM") == "dumb":
        return False
    return is_screen(stream)


def is_screen(stream: Any = None) -> bool:
    """Return whether a stream (stdout by default) is a terminal rather than a file or a pipe."""
    return _is_terminal(sys.stdout if stream is None else stream)


def speaks_utf8(stream: Any = None) -> bool:
    """Return whether whoever reads a stream (stdout by default) takes every sign."""
    text = sys.stdout if stream is None else stream
    encoding = getattr(getattr(text, "buffer", None), "spoken", text.encoding)
    return codecs.lookup(encoding or "utf-8").name == "utf-8"


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except (OSError, ValueError):  # it was closed
        return False
