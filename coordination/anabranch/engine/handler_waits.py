"""Which failures a task of a graph waits behind: it cannot be run before those are mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from anabranch.core.ids import StreamId
from anabranch.engine.handler_book import Handler, HandlerState, read_whole
from anabranch.handlers.sources import BadSource, Task, tasks_of
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain
from anabranch.undecodable import UNDECODABLE

LARGEST_GRAPH_BYTES = 64 * 1024 * 1024


def failed_before(run: RunFolder, stream: StreamId, place: int) -> list[Handler]:
    """Return the nearest failed ones that a handler comes after, in the order of their places.

    There are none where the source is something else, or the graph cannot be read any more.
    """
    folder = run.handlers(stream)
    try:
        tasks = _tasks(folder)
        handlers = read_whole(folder / "book").handlers
    except (OSError, BadSource, KeyError, TypeError, *UNDECODABLE):
        return []
    return _nearest_failed(tasks, handlers, place) if place < len(tasks) else []


def _tasks(folder: Path) -> list[Task]:
    """Return the tasks that the newest attempt was given. Raises what there is to raise."""
    job = msgspec.json.decode(read_plain(folder / "job", SMALL_FILE_BYTES), type=dict[str, Any])
    path = Path(job["folder"], job["source"]["graph"])
    return tasks_of(read_plain(path, LARGEST_GRAPH_BYTES).decode())


def _nearest_failed(
    tasks: Sequence[Task], handlers: Mapping[int, Handler], place: int
) -> list[Handler]:
    places = {task.id: number for number, task in enumerate(tasks)}
    found, seen, to_look_at = list[Handler](), set[int](), [place]
    while to_look_at:
        for before in (places[name] for name in tasks[to_look_at.pop()].after):
            if before in seen:
                continue
            seen.add(before)
            handler = handlers.get(before)
            if handler is None:
                to_look_at.append(before)
            elif handler.state is HandlerState.FAILED:
                found.append(handler)
    return sorted(found)
