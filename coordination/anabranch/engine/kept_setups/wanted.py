"""A setup as the program is asked for it, and by what its result is known."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from pathlib import Path

import msgspec

from anabranch.plain_files import open_plain

FORMAT = 2
PIECE_BYTES = 1 << 20


class Wanted(msgspec.Struct, frozen=True):
    """A setup: where it runs, what decides its result, and where that is kept and noted.

    ``folder`` is the project's in the ``workspace``, ``within`` the one in which the setup runs,
    both relative to it. ``inputs`` are looked for in both; without any the result is not kept, nor
    is it where there is a reason why it is ``not_reused``. ``about`` is a digest of what else it
    depends on; in ``made`` is noted what it has made.
    """

    workspace: str
    store: str
    folder: str = "."
    within: str = "."
    inputs: tuple[str, ...] = ()
    about: str = ""
    made: str = ""
    not_reused: str = ""

    def key(self, argv: tuple[str, ...]) -> str | None:
        """Return what its result is known by; None if none of its inputs is there.

        Raises OSError.
        """
        folders = sorted({posixpath.normpath(self.folder), posixpath.normpath(self.within)})
        paths = [posixpath.join(folder, name) for folder in folders for name in sorted(self.inputs)]
        contents = {path: _digest(Path(self.workspace, path)) for path in paths}
        if not any(contents.values()):
            return None
        within = posixpath.normpath(self.within)
        known = [FORMAT, argv, within, contents, os.uname().machine, self.about]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:40]


def _digest(path: Path) -> str | None:
    """Return what a file holds, in short; None if it is not there. Raises OSError."""
    try:
        file = open_plain(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = hashlib.sha256()
        while piece := os.read(file, PIECE_BYTES):
            found.update(piece)
        return found.hexdigest()
    finally:
        os.close(file)
