"""Asks the engine through files, for programs whose sandbox forbids sockets."""

import posix
import time

FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1


def ask(folder: bytes, data: bytes, request: str, patience_seconds: float) -> "bytes | None":
    """Return the answer to a request; None if there is no spool or nobody answers in time."""
    if not leave(folder, data, request):
        return None
    deadline = time.monotonic() + patience_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        answer = take(folder, request)
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            withdraw(folder, request)
            return None
        time.sleep(pause)
        pause = min(LONGEST_PAUSE_SECONDS, pause * 1.5)


def leave(folder: bytes, data: bytes, request: str) -> bool:
    """Leave a request: written under another name, then renamed. False if that cannot be.

    By hand, because this program stands alone and starts in a few milliseconds.
    """
    if not folder:
        return False
    name = folder + b"/" + request.encode()
    try:
        place = posix.open(name + b".new", posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL, 0o600)
        while data:
            data = data[posix.write(place, data) :]
        posix.close(place)
        posix.rename(name + b".new", name + b".request")
    except OSError:
        return False
    return True


def take(folder: bytes, request: str) -> "bytes | None":
    """Return an answer and remove it; None if there is none yet."""
    name = folder + b"/" + request.encode() + b".answer"
    try:
        place = posix.open(name, posix.O_RDONLY)
    except OSError:
        return None
    parts = []
    while part := posix.read(place, 1048576):
        parts.append(part)
    posix.close(place)
    posix.unlink(name)
    return b"".join(parts)


def withdraw(folder: bytes, request: str) -> None:
    """Take a request back that was not answered; a wait that it began is given up."""
    try:
        posix.unlink(folder + b"/" + request.encode() + b".request")
    except OSError:
        return
