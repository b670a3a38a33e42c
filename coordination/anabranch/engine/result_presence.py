"""Whether a run's result is still there, asked of git alone: ``status`` waits for the answer."""

from __future__ import annotations

from pathlib import Path

from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.state import State
from anabranch.core.views.projections import is_plain_folder
from anabranch.engine.git import Git, GitError


def result_is_missing(state: State) -> bool:
    """Return whether the commit that a run calls its result is not in the repository of today.

    In doubt it is there. Raises nothing.
    """
    final = state.points.get(FINAL_POINT)
    if final is None or not final.commit or is_plain_folder(state):
        return False  # a folder's result lies beside its run, whatever the folder has become
    try:
        # Wherever the project lies, git finds the repository; no content is read, only looked up.
        asked = ("cat-file", "--batch-check=%(objecttype)")
        answer = Git(cwd=Path(state.project)).run(*asked, stdin=f"{final.commit}\n".encode())
    except (GitError, OSError):  # it may lie on a disk that is not there any more
        return False
    return answer.text.endswith(" missing")
