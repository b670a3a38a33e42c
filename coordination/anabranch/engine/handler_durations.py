"""What runs teach about the handlers of streams: how long each item took, by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.files import replace_whole
from anabranch.handlers import book
from anabranch.paths import ProjectFolder, RunFolder
from anabranch.plain_files import read_if_there
from anabranch.undecodable import UNDECODABLE

MOST_HANDLERS = 20_000
"""Of more nothing is learned: among so many no single one matters."""
MOST_SAMPLES = 3
MOST_BYTES = 64 << 20

Seconds = dict[str, list[float]]


def learn_handlers(folder: RunFolder, state: State) -> None:
    """Keep how long the handlers of a run's streams took. Raises OSError if there is no room."""
    for plan in state.plan.streams:
        known = state.handlers.get(plan.id)
        if plan.fan is None or known is None or not 0 < known.succeeded <= MOST_HANDLERS:
            continue
        path = _file(folder.project, state.plan.name, plan.id)
        kept = _read(path)
        for text, seconds in seconds_in(folder.handlers(plan.id) / "book").items():
            kept[text] = [*kept.pop(text, []), round(seconds, 3)][-MOST_SAMPLES:]
        newest = dict(list(kept.items())[-MOST_HANDLERS:])
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_whole(path, msgspec.json.encode(newest))


def known_seconds(project: ProjectFolder, plan: str, stream: StreamId) -> str | None:
    """Return where it is kept how long a stream's handlers took, None if nothing is."""
    path = _file(project, plan, stream)
    return str(path) if path.exists() else None


def _file(project: ProjectFolder, plan: str, stream: StreamId) -> Path:
    return project.handler_seconds(plan, stream)


def seconds_in(path: Path) -> dict[str, float]:
    """Return how long the last success of each item in a book took, by what it is called."""
    found: dict[str, float] = {}
    for text, ended in _successes(path):
        found[text] = ended.seconds
    return found


def _successes(path: Path) -> Iterator[tuple[str, book.Ended]]:
    texts: dict[tuple[int, str], str] = {}
    for line in book.lines(str(path)):
        if line[0] == book.BEGUN:
            begun = book.begun_of(line)
            texts[begun.place, begun.key] = begun.text
        elif line[0] == book.ENDED:
            ended = book.ended_of(line)
            text = texts.pop((ended.place, ended.key), None)
            if text is not None and ended.has_succeeded:
                yield text, ended


def _read(path: Path) -> Seconds:
    try:
        content = read_if_there(path, MOST_BYTES)
        return msgspec.json.decode(content, type=Seconds) if content else {}
    except (OSError, *UNDECODABLE):
        return {}
