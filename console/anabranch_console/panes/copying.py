"""What can be copied of streams: names, paths, command lines, what they wrote and changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anabranch.core.model.state import State, Stream
from anabranch.engine.log_reading import LogTail
from anabranch.errors import AnabranchError
from anabranch_console.lines import cut_left
from anabranch_console.presenters.patch_text import patch_text
from anabranch_console.presenters.wording import safe, size
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering

GROUP = "copying"
SHOWN_CELLS = 60


@dataclass(frozen=True, slots=True)
class Copyable:
    """Something to copy: shown as ``shown``; read when it is wanted, if that takes a while."""

    name: str
    key: str
    shown: str
    read: Callable[[], str] | None = None


def ask_what_to_copy(
    model: RunModel,
    steering: Steering,
    streams: Sequence[Stream],
    log_path: Callable[[Stream], Path | None],
) -> None:
    """Ask what of some streams is to be copied, and copy it."""
    offered = {one.name: one for one in _offered(model, streams, log_path)}
    choices = [
        Choice(
            one.name,
            one.key,
            one.name,
            cut_left(safe(one.shown), SHOWN_CELLS),
            None if one.shown else "has none yet",
        )
        for one in offered.values()
    ]
    steering.choose("Copy", choices, lambda name: _copy(steering, offered[name]))


def _offered(
    model: RunModel, streams: Sequence[Stream], log_path: Callable[[Stream], Path | None]
) -> list[Copyable]:
    state = model.state
    logs = [path for s in streams if (path := log_path(s)) is not None]
    run = [s.workspace.path for s in streams if s.workspace]
    commits = [s.result.commit for s in streams if s.result]
    commands = [state.stream_plan(s.id).command_text for s in streams]
    changed = f"what {safe(streams[0].id)} has changed" if len(streams) == 1 and run else ""
    written = f"all that is kept of {size(sum(map(_size, logs)))}" if len(logs) == 1 else ""
    return [
        Copyable("id", "i", "\n".join(str(s.id) for s in streams)),
        Copyable("workspace", "w", "\n".join(run)),
        Copyable("command line", "m", "\n".join(commands)),
        Copyable("commit", "c", "\n".join(commits)),
        Copyable("path of the log", "l", "\n".join(map(str, logs))),
        Copyable("whole log", "L", written, lambda: _whole(logs[0])),
        Copyable("patch", "p", changed, lambda: _patch(state, streams[0])),
    ]


def _copy(steering: Steering, wanted: Copyable) -> None:
    if wanted.read is None:
        steering.copy(wanted.shown)
        return
    read = wanted.read
    steering.in_thread(
        lambda: _read(read), lambda found: _copy_read(steering, wanted, found), GROUP
    )


def _read(read: Callable[[], str]) -> str | AnabranchError | OSError:
    try:
        return read()
    except (AnabranchError, OSError) as error:
        return error


def _copy_read(steering: Steering, wanted: Copyable, found: str | Exception) -> None:
    if isinstance(found, Exception):
        steering.tell("warning", f"the {wanted.name} cannot be copied: {found}")
    elif found:
        steering.copy(found, wanted.name)
    else:
        steering.tell("info", f"the {wanted.name} is empty: nothing was copied")


def _whole(log: Path) -> str:
    """Return a log as it is shown: what would act on a terminal is taken out or made visible."""
    tail, lines, before = LogTail(log), list[str](), -1
    while tail.offset != before:
        before = tail.offset
        lines += tail.read_new()
    last = [tail.unfinished] if tail.unfinished else []
    return "".join(f"{line}\n" for line in [*lines, *last])


def _patch(state: State, stream: Stream) -> str:
    from anabranch.engine.differences import DifferenceReader  # it brings git

    with DifferenceReader(state) as reader:
        return patch_text(reader.read(state, stream.id, stream.attempt, "base").found)


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
