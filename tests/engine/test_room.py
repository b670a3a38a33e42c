"""A full disk passes, and is waited for; anything else that fails is told at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from anabranch.engine.git import GitError
from anabranch.engine.performers.room import OutOfRoom, given_room, is_for_want_of_room
from anabranch.errors import DiskFull, WorldError


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), True),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), False),
        (DiskFull("the journal cannot be written"), True),
        (WorldError("no such folder"), False),
        (GitError("unable to write: No space left on device"), True),
        (GitError("sha1 file 'index.lock' write error. Out of diskspace"), True),
        (GitError("object missing", stderr="fatal: Disk quota exceeded"), True),
        (GitError("not a valid object name"), False),
    ],
)
def test_a_full_disk_is_told_from_other_reasons(
    error: Exception, is_full: bool, tmp_path: Path
) -> None:
    assert is_for_want_of_room(error, (tmp_path,)) is is_full


def test_what_failed_for_a_full_disk_can_be_tried_again(tmp_path: Path) -> None:
    def fails() -> None:
        raise GitError("write error. Out of diskspace")

    with pytest.raises(OutOfRoom, match="the disk is full"):
        given_room((tmp_path,), fails)
    assert given_room((tmp_path / "not-there",), lambda: 7) == 7
