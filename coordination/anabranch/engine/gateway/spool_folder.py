"""One attempt's spool folder, used only through descriptors that no link can bend.

The folder lies inside a workspace that its stream may change at will. So every use walks down from
the workspace, refusing links on the way, and then stays with the descriptor it got. A
``.gitignore`` in the folder keeps it out of every commit, the stream's own included.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from anabranch.engine.gateway import wire
from anabranch.engine.gateway.wire import BadFrame
from anabranch.files import replace_whole
from anabranch.plain_files import NotPlain, open_plain

MOST_ENTRIES = 8_192
MOST_ANSWERS = 512
ANSWER_KEPT_SECONDS = 60.0
BEING_WRITTEN_SECONDS = 1.0

_WHAT_A_REQUEST_IS = "a request is a plain file of this user"
_REQUEST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})\.request")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def in_workspace(workspace: Path) -> SpoolFolder:
    """Return the spool of a workspace that is the stream's own."""
    return SpoolFolder(workspace, (".anabranch", "spool"))


class SpoolFolder:
    """Requests and answers as files: ``NAME.request`` and ``NAME.answer``.

    ``top`` is a folder that the engine trusts, ``parts`` the way down from there.
    """

    def __init__(self, top: Path, parts: tuple[str, ...]) -> None:
        self.top = top
        self.parts = parts
        self._place = str(self.path)

    @property
    def path(self) -> Path:
        return self.top.joinpath(*self.parts)

    def make(self) -> None:
        """Make the folder, if it is not there. Raises OSError if something else stands there."""
        for depth, part in enumerate(self.parts):
            above = self._descend(self.parts[:depth])
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=above)
            finally:
                os.close(above)
        with self._opened() as folder, contextlib.suppress(FileExistsError):
            ignore = os.open(".gitignore", _WRITE, 0o600, dir_fd=folder)
            os.write(ignore, b"*\n")
            os.close(ignore)

    def remove(self) -> None:
        """Take the folder away, if it is there: what a stream left here is not its work."""
        with contextlib.suppress(OSError):
            parent = self._descend(self.parts[:-1])
            try:
                shutil.rmtree(self.parts[-1], dir_fd=parent)
            finally:
                os.close(parent)
        for depth in range(len(self.parts) - 1, 0, -1):
            with contextlib.suppress(OSError):
                self.top.joinpath(*self.parts[:depth]).rmdir()

    def changed_ns(self) -> int:
        """Return when something came or went, 0 if there is no folder."""
        try:
            return os.stat(self._place, follow_symlinks=False).st_mtime_ns
        except OSError:
            return 0

    def requests(self) -> list[str]:
        """Return the names of the requests, oldest name first; answers nobody takes are removed.

        A folder of that name is not a request: it could not be taken away when it is answered.
        """
        with self._opened() as folder, os.scandir(folder) as entries:
            found = islice(entries, MOST_ENTRIES)
            names = [e.name for e in found if not e.is_dir(follow_symlinks=False)]
            answers = [name for name in names if name.endswith(".answer")]
            if len(answers) > MOST_ANSWERS:
                _remove_old(folder, answers)
        return sorted(match[1] for name in names if (match := _REQUEST.fullmatch(name)))

    def read(self, name: str) -> bytes | None:
        """Return a request, or None while it seems to be still written.

        Raises BadFrame if it is too large or no plain file of ours, OSError if it cannot be read.
        """
        with self._opened() as folder:
            try:
                place = open_plain(f"{name}.request", at=folder)
            except NotPlain as error:
                raise BadFrame("bad_request", _WHAT_A_REQUEST_IS) from error
            with open(place, "rb") as file:
                found = os.fstat(place)
                if found.st_uid != os.getuid():
                    raise BadFrame("bad_request", _WHAT_A_REQUEST_IS)
                if found.st_size > wire.LARGEST_FRAME_BYTES:
                    limit = f"a frame holds at most {wire.LARGEST_FRAME_BYTES} bytes"
                    raise BadFrame("too_large", limit)
                data = file.read(wire.LARGEST_FRAME_BYTES + 1)
        is_fresh = abs(time.time() - found.st_mtime) < BEING_WRITTEN_SECONDS
        return None if is_fresh and not data.rstrip().endswith(b"}") else data

    def answer(self, name: str, reply: bytes) -> None:
        """Answer a request and take it away. Raises OSError."""
        with self._opened() as folder:
            replace_whole(f"{name}.answer", reply, at=folder)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{name}.request", dir_fd=folder)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        folder = self._descend(self.parts)
        try:
            yield folder
        finally:
            os.close(folder)

    def _descend(self, parts: tuple[str, ...]) -> int:
        """Open a folder below the top without following a link. Raises OSError."""
        folder = os.open(self.top, _FOLDER)
        for part in parts:
            try:
                below = os.open(part, _FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
            folder = below
        return folder


def _remove_old(folder: int, answers: list[str]) -> None:
    limit = time.time() - ANSWER_KEPT_SECONDS
    for name in answers:
        with contextlib.suppress(OSError):
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < limit:
                os.unlink(name, dir_fd=folder)
