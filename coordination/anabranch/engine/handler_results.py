"""What the handlers of a stream found: JSON lines in the order of its items.

They can be more than memory holds. Who wants them as one value gets them only if they are few.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.json_values import MOST_BYTES, Json, NotJson, checked_text
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder
from anabranch.plain_files import NotPlain, open_plain, read_plain
from anabranch.undecodable import UNDECODABLE

_CHUNK_BYTES = 1024 * 1024


def results_path(run: RunFolder, stream: StreamId) -> Path:
    """Return the file of a stream's results: lines of ``{"index", "result"}``."""
    return run.handlers(stream) / "results.jsonl"


def shared_results(run: RunFolder, stream: StreamId) -> Json | None:
    """Return a stream's results as a value of the shared state; None if there are none.

    It is a list of ``{"index", "result"}``, or ``{"count", "path"}`` if that would be too large.
    Raises OSError if they cannot be read.
    """
    path = results_path(run, stream)
    try:
        lines = read_plain(path, MOST_BYTES).splitlines()
        found = [msgspec.json.decode(line) for line in lines]
    except FileNotFoundError:
        return None
    except (NotPlain, *UNDECODABLE):  # there is more of them
        return _where_they_are(path)
    return (_where_they_are(path) if isinstance(checked_text(found), NotJson) else found) or None


def _where_they_are(path: Path) -> Json:
    count = 0
    with open(open_plain(path), "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            count += chunk.count(b"\n")
    return {"count": count, "path": utf8_text(str(path))}
