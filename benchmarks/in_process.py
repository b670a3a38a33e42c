"""In-process handlers beside plain asyncio: how late they wake, what one takes, what one costs.

A thousand that wake ten times a second share one loop; what is measured is how much later than
asked each wakes. ``gather`` and a task group hold nobody back, try nothing again and keep no
account: they are the least that it can cost.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, in_turns

HANDLERS, WAKES, PERIOD_SECONDS = 1000, 30, 0.1
QUICK = 20_000
REPEATS, BUDGET_SECONDS = 3, 30.0
PARTICIPANTS = ("map_handlers", "asyncio.gather", "asyncio.TaskGroup")

_PROGRAM = """
import asyncio, json, sys, time, tracemalloc
import anabranch

how, what, count, wakes, period = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
count, wakes = int(count), int(wakes)
late = []


async def wake(number):
    at = time.perf_counter() + period * (number / count)
    for _ in range(wakes):
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        late.append(time.perf_counter() - at)
        at += period


async def nothing(number):
    await asyncio.sleep(0)


async def stand(number):
    await ended.wait()


async def run(handle):
    if how == "map_handlers":
        await anabranch.map_handlers(handle, range(count))
    elif how == "asyncio.gather":
        await asyncio.gather(*map(handle, range(count)))
    else:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(handle(number))


async def lateness():
    await run(wake)
    late.sort()
    return late[int(len(late) * 0.99)] * 1000


async def memory():
    global ended
    ended = asyncio.Event()
    anabranch.map_handlers
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    running = asyncio.create_task(run(stand))
    while len(asyncio.all_tasks()) < count:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    taken = tracemalloc.get_traced_memory()[0] - before
    ended.set()
    await running
    return taken / count / 1024


async def price():
    anabranch.map_handlers
    began = time.perf_counter()
    await run(nothing)
    return (time.perf_counter() - began) / count * 1e6


print(json.dumps(asyncio.run(globals()[what]())))
"""


def tables(machine: Machine) -> Iterator[Table]:
    """Yield how late they wake, how much memory one takes, and what one that is quick costs."""
    yield _table(
        machine,
        f"In-process: {HANDLERS:,} handlers that wake at 10 Hz",
        "ms late (p99)",
        "lateness",
    )
    yield _table(machine, f"In-process: memory of one of {HANDLERS:,}", "KiB", "memory")
    yield _table(machine, f"In-process: one of {QUICK:,} that do nothing", "µs", "price", QUICK)


def _table(machine: Machine, title: str, unit: str, what: str, count: int = HANDLERS) -> Table:
    contestants: dict[str, Contestant] = {
        name: partial(_measured, machine, name, what, count) for name in PARTICIPANTS
    }
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    return Table(title, unit, tuple(Row(name, values) for name, values in samples.items()))


def _measured(machine: Machine, how: str, what: str, count: int) -> float:
    """Measure one way in a process of its own. Raises BenchmarkFailed."""
    numbers = map(str, (count, WAKES, PERIOD_SECONDS))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, how, what, *numbers],
        env=dict(machine.environment),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"{how} ended with {done.returncode}: {done.stderr[-600:]}")
    return float(json.loads(done.stdout))
