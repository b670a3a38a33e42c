"""``map_handlers`` in a program: order, room, failures, cancellation, threads."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import anabranch
from anabranch import HandlersFailed, map_handlers
from anabranch.in_process import Counts
from tests.in_process.quick_time import run_quickly


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    assert not [t for t in threading.enumerate() if t not in before and "handler" in t.name]


async def nothing_runs() -> None:
    """Fail if any task but the caller is left."""
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- order and room ------------------------------------------------------------------------------


async def test_results_have_the_order_of_the_items_whatever_ends_first() -> None:
    gates = [asyncio.Event() for _ in range(5)]

    async def handle(number: int) -> int:
        if number < 4:
            await gates[number + 1].wait()
        gates[number].set()
        return number * 10

    assert await map_handlers(handle, range(5)) == [0, 10, 20, 30, 40]
    await nothing_runs()


async def test_a_plain_function_runs_in_threads_so_many_at_a_time() -> None:
    together = threading.Barrier(3)
    names = set()

    def handle(number: int) -> int:
        together.wait(30)
        names.add(threading.current_thread().name)
        return -number

    assert await map_handlers(handle, range(9), max_parallel=3) == [-n for n in range(9)]
    assert len(names) == 3


async def test_a_lambda_that_returns_a_coroutine_is_awaited() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    assert await map_handlers(lambda n: double(n), [1, 2]) == [2, 4]


async def test_an_object_that_is_awaited_when_it_is_called_is_a_coroutine_function() -> None:
    class Handler:
        async def __call__(self, item: int) -> str:
            return threading.current_thread().name

    assert await map_handlers(Handler(), [1]) == [threading.current_thread().name]


async def test_items_are_taken_as_there_is_room_and_never_more_run_than_asked() -> None:
    taken = ended = most = running = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(500):
            taken += 1
            assert taken <= ended + 4 + 1, "an item is taken before there is room for it"
            yield number

    async def handle(number: int) -> None:
        nonlocal running, most, ended
        running += 1
        most = max(most, running)
        for _ in range(number % 3):
            await asyncio.sleep(0)
        running -= 1
        ended += 1

    await map_handlers(handle, items(), max_parallel=4)
    assert (taken, ended, most) == (500, 500, 4)


async def test_fifty_thousand_leave_no_more_tasks_than_run_at_once() -> None:
    most = 0

    async def handle(number: int) -> int:
        nonlocal most
        if number % 1000 == 0:
            most = max(most, len(asyncio.all_tasks()))
        await asyncio.sleep(0)
        return number

    assert await map_handlers(handle, iter(range(50_000)), max_parallel=100) == list(range(50_000))
    assert most <= 100 + 3  # the caller, who takes the items, and who tells of progress


async def test_a_source_that_lets_one_wait_holds_nobody_up() -> None:
    """The second item comes when the first has been handled, and not before."""
    handled = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await handled.wait()
        yield 2

    async def handle(number: int) -> int:
        handled.set()
        return number

    assert await map_handlers(handle, items()) == [1, 2]


async def test_a_source_that_fails_raises_what_it_raised_when_what_runs_has_finished() -> None:
    done = []

    def items() -> Iterator[int]:
        yield 1
        raise LookupError("the list is gone")

    async def handle(number: int) -> None:
        await asyncio.sleep(0.001)
        done.append(number)

    with pytest.raises(LookupError, match="the list is gone"):
        await map_handlers(handle, items())
    assert done == [1]


async def test_no_items_are_no_results() -> None:
    async def handle(item: object) -> None:
        raise AssertionError

    assert await map_handlers(handle, []) == []


@pytest.mark.parametrize(
    "options",
    [
        {"max_parallel": 0},
        {"timeout": 0},
        {"retries": -1},
        {"max_failures": "many"},
        {"max_failures": 1.5},
        {"max_failures": -1},
        {"run": ""},
    ],
)
async def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    async def handle(item: object) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match=r"give"):
        await map_handlers(handle, [1], **options)


# --- failures ------------------------------------------------------------------------------------


async def fails_on_odd(number: int) -> int:
    await asyncio.sleep(0)
    if number % 2:
        raise ValueError(f"{number} is odd") if number % 3 else KeyError(number)
    return number


async def test_all_finish_and_the_error_names_who_failed() -> None:
    with pytest.raises(HandlersFailed) as found:
        await map_handlers(fails_on_odd, range(5), breaker=False)
    error = found.value
    assert "2 of 5 handlers failed" in str(error)
    assert "handler 1 (1): ValueError: 1 is odd" in str(error)
    assert [type(one) for one in error.exceptions] == [ValueError, KeyError]
    assert error.exceptions[0].__notes__ == ["handler 1 (1)"]
    assert error.results[::2] == [0, 2, 4]
    assert error.results[1] is error.exceptions[0]
    assert error.counts == Counts(total=5, succeeded=3, failed=2, expected=5)


async def test_failures_are_told_apart_as_those_of_a_task_group() -> None:
    seen: list[Exception] = []
    try:
        await map_handlers(fails_on_odd, range(5), breaker=False)
    except* ValueError as group:
        seen += group.exceptions
    except* KeyError as group:
        seen += group.exceptions
    assert [type(one) for one in seen] == [ValueError, KeyError]


async def test_exceptions_are_results_for_who_wants_them() -> None:
    results = await map_handlers(fails_on_odd, range(3), return_exceptions=True, breaker=False)
    assert results[0] == 0
    assert isinstance(results[1], ValueError)
    assert results[2] == 2


@pytest.mark.parametrize(("limit", "most"), [(2, 2), (0.1, 4), ("10%", 4)])
async def test_after_too_many_failures_nothing_more_is_started(
    limit: int | float | str, most: int
) -> None:
    started = []

    async def handle(number: int) -> None:
        started.append(number)
        raise OSError("away")

    with pytest.raises(HandlersFailed, match=f"stopped: more than {most} handlers") as found:
        await map_handlers(
            handle,
            range(40),
            max_parallel=1,
            max_failures=limit,
            retries=0,
            breaker=False,
            return_exceptions=True,
        )
    assert len(started) == most + 1 == found.value.counts.failed


def test_who_waits_for_another_try_is_not_tried_once_too_many_have_failed() -> None:
    """The first of two whose second try fails, too, is one too many."""
    tries = 0

    async def handle(number: int) -> None:
        nonlocal tries
        tries += 1
        raise OSError("away")

    with pytest.raises(HandlersFailed, match="stopped"):
        run_quickly(map_handlers(handle, range(2), max_failures=0, retries=1, breaker=False))
    assert tries == 3


async def test_a_source_that_lets_one_wait_is_left_once_too_many_have_failed() -> None:
    is_closed = False

    async def items() -> AsyncIterator[int]:
        nonlocal is_closed
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            is_closed = True

    with pytest.raises(HandlersFailed, match="stopped"):
        await map_handlers(fails_on_odd, items(), max_failures=0)
    assert is_closed
    await nothing_runs()


async def test_the_exit_of_a_handler_is_the_exit_of_the_program() -> None:
    """What is no Exception is nobody's result; the others are cancelled and clean up."""
    cleaned = []

    async def handle(number: int) -> None:
        try:
            if number == 2:
                await asyncio.sleep(0)
                raise SystemExit(7)
            await asyncio.Event().wait()
        finally:
            cleaned.append(number)

    def program() -> None:
        asyncio.run(map_handlers(handle, range(3)))

    with pytest.raises(SystemExit) as found:
        await asyncio.to_thread(program)
    assert found.value.code == 7
    assert sorted(cleaned) == [0, 1, 2]


