"""What git ignores and every workspace gets, as it is shown."""

from __future__ import annotations

from typing import Any

from anabranch.core.events import Included
from anabranch.core.model.state import State
from anabranch.core.wording import counted, listing, size

_NAMED = 3


def included_in_words(included: Included) -> str:
    """Return what every workspace gets: ``3 files, 1.2 kB (.env, config/local.yml and 1 more)``."""
    unnamed = included.files - len(included.paths)
    names = [*included.paths[:_NAMED], *included.paths[_NAMED:], *([""] * unnamed)]
    count, amount = counted(included.files, "file"), size(included.size_bytes)
    return f"{count}, {amount} ({listing(names, _NAMED)})"


def included_status(state: State) -> dict[str, Any]:
    """Return what every workspace of a run gets besides what git has, as ``status --json`` has it.

    ``paths`` are those of the first of them.
    """
    return included_data(state.base.included if state.base else Included())


def included_data(found: Included) -> dict[str, Any]:
    """Return what workspaces get as ``check --json`` and ``status --json`` have it."""
    return {"files": found.files, "bytes": found.size_bytes, "paths": list(found.paths)}
