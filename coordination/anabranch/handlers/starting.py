"""Starting a handler: one ``posix_spawn``, with all that is the same for every one made once."""

from __future__ import annotations

import errno
import os
import signal
from typing import NamedTuple

from .slot import Slot

_OWN_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)


class Place(NamedTuple):
    """The workspace of one handler: which try of it, where it lies, and where its command runs."""

    number: int
    path: str
    cwd: str


class Starter:
    """Starts handlers, each in a process group of its own and with its output into its slot."""

    def __init__(self) -> None:
        self._env = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
        self._folders = os.get_exec_path()
        self._programs: dict[str, str] = {}

    def start(
        self, argv: list[str], slot: Slot, index: int, item: str, place: Place | None = None
    ) -> int:
        """Return the process that was started, in a ``place`` of its own if it has one.

        What is executable and no program is a script for the shell, as it is for a shell.
        Raises OSError or ValueError if it cannot be.
        """
        env = self._env
        if place is not None:
            os.chdir(place.cwd)  # a process begins where we are; nothing of ours depends on that
            env[b"ANABRANCH_WORKSPACE"] = os.fsencode(place.path)
        env[b"ANABRANCH_ITEM"] = item.replace("\0", "").encode("utf-8", "surrogateescape")
        env[b"ANABRANCH_INDEX"] = b"%d" % index
        env[b"ANABRANCH_RESULT"] = slot.result_name
        try:
            return self._spawn(self._program(argv[0]), argv, slot)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            return self._spawn("/bin/sh", ["/bin/sh", self._program(argv[0]), *argv[1:]], slot)
        finally:
            if place is not None:  # whoever stands in a workspace of layers keeps it
                os.chdir("/")

    def _spawn(self, program: str, argv: list[str], slot: Slot) -> int:
        return os.posix_spawn(
            program,
            argv,
            self._env,
            file_actions=slot.file_actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=_OWN_SIGNALS,
        )

    def _program(self, name: str) -> str:
        """Return where a program is: looked for once, and not by each child that is started."""
        if "/" in name:
            return name
        path = self._programs.get(name)
        if path is None or not os.access(path, os.X_OK):
            path = self._programs[name] = self._found(name)
        return path

    def _found(self, name: str) -> str:
        for folder in self._folders:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
        return name  # nobody has it: the start says so


def why_not_started(error: OSError | ValueError, program: str) -> str:
    """Return why a program is not started, in words of the system where it has some."""
    if isinstance(error, OSError) and error.strerror:
        return f"{program!r}: {error.strerror}"
    return str(error)
