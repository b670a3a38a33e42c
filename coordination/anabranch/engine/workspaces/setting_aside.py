"""Where something goes that is in the way and may be somebody's work."""

from __future__ import annotations

import os
from pathlib import Path


def free_name(folder: Path) -> Path:
    """Return a name beside a folder that nothing has yet."""
    number = 1
    while os.path.lexists(aside := folder.with_name(f"{folder.name}@leftover-{number}")):
        number += 1
    return aside
