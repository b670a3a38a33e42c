"""Prompts that stand on terminals: a program waits there for a person, and shows what for.

Two signs must agree, and for some seconds: what it wrote last is an unfinished line, and it reads
its terminal. A program that only waits for keys among other things, as full-screen programs, shells
and servers do, must besides show what looks like a question. In doubt there is no prompt: nobody is
ever called blocked because it is merely quiet.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.engine.attaching import terminal_record
from anabranch.engine.masking import masked_unfinished_line
from anabranch.engine.performers.process_records import read_attempt
from anabranch.engine.process_table import processes_below
from anabranch.engine.terminal_end import opened_end, takes_lines, unread
from anabranch.engine.terminal_readers import Reading, reading_of
from anabranch.engine.vitals import Vitals
from anabranch.paths import RunFolder

QUIET_SECONDS = 3.0
LONGEST_PROMPT = 200

_QUESTION = re.compile(
    r"(\?|\[\s*[a-z]{1,12}(\s*/\s*[a-z]{1,12})+\s*\]|\(\s*y(es)?\s*/\s*n(o)?\s*\)"
    r"|pass(word|phrase)[^:]{0,40}:)[\s:>]*$",
    re.IGNORECASE,
)
_AT_REST = re.compile(r"[$#%>]$")
"""How shells and their like end the line at which they take commands: they ask nothing."""


class Signs(msgspec.Struct, frozen=True):
    """What is seen of one terminal.

    ``unfinished`` is the last line if it has no end, ``quiet_seconds`` is since the last output,
    ``reading`` how a program waits. It ``takes_lines`` unless the terminal is switched to keys;
    ``is_full_screen`` if a program has the whole of it; ``unread`` counts what waits to be read.
    """

    unfinished: str
    quiet_seconds: float
    reading: Reading
    takes_lines: bool = True
    is_full_screen: bool = False
    unread: int = 0


def prompt_in(signs: Signs) -> str:
    """Return the prompt that stands; "" if none does, or nobody can tell."""
    text = signs.unfinished.strip()
    if not text or signs.quiet_seconds < QUIET_SECONDS or signs.is_full_screen or signs.unread:
        return ""
    if signs.reading == "reads":
        return "" if _AT_REST.search(text) else text
    is_at_keys = signs.reading == "beside" or (signs.reading == "polls" and not signs.takes_lines)
    return text if is_at_keys and _QUESTION.search(text) else ""


class PromptWatch:
    """Looks at the terminals of a run, tick by tick.

    Args:
        folder: the run's.
        run_time: the run clock; what is told is told by it.
        wall: the clock of the files' time stamps.
    """

    def __init__(
        self,
        folder: RunFolder,
        run_time: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._run_time, self._wall = folder, run_time, wall

    def look(self, state: State, vitals: Mapping[StreamId, Vitals]) -> list[inputs.Input]:
        """Return which prompts have come to stand, and which have gone."""
        at_terminals = [
            s
            for s in (state.streams.get(name) for name in vitals)
            if s is not None and s.phase is Phase.RUNNING and state.stream_plan(s.id).tty
        ]
        quiet = {s.id: line for s in at_terminals if (line := self._unfinished(s)) is not None}
        below = _processes_below([s for s in at_terminals if s.id in quiet])
        news: list[inputs.Input] = []
        for stream in at_terminals:
            line = quiet.get(stream.id)
            seconds, text = line or (0.0, "")
            if line is not None:
                text = prompt_in(self._signs(stream, text, seconds, below.get(stream.id, [])))
            news += self._news(stream, text[-LONGEST_PROMPT:], seconds)
        return news

    def _news(self, stream: Stream, text: str, quiet_seconds: float) -> list[inputs.Input]:
        known = stream.terminal.prompt
        if text == (known.text if known else ""):
            return []
        since = max(0.0, self._run_time() - quiet_seconds) if text else 0.0
        return [
            inputs.PromptSeen(
                stream=stream.id,
                attempt=stream.attempt,
                text=text,
                since=round(since, 3),
                cause=stream.cause,
            )
        ]

    def _unfinished(self, stream: Stream) -> tuple[float, str] | None:
        """Return for how long a stream is quiet, and its unfinished line; None without one."""
        log = self._folder.log(stream.id, stream.attempt)
        quiet_seconds = self._quiet_seconds(log)
        if quiet_seconds is None or quiet_seconds < QUIET_SECONDS:
            return None
        text = masked_unfinished_line(log)
        return (quiet_seconds, text) if text.strip() else None

    def _quiet_seconds(self, log: Path) -> float | None:
        try:
            return self._wall() - os.stat(log, follow_symlinks=False).st_mtime
        except OSError:
            return None

    def _signs(self, stream: Stream, text: str, quiet_seconds: float, pids: list[int]) -> Signs:
        record = terminal_record(self._folder, stream.id, stream.attempt)
        name = self._folder.attempt_name(stream.id, stream.attempt)
        start = getattr(read_attempt(self._folder.attempts / name), "start", None)
        reading = reading_of(pids)
        if record is None or record.end is None or start is None or not reading:
            return Signs(text, quiet_seconds, "")
        try:
            with opened_end(start, record.end) as end:
                lines, left = takes_lines(end), unread(end)
        except OSError:
            return Signs(text, quiet_seconds, "")
        return Signs(text, quiet_seconds, reading, lines, record.alternate, left)


def _processes_below(streams: list[Stream]) -> dict[StreamId, list[int]]:
    """Return the processes of some streams, by one look at the process table."""
    roots = {s.id: s.holder_pid for s in streams if s.holder_pid}
    if not roots:
        return {}
    try:
        return processes_below(roots)
    except OSError:
        return {}
