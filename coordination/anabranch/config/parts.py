"""What a stream cannot do that works on a part of the project only (`paths`)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from anabranch.config.problems import Problem


def parts_of_projects(streams: Mapping[str, object]) -> Iterator[Problem]:
    """Yield the keys of streams that do not go together with their `paths`."""
    for name, entry in streams.items():
        paths = entry.get("paths") if isinstance(entry, dict) else None
        if not isinstance(paths, list) or not paths:
            continue
        assert isinstance(entry, dict)
        where = ("streams", name)
        folder = entry.get("working_dir", ".")
        if isinstance(folder, str) and not _is_there(folder, paths):
            yield Problem(
                (*where, "working_dir"),
                "it lies outside of the stream's `paths`",
                "name its folder there, too",
            )


def _is_there(folder: str, paths: list[object]) -> bool:
    """Say whether a folder is in a part of the project, or on the way to it."""
    wanted = posixpath.normpath(folder)
    if wanted == ".":
        return True
    kept = [posixpath.normpath(path) for path in paths if isinstance(path, str)]
    return any(f"{wanted}/".startswith(f"{k}/") or f"{k}/".startswith(f"{wanted}/") for k in kept)
