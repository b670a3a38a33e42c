"""Whether a workspace is still the folder that the engine made.

A stream may rename its folder and put another one, or a symbolic link, in its place. What stands
there then is not the stream's work, whatever its name says: capturing it would turn every file of
the base into a deletion, and somebody else's files into a result. So the folder's device and inode
are written down when it is made, and looked at whenever its files are.
"""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec

from anabranch.engine.clock import boot_id
from anabranch.engine.git import GitError


class FolderIdentity(msgspec.Struct, frozen=True):
    """A folder as the kernel knows it; numbers of another boot of the machine mean nothing."""

    boot: str
    device: int
    inode: int


class WorkspaceReplaced(GitError):
    """The folder that was prepared does not stand in its place any more."""


def identity_of(folder: Path) -> FolderIdentity:
    """Return what tells this folder from any other. Raises OSError."""
    found = folder.lstat()
    return FolderIdentity(boot_id(), found.st_dev, found.st_ino)


def require_unreplaced(path: Path, made: FolderIdentity | None) -> None:
    """Raise WorkspaceReplaced if ``path`` is not the folder ``made`` (None: not known)."""
    what = _what_stands_instead(path, made)
    if what is not None:
        raise WorkspaceReplaced(
            f"the workspace was replaced: {what}",
            hint=f"nothing was taken from {path}; look for the stream's files where it put them",
        )


def _what_stands_instead(path: Path, made: FolderIdentity | None) -> str | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return "nothing stands in its place"
    if stat.S_ISLNK(found.st_mode):
        return "a symbolic link stands in its place"
    if not stat.S_ISDIR(found.st_mode):
        return "something that is not a folder stands in its place"
    if made is None or made.boot != boot_id():
        return None
    is_same = (found.st_dev, found.st_ino) == (made.device, made.inode)
    return None if is_same else "another folder stands in its place"
