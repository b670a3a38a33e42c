"""Where a program's handlers are kept account of: in its own folder, or in that of its stream."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from anabranch.paths import ProjectFolder, project_folder

Run = str | os.PathLike[str]

HANDLERS_VARIABLE = "ANABRANCH_HANDLERS"
"""In a stream: the folder in which its handlers are kept account of."""

GOES_ON_VARIABLE = "ANABRANCH_GOES_ON"
"""In a stream: set if its workspace has what earlier attempts did."""


class Place(NamedTuple):
    """Where an account is kept.

    ``attempt`` is the stream's, None outside of one. ``name`` tells runs in one folder apart.
    ``keeps_results`` says whether somebody wants them back in another start, ``trusts_earlier``
    whether what earlier attempts did is still there.
    """

    folder: Path
    attempt: int | None = None
    name: str = ""
    keeps_results: bool = True
    trusts_earlier: bool = True

    @property
    def is_in_stream(self) -> bool:
        return self.attempt is not None


def place_of(run: Run | None) -> Place | None:
    """Return where a run is kept account of, None if nowhere.

    Args:
        run: a folder, or a name: then it belongs to the stream that this process is part of, or
            else to the folder that it works in.
    """
    if run is not None and (not isinstance(run, str) or os.sep in run):
        return Place(Path(run))
    if run == "":
        raise ValueError("run is empty: give a name, or a folder")
    own = os.environ.get(HANDLERS_VARIABLE, "")
    if own:
        return _of_stream(Path(own), run)
    if run is None:
        return None
    return Place(ProjectFolder(project_folder(Path.cwd())).program(run), name=run)


def _of_stream(folder: Path, run: str | None) -> Place:
    attempt = int(os.environ.get("ANABRANCH_ATTEMPT", "1"))
    goes_on = bool(os.environ.get(GOES_ON_VARIABLE))
    return Place(folder, attempt, run or "", run is not None, goes_on)
