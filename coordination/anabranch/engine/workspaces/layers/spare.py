"""A folder inside a workspace of layers, for files that are about to be renamed into place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anabranch.files import replace_whole

_WAY = (".anabranch", "delivering")
"""The first of them is the engine's in every workspace, and belongs to no result."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RULES = ".gitignore"


@contextmanager
def spare_folder_inside(workspace: Path) -> Iterator[int]:
    """Give the descriptor of such a folder; no link bends the way there. Raises OSError."""
    places = [os.open(workspace, _FOLDER)]
    try:
        for name in _WAY:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=places[-1])
            places.append(os.open(name, _FOLDER, dir_fd=places[-1]))
        replace_whole(_RULES, b"*\n", at=places[-1])
        yield places[-1]
        os.unlink(_RULES, dir_fd=places[-1])
        for above, name in zip(places[-2::-1], reversed(_WAY), strict=True):
            with suppress(OSError):  # the spool lies there, too
                os.rmdir(name, dir_fd=above)
    finally:
        for place in places:
            os.close(place)
