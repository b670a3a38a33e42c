"""Calling what somebody else wrote, for a limited time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

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


def in_words(error: BaseException) -> str:
    """Return an exception in one line, whatever its class does when it is told."""
    name = type(error).__name__
    try:
        told = " ".join(str(error).split())
    except BaseException:
        return f"{name}, which cannot be told"
    return f"{name}: {told}"
