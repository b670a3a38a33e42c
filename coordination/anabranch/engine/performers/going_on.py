"""Whether an attempt goes on with what those before it did, and where handlers find their results.

What an attempt had left is noted in the folder that is kept of its stream's handlers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.plan import StreamPlan
from anabranch.engine.handler_results import results_path
from anabranch.files import replace_whole
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, open_to_append, read_plain
from anabranch.undecodable import UNDECODABLE

RESULTS_PACK = "results.pack"
RESULTS_VARIABLE = "ANABRANCH_RESULTS"
HANDLERS_VARIABLE, GOES_ON_VARIABLE = "ANABRANCH_HANDLERS", "ANABRANCH_GOES_ON"
GOES_ON, CAPTURED = "goes_on", "captured"


def handlers_folder(run: RunFolder, stream: StreamId) -> Path:
    """Return where the workspaces of a stream's handlers lie, if each has one."""
    return run.handlers(stream) / "workspaces"


Left = Literal["work", "nothing"]
"""What an attempt that did not succeed had left in its workspace, all of it kept."""


def note_captured(run: RunFolder, stream: StreamId, attempt: Attempt, *, has_nothing: bool) -> None:
    """Note that all of an attempt's work is kept, or that there was none."""
    _note(run, stream, CAPTURED, {"attempt": attempt, "left": "nothing" if has_nothing else "work"})


def captured(run: RunFolder, stream: StreamId, attempt: Attempt) -> Left | None:
    """Return what an attempt had left, None if not all of it is known to be kept."""
    noted = _noted(run.handlers(stream), CAPTURED)
    left = noted.get("left")
    return left if noted.get("attempt") == attempt and left in get_args(Left) else None


def note_going_on(run: RunFolder, stream: StreamId, attempt: Attempt) -> None:
    """Note that an attempt's workspace has what the attempt before it did."""
    _note(run, stream, GOES_ON, {"attempt": attempt})


def goes_on(plan: StreamPlan, attempt: Attempt, run: RunFolder) -> bool:
    """Return whether an attempt works where those before it have, and has what they did."""
    if plan.workspace == "shared":
        return True
    return attempt > 1 and _noted(run.handlers(plan.id), GOES_ON).get("attempt") == attempt


def has_done_handlers(plan: StreamPlan, run: RunFolder) -> bool:
    """Return whether a retry leaves out what is done: it then needs the work of what is.

    That is so with handlers of commands, and with those in a program that keeps their results.
    """
    if plan.fan is not None:
        return True
    try:
        return (run.handlers(plan.id) / RESULTS_PACK).stat().st_size > 0
    except OSError:
        return False


def _note(run: RunFolder, stream: StreamId, name: str, facts: Mapping[str, Any]) -> None:
    folder = run.handlers(stream)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_whole(folder / name, msgspec.json.encode(facts))


def _noted(folder: Path, name: str) -> dict[str, Any]:
    """Return what was noted, nothing if that is not to be had: then nothing counts as done."""
    try:
        return msgspec.json.decode(read_plain(folder / name, SMALL_FILE_BYTES), type=dict[str, Any])
    except (OSError, *UNDECODABLE):
        return {}


def handlers_in_env(state: State, stream: StreamId, run: RunFolder) -> dict[str, str]:
    """Return where a stream finds the results of the handlers it depends on, and keeps its own.

    Its own are those of a program that is its command (:mod:`anabranch.in_process`). A command that
    is run for many items has none: others write the book there. What a run inherits from a stream
    that it is started in is never meant.
    """
    plan, at = state.stream_plan(stream), state.streams[stream]
    paths = [str(_results_of(run, name)) for name in _found_before(state, stream, run)]
    found = {RESULTS_VARIABLE: os.pathsep.join(paths)} if paths else {}
    if plan.fan is not None:
        return {**found, HANDLERS_VARIABLE: "", GOES_ON_VARIABLE: ""}
    own = str(run.handlers(stream))
    is_going_on = goes_on(plan, at.attempt, run)
    return {**found, HANDLERS_VARIABLE: own, GOES_ON_VARIABLE: "1" if is_going_on else ""}


def _results_of(run: RunFolder, stream: StreamId) -> Path:
    """Return the file of a stream's results: an empty one if its handlers never came to an end."""
    path = results_path(run, stream)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        open_to_append(path).close()
    return path


def _found_before(state: State, stream: StreamId, run: RunFolder) -> Iterator[StreamId]:
    """Yield whom a stream depends on that has handlers, by its plan or by its program."""
    for dependency in state.stream_plan(stream).depends_on:
        for name in dependency.streams:
            if state.stream_plan(name).fan is not None or results_path(run, name).exists():
                yield name
