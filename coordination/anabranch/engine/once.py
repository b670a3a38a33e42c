"""The program that runs a command once, whoever asks for it and how often, and for a bounded time.

An engine that is killed leaves the command running; the next one asks again, and this waits for it
then, or finds how it has ended. It is asked with a *record*, a file that says that the command has
begun, and in the end how it went. The command runs in a process of its own that nobody ends with
the engine. If that was killed as well, the record has no end: what is left of the command is ended,
by the mark in its environment, it is run again, and the record says that it was ``cut_off``.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from anabranch.files import replace_whole, take_lock
from anabranch.holder import kernel
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, open_plain, read_if_there
from anabranch.undecodable import UNDECODABLE

MARK = "ANABRANCH_ONCE"
PATIENCE_SECONDS = 5.0
"""For so long after its time is up one that runs is waited for."""


class Record(msgspec.Struct, frozen=True):
    """A command that has begun, by its ``mark``; ``reason`` says how it ended, empty until then.

    The ``exit_code`` is negative for a signal, None if it was not by itself that it ended.
    """

    mark: str
    reason: str = ""
    exit_code: int | None = None
    cut_off: bool = False


def record_in(place: Path) -> Record | None:
    """Return what is known of a command; None if it never began."""
    try:
        content = read_if_there(place, SMALL_FILE_BYTES)
        return None if content is None else msgspec.json.decode(content, type=Record)
    except (NotPlain, *UNDECODABLE):
        return None


def command_line(place: Path, seconds: float, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return how to ask for a command that may run for so long; the record says how it ended."""
    return (sys.executable, "-I", "-m", __name__, str(place), str(seconds), *argv)


def main(place: Path, seconds: float, argv: tuple[str, ...]) -> int:
    """Have the command run in a process that outlives this one, and wait for it."""
    worker = os.fork()
    if worker == 0:
        try:
            os.setsid()
            _run_once(place, seconds, argv)
        except OSError as error:
            print(f"anabranch: what has become of it cannot be noted: {error}", flush=True)
        finally:
            os._exit(0)
    os.waitpid(worker, 0)
    return 0


def _run_once(place: Path, seconds: float, argv: tuple[str, ...]) -> None:
    lock = open_plain(f"{place}.lock", flags=os.O_RDWR | os.O_CREAT)
    if not take_lock(lock, seconds + PATIENCE_SECONDS):
        return
    before = record_in(place)
    if before is not None and before.reason:
        return
    if before is not None:
        _end_what_is_left(before.mark)
    record = Record(secrets.token_hex(16), cut_off=before is not None)
    replace_whole(place, msgspec.json.encode(record), durable=True)
    code, reason = _ended(argv, seconds, record.mark)
    ended = msgspec.structs.replace(record, reason=reason, exit_code=code)
    replace_whole(place, msgspec.json.encode(ended), durable=True)


def _ended(argv: tuple[str, ...], seconds: float, mark: str) -> tuple[int | None, str]:
    """Run the command, and return its exit code and how it ended; nothing of it is left then."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            env=os.environ | {MARK: mark},
            start_new_session=True,
            preexec_fn=_die_with_worker,
        )
    except OSError as error:
        return None, f"it could not be run: {error.strerror}"
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None, f"it took longer than {seconds:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return code, f"exit {code}" if code >= 0 else f"signal {-code}"


def _die_with_worker() -> None:
    kernel.die_with_parent(signal.SIGKILL)


def _end_what_is_left(mark: str) -> None:
    """End every process that bears the mark of a command whose worker is gone."""
    wanted = f"{MARK}={mark}".encode()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            process = os.pidfd_open(int(name))
            try:
                if wanted in kernel.read(f"/proc/{name}/environ").split(b"\0"):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]), tuple(sys.argv[3:])))
