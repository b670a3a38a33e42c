"""A place for one handler at a time: the file its output goes to, and that of its result.

What a handler leaves running (a daemon, in a session of its own) may write for as long as it likes.
So a file is given to the next handler only if nobody else has it: whoever opens it takes the
kernel's lock on it, which goes on as long as any process has it from there. An output that floods
is cut to its beginning and its end, as a stream's log is.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os

MOST_BYTES = 64 * 1024 * 1024
FIRST_BYTES = LAST_BYTES = 16 * 1024 * 1024
COPY_BYTES = 1024 * 1024
BLOCK_BYTES = 1024 * 1024
"""Whatever the disk's blocks are, these are whole ones."""
COLLAPSE_RANGE = 0x08
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


@functools.cache
def nothing() -> int:
    """Return where handlers read that there is nothing to read: opened once for all of them."""
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class Slot:
    """One of so many places as handlers may run at a time."""

    def __init__(self, folder: str, number: int) -> None:
        """Open its file, with what is in it. Raises OSError."""
        self.number = number
        self._folder = folder
        self._path = f"{folder}/slot.{number}"
        self._left_out = 0
        self.output = -1
        self.file_actions: tuple[tuple[int, int, int], ...] = ()
        self._open()
        self.is_for(number)

    def _open(self, flags: int = 0) -> None:
        output = os.open(self._path, _FLAGS | flags, 0o600)
        if output != self.output:
            self.output = output
            self.file_actions = (
                (os.POSIX_SPAWN_DUP2, nothing(), 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            )
        self._is_ours_alone = _is_ours_alone(output)

    @property
    def written_bytes(self) -> int:
        """How much the handler that has it has written, and was not cut."""
        return os.fstat(self.output).st_size

    def is_for(self, place: int) -> None:
        """Have it be the one of the handler at a place."""
        self.result = f"{self._folder}/result.{place}"
        self.result_name = os.fsencode(self.result)

    def begin(self, place: int) -> None:
        """Have it be the one of a handler that begins, and of nobody else. Raises OSError."""
        self.is_for(place)
        if not self._is_ours_alone:
            self._part()

    def clear(self) -> None:
        """Have it be empty for the next handler. Raises OSError."""
        os.close(self.output)
        self._open()
        if self.written_bytes:
            os.ftruncate(self.output, 0)
        self._left_out = 0

    def _part(self) -> None:
        """Have an empty file that nobody else has; the one that there is, if by now it is so.

        Whoever was just being started had ours, too, until another program took its place.
        """
        self.clear()
        if not self._is_ours_alone:
            os.close(self.output)
            os.unlink(self._path)
            self._open(os.O_EXCL)

    def forget_result(self) -> None:
        """Take away the file of a result, if it is one."""
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(self.result)

    def cut_flood(self) -> int:
        """Cut an output that has grown too large to its first and its last part.

        Returns how large it is then. Raises OSError.
        """
        end = os.fstat(self.output).st_size
        if end < MOST_BYTES:
            return end
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.path.sameopenfile(file, self.output):  # else a handler has put another there
                self._cut(file, end)
        finally:
            os.close(file)
        return self.written_bytes

    def _cut(self, file: int, end: int) -> None:
        note_bytes = len(_note(0))
        left_out = (end - LAST_BYTES - FIRST_BYTES) // BLOCK_BYTES * BLOCK_BYTES
        if not take_out(file, FIRST_BYTES, left_out):
            return self._move_down(file, end)
        # the note takes the room of what would come next; an earlier one is among what went
        self._left_out += left_out + (0 if self._left_out else note_bytes)
        os.pwrite(file, _note(self._left_out), FIRST_BYTES)
        return None

    def _move_down(self, file: int, end: int) -> None:
        """Copy the last part down to the first, where the disk can take nothing out of a file.

        What is written between the last look and the cut is neither kept nor counted.
        """
        to = FIRST_BYTES + len(_note(0))
        at = end - LAST_BYTES
        most = 2 * LAST_BYTES  # one that writes faster than it is copied is not followed for ever
        # What is written meanwhile is taken along: the last words may come at just this moment.
        while most > 0 and (part := os.pread(file, min(COPY_BYTES, most), at)):
            to += os.pwrite(file, part, to)
            at, most = at + len(part), most - len(part)
        # of what is cut away now, an earlier note is not output, and this one takes room
        cut = os.fstat(file).st_size - to + (0 if self._left_out else len(_note(0)))
        os.ftruncate(file, to)
        self._left_out += cut
        os.pwrite(file, _note(self._left_out), FIRST_BYTES)

    def close(self) -> None:
        """Let its file go."""
        os.close(self.output)


def take_out(file: int, at: int, length: int) -> bool:
    """Take a range of whole blocks out of a file while others append to it; whether that worked.

    Nothing else is lost or moves past it, whenever it is written: fallocate(2), which ext4 and XFS
    know. Raises nothing; a disk that cannot has changed nothing.
    """
    try:
        import ctypes  # here: hardly any handler floods

        fallocate = ctypes.CDLL(None).fallocate64
    except (ImportError, OSError, AttributeError):
        return False
    range_of = (ctypes.c_int64(at), ctypes.c_int64(length))
    return bool(fallocate(file, COLLAPSE_RANGE, *range_of) == 0)


def _is_ours_alone(output: int) -> bool:
    """Lock a file; return whether nobody else has it open from before."""
    try:
        fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _note(left_out: int) -> bytes:
    return f"\n[anabranch: {left_out:15d} bytes of output are left out here]\n".encode()
