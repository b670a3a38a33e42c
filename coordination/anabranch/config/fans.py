"""What ``anabranch check`` says of a stream of many handlers: how many, and the first of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from anabranch.config.problems import printable
from anabranch.core.plans.plan import FanPlan, Plan
from anabranch.handlers.placeholders import BadCommand, parse
from anabranch.handlers.queues import own_argv
from anabranch.handlers.sources import LETS_WAIT, BadSource, items_of, read_tasks

FIRST_SHOWN = 3
MOST_COUNTED = 100_000
LONGEST_SHOWN = 120


class Fan(msgspec.Struct, frozen=True):
    """How a stream fans out: how many handlers, if that is known before the run, and the first."""

    stream: str
    handlers: int | None
    first: tuple[str, ...]
    problem: str = ""


def fans_of(plan: Plan, folder: Path | None) -> list[Fan]:
    """Return what is known of each stream with handlers; no command of theirs is started.

    Args:
        plan: the plan.
        folder: where in the project it is run, if that is known.
    """
    return [_fan(stream.id, stream.fan, folder) for stream in plan.streams if stream.fan]


def _fan(stream: str, fan: FanPlan, folder: Path | None) -> Fan:
    if fan.source.keys() & LETS_WAIT or (
        folder is None and not fan.source.keys() & {"items", "matrix"}
    ):
        return Fan(stream, None, ())
    try:
        found = list(islice(_commands(fan, str(folder or ".")), MOST_COUNTED + 1))
    except (BadSource, BadCommand) as error:
        return Fan(stream, None, (), str(error))
    is_counted = len(found) <= MOST_COUNTED
    return Fan(stream, len(found) if is_counted else None, tuple(found[:FIRST_SHOWN]))


def _commands(fan: FanPlan, folder: str) -> Iterator[str]:
    template = parse(fan.command) if fan.command is not None else None
    if "graph" in fan.source:
        for index, task in enumerate(read_tasks(f"{folder}/{fan.source['graph']}")):
            value = {"id": task.id, "command": task.command, "seconds": task.seconds}
            yield _line(template.argv(value, index) if template else own_argv(task))
    elif template is not None:
        for index, value in enumerate(items_of(fan.source, folder)):
            yield _line(template.argv(value, index))


def _line(argv: list[str]) -> str:
    """Return a command line as somebody would type it."""
    text = argv[2] if argv[:2] == ["/bin/sh", "-c"] else shlex.join(argv)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def fan_lines(plan: Plan, folder: Path | None) -> Iterator[str]:
    """Yield the same for people."""
    for fan in fans_of(plan, folder):
        if fan.problem:
            yield f"  {fan.stream}: {printable(fan.problem)}"
            continue
        number = "as many as there are items" if fan.handlers is None else f"{fan.handlers:,}"
        yield f"  {fan.stream}: {number}"
        yield from (f"    {printable(line)}" for line in fan.first)
        if fan.handlers is not None and fan.handlers > len(fan.first):
            yield f"    and {fan.handlers - len(fan.first):,} more"
