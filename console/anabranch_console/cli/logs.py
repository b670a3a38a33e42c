"""``anabranch logs``: what streams have written, one of them or several side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import click
import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.core.views.projections import SCHEMA
from anabranch.engine.follower import RunFollower
from anabranch.engine.log_reading import LONGEST_LINE, TAIL_BYTES_LIMIT, LogTail, read_tail
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.output import json_option, print_json_line, say
from anabranch_console.cli.reading import found_run, known_streams
from anabranch_console.cli.terminal import is_screen
from anabranch_console.lines import fit, text_cells

FOLLOW_SECONDS = 0.2
LONGEST_IN_A_FILE = 1 << 20


class Part(msgspec.Struct, frozen=True):
    """The output of one attempt."""

    stream: StreamId
    attempt: Attempt


class Wanted(msgspec.Struct, frozen=True):
    """Which output is asked for: of which streams, and of which of their attempts."""

    streams: Sequence[StreamId]
    attempt: int | None
    every_attempt: bool

    def parts(self, state: State) -> list[Part]:
        """Return the attempts that there are now, stream by stream."""
        found = []
        for stream in self.streams:
            newest = state.streams[stream].attempt
            first = 1 if self.every_attempt else newest
            numbers = range(max(1, first), newest + 1)
            if self.attempt is not None:
                numbers = range(self.attempt, min(self.attempt, newest) + 1)
            found += [Part(stream, number) for number in numbers]
        return found

    def is_complete(self, state: State) -> bool:
        """Return whether nothing more is to come."""
        return state.has_ended or all(state.streams[s].has_ended for s in self.streams)


@click.command
@click.argument("streams", nargs=-1, metavar="[STREAM ...]")
@click.option("--run", help="The run; the latest by default.")
@click.option("--follow", "-f", is_flag=True, help="Go on until they have ended.")
@click.option("--all", "every_attempt", is_flag=True, help="Every attempt, not only the newest.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Only this attempt.")
@click.option(
    "--handler", type=click.IntRange(min=0), metavar="I", help="Only of item I of STREAM."
)
@click.option("--lines", "-n", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@json_option
def command(
    streams: tuple[str, ...],
    run: str | None,
    follow: bool,
    every_attempt: bool,
    attempt: int | None,
    handler: int | None,
    lines: int | None,
    as_json: bool,
) -> None:
    """Print what STREAM has written, or all streams of the latest run, each line with its name.

    What would act on a terminal is taken out or made visible. The bytes themselves are in the
    files that anabranch status --json names.
    """
    if attempt is not None and every_attempt:
        raise UsageError("--attempt and --all contradict each other", "give one of them")
    found, state = found_run(run)
    named = known_streams(state, streams)
    for stream in named:
        if stream not in state.streams:
            raise UsageError(f"{stream} joined from outside", "who started it has its output")
    if handler is not None:
        if attempt is not None or every_attempt:
            raise UsageError("--handler is of the newest attempt", "leave --attempt and --all out")
        from anabranch_console.cli.handler_log import print_handler  # few ask for one

        print_handler(
            found.folder, state, named, handler, follow=follow, last=lines, as_json=as_json
        )
        return
    planned = [plan.id for plan in state.plan.streams]
    wanted = Wanted(named or planned, attempt, every_attempt)
    if attempt is not None:
        _refuse_unknown(state, named, attempt)
    printer = _Printer(state, wanted, len(named) != 1 or every_attempt, as_json)
    if follow and not wanted.is_complete(state):
        _follow(found.folder, wanted, printer, lines)
        return
    parts = wanted.parts(state)
    for part in parts:
        for line in _lines(found.folder, part, lines):
            printer.line(part, line)
    if not printer.has_printed and not as_json:
        say("nothing has been written" if parts else "no such stream has started yet")


def _refuse_unknown(state: State, streams: Sequence[StreamId], attempt: int) -> None:
    for stream in streams:
        newest = state.streams[stream].attempt
        if attempt > newest:
            hint = f"it has had {newest}" if newest else "it has not started"
            raise UsageError(f"{stream} has no attempt {attempt}", hint)


def _lines(folder: RunFolder, part: Part, last: int | None) -> Iterator[str]:
    path = folder.log(part.stream, part.attempt)
    if last is not None:
        yield from read_tail(path, last)
        return
    tail, before = LogTail(path, longest=_longest()), -1
    while tail.offset != before:
        before = tail.offset
        yield from tail.read_new()
    if tail.unfinished:
        yield tail.unfinished


def _follow(folder: RunFolder, wanted: Wanted, printer: _Printer, last: int | None) -> None:
    """Print what is there and what comes, until all of it has ended."""
    follower = RunFollower(folder)
    tails: dict[Part, LogTail] = {}
    try:
        while True:
            state = follower.state
            is_complete = wanted.is_complete(state)
            for part in wanted.parts(state):
                if part not in tails:
                    tails[part] = _begun(folder, part, last, printer)
            has_moved = [_print_new(tail, part, printer) for part, tail in tails.items()]
            if any(has_moved):
                continue
            if is_complete:
                break
            time.sleep(FOLLOW_SECONDS)
    finally:
        follower.close()
    for part, tail in tails.items():
        if tail.unfinished:
            printer.line(part, tail.unfinished)


def _begun(folder: RunFolder, part: Part, last: int | None, printer: _Printer) -> LogTail:
    path = folder.log(part.stream, part.attempt)
    if last is None:
        return LogTail(path, longest=_longest())
    tail = LogTail.near_end(path, last_bytes=TAIL_BYTES_LIMIT)
    for line in tail.read_new(TAIL_BYTES_LIMIT)[-last:]:
        printer.line(part, line)
    return tail


def _print_new(tail: LogTail, part: Part, printer: _Printer) -> bool:
    before = tail.offset
    for line in tail.read_new():
        printer.line(part, line)
    return tail.offset != before


def _longest() -> int:
    return LONGEST_LINE if is_screen() else LONGEST_IN_A_FILE


class _Printer:
    """Prints lines, with the name of who wrote them where that is in doubt."""

    def __init__(self, state: State, wanted: Wanted, is_named: bool, as_json: bool) -> None:
        self._is_named = is_named
        self._as_json = as_json
        self._with_attempt = wanted.every_attempt
        names = [self._name(part) for part in wanted.parts(state)]
        self._width = max(map(text_cells, names), default=0)
        self.has_printed = False

    def line(self, part: Part, line: str) -> None:
        """Print one line."""
        self.has_printed = True
        if self._as_json:
            said = {"stream": part.stream, "attempt": part.attempt, "line": line}
            print_json_line({"schema": SCHEMA, **said})
        elif self._is_named:
            click.echo(f"{fit(self._name(part), self._width)} | {line}")
        else:
            click.echo(line)

    def _name(self, part: Part) -> str:
        return f"{part.stream}.{part.attempt}" if self._with_attempt else part.stream
