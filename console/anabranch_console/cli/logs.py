"""``anabranch logs``: what streams have written, one of them or several side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.core.views.log_levels import LEVELS
from anabranch.core.views.projections import SCHEMA
from anabranch.core.wording import counted
from anabranch.engine.follower import RunFollower
from anabranch.engine.log_reading import LONGEST_LINE, TAIL_BYTES_LIMIT, LogTail, read_tail
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.cli.output import json_option, print_json_line, say
from anabranch_console.cli.reading import found_run, known_streams
from anabranch_console.cli.terminal import is_screen
from anabranch_console.lines import fit, text_cells

if TYPE_CHECKING:
    from anabranch.engine.log_index import IndexedLine

FOLLOW_SECONDS = 0.2
LONGEST_IN_A_FILE = 1 << 20


class Part(msgspec.Struct, frozen=True):
    """The output of one attempt, or of the setup or teardown of its workspace."""

    stream: StreamId
    attempt: Attempt
    of: str = ""

    def log(self, folder: RunFolder) -> Path:
        """Return the file that it is in."""
        logs = {"setup": folder.setup_log, "teardown": folder.teardown_log}
        return logs.get(self.of, folder.log)(self.stream, self.attempt)


class Wanted(msgspec.Struct, frozen=True):
    """Which output is asked for: of which streams, and of which of their attempts."""

    streams: Sequence[StreamId]
    attempt: int | None
    every_attempt: bool
    of: str = ""

    def parts(self, state: State) -> list[Part]:
        """Return the attempts that there are now, stream by stream."""
        found = []
        for stream in self.streams:
            newest = state.streams[stream].attempt
            first = 1 if self.every_attempt else newest
            numbers = range(max(1, first), newest + 1)
            if self.attempt is not None:
                numbers = range(self.attempt, min(self.attempt, newest) + 1)
            found += [Part(stream, number, self.of) for number in numbers]
        return found

    def is_complete(self, state: State) -> bool:
        """Return whether nothing more is to come."""
        return state.has_ended or all(state.streams[s].has_ended for s in self.streams)


@click.command
@click.argument("streams", nargs=-1, metavar="[STREAM ...]")
@click.option("--run", help="The run; by default the one that goes on.")
@click.option("--follow", "-f", is_flag=True, help="Go on until they have ended.")
@click.option("--all", "every_attempt", is_flag=True, help="Every attempt, not only the newest.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Only this attempt.")
@click.option(
    "--handler", type=click.IntRange(min=0), metavar="I", help="Only of item I of STREAM."
)
@click.option("--setup", "of", flag_value="setup", help="What the setup of a workspace wrote.")
@click.option("--teardown", "of", flag_value="teardown", help="What its teardown wrote.")
@click.option("--timestamps", "-t", "with_times", is_flag=True, help="When each was written.")
@click.option(
    "--level",
    type=click.Choice(list(LEVELS)),
    help="Only lines of this level and worse, as far as it is recognised.",
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
    of: str | None,
    with_times: bool,
    level: str | None,
    lines: int | None,
    as_json: bool,
) -> None:
    """Print what STREAM has written, or all streams of the run, each line with its name.

    Of several that are named, the lines come in order of time. What would act on a terminal is
    taken out or made visible. The bytes themselves are in the files that anabranch status --json
    names.
    """
    if attempt is not None and every_attempt:
        raise UsageError("--attempt and --all contradict each other", "give one of them")
    found, state = found_run("logs", run, streams[0] if streams else None)
    named = known_streams(state, streams)
    for stream in named:
        if stream not in state.streams:
            raise UsageError(f"{stream} joined from outside", "who started it has its output")
    if handler is not None:
        if of:
            raise UsageError(f"--handler and --{of} contradict each other", "give one of them")
        if attempt is not None or every_attempt:
            raise UsageError("--handler is of the newest attempt", "leave --attempt and --all out")
        from anabranch_console.cli.handler_log import print_handler  # few ask for one

        if with_times:
            raise UsageError("when a handler wrote a line is not known", "leave --timestamps out")
        print_handler(
            found.folder,
            state,
            named,
            handler,
            follow=follow,
            last=lines,
            as_json=as_json,
            least=LEVELS[level] if level else None,
        )
        return
    planned = [plan.id for plan in state.plan.streams]
    wanted = Wanted(named or planned, attempt, every_attempt, of or "")
    if attempt is not None:
        _refuse_unknown(state, named, attempt)
    printer = _Printer(state, wanted, len(named) != 1 or every_attempt, as_json)
    if with_times or level or len(named) > 1:
        printer.with_times, printer.with_level = with_times, level is not None
        _print_ordered(found.folder, state, wanted, printer, follow, lines, level, bool(named))
        return
    if follow and not wanted.is_complete(state):
        _follow(found.folder, wanted, printer, lines)
        return
    parts = wanted.parts(state)
    for part in parts:
        for line in _lines(found.folder, part, lines):
            printer.line(part, line)
    printer.say_if_nothing("nothing has been written" if parts else "no such stream has started")


def _print_ordered(
    folder: RunFolder,
    state: State,
    wanted: Wanted,
    printer: _Printer,
    follow: bool,
    last: int | None,
    level: str | None,
    is_merged: bool,
) -> None:
    """Print with times, by level, or what streams that are named have written as one."""
    from anabranch_console.cli import ordered_logs  # few ask for these

    wish = ordered_logs.Wish(LEVELS[level] if level else None, last, _longest())

    def with_logs(of: State) -> list[tuple[Part, Path]]:
        return [(part, part.log(folder)) for part in wanted.parts(of)]

    if follow and not wanted.is_complete(state):
        follower = RunFollower(folder)
        try:
            hidden = ordered_logs.follow_ordered(
                lambda: (with_logs(now := follower.state), wanted.is_complete(now)),
                printer.indexed_line,
                wish,
            )
        finally:
            follower.close()
    else:
        parts = with_logs(state)
        groups = [parts] if is_merged else [[part] for part in parts]
        printed = [ordered_logs.print_ordered(g, printer.indexed_line, wish) for g in groups]
        hidden = sum(printed)
    if hidden:
        say(f"not shown: {counted(hidden, 'line')} without a level that is recognised (as info)")
    printer.say_if_nothing("nothing has been written" if level is None else "no such line")


def _refuse_unknown(state: State, streams: Sequence[StreamId], attempt: int) -> None:
    for stream in streams:
        newest = state.streams[stream].attempt
        if attempt > newest:
            hint = f"it has had {newest}" if newest else "it has not started"
            raise UsageError(f"{stream} has no attempt {attempt}", hint)


def _lines(folder: RunFolder, part: Part, last: int | None) -> Iterator[str]:
    path = part.log(folder)
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
    path = part.log(folder)
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
        self.has_printed = self.with_times = self.with_level = False

    def line(self, part: Part, line: str) -> None:
        """Print one line."""
        self._put(part, line, "", {})

    def indexed_line(self, part: Part, line: IndexedLine) -> None:
        """Print one line, with when it was written and how bad it is, if that is asked for."""
        from anabranch_console.cli.ordered_logs import stamp, time_in_json

        more = time_in_json(line.moment) if self.with_times else {}
        if self.with_level:
            more["level"] = line.level.word if line.level else None
        self._put(part, line.text, f"{stamp(line.moment)} " if self.with_times else "", more)

    def say_if_nothing(self, why: str) -> None:
        """Say so if nothing was printed."""
        if not self.has_printed and not self._as_json:
            say(why)

    def _put(self, part: Part, line: str, before: str, more: dict[str, Any]) -> None:
        self.has_printed = True
        if self._as_json:
            said = {"stream": part.stream, "attempt": part.attempt, **more, "line": line}
            print_json_line({"schema": SCHEMA, **said})
        elif self._is_named:
            click.echo(f"{before}{fit(self._name(part), self._width)} | {line}")
        else:
            click.echo(f"{before}{line}")

    def _name(self, part: Part) -> str:
        return f"{part.stream}.{part.attempt}" if self._with_attempt else part.stream
