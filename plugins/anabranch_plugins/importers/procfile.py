"""Procfiles (Heroku, foreman, honcho): ``NAME: COMMAND``, a line each.

Foreman and honcho give each process a ``PORT``, 5000 for the first line and 100 more for each
line after it. A stream whose command asks for it gets the same one.
"""

from __future__ import annotations

import re
from typing import Any

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.names import stream_names

FIRST_PORT, PORT_STEP = 5000, 100

_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$")
_ASKS_FOR_PORT = re.compile(r"\$(?:PORT\b|\{PORT\b)")


def plan_of(text: str) -> Imported:
    """Return the plan that the lines stand for."""
    commands: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.match(line.strip())
        if found is None:
            raise NotThisFormat(f"line {number} is not NAME: COMMAND")
        if found[1] in commands:
            raise NotThisFormat(f"line {number}: {found[1]} is there twice")
        commands[found[1]] = found[2].strip()
    if not commands:
        raise NotThisFormat("it has no line NAME: COMMAND")
    names = stream_names(commands)
    left: list[str] = []
    streams = {
        names[name]: _stream(name, command, FIRST_PORT + PORT_STEP * place, left)
        for place, (name, command) in enumerate(commands.items())
    }
    return Imported({"streams": streams}, tuple(left))


def _stream(name: str, command: str, port: int, left: list[str]) -> str | dict[str, Any]:
    if not _ASKS_FOR_PORT.search(command):
        return command
    left.append(f"{name}: a free PORT; it is always {port} here, as foreman has it by default")
    return {"command": command, "env": {"PORT": str(port)}}
