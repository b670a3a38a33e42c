"""The zygote: a small process, forked from once per stream.

Theory of operation. The engine starts one zygote and talks to it over a socket pair (the zygote's
standard input). A request names an attempt, ``STREAM.ATTEMPT``, and says what to run; it is never
written down, because environments hold secrets. The zygote makes the attempt's folder
``RUN/attempts/NAME``, takes its lock, forks, and answers; the child goes on as the *holder* of that
attempt (see ``keep``) and owns the lock from then on. Once the engine has its answer, a free lock
therefore means that the holder has ended.

The zygote keeps no truth. Whether an attempt was started is decided by its folder, under its lock,
so a request that is repeated, or asked of two zygotes at once, starts the command once. When the
engine goes away, for whatever reason, its end of the socket pair closes and the zygote leaves;
holders depend on neither of them.
"""

import _signal  # type: ignore[import-not-found]  # what signal wraps, without its enumerations
import _socket
import fcntl
import gc
import os
import sys

from . import command, keep, kernel, plain_json, records

REQUEST_BYTES = 1_048_576
ENGINE_SOCKET = 0


def claim(folder: int) -> int | None:
    """Take an attempt's lock and return its descriptor, or None if there is nothing to start."""
    lock = records.open_own("lock", os.O_RDWR, folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if os.access("start", os.F_OK, dir_fd=folder) or os.access("exit", os.F_OK, dir_fd=folder):
        os.close(lock)
        return None
    return lock


def become_holder(attempt: keep.Attempt, spec: command.Spec) -> None:
    """Carry on as the holder in a freshly forked child; never returns."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, ENGINE_SOCKET)
        os.close(null)
        os.setsid()
        keep.hold(attempt, spec)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def start_holder(attempt: keep.Attempt, spec: command.Spec) -> bool:
    """Fork an attempt's holder; false if the attempt was started or settled before.

    Raises OSError when the folder cannot be used or the machine refuses another process.
    """
    lock = claim(attempt.folder)
    if lock is None:
        return False
    try:
        records.reserve("exit", attempt.folder)
        if os.fork() == 0:
            become_holder(attempt, spec)
    finally:
        # The lock belongs to the open file, which the holder shares: closing here lets it go only
        # if there is no holder.
        os.close(lock)
    return True


def open_folder(run: int, name: str) -> int:
    """Return a descriptor of an attempt's folder, made if it is not there; raises OSError."""
    path = "attempts/" + name
    try:
        os.mkdir(path, 0o700, dir_fd=run)
    except FileExistsError:
        pass
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=run)


def answer(run: int, boot_id: str, name: str, spec: command.Spec) -> str:
    """Start one attempt and return what came of it: an outcome and, if it was refused, why."""
    try:
        folder = open_folder(run, name)
        try:
            forked = start_holder(keep.Attempt(name, run, folder, boot_id), spec)
        finally:
            os.close(folder)
    except OSError as error:
        return f"refused\n{error}"
    return "forked\n" if forked else "settled\n"


def serve(run: int, engine: _socket.socket) -> None:
    """Answer requests until the engine's end is closed.

    A request is the attempt's name, a line break, and its specification as JSON.
    """
    boot_id = kernel.boot_id()
    while request := engine.recv(REQUEST_BYTES):
        name, _, spec = request.decode().partition("\n")
        # Parsed before the fork: what a forked process touches first, it has to copy.
        outcome = answer(run, boot_id, name, command.Spec(**plain_json.parse(spec)))
        engine.send(f"{name}\n{outcome}".encode(), _socket.MSG_NOSIGNAL)


def main(run_folder: str) -> None:
    """Run the zygote of the run folder given."""
    for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
        _signal.signal(number, _signal.SIG_DFL)  # streams inherit what the engine's parents ignored
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # holders are reaped by the kernel
    run = os.open(run_folder, os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("/")  # keep no folder of the user's busy
    kernel.set_name("ab-zygote")
    # Nothing made so far is ever collected, so forked children do not copy pages to look at it.
    gc.disable()
    gc.freeze()
    try:
        serve(run, _socket.socket(fileno=ENGINE_SOCKET))
    except (BrokenPipeError, ConnectionResetError):
        return