async def test_a_keyboard_interrupt_in_a_thread_is_one_of_the_program() -> None:
    def handle(number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await asyncio.to_thread(lambda: asyncio.run(map_handlers(handle, range(3))))


def test_an_interrupt_from_the_keyboard_cancels_all_and_ends_the_program() -> None:
    program = (
        "import asyncio, anabranch\n"
        "async def handle(number):\n"
        "    print('begun', flush=True)\n"
        "    try: await asyncio.Event().wait()\n"
        "    finally: print('cleaned', flush=True)\n"
        "asyncio.run(anabranch.map_handlers(handle, range(9), max_parallel=2))\n"
    )
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert [running.stdout.readline() for _ in range(2)] == [b"begun\n"] * 2
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert out == b"cleaned\n" * 2
    assert err.rstrip().endswith(b"KeyboardInterrupt")
    assert running.returncode == -signal.SIGINT


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks that start at once came with 3.12")
def test_tasks_that_start_at_once_change_nothing() -> None:
    async def main() -> list[Any]:
        factory: Any = getattr(asyncio, "eager_task_factory")  # noqa: B009 - older Pythons have none
        asyncio.get_running_loop().set_task_factory(factory)

        async def handle(number: int) -> int:
            if number % 2:
                raise ValueError
            return number

        return await map_handlers(handle, range(6), max_failures=5, return_exceptions=True)

    assert asyncio.run(main())[::2] == [0, 2, 4]


async def test_who_cancels_itself_has_failed_and_the_others_have_not() -> None:
    async def handle(number: int) -> int:
        if number == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)
        return number

    results = await map_handlers(handle, range(3), return_exceptions=True)
    assert (results[0], results[2]) == (0, 2)
    assert "cancelled" in str(results[1])


async def test_a_fault_of_who_is_told_of_progress_ends_everything() -> None:
    async def handle(number: int) -> None:
        if number:
            await asyncio.Event().wait()

    def progress(counts: Counts) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await map_handlers(handle, range(3), progress=progress)
    await nothing_runs()


