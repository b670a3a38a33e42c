"""Command lines of GNU parallel, in a script or alone: each becomes a stream with handlers.

What an option or a sign means there and cannot mean here is named with its line; a line of which
that is the point is left out, and named with the reason.
"""

from __future__ import annotations

import os
import re
from typing import Any

from anabranch.extending import Imported, NotThisFormat
from anabranch_plugins.importers.names import stream_names
from anabranch_plugins.importers.parallel_command import handlers_command
from anabranch_plugins.importers.parallel_items import items_of_line, split_sources
from anabranch_plugins.importers.parallel_options import Unfit, read_options
from anabranch_plugins.importers.shell_words import VALUE, Pipe, Stage, Word, pipes_of

_PROGRAMS = ("parallel", "env_parallel")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_OF_STDIN = ("<", "0<")
_LONGEST_SHOWN = 60

Entry = dict[str, Any]


def plan_of(text: str) -> Imported:
    """Return the plan that the command lines stand for, one stream each. Raises NotThisFormat."""
    left: list[str] = []
    found: dict[str, tuple[Entry, Pipe]] = {}
    for pipe in pipes_of(text):
        try:
            stream = _stream(pipe, left)
        except Unfit as error:
            left.append(f"line {pipe.line}: {_short(pipe.written)} cannot be a stream: {error}")
            continue
        if stream is None:
            left.append(f"line {pipe.line}: {_short(pipe.written)} is not a command of parallel")
        else:
            found[_free(_word_for(stream), found)] = (stream, pipe)
    if not found:
        raise NotThisFormat("; ".join(left) or "no command line of parallel in it")
    return Imported({"streams": _in_order(found, left)}, tuple(left))


def _stream(pipe: Pipe, left: list[str]) -> Entry | None:
    """Return the stream that a pipe stands for, None if parallel is not in it. Raises Unfit."""
    for stage in pipe.stages:
        words = list(stage.words)
        env: dict[str, Word] = {}
        while words and (given := _ASSIGNMENT.fullmatch(words[0].text)):
            env[given[1]] = words.pop(0)._replace(text=given[2])
        if words and os.path.basename(words[0].text) in _PROGRAMS:
            notes: list[str] = []
            stream = _of_words(tuple(words[1:]), stage, notes)
            notes += _around(pipe, stage)
            if env:
                stream["env"] = _environment(env, notes)
            left += [f"line {pipe.line}: {note}" for note in notes]
            return stream
    return None


def _of_words(words: tuple[Word, ...], stage: Stage, notes: list[str]) -> Entry:
    options, rest = read_options(words)
    command, sources = split_sources(rest)
    items = items_of_line(options, sources, stage)
    filled = handlers_command(options, command, items)
    keys = options.stream
    notes += [*options.left_out, *filled.left_out]
    return {"each": filled.each, "command": filled.command, **keys}


def _around(pipe: Pipe, stage: Stage) -> list[str]:
    """Return what stands around a command line and is not carried."""
    notes = [
        f"{redirection.sign} {redirection.word.written}: the output of handlers is kept by itself"
        for redirection in stage.redirections
        if redirection.sign not in _OF_STDIN
    ]
    if not stage.is_last:
        notes.append("what its output is piped into")
    return notes


def _environment(env: dict[str, Word], notes: list[str]) -> dict[str, str]:
    notes += [
        f"{name}={word.text}: what the shell makes of it is not known here"
        for name, word in env.items()
        if VALUE in word.expands
    ]
    return {name: word.text for name, word in env.items() if VALUE not in word.expands}


def _in_order(found: dict[str, tuple[Entry, Pipe]], left: list[str]) -> Entry:
    """Return the streams, each after the one before it, as the script has them."""
    names = stream_names(found)
    streams: Entry = {}
    before: tuple[str, str] | None = None
    for name, (stream, pipe) in found.items():
        if before is not None and before[1] != "&":
            condition = "succeeded" if before[1] == "&&" else "completed"
            stream["depends_on"] = {before[0]: {"condition": condition}}
        if pipe.end == "||":
            left.append(f"line {pipe.line}: || : what comes behind it is run whatever happens")
        streams[names[name]] = stream
        before = (names[name], pipe.end)
    return streams


def _word_for(stream: Entry) -> str:
    """Return what to call a stream: its command's first word."""
    command = stream["command"]
    words = command.split() if isinstance(command, str) else command
    first = os.path.basename(words[0]) if words else ""
    return "commands" if command[-1:] == ["{item}"] and first == "sh" else first or "stream"


def _free(name: str, taken: Entry | dict[str, Any]) -> str:
    number, found = 2, name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"`{line if len(line) <= _LONGEST_SHOWN else line[: _LONGEST_SHOWN - 1] + '…'}`"
