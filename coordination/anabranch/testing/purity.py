"""Watching a call: does it read the clock, draw random numbers, or touch the world?

Calls into C tell who reads clocks and random numbers, however the function was imported; Python's
audit events tell who opens files, sockets and processes, however deep below. A generator that is
seeded from what the strategy was given is not randomness: the same view draws the same numbers.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

OVERDUE_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 5.0
"""A call that computes is overdue by what it has computed: others may be busy, too. One that waits
is so by the clock."""

_CLOCK_NAMES = {
    *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    *("process_time", "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime"),
    *("clock_gettime_ns", "now", "utcnow", "today", "localtime", "gmtime"),
}
_WORLDLY_EVENTS = (
    *("open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "urllib.", "pty.", "mmap."),
    *("ctypes.", "tempfile.", "glob.", "fcntl.", "http.", "syslog.", "builtins.input"),
    *("sys.setprofile", "sys.settrace"),
)
_IMPORTING = "<frozen importlib._bootstrap"
_READS_ENVIRONMENT = type(os.environ).__getitem__.__code__

Answer = TypeVar("Answer")


class Overdue(BaseException):
    """A call did not come back; no Exception, so that no handler of the strategy swallows it."""


class _Watching(threading.local):
    """Where this thread notes what it sees; None while it watches nothing."""

    seen: list[str] | None = None


_watching = _Watching()
_hooked: list[bool] = []


def watched(call: Callable[[], Answer]) -> tuple[Answer, tuple[str, ...]]:
    """Make a call; return its answer and what it did that a pure call does not.

    Raises whatever the call raises.
    """
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked.append(True)
    seen: list[str] = []
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # what a collection runs is nobody's call
    sys.setprofile(_profile)
    _watching.seen = seen
    try:
        answer = call()
    finally:
        _watching.seen = None
        sys.setprofile(before)
        if collects:
            gc.enable()
    return answer, tuple(dict.fromkeys(seen))


def _profile(frame: FrameType, event: str, function: Any) -> None:
    seen = _watching.seen
    if seen is None:
        return
    if event == "c_call" and (what := _impurity(function)):
        seen.append(what)
    elif event == "call" and frame.f_code is _READS_ENVIRONMENT:
        seen.append("it reads the environment (os.environ)")


def _impurity(function: Any) -> str:
    """Return what a function written in C does that a strategy may not; nothing if it may."""
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or getattr(owner, "__module__", None)
    if module in ("time", "datetime") and name in _CLOCK_NAMES:
        return f"it reads the clock ({module}.{name})"
    if name == "sleep" and module == "time":
        return "it sleeps (time.sleep)"
    if owner is _SHARED_GENERATOR:
        return f"it draws random numbers that no seed decides (random.{name})"
    if name in ("urandom", "getrandom"):
        return f"it draws random numbers that no seed decides (os.{name})"
    if function is print:
        return "it prints"
    return ""


_SHARED_GENERATOR: Any = getattr(random.random, "__self__", None)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    seen = _watching.seen
    if seen is None or not event.startswith(_WORLDLY_EVENTS) or _is_importing():
        return
    _watching.seen = None  # what noting it does is not the strategy's doing
    try:
        about = f" {arguments[0]!r}" if event == "open" and arguments else ""
        seen.append(f"it touches the world outside ({event}{about})")
    finally:
        _watching.seen = seen


def _is_importing() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            return True
        frame = frame.f_back
    return False


def bounded(call: Callable[..., Answer]) -> Callable[..., Answer]:
    """Return a function that raises Overdue if it does not come back in time.

    Only the main thread can be watched; in another one it is the function itself.
    """
    if threading.current_thread() is not threading.main_thread():
        return call

    def ring(number: int, frame: FrameType | None) -> None:
        raise Overdue

    def called(*arguments: Any) -> Answer:
        with (
            _alarm(signal.ITIMER_REAL, signal.SIGALRM, LONGEST_WAIT_SECONDS, ring),
            _alarm(signal.ITIMER_PROF, signal.SIGPROF, OVERDUE_SECONDS, ring),
        ):
            return call(*arguments)

    return called


@contextmanager
def _alarm(
    clock: int, number: int, seconds: float, ring: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Let ``ring`` be called once so many seconds of a clock have passed; put back what was."""
    before = signal.signal(number, ring)
    timer = signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        signal.setitimer(clock, *timer)
        signal.signal(number, before)
