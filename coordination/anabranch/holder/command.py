"""Forking the command and turning the child into it.

The child waits for one byte before it becomes the command, so that ``start`` is on disk first. If
the holder ends before that, the child reads the end of the channel and exits 125, having run
nothing. If the command cannot be run, the reason goes back through the same channel, which closes
by itself when the command begins.
"""

import _signal  # type: ignore[import-not-found]  # what signal wraps, without its enumerations
import _socket
import errno
import fcntl
import os
import termios
import time

from . import ceilings as keep_below
from . import jobs, kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO)
"""What a machine says that is short of something: it says nothing about the command."""
RUN_AGAIN_SECONDS = 1.0
EXIT_NEVER_RAN = 125
EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
OOM_SCORE = b"300"
MARK = "ANABRANCH_HOLDER"
"""The variable that names the holder, ``PID.STARTTIME``, to whatever the command starts: should the
holder be killed, its command dies with it and the rest of the tree is found by this."""


class CannotRun(Exception):
    """The command could not be run."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Spec:
    """What to run, as the engine asked for it."""

    def __init__(
        self,
        argv: list[str],
        cwd: str,
        env: dict[str, str],
        tty: bool,
        rows: int,
        columns: int,
        jobserver: str = "",
        ceilings: "dict[str, Any] | None" = None,
        setup: "dict[str, Any] | None" = None,
    ) -> None:
        self.argv = argv
        self.cwd = cwd
        self.env = env
        self.tty = tty
        self.rows = rows
        self.columns = columns
        self.jobserver = jobserver
        self.ceilings = keep_below.Ceilings(**(ceilings or {}))
        self.setup = setup
        self.fifo: int | None = None
        self.paths = [argv[0]]
        if "/" not in argv[0]:  # looked for by the command's own PATH, not by ours
            folders = env.get("PATH", os.defpath).split(":")
            self.paths = [f"{folder or '.'}/{argv[0]}" for folder in folders]


def fork(spec: Spec, source: int, sink: int) -> tuple[int, _socket.socket]:
    """Fork the command's process and return its number and the channel to it.

    Args:
        spec: what to run; if it wants a terminal, ``source`` is that terminal.
        source: the descriptor to be its standard input.
        sink: the descriptor to be its standard output and standard error.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    holder = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()  # or it would never read the end of the channel
        _become(spec, source, sink, theirs, holder)
    theirs.close()
    _prefer_for_memory(pid)
    return pid, ours


def _prefer_for_memory(pid: int) -> None:
    """Have the kernel, when memory runs out, end the command rather than its holder."""
    try:
        score = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY)
        os.write(score, OOM_SCORE)
        os.close(score)
    except OSError:
        pass  # a higher score is set already, or /proc is read-only: both can be lived with


def _become(spec: Spec, source: int, sink: int, channel: _socket.socket, holder: int) -> None:
    """Become the command; never returns."""
    code = EXIT_NEVER_RAN
    try:
        _separate(holder)
        _take_files(source, sink, spec.tty)
        if spec.fifo is not None and spec.jobserver == "descriptors":
            jobs.hand_down(spec.fifo)
        keep_below.take_on(spec.ceilings)
        if channel.recv(1):
            _execute(spec)
    except CannotRun as refusal:
        code = refusal.code
        channel.send(str(refusal).encode(errors="replace"))
    except Exception as error:
        code = EXIT_CANNOT_RUN
        channel.send(repr(error).encode(errors="replace"))
    finally:
        os._exit(code)


def _separate(holder: int) -> None:
    """Leave the holder's session and ask to die with the holder."""
    kernel.die_with_parent(_signal.SIGKILL)
    if os.getppid() != holder:  # it ended before we asked
        os._exit(EXIT_NEVER_RAN)
    os.setsid()


def _take_files(source: int, sink: int, is_terminal: bool) -> None:
    """Make the descriptors the standard ones; every other one closes itself on exec."""
    if is_terminal:
        fcntl.ioctl(source, termios.TIOCSCTTY, 0)
    os.dup2(source, 0)
    os.dup2(sink, 1)
    os.dup2(sink, 2)


def _execute(spec: Spec) -> None:
    """Enter the working folder and replace this process by the command.

    Raises CannotRun; returns never.
    """
    try:
        os.chdir(spec.cwd)
    except OSError as error:
        raise CannotRun(EXIT_CANNOT_RUN, f"cannot enter {spec.cwd}: {error.strerror}") from error
    worst = _try_to_run(spec)
    while worst is not None and worst.errno in PASSING:
        os.write(2, f"anabranch: waits to run {spec.argv[0]}: {worst.strerror}\r\n".encode())
        time.sleep(RUN_AGAIN_SECONDS)
        worst = _try_to_run(spec)
    if worst is None or isinstance(worst, (FileNotFoundError, NotADirectoryError)):
        raise CannotRun(EXIT_NOT_FOUND, f"cannot find {spec.argv[0]}")
    raise CannotRun(EXIT_CANNOT_RUN, f"cannot run {spec.argv[0]}: {worst.strerror}")


def _try_to_run(spec: Spec) -> OSError | None:
    """Become the command, or return what speaks most against it."""
    worst: OSError | None = None
    for path in spec.paths:
        try:
            os.execve(path, spec.argv, spec.env)
        except (FileNotFoundError, NotADirectoryError) as error:
            worst = worst or error
        except OSError as error:
            worst = error
    return worst
