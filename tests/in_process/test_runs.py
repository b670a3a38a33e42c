"""``map_handlers`` with a run: what is proven done is not done again, whoever kills the program."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from anabranch import HandlersFailed, map_handlers
from anabranch.engine.handler_book import HandlerState, read_whole
from anabranch.errors import WorldError
from anabranch.handlers import book
from anabranch.in_process.identity import NotKnowable

ITEMS = 400
KILLS = 6
PROGRAM = f"""
import asyncio, os, signal, sys, anabranch

folder, left = sys.argv[1], int(sys.argv[2])

async def square(number):
    global left
    await asyncio.sleep(number % 7 / 1000)
    print(number, flush=True)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return {{"square": number * number}}

async def main():
    results = await anabranch.map_handlers(square, range({ITEMS}), max_parallel=20, run=folder)
    print("sum", sum(result["square"] for result in results))

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def outside_of_any_stream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ANABRANCH_HANDLERS", "ANABRANCH_ATTEMPT", "ANABRANCH_GOES_ON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


calls: Counter[object] = Counter()


@pytest.fixture(autouse=True)
def counted() -> None:
    calls.clear()


async def double(number: int) -> int:
    calls[number] += 1
    return number * 2


def test_killed_again_and_again_what_was_proven_done_is_not_done_again(tmp_path: Path) -> None:
    """Only what was begun and not yet in the book may be done twice; the results are all there."""
    path = str(tmp_path / "run/book")
    done: list[str] = []
    proven: dict[str, int] = {}
    for _ in range(KILLS):
        ended = start(tmp_path, ITEMS // (KILLS + 2))
        assert ended.returncode == -signal.SIGKILL
        done += ended.stdout.split()
        began = Counter(line[2] for line in book.lines(path) if line[0] == book.BEGUN)
        assert {key: began[key] for key in proven} == proven, "what was proven done began again"
        proven = {key: began[key] for key in book.done_keys(path)}
        assert book.in_doubt(path)
    *rest, total = start(tmp_path, -1).stdout.splitlines()
    assert total == f"sum {sum(number * number for number in range(ITEMS))}"
    assert {*done, *rest} == {str(number) for number in range(ITEMS)}
    assert len(rest) == ITEMS - len(proven)
    assert not book.in_doubt(path)


def start(folder: Path, dies_after: int) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", PROGRAM, str(folder / "run"), str(dies_after)]
    return subprocess.run(argv, capture_output=True, text=True)


async def test_what_is_done_is_returned_from_the_book(tmp_path: Path) -> None:
    assert await map_handlers(double, [1, 2], run=tmp_path / "run") == [2, 4]
    assert await map_handlers(double, [2, 3, 1], run=tmp_path / "run") == [4, 6, 2]
    assert calls == {1: 1, 2: 1, 3: 1}


async def test_only_what_failed_is_done_again(tmp_path: Path) -> None:
    is_away = True

    async def fetch(number: int) -> int:
        calls[number] += 1
        if is_away and number == 2:
            raise ConnectionError("away")
        return number

    with pytest.raises(HandlersFailed):
        await map_handlers(fetch, range(4), run=tmp_path)
    is_away = False
    assert await map_handlers(fetch, range(4), run=tmp_path) == [0, 1, 2, 3]
    assert calls == {0: 1, 1: 1, 2: 2, 3: 1}


async def test_a_run_by_name_belongs_to_the_folder_one_works_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, times in (("a", 1), ("b", 2), ("a", 2)):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        await map_handlers(double, [1], run="nightly")
        assert calls[1] == times
    await map_handlers(double, [1], run="weekly")
    assert calls[1] == 3


async def test_a_result_is_the_same_whether_it_is_fresh_or_kept(tmp_path: Path) -> None:
    async def pair(number: int) -> Any:
        return {number: (number, None)}

    fresh = await map_handlers(pair, [1], run=tmp_path)
    assert fresh == await map_handlers(pair, [1], run=tmp_path) == [{"1": [1, None]}]
    assert await map_handlers(pair, [1]) == [{1: (1, None)}]


@pytest.mark.parametrize("result", [object(), float("nan"), {1, 2}, b"bytes", "x" * 5_000_000])
async def test_a_result_that_cannot_be_kept_is_a_failure_of_its_handler(
    tmp_path: Path, result: object
) -> None:
    async def handle(number: int) -> object:
        calls[number] += 1
        return result if number else 0

    found = await map_handlers(handle, [0, 1], run=tmp_path, retries=3, return_exceptions=True)
    assert found[0] == 0
    assert isinstance(found[1], TypeError)
    assert "its result" in str(found[1])
    assert calls == {0: 1, 1: 1}, "to try again would not help"
    assert await map_handlers(handle, [1]) == [result] or result != result


async def test_another_function_version_or_run_is_another_handler(tmp_path: Path) -> None:
    async def other(number: int) -> int:
        return -number

    assert await map_handlers(double, [1], run=tmp_path) == [2]
    assert await map_handlers(other, [1], run=tmp_path) == [-1]
    assert await map_handlers(double, [1], run=tmp_path, version={"model": 2}) == [2]
    assert calls[1] == 2


async def test_a_partial_function_is_known_by_its_arguments(tmp_path: Path) -> None:
    async def power(exponent: int, number: int) -> int:
        calls[exponent] += 1
        return int(number**exponent)

    for exponent in (2, 3, 2):
        function = functools.partial(power, exponent)
        assert await map_handlers(function, [5], run=tmp_path) == [5**exponent]
    assert calls == {2: 1, 3: 1}


class Row:
    def __init__(self, number: int) -> None:
        self.number = number


async def test_an_item_is_known_by_its_key(tmp_path: Path) -> None:
    async def handle(row: Row) -> int:
        calls[row.number] += 1
        return row.number

    with pytest.raises(NotKnowable, match="give key="):
        await map_handlers(handle, [Row(1)], run=tmp_path)
    for _ in range(2):
        found = await map_handlers(handle, [Row(1)], run=tmp_path, key=lambda row: row.number)
        assert found == [1]
    assert calls == {1: 1}


async def test_a_path_is_known_by_its_text(tmp_path: Path) -> None:
    async def name(path: Path) -> str:
        calls[path.name] += 1
        return path.name

    for _ in range(2):
        assert await map_handlers(name, [Path("a/b")], run=tmp_path) == ["b"]
    assert calls == {"b": 1}


async def test_a_lambda_cannot_be_known_again(tmp_path: Path) -> None:
    with pytest.raises(NotKnowable, match="use def"):
        await map_handlers(lambda n: n, [1], run=tmp_path)


async def test_the_book_says_what_became_of_each(tmp_path: Path) -> None:
    """As of handlers of commands: the state, why, and what it has to say."""

    async def handle(text: str) -> str:
        if text == "bad":
            raise ValueError("no \\x1b good")
        return text

    await map_handlers(handle, ["good", "bad"], run=tmp_path, return_exceptions=True)
    good, bad = read_whole(tmp_path / "book").handlers.values()
    assert (good.state, good.text) == (HandlerState.SUCCEEDED, "good")
    assert (bad.state, bad.text) == (HandlerState.FAILED, "bad")
    assert bad.ended is not None
    assert "ValueError" in bad.ended.why
    trace = (tmp_path / "output.pack").read_bytes()[bad.ended.offset :].decode()
    assert trace.count("File ") == 1, "our own frames say nothing to whoever wrote the handler"
    assert "in handle" in trace
    counts = {"total": 2, "succeeded": 1, "failed": 1, "running": 0, "not_tried_again": 0}
    assert json.loads((tmp_path / "counts").read_text()).items() >= counts.items()


async def test_who_is_cancelled_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def handle(number: int) -> None:
        begun.set()
        await asyncio.Event().wait()

    caller = asyncio.create_task(map_handlers(handle, [1], run=tmp_path))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not book.in_doubt(str(tmp_path / "book"))
    assert not book.done_keys(str(tmp_path / "book"))


async def test_two_calls_of_a_program_share_a_run(tmp_path: Path) -> None:
    async def negate(number: int) -> int:
        await asyncio.sleep(0)
        return -number

    for _ in range(2):
        found = await asyncio.gather(
            map_handlers(double, range(50), run=tmp_path),
            map_handlers(negate, range(50), run=tmp_path),
        )
        assert list(found) == [[n * 2 for n in range(50)], [-n for n in range(50)]]
    assert set(calls.values()) == {1}
    assert len(read_whole(tmp_path / "book").handlers) == 100


def test_another_program_at_work_on_a_run_is_told_of(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, anabranch\n"
        "async def wait(_):\n"
        "    print('begun', flush=True)\n"
        "    await asyncio.to_thread(sys.stdin.read)\n"
        "asyncio.run(anabranch.map_handlers(wait, [1], run=sys.argv[1]))\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        with pytest.raises(WorldError, match="another program is at work"):
            asyncio.run(map_handlers(double, [1], run=tmp_path))
    assert asyncio.run(map_handlers(double, [1], run=tmp_path)) == [2]


async def test_programs_of_one_attempt_have_places_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the book of a stream tells handlers of one attempt apart by their places."""
    monkeypatch.setenv("ANABRANCH_HANDLERS", str(tmp_path))
    for attempt, items in (("1", [1, 2]), ("1", [3]), ("2", [4])):
        monkeypatch.setenv("ANABRANCH_ATTEMPT", attempt)
        await map_handlers(double, items)
    began = [line for line in book.lines(str(tmp_path / "book")) if line[0] == book.BEGUN]
    assert [(line[3], line[1], line[6]) for line in began] == [
        (1, 0, "1"),
        (1, 1, "2"),
        (1, 2, "3"),
        (2, 0, "4"),
    ]


async def test_in_a_stream_what_is_done_is_trusted_only_where_the_work_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HANDLERS", str(tmp_path))
    for attempt, goes_on, times in (("1", "", 1), ("1", "", 1), ("2", "", 2), ("3", "1", 2)):
        monkeypatch.setenv("ANABRANCH_ATTEMPT", attempt)
        monkeypatch.setenv("ANABRANCH_GOES_ON", goes_on)
        assert await map_handlers(double, [1], run="twice") == [2]
        assert calls[1] == times


async def test_in_a_stream_handlers_are_run_though_they_cannot_be_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ANABRANCH_HANDLERS", str(tmp_path / "file/handlers"))
    assert await map_handlers(double, [1]) == [2]
    assert "handlers are not accounted for" in capfd.readouterr().err
    with pytest.raises(OSError, match="Not a directory"):
        await map_handlers(double, [1], run="twice")


async def test_a_result_that_is_not_whole_proves_nothing(tmp_path: Path) -> None:
    await map_handlers(double, [1], run=tmp_path)
    (tmp_path / "results.pack").write_bytes(b"")
    assert await map_handlers(double, [1], run=tmp_path) == [2]
    assert calls == {1: 2}


async def test_a_run_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    await map_handlers(double, range(10), run=tmp_path)
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == files
