"""Running what somebody else wrote so that this process is afterwards as it was before.

A plugin is imported into the process that runs the command. What it prints would be taken for the
command's own output, and where it goes, what it masks or sets, for the user's own wish. So all of
that is put back, and reported. It cannot end the process either: then a run would seem to have
been a success that never began.
"""

from __future__ import annotations

import contextlib
import io
import locale
import os
import posix
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple, TypeVar

from anabranch.bounded_call import in_words, within

T = TypeVar("T")

LONGEST_PRINT = 200
MOST_KEPT_BYTES = 64 * 1024


class Aspect(NamedTuple):
    """Something of a process that a plugin could change: what it is called, how it is put back."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _restore_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it is gone; nobody can go back to it
        return None


def _go_back(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _stream(name: str) -> Aspect:
    return Aspect(f"sys.{name}", lambda: getattr(sys, name), lambda was: setattr(sys, name, was))


ASPECTS = (
    Aspect("the current folder", _folder, _go_back),
    Aspect("the umask", _umask, os.umask),
    Aspect("the environment", lambda: dict(os.environ), _restore_environment),
    Aspect(
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda was: locale.setlocale(locale.LC_ALL, was),
    ),
    Aspect("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Aspect("the default socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    Aspect("sys.argv", lambda: list(sys.argv), lambda was: sys.argv.__setitem__(slice(None), was)),
    *map(_stream, ("stdin", "stdout", "stderr", "excepthook")),
)


class EndedPython(BaseException):
    """A plugin would have ended the process; no Exception, so that it does not swallow it."""


@contextmanager
def undisturbed(did: list[str]) -> Iterator[None]:
    """Let the body change nothing of this process; ``did`` gets what it did, in words.

    Signal masks belong to threads: see :func:`with_the_same_mask`.
    """
    with _kept_from_ending(), _captured(did):
        before = [(aspect, aspect.read()) for aspect in ASPECTS]
        try:
            yield
        finally:
            did += [
                f"it changed {aspect.name}, which was put back"
                for aspect, was in before
                if _was_put_back(aspect, was)
            ]


def _was_put_back(aspect: Aspect, was: Any) -> bool:
    """Put something back, if it has changed; whether it had."""
    with suppress(Exception):
        if aspect.read() != was:
            aspect.restore(was)
            return True
    return False


def with_the_same_mask(call: Callable[[], Any], did: list[str]) -> Any:
    """Make a call in this thread; the signals that it masks are let through again."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        return call()
    finally:
        if signal.pthread_sigmask(signal.SIG_BLOCK, ()) != before:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            did.append("it changed the signal mask, which was put back")


class Misbehaved(Exception):
    """A plugin raised not an error but an end: of Python, or by Ctrl-C; the text says which."""


def asked_undisturbed(seconds: float, call: Callable[[], T], did: list[str]) -> T:
    """Ask a plugin something for a limited time, in a command that does nothing else meanwhile.

    Raises what the call raises, Misbehaved for what would end the command, and TimeoutError.
    """

    def safely() -> T:
        try:
            answer: T = with_the_same_mask(call, did)
        except Exception:
            raise
        except BaseException as error:
            raise Misbehaved(in_words(error)) from None
        return answer

    with undisturbed(did):
        return within(seconds, safely)


@contextmanager
def _kept_from_ending() -> Iterator[None]:
    """Let nobody end the process by its back door while the body runs."""

    def refuse(code: object = 0) -> None:
        raise EndedPython(f"it would have ended Python itself (exit {code})")

    was = os._exit
    os._exit = posix._exit = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = posix._exit = was


class _Said(io.BytesIO):
    """What is printed in Python. Whoever keeps it, as a log handler does, goes on for nobody."""

    def write(self, data: Any) -> int:
        return super().write(data) if self.tell() < MOST_KEPT_BYTES else len(data)


@contextmanager
def _captured(did: list[str]) -> Iterator[None]:
    """Keep what the body writes to the two outputs out of them, however it writes it."""
    said, raw = _Said(), b""
    text = io.TextIOWrapper(said, "utf-8", errors="replace", write_through=True)
    with contextlib.ExitStack() as stack:
        file = _beside(stack)
        stack.enter_context(contextlib.redirect_stdout(text))
        stack.enter_context(contextlib.redirect_stderr(text))
        yield
        if file is not None:
            raw = os.pread(file.fileno(), LONGEST_PRINT, 0)
    printed = (raw + said.getvalue())[:LONGEST_PRINT]
    if printed:
        did.append(f"it printed {printed.decode('utf-8', 'replace').strip()!r}")


def _beside(stack: contextlib.ExitStack) -> IO[bytes] | None:
    """Let both outputs of the process lead to a file; None if that cannot be had."""
    try:
        return stack.enter_context(_both_elsewhere())
    except OSError:  # no descriptor, no room, or no output at all
        return None


@contextmanager
def _both_elsewhere() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file, _elsewhere(1, file), _elsewhere(2, file):
        yield file


@contextmanager
def _elsewhere(number: int, file: IO[bytes]) -> Iterator[int]:
    """Let an output lead to a file while the body runs. Raises OSError."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    kept = os.dup(number)
    os.set_inheritable(kept, False)
    try:
        os.dup2(file.fileno(), number)
        yield number
    finally:
        os.dup2(kept, number)
        os.close(kept)