async def test_progress_is_told_with_every_end() -> None:
    told: list[Counts] = []
    await map_handlers(
        fails_on_odd, range(3), progress=told.append, return_exceptions=True, breaker=False
    )
    assert [counts.succeeded + counts.failed for counts in told] == [1, 2, 3]
    assert told[-1] == Counts(total=3, succeeded=2, failed=1, expected=3)


# --- cancellation and time -----------------------------------------------------------------------


async def test_who_is_cancelled_cancels_the_handlers_and_waits_for_their_clean_up() -> None:
    begun, cleaned = asyncio.Event(), []

    async def handle(number: int) -> None:
        try:
            if number == 2:
                begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append(number)

    caller = asyncio.create_task(map_handlers(handle, iter(range(100)), max_parallel=3))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert sorted(cleaned) == [0, 1, 2]
    await nothing_runs()


async def test_who_is_cancelled_waits_for_threads_which_nobody_can_end() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def handle(number: int) -> None:
        begun.set()
        may_end.wait(30)
        ended.append(number)

    caller = asyncio.create_task(map_handlers(handle, range(5), max_parallel=1))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == [0]


async def test_a_time_limit_of_the_caller_holds() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await map_handlers(lambda _: asyncio.sleep(3600), range(3))


def test_who_takes_too_long_fails_with_a_timeout_of_its_own() -> None:
    async def handle(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    results = run_quickly(map_handlers(handle, [1, 500, 2], timeout=60, return_exceptions=True))
    assert (results[0], results[2]) == (1, 2)
    assert isinstance(results[1], TimeoutError)
    assert str(results[1]) == "it took longer than 60 s"


async def test_a_thread_that_takes_too_long_keeps_its_place_until_it_returns() -> None:
    """Never more than asked run at a time, those that nobody waits for any more included."""
    may_end, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def handle(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if number == 0:
            may_end.wait(30)
        with lock:
            running -= 1
        return number

    def progress(counts: Counts) -> None:
        if counts.failed:
            may_end.set()

    results = await map_handlers(
        handle, range(3), max_parallel=1, timeout=0.05, return_exceptions=True, progress=progress
    )
    assert isinstance(results[0], TimeoutError)
    assert (results[1:], most) == ([1, 2], 1)


async def test_a_thread_that_never_returns_holds_up_nobody() -> None:
    may_end = threading.Event()
    with pytest.raises(HandlersFailed, match=r"it took longer than 0\.01 s"):
        await map_handlers(lambda _: may_end.wait(), [1], timeout=0.01)
    may_end.set()
    for thread in threading.enumerate():
        if "anabranch-handler" in thread.name:
            await asyncio.to_thread(thread.join, 30)


# --- trying again --------------------------------------------------------------------------------


def test_what_failed_is_tried_again_and_holds_no_place_meanwhile() -> None:
    order: list[str] = []

    async def handle(name: str) -> str:
        order.append(name)
        if order.count(name) < 3 and name == "a":
            raise OSError("away")
        return name

    found = run_quickly(map_handlers(handle, "abc", max_parallel=1, retries=2))
    assert found == ["a", "b", "c"]
    assert sorted(order) == ["a", "a", "a", "b", "c"]
    assert order[:2] == ["a", "b"]


def test_retries_end() -> None:
    tried = Counter[str]()

    async def handle(name: str) -> None:
        tried[name] += 1
        raise OSError(f"away {tried[name]}")

    with pytest.raises(HandlersFailed, match="away 3"):
        run_quickly(map_handlers(handle, "a", retries=2))
    assert tried == {"a": 3}


def test_what_fails_for_everybody_is_held_back_until_one_has_got_through() -> None:
    """While the service is away few are tried, and when it is back the others succeed."""
    tried_while_away = 0

    async def main() -> list[Any]:
        clock = asyncio.get_running_loop().time
        back_at = clock() + 5

        async def handle(number: int) -> int:
            nonlocal tried_while_away
            await asyncio.sleep(0.1)
            if clock() < back_at:
                tried_while_away += 1
                raise ConnectionError("away")
            return number

        return await map_handlers(handle, range(200), max_parallel=2, return_exceptions=True)

    results = run_quickly(main())
    assert tried_while_away < 10  # without a breaker: 100
    assert sum(isinstance(result, ConnectionError) for result in results) == tried_while_away
    assert results[-1] == 199


def test_a_function_that_fails_as_a_rule_is_not_held_back_for_ever() -> None:
    async def main() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()

        async def handle(number: int) -> None:
            raise ValueError("always")

        await map_handlers(handle, range(1000), max_parallel=4, return_exceptions=True)
        return clock() - began

    assert run_quickly(main()) < 60


def test_the_names_are_reachable_from_the_package() -> None:
    assert anabranch.map_handlers is map_handlers
