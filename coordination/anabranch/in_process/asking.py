"""``map_handlers``: what it takes, and what it checks before it begins."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from typing import Any, Literal, TypedDict, TypeVar, Unpack, overload

from anabranch.handlers.limits import FailureLimit
from anabranch.in_process.accounts import open_account
from anabranch.in_process.admission import Gate
from anabranch.in_process.breaker import Breaker
from anabranch.in_process.mapping import Mapping, Rules
from anabranch.in_process.outcomes import Counts
from anabranch.in_process.places import Run
from anabranch.in_process.threads import Threads

Item = TypeVar("Item")
Result = TypeVar("Result")
COROUTINES_AT_ONCE = 1000
THREADS_MORE_THAN_PROCESSORS = 4


class Options(TypedDict, total=False):
    """What :func:`map_handlers` can be given by name."""

    max_parallel: int | None
    timeout: float | None
    retries: int
    max_failures: int | float | str | None
    breaker: bool
    run: Run | None
    key: Callable[[Any], Any] | None
    version: Any
    progress: Callable[[Counts], object] | None


@overload
async def map_handlers(
    function: Callable[[Item], Coroutine[Any, Any, Result]],
    items: Iterable[Item] | AsyncIterable[Item],
    *,
    return_exceptions: Literal[False] = False,
    **options: Unpack[Options],
) -> list[Result]: ...


@overload
async def map_handlers(
    function: Callable[[Item], Coroutine[Any, Any, Result]],
    items: Iterable[Item] | AsyncIterable[Item],
    *,
    return_exceptions: Literal[True],
    **options: Unpack[Options],
) -> list[Result | Exception]: ...


@overload
async def map_handlers(
    function: Callable[[Item], Result],
    items: Iterable[Item] | AsyncIterable[Item],
    *,
    return_exceptions: Literal[False] = False,
    **options: Unpack[Options],
) -> list[Result]: ...


@overload
async def map_handlers(
    function: Callable[[Item], Result],
    items: Iterable[Item] | AsyncIterable[Item],
    *,
    return_exceptions: Literal[True],
    **options: Unpack[Options],
) -> list[Result | Exception]: ...


async def map_handlers(
    function: Callable[[Any], Any],
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    max_parallel: int | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - of each handler, not of the call
    retries: int = 0,
    max_failures: int | float | str | None = None,
    breaker: bool = True,
    return_exceptions: bool = False,
    run: Run | None = None,
    key: Callable[[Any], Any] | None = None,
    version: Any = None,
    progress: Callable[[Counts], object] | None = None,
) -> list[Any]:
    """Call a function for every item, so many at a time, and return the results in item order.

    All handlers finish, whatever others do. Cancelling the caller cancels those that run, and waits
    for their clean-up.

    Args:
        function: a coroutine function, or a plain one, which is called in threads.
        items: what to call it with; taken as there is room, from an iterator that may wait, too.
        max_parallel: how many at a time; by default 1000 coroutines, or four threads more than
            there are processors.
        timeout: how many seconds a handler may take; then it fails with a TimeoutError. A thread
            cannot be ended: it keeps its place until it returns.
        retries: how often one that failed is tried again, after a delay in which it holds no place.
        max_failures: when to start no more: after more than this number, or this share (``0.05``
            or ``"5%"``), has failed.
        breaker: whether to hold everything back for a while when nearly everything fails.
        return_exceptions: return the exception of a handler that failed in the place of its result.
        run: a name or a folder under which results are kept, as JSON: started again with the same
            one, what is done is not done again.
        key: makes of an item what it is known by in another start; by default the item itself.
        version: what else a result depends on; with another one, everything is done again.
        progress: called with the counts each time a handler has ended.

    Raises HandlersFailed, a group of the exceptions, if any handler failed (unless
    ``return_exceptions``) or too many did; what the source of the items raises; WorldError if
    another program is at work on the run.
    """
    is_coroutine = _is_coroutine_function(function)
    limit = FailureLimit.of(max_failures)
    width = _checked_width(max_parallel, is_coroutine)
    _check_numbers(timeout, retries)
    rules = Rules(is_coroutine, timeout, retries, limit, progress)
    async with AsyncExitStack() as stack:
        threads = Threads()
        stack.callback(threads.close)
        account = await open_account(stack, threads, function, run, key, version)
        gate = Gate(width, Breaker(width) if breaker else None)
        mapping = Mapping(function, rules, gate, threads, account)
        await mapping.run(items)
    return mapping.conclude(return_exceptions=return_exceptions)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return whether what a function returns is awaited. Raises TypeError."""
    if not callable(function):
        raise TypeError(f"the function is {function!r}: give something that can be called")
    called = function if inspect.isroutine(function) else type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _checked_width(given: int | None, is_coroutine: bool) -> int:
    """Return how many run at a time. Raises ValueError."""
    if given is None:
        threads = (os.cpu_count() or 1) + THREADS_MORE_THAN_PROCESSORS
        return COROUTINES_AT_ONCE if is_coroutine else threads
    if given < 1:
        raise ValueError(f"max_parallel is {given}: give 1 or more")
    return given


def _check_numbers(timeout: float | None, retries: int) -> None:
    """Raise ValueError for what would make no sense."""
    if timeout is not None and not 0 < timeout < math.inf:
        raise ValueError(f"timeout is {timeout}: give seconds above 0, or None for no limit")
    if retries < 0:
        raise ValueError(f"retries is {retries}: give 0 or more")
