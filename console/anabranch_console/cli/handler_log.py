"""``anabranch logs STREAM --handler I``: what one handler has written, live and afterwards."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import click

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.log_levels import Level, Levels, passes
from anabranch.core.views.projections import SCHEMA
from anabranch.engine.follower import RunFollower
from anabranch.engine.handler_book import Handler, HandlerBook, unreadable
from anabranch.engine.handler_output import output_from
from anabranch.engine.handlers import have_handlers
from anabranch.engine.log_reading import LineAssembler
from anabranch.errors import UsageError
from anabranch.handlers.tally import in_words
from anabranch.paths import RunFolder
from anabranch_console.cli.output import print_json_line, say

FOLLOW_SECONDS = 0.2


def print_handler(
    folder: RunFolder,
    state: State,
    streams: Sequence[StreamId],
    place: int,
    *,
    follow: bool,
    last: int | None,
    as_json: bool,
    least: Level | None = None,
) -> None:
    """Print what one handler of one stream has written.

    Args:
        folder: the run's folder.
        state: how the run stands.
        streams: the stream whose handler it is; not exactly one is an error.
        place: the place of its item, from 0.
        follow: go on until it has ended.
        last: print only so many lines, the last ones.
        as_json: print each line as JSON.
        least: how bad a line has to be to be printed; None for all.

    Raises UsageError if there is no such handler.
    """
    if len(streams) != 1 or streams[0] not in have_handlers(state, folder):
        hint = "anabranch logs STREAM --handler I, where the plan gives STREAM an `each`"
        raise UsageError("a handler is one of a stream that fans out", hint)
    reading = _Reading(folder, streams[0], place, least)
    if reading.look() is None and not (follow and not state.streams[streams[0]].has_ended):
        raise UsageError(f"{streams[0]} has started no handler {place}", "they count from 0")
    wanted = _followed(folder, reading, last) if follow else _last(reading.whole(), last)
    has_printed = False
    for line in wanted:
        has_printed = True
        if as_json:
            said = {"stream": streams[0], "handler": place, "line": line}
            print_json_line({"schema": SCHEMA, **said})
        else:
            click.echo(line)
    if not has_printed and not as_json and (found := reading.found) is not None:
        how = in_words(found.ended) if found.ended is not None else "it runs"
        say(f"it has written nothing: {how}")


def _last(lines: Iterator[str], number: int | None) -> Iterable[str]:
    return lines if number is None else deque(lines, number)


def _followed(folder: RunFolder, reading: _Reading, last: int | None) -> Iterator[str]:
    """Yield what is there and what comes, until the handler is done or its stream has ended."""
    yield from _last(reading.lines(), last)
    follower = RunFollower(folder)
    try:
        while not reading.is_done:
            has_ended = follower.state.streams[reading.stream].has_ended
            yield from reading.lines()
            if has_ended:
                break
            time.sleep(FOLLOW_SECONDS)
    finally:
        follower.close()
    yield from reading.unfinished()


class _Reading:
    """The output of one handler, read on from where the last look ended.

    What the slot of a handler holds is its own only if the book, looked at after it, still has the
    handler running: others come after it there. One that is begun again begins its output anew.
    """

    def __init__(
        self, folder: RunFolder, stream: StreamId, place: int, least: Level | None
    ) -> None:
        self.stream = stream
        self.found: Handler | None = None
        self._folder, self._place = folder, place
        self._book = HandlerBook(folder.handlers(stream) / "book")
        self._offset = self._tries = 0
        self._lines, self._levels, self._least = LineAssembler(), Levels(), least

    @property
    def is_done(self) -> bool:
        """Whether it has succeeded: one that has failed may be tried again."""
        ended = self.found.ended if self.found is not None else None
        return ended is not None and ended.has_succeeded

    def lines(self) -> Iterator[str]:
        """Yield the lines that have come since the last look."""
        found = self.look()
        while found is not None:
            if found.tries != self._tries:
                self._offset, self._tries = 0, found.tries
                self._lines, self._levels = LineAssembler(), Levels()
            data = output_from(self._folder, self.stream, found, self._offset)
            before, found = found, self.look() if found.ended is None else found
            if found == before:
                if not data:
                    return
                self._offset += len(data)
                yield from self._shown(self._lines.feed(data))

    def whole(self) -> Iterator[str]:
        """Yield all that is there, a last line that has no end too."""
        yield from self.lines()
        yield from self.unfinished()

    def unfinished(self) -> list[str]:
        """Return the last line, if it has no end."""
        return self._shown([self._lines.unfinished] if self._lines.unfinished else [])

    def _shown(self, lines: list[str]) -> list[str]:
        """Return the lines that are bad enough."""
        return [line for line in lines if passes(self._levels.take(line), self._least)]

    def look(self) -> Handler | None:
        """Return how far the handler is by now, None if it has not begun."""
        try:
            self._book.look()
            while self._book.has_more:
                self._book.look()
        except OSError as error:
            raise unreadable(error) from error
        self.found = self._book.handlers.get(self._place)
        return self.found
