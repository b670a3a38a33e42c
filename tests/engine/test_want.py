"""A machine that is short of something passes, and is waited for; anything else is told at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from anabranch.engine.git import GitError
from anabranch.engine.performers.want import Want, want_of
from anabranch.errors import DiskFull, MachineShort, WorldError, machine_errors

READ_ONLY = "the disk takes nothing: it is mounted read-only"
FULL, NO_PROCESS = "the disk is full", "no process or thread can be started, or a resource is busy"


def from_the_machine(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def git_that_could_not_start(number: int) -> GitError:
    error = GitError("cannot run git")
    error.__cause__ = from_the_machine(number)
    return error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (from_the_machine(errno.ENOSPC), FULL),
        (from_the_machine(errno.EDQUOT), "the disk quota is used up"),
        (from_the_machine(errno.EMFILE), "no file descriptors are left"),
        (from_the_machine(errno.ENFILE), "no file descriptors are left on this machine"),
        (from_the_machine(errno.EAGAIN), NO_PROCESS),
        (from_the_machine(errno.ENOMEM), "memory is short"),
        (from_the_machine(errno.EINTR), "a call was interrupted"),
        (from_the_machine(errno.EIO), "a disk or device does not answer"),
        (from_the_machine(errno.EROFS), READ_ONLY),
        (MemoryError(), "memory is short"),
        (RuntimeError("can't start new thread"), NO_PROCESS),
        (git_that_could_not_start(errno.EAGAIN), NO_PROCESS),
        (DiskFull("the journal cannot be written"), FULL),
        (MachineShort("no threads"), "no threads"),
        (from_the_machine(errno.EACCES), None),
        (FileNotFoundError(errno.ENOENT, "none"), None),
        (RuntimeError("No space left on device"), None),
        (WorldError("no such folder"), None),
        (GitError("not a valid object name"), None),
        (ValueError("Too many open files"), None),
    ],
)
def test_a_shortage_is_told_from_other_reasons(
    error: Exception, what: str | None, tmp_path: Path
) -> None:
    """By the number of the error, never by the words of what is not the machine's."""
    found = want_of(error, (tmp_path,), tmp_path)
    assert found == (Want(what, is_certain=True) if what else None)


@pytest.mark.parametrize(
    ("reason", "stderr", "what"),
    [
        ("unable to write: No space left on device", "", FULL),
        ("sha1 file 'index.lock' write error. Out of diskspace", "", FULL),
        ("object missing", "fatal: Disk quota exceeded", "the disk quota is used up"),
        ("x", "error: cannot fork() for sh: Resource temporarily unavailable", NO_PROCESS),
        ("x", "fatal: unable to create thread: Resource temporarily unavailable", NO_PROCESS),
        ("x", "fatal: Out of memory, malloc failed", "memory is short"),
        ("x", "fatal: open: Too many open files", "no file descriptors are left"),
        ("x", "error: unable to create temporary file: Read-only file system", READ_ONLY),
    ],
)
def test_the_words_of_a_program_are_believed_for_a_while(
    reason: str, stderr: str, what: str, tmp_path: Path
) -> None:
    """A stream's filter may say them too: without a sign of the machine's they are not certain."""
    found = want_of(GitError(reason, stderr=stderr), (tmp_path / "not-there",), tmp_path)
    assert found == Want(what, is_certain=False)
    assert list(tmp_path.iterdir()) == []


def test_words_are_certain_when_the_machine_bears_them_out(tmp_path: Path) -> None:
    """Where nothing can be written, a full disk is what it is."""
    found = want_of(GitError("No space left on device"), (), tmp_path / "not-there")
    assert found == Want(FULL, is_certain=True)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EMFILE, MachineShort),
        (errno.ENOMEM, MachineShort),
        (errno.EROFS, MachineShort),
        (errno.EACCES, WorldError),
    ],
)
def test_a_command_tells_a_shortage_from_a_refusal(number: int, kind: type[WorldError]) -> None:
    """Trying again helps, or it does not."""
    with pytest.raises(WorldError) as found, machine_errors():
        raise from_the_machine(number)
    assert type(found.value) is kind
