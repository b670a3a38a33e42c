"""Where Anabranch's own state lies inside a project, if it does: a project may be a home folder.

What lies there is never part of a base, a capture or a result: runs would hold runs, and the
secrets of those that go on would stand in every workspace.
"""

from __future__ import annotations

import os
from pathlib import Path

from anabranch.engine.workspaces.values import Repository
from anabranch.paths import state_home


def own_paths(repo: Repository) -> tuple[str, ...]:
    """Return the engine's own folders inside the project, as paths from its root."""
    found = (_inside(repo.root, place) for place in (state_home(), repo.store))
    return tuple(dict.fromkeys(path for path in found if path is not None))


def _inside(root: Path, place: Path) -> str | None:
    real_root, real = os.path.realpath(root), os.path.realpath(place)
    if real == real_root or os.path.commonpath((real_root, real)) != real_root:
        return None
    return os.path.relpath(real, real_root)
