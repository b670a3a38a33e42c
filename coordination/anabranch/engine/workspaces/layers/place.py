"""The folder in which layers are shown, as it is to those who do not see them.

In a namespace nobody outside sees what is shown there; so a note in the folder says where to look.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from anabranch.engine.workspaces.layers.mounting import in_a_namespace
from anabranch.files import replace_whole

NOTE = "THIS-WORKSPACE-IS-ELSEWHERE.txt"
_WORDS = """\
This is the place of a workspace that is shown in a namespace of its user's.

From outside:   anabranch enter STREAM   a shell inside
                anabranch diff STREAM    what has been changed there
"""


def make_place(folder: Path) -> None:
    """Make the folder for layers to be shown in. Raises OSError if it is there."""
    folder.mkdir(parents=True)
    leave_note(folder)


def leave_note(folder: Path) -> None:
    """Say in the folder, for those who will not see the layers, where they are. Raises OSError."""
    if in_a_namespace():
        replace_whole(folder / NOTE, _WORDS.encode(), mode=0o644)


def remove_place(folder: Path) -> None:
    """Remove the folder. Raises OSError if anything but our note is in it."""
    with suppress(FileNotFoundError):
        os.unlink(folder / NOTE)
    folder.rmdir()


def is_empty(folder: Path) -> bool:
    """Say whether nothing but our note is in the folder. Raises OSError."""
    return set(os.listdir(folder)) <= {NOTE}
