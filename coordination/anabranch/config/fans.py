"""What ``anabranch check`` says of a stream of many handlers: how many, and the first of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from anabranch.config.problems import KeyPath, PlanWarning, printable
from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import FanPlan, Plan
from anabranch.handlers.placeholders import BadCommand, parse
from anabranch.handlers.queues import own_argv
from anabranch.handlers.sources import LETS_WAIT, BadSource, files_matching, items_of, read_tasks

FIRST_SHOWN = 3
MOST_COUNTED = 100_000
LONGEST_SHOWN = 120
MOST_READ_BYTES = 4 * 1024 * 1024
"""A graph of more than that is read by its stream alone: nobody waits twice for it."""


class Fan(msgspec.Struct, frozen=True):
    """How a stream fans out: how many handlers, if that is known before the run, and the first."""

    stream: StreamId
    handlers: int | None
    first: tuple[str, ...]
    problem: str = ""


def fans_of(plan: Plan, folder: Path | None) -> list[Fan]:
    """Return what is known of each stream with handlers; no command of theirs is started.

    Args:
        plan: the plan.
        folder: where in the project it is run, if that is known.
    """
    return [
        _fan(stream.id, stream.fan, folder and folder / stream.working_dir)
        for stream in plan.streams
        if stream.fan
    ]


def _fan(stream: StreamId, fan: FanPlan, folder: Path | None) -> Fan:
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


def without_items(plan: Plan, folder: Path | None) -> Iterator[PlanWarning]:
    """Yield a warning for each stream that has no items here, as far as that can be known now.

    What items are made from may still come from streams before it. Where nothing goes before, a
    source that cannot be read would only fail late.
    """
    for stream in plan.streams:
        if stream.fan is None:
            continue
        ((kind, value),) = ((k, v) for k, v in stream.fan.source.items() if k != "exclude")
        path: KeyPath = ("streams", stream.id, "each", *([] if kind == "items" else [kind]))
        try:
            why = _why_none(stream.fan, kind, value, folder and folder / stream.working_dir)
        except BadSource as error:
            if not stream.depends_on:
                text = f"`{stream.id}` has no items here: {printable(str(error), 300)}"
                hint = "mend what they come from"
                yield PlanWarning("impossible-items", text, stream.id, path, hint)
        else:
            if why and not (stream.depends_on and kind in ("glob", "graph")):
                text = f"`{stream.id}` has no items here, and does nothing: {why}"
                yield PlanWarning("no-items", text, stream.id, path)


def _why_none(fan: FanPlan, kind: str, value: Any, folder: Path | None) -> str:
    """Return why there is no item, empty if there is one or nobody knows. Raises BadSource."""
    if kind in ("items", "matrix"):
        return "" if next(items_of(fan.source, "."), None) is not None else "there are none"
    if folder is None:
        return ""
    if kind == "glob":
        is_one = next(files_matching(value, str(folder)), None) is not None
        return "" if is_one else "no file matches"
    if kind == "graph" and _is_quickly_read(folder / value):
        return "" if read_tasks(f"{folder}/{value}") else "there is no task in it"
    return ""


def _is_quickly_read(path: Path) -> bool:
    try:
        return path.stat().st_size <= MOST_READ_BYTES
    except OSError:
        return True  # reading it says why


def fan_lines(plan: Plan, folder: Path | None) -> Iterator[str]:
    """Yield the same for people."""
    streams = {stream.id: stream for stream in plan.streams}
    of_files = {s.id for s in plan.streams if s.fan and "glob" in s.fan.source}
    for fan in fans_of(plan, folder):
        here = ", by the files that are here now" if fan.stream in of_files else ""
        if fan.problem and (before := streams[fan.stream].depends_on):
            names = ", ".join(name for one in before for name in one.streams)
            yield f"  {fan.stream}: known when {names or 'what it waits for'} has ended"
            continue
        if fan.problem:
            yield f"  {fan.stream}: {printable(fan.problem)}"
            continue
        number = "as many as there are items" if fan.handlers is None else f"{fan.handlers:,}"
        yield f"  {fan.stream}: {number}{here if fan.handlers is not None else ''}"
        yield from (f"    {printable(line)}" for line in fan.first)
        if fan.handlers is not None and fan.handlers > len(fan.first):
            yield f"    and {fan.handlers - len(fan.first):,} more"
