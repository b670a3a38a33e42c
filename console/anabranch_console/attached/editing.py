"""A text in the person's own editor, which has the terminal meanwhile."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def editor() -> str:
    """Return the command of the person's editor."""
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"


class EditorVisit:
    """A visit of the person's editor, at a text.

    Args:
        text: the text, of any number of lines.
        name: what its file is called, which is how editors know what it is.
        take: called with what it is afterwards, from another thread; not after a failure.
    """

    def __init__(self, text: str, name: str, take: Callable[[str], object]) -> None:
        self._text, self._name, self._take = text, name, take
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> str:
        """Run the editor until it is left; return what to say then, "" if all went well."""
        command = editor()
        with tempfile.TemporaryDirectory(prefix="anabranch-edit-") as folder:
            file = Path(folder) / self._name
            file.write_text(f"{self._text}\n" if self._text else "", "utf-8")
            try:
                self._process = subprocess.Popen([*shlex.split(command), str(file)])
            except (OSError, ValueError) as error:
                return f"{command!r} cannot be started ({error}); set EDITOR"
            code = self._process.wait()
            if code != 0:
                return f"{command} ended with {code}: the text is as it was"
            try:
                self._take(file.read_text("utf-8", "replace"))
            except OSError as error:
                return f"the text is as it was: {error}"
        return ""

    def resized(self) -> None:
        """Do nothing: the kernel tells the editor."""

    def call_off(self) -> None:
        """Hang up, as a terminal that has gone does."""
        if self._process is not None:
            with suppress(OSError):
                self._process.send_signal(signal.SIGHUP)
