"""Calling what somebody else wrote, for a limited time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T], name: str = "anabranch-plugin") -> T:
    """Return what a call returns, or raise what it raises; TimeoutError if it takes too long.

    What takes too long goes on in a thread that nobody waits for; nothing can end it in a process.
    """
    answer: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not answer:
        raise TimeoutError
    return answer[0]


class Caller:
    """Calls one after the other, each for a limited time, in a thread that is used again.

    Of use where :func:`within` would make a thread for every call. Not to be shared by threads.
    """

    def __init__(self, name: str = "anabranch-plugin") -> None:
        self._name = name
        self._asked: queue.SimpleQueue[Callable[[], object]] | None = None
        self._answers: queue.SimpleQueue[tuple[object, BaseException | None]]

    def within(self, seconds: float, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises; TimeoutError if it takes too long.

        A thread that is late is left to itself, and another one takes its place.
        """
        if self._asked is None:
            self._begin()
        assert self._asked is not None
        self._asked.put(call)
        try:
            answer, raised = self._answers.get(timeout=seconds)
        except queue.Empty:
            self._asked = None
            raise TimeoutError from None
        if raised is not None:
            raise raised
        return cast("T", answer)

    def _begin(self) -> None:
        asked: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        answers: queue.SimpleQueue[tuple[object, BaseException | None]] = queue.SimpleQueue()
        self._asked, self._answers = asked, answers

        def run() -> None:
            while True:
                call = asked.get()
                try:
                    answers.put((call(), None))
                except BaseException as error:
                    answers.put((None, error))

        threading.Thread(target=run, name=self._name, daemon=True).start()


def in_words(error: BaseException) -> str:
    """Return an exception in one line, whatever its class does when it is shown."""
    name = type(error).__name__
    try:
        message = " ".join(str(error).split())
    except BaseException:
        return f"{name}, which cannot be shown"
    return f"{name}: {message}"
