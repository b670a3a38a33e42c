"""Writes the small commands that streams find first in their PATH.

A stub is three lines of shell that replace themselves by this interpreter, without the user's
``site``, on a compiled file: no search for an interpreter, no shim of an environment, and nothing
to compile each time.
"""

from __future__ import annotations

import marshal
import shlex
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from anabranch.files import replace_whole

_COMMANDS = {"ab-stream": "ab_stream.py", "anabranch-mcp": "mcp.py"}
_PARTS = (
    "ab_agent.py",
    "ab_hook.py",
    "ab_locked.py",
    "ab_spool.py",
    "ab_words.py",
    "mcp_tools.py",
)


def write_stubs(folder: Path) -> None:
    """Write the commands into a folder that is made private. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for part in _PARTS:
        _compiled(Path(__file__).with_name(part), folder)
    for name, source in _COMMANDS.items():
        program = _compiled(Path(__file__).with_name(source), folder)
        call = f"exec {shlex.quote(sys.executable)} -X utf8 -I -S {shlex.quote(str(program))}"
        program_text = f'#!/bin/sh\n{call} "$@"\n'
        replace_whole(folder / name, program_text.encode(), exact_mode=0o700)


_HEAD = MAGIC_NUMBER + bytes(12)
"""What a compiled file begins with; it is run as it is, and so need not say when it was made."""


def _compiled(source: Path, folder: Path) -> Path:
    """Return the compiled file of a program, or its source if it cannot be compiled here.

    It is made of what Python has compiled already, wherever that was: every run needs these files.
    """
    target = folder / source.with_suffix(".pyc").name
    try:
        code = SourceFileLoader(source.stem, str(source)).get_code(source.stem)
        replace_whole(target, _HEAD + marshal.dumps(code))
    except (OSError, SyntaxError):
        return source
    return target
