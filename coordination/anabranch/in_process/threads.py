"""Threads for plain functions.

A thread cannot be ended. So who is cancelled while a function runs waits until it returns, as in
structured concurrency, but never longer than the function was given: a thread that takes longer is
left to itself, keeps its slot until it returns, and does not keep the program from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Result = tuple[Any, BaseException | None]


class Threads:
    """Threads that are started as they are needed, and end with :meth:`close`."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    async def call(
        self,
        function: Callable[[Any], Any],
        item: Any,
        deadline: float | None,
        has_left: Callable[[], None],
    ) -> Any:
        """Call a function in a thread, and return or raise what it does.

        Args:
            function: a plain function.
            item: what it is called with.
            deadline: until when, by the loop's clock, it is waited for if we are cancelled.
            has_left: called in the loop when the function has returned, also if nobody waits.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def returned(result: Result) -> None:
            self._busy -= 1
            has_left()
            future.set_result(result)

        def work() -> None:
            result = _outcome(context, function, item)
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(returned, result)

        context = contextvars.copy_context()
        self._busy += 1
        self._calls.put(work)
        if self._busy > len(self._threads):
            self._add()
        try:
            await _waited_for(future, deadline)
        except asyncio.CancelledError:
            future.add_done_callback(_drop)
            raise
        value, error = future.result()
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """End the threads, and wait for all but those that are still in a function."""
        for _ in self._threads:
            self._calls.put(None)
        if not self._busy:
            for thread in self._threads:
                thread.join()

    def _add(self) -> None:
        name = f"anabranch-handler-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _outcome(context: contextvars.Context, function: Callable[[Any], Any], item: Any) -> Result:
    try:
        return context.run(function, item), None
    except BaseException as error:
        return None, error


def _drop(future: asyncio.Future[Result]) -> None:
    """Close a coroutine that a function has returned and nobody will await."""
    if inspect.iscoroutine(value := future.result()[0]):
        value.close()


async def _waited_for(future: asyncio.Future[Result], deadline: float | None) -> None:
    """Wait for a function to return; if we are cancelled, no longer than until the deadline."""
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        left = None
        if cancelled is not None and deadline is not None and (left := deadline - loop.time()) <= 0:
            break
        try:
            await asyncio.wait([future], timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
