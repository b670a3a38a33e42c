"""A function over many items: one task takes them, one task each handles them."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sized
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

from anabranch.handlers.limits import FailureLimit
from anabranch.in_process.accounts import Account, Entry
from anabranch.in_process.admission import Gate, Hold
from anabranch.in_process.outcomes import Counts, failed, named
from anabranch.in_process.recording import NotKept
from anabranch.in_process.telling import tell_how_far
from anabranch.in_process.threads import Threads

Items = Iterable[Any] | AsyncIterable[Any]

MOST_UNFINISHED = 20_000
"""So many that run, or wait for another try: before one of them is through no item is taken."""

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 1.0, 60.0
ITEMS_A_TURN = 16
"""How many items are taken from a source that never waits before others have their turn: who has
begun is not late because a thousand others begin."""


class Rules(NamedTuple):
    """How handlers are called, and when to give up."""

    is_coroutine: bool
    timeout_seconds: float | None
    retries: int
    limit: FailureLimit
    progress: Callable[[Counts], object] | None


class Work(NamedTuple):
    """One item to handle: where its result goes, and where it stands in the account."""

    place: int
    item: Any
    entry: Entry


class Mapping:
    """The handlers of one call."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        rules: Rules,
        gate: Gate,
        threads: Threads,
        account: Account,
    ) -> None:
        """Prepare; nothing is started.

        Args:
            function: what is called for every item.
            rules: how it is called, and when to give up.
            gate: lets handlers in.
            threads: where plain functions run.
            account: where it is noted what becomes of them.
        """
        self._function, self._rules, self._gate = function, rules, gate
        self._threads, self._account, self._counts = threads, account, account.counts
        self._results: list[Any] = []
        self._failures: dict[int, Exception] = {}
        self._names: dict[int, str] = {}
        self._fault_of_source: BaseException | None = None
        self._room = asyncio.Semaphore(MOST_UNFINISHED)
        self._waiting: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[None] | None = None
        self._unended = 1  # the source
        self._all_ended = asyncio.Event()
        self._stopped = ""
        self._is_ending = False

    async def run(self, items: Items) -> None:
        """Handle all items."""
        self._counts.expected = len(items) if isinstance(items, Sized) else None
        try:
            async with asyncio.TaskGroup() as self._group:
                account = self._account
                telling = self._group.create_task(
                    tell_how_far(account.counts, account.write_counts, is_said=account.is_in_stream)
                )
                self._taking = self._group.create_task(self._take_all(items))
                try:
                    await self._all_ended.wait()
                except BaseException:
                    self._is_ending = True
                    raise
                telling.cancel()
        except BaseExceptionGroup as faults:  # of ours, or of who is told of progress
            raise faults.exceptions[0] from None
        finally:
            self._account.write_counts()

    def conclude(self, *, return_exceptions: bool) -> list[Any]:
        """Return the results in the order of the items.

        Raises HandlersFailed, and what the source raised.
        """
        error = None
        if self._failures:
            error = failed(self._failures, self._names, self._results, self._counts, self._stopped)
        if self._fault_of_source is not None:
            raise self._fault_of_source from error
        if error is not None and (self._stopped or not return_exceptions):
            raise error
        return self._results

    # --- taking items -----------------------------------------------------------------------------

    async def _take_all(self, items: Items) -> None:
        try:
            async with aclosing(_each(items)) as source:
                async for item in source:
                    if self._stopped:
                        break
                    await self._take(item)
                    if self._counts.total % ITEMS_A_TURN == 0:
                        await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            if self._is_ending:
                raise
            self._fault_of_source = None if self._stopped else error
        except Exception as error:  # the source is at its end; what runs finishes
            self._fault_of_source = error
        finally:
            if self._counts.expected is None:
                self._counts.expected = self._counts.total
            self._one_has_ended()

    async def _take(self, item: Any) -> None:
        identity = self._account.identity(item)
        known = self._account.known(identity)
        if known is not None:
            self._account.skip(identity)
            self._add(known.value)
            self._counts.succeeded += 1
            self._counts.before += 1
            self._tell()
            return
        await self._room.acquire()
        is_probe = await self._gate.enter()
        work = Work(self._add(None), item, self._account.enter(identity))
        self._unended += 1
        self._group.create_task(self._handle(work, is_probe))

    def _add(self, value: Any) -> int:
        self._results.append(value)
        self._counts.total += 1
        return len(self._results) - 1

    # --- handling one -----------------------------------------------------------------------------

    async def _handle(self, work: Work, is_probe: bool) -> None:
        """Handle an item, again if need be."""
        try:
            for tries in count():
                error = await self._try(work, is_probe)
                if error is None or tries == self._rules.retries or isinstance(error, NotKept):
                    break
                admitted = await self._wait_for_another(tries)
                if admitted is None:
                    break
                is_probe = admitted
            self._settle(work, error)
        except BaseException:
            self._is_ending = True
            raise
        finally:
            self._room.release()
            self._one_has_ended()

    async def _try(self, work: Work, is_probe: bool) -> Exception | None:
        """Call the function for an item that was let in; return why it failed, if it did."""
        clock, hold = asyncio.get_running_loop().time, Hold(self._gate)
        self._counts.running += 1
        began = clock()
        self._account.begin(work.entry, work.item)
        error: Exception | None = None
        try:
            value = await self._called(work.item, hold)
            value = self._account.succeed(work.entry, clock() - began, value)
            self._results[work.place] = value
        except asyncio.CancelledError as cancelled:
            if self._is_ending:
                self._account.fail(work.entry, clock() - began, cancelled)
                raise
            error = _cancelled_from_within(cancelled)
        except Exception as found:
            error = found
        except BaseException as found:
            self._is_ending = True
            self._account.fail(work.entry, clock() - began, found)
            raise
        finally:
            self._counts.running -= 1
            hold.leave()
        if error is not None:
            self._account.fail(work.entry, clock() - began, error)
        self._gate.take(work.place, has_failed=error is not None, is_probe=is_probe)
        return error

    async def _called(self, item: Any, hold: Hold) -> Any:
        seconds = self._rules.timeout_seconds
        if seconds is None:
            if self._rules.is_coroutine:
                return await self._function(item)
            return await self._in_thread(item, hold, None)
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(deadline) as limit:
                if self._rules.is_coroutine:
                    return await self._function(item)
                return await self._in_thread(item, hold, deadline)
        except TimeoutError as error:
            if limit.expired() and not error.args:
                error.args = (f"it took longer than {seconds:g} s",)
            raise

    async def _in_thread(self, item: Any, hold: Hold, deadline: float | None) -> Any:
        """Call a plain function; if it returned a coroutine, as a lambda may, await that here."""
        hold.share()
        result = await self._threads.call(self._function, item, deadline, hold.leave)
        return await result if inspect.iscoroutine(result) else result

    async def _wait_for_another(self, tries: int) -> bool | None:
        """Wait until it may be tried again, and return whether it tries for all; None if never."""
        task = asyncio.current_task()
        if self._stopped or task is None:
            return None
        self._waiting.add(task)
        self._counts.waiting += 1
        longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(tries, 16))
        try:
            await asyncio.sleep(random.uniform(0.0, longest))
            return await self._gate.enter()
        except asyncio.CancelledError:
            if self._is_ending:
                raise
            task.uncancel()
            return None
        finally:
            self._waiting.discard(task)
            self._counts.waiting -= 1

    # --- their ends -------------------------------------------------------------------------------

    def _settle(self, work: Work, error: Exception | None) -> None:
        if error is None:
            self._counts.succeeded += 1
        else:
            self._counts.failed += 1
            self._results[work.place] = self._failures[work.place] = error
            name = self._names[work.place] = named(work.place, work.item)
            if name not in getattr(error, "__notes__", ()):
                error.add_note(name)
            self._stop_if_too_many_failed()
        self._tell()

    def _stop_if_too_many_failed(self) -> None:
        most = self._rules.limit.most(self._counts.expected, self._counts.total)
        if most is None or self._counts.failed <= most or self._stopped:
            return
        self._stopped = f"more than {most} handlers have failed"
        for task in (self._taking, *self._waiting):
            if task is not None:
                task.cancel()

    def _tell(self) -> None:
        if self._rules.progress is not None:
            self._rules.progress(replace(self._counts))

    def _one_has_ended(self) -> None:
        self._unended -= 1
        if not self._unended:
            self._all_ended.set()


async def _each(items: Items) -> AsyncGenerator[Any, None]:
    """Yield items as they come; whatever becomes of it, an asynchronous source is closed."""
    if isinstance(items, AsyncIterable):
        iterator: AsyncIterator[Any] = aiter(items)
        try:
            async for item in iterator:
                yield item
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
        return
    for item in items:
        yield item


def _cancelled_from_within(cancelled: asyncio.CancelledError) -> Exception:
    """Return what a handler failed with that nobody but itself has cancelled."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        task.uncancel()
    error = RuntimeError("it was cancelled, and not by who waits for it")
    error.__cause__ = cancelled
    return error
