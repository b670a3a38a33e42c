"""Writes the small commands that streams find first in their PATH.

A stub is three lines of shell that replace themselves by this interpreter, without the user's
``site``, on a compiled file: no search for an interpreter, no shim of an environment, and nothing
to compile each time.
"""

from __future__ import annotations

import py_compile
import shlex
import sys
from pathlib import Path

from anabranch.files import replace_whole

_COMMANDS = {"ab-stream": "ab_stream.py", "anabranch-mcp": "mcp.py"}
_PARTS = ("ab_locked.py", "ab_spool.py", "ab_words.py", "mcp_tools.py")


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


def _compiled(source: Path, folder: Path) -> Path:
    """Return the compiled file of a program, or its source if it cannot be compiled here."""
    target = folder / source.with_suffix(".pyc").name
    try:
        py_compile.compile(str(source), str(target), doraise=True)
    except (OSError, py_compile.PyCompileError):
        return source
    return target
