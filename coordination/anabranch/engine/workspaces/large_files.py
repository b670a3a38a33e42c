"""Large files (git-lfs) whose contents are not here and cannot be fetched now."""

from __future__ import annotations

import re

from anabranch.engine.git import GitError

_MISSING = re.compile(r"[Ss]mudge (?:filter lfs failed|error)|Error downloading object")
AS_POINTERS = {"GIT_LFS_SKIP_SMUDGE": "1"}
"""What has a checkout write the pointers to such files instead."""


def are_missing(error: GitError) -> bool:
    """Say whether a checkout failed for want of the contents of large files."""
    return bool(_MISSING.search(error.stderr))
