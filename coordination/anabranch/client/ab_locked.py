"""Runs a command while a lock is held: what ``ab-stream lock PATH -- COMMAND`` loads on top."""

import os
import select
import signal
import sys
from collections.abc import Callable

LEAST_PAUSE_SECONDS = 0.2


def run(command: list[str], lease_seconds: float, keep: Callable[[], None]) -> int:
    """Run a command and return its exit code as a shell tells it.

    ``keep`` is called three times in the length of the lease, for as long as the command runs.
    TERM and HUP are passed on to it; the terminal's interrupt reaches it by itself.
    """
    child = os.fork()
    if child == 0:
        _become(command)
    handle = os.pidfd_open(child)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: signal.pidfd_send_signal(handle, n))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = select.poll()
    ended.register(handle, select.POLLIN)
    while not ended.poll(max(LEAST_PAUSE_SECONDS, lease_seconds / 3) * 1000):
        keep()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _become(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"ab-stream: cannot run {command[0]!r}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
