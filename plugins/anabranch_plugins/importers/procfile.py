"""Procfiles (Heroku, foreman, honcho): ``NAME: COMMAND``, a line each."""

from __future__ import annotations

import re

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.names import stream_names

_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$")


class Procfile:
    """Each line becomes a stream; comments and empty lines are passed over."""

    name = "procfile"
    file_names = ("Procfile", "Procfile.*", "*.procfile")

    def convert(self, text: str) -> Imported:
        """Return the plan that the lines stand for."""
        commands: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), start=1):
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
        return Imported({"streams": {names[name]: command for name, command in commands.items()}})
