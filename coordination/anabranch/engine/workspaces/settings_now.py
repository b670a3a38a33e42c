"""The settings of the user's checkout as they are now, asked of git only when they may differ.

After each capture it is told whether settings were changed during the run. Asking git costs a
process; looking whether one of the files that hold them has changed costs next to nothing.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from anabranch.engine.workspaces.settings import Listed, checkout_settings
from anabranch.engine.workspaces.values import Repository

_Stamp = tuple[int, int, int, int] | None


def settings_now(repo: Repository) -> Listed:
    """Return every setting that holds in the user's checkout now. Raises GitError."""
    listed = list(_as_of(repo, tuple(map(_stamp, _files(repo)))))
    if any(key.startswith(("include.", "includeif.")) for _, key, _ in listed):
        return checkout_settings(repo)  # which files are included is git's affair
    return listed


@lru_cache(maxsize=8)
def _as_of(repo: Repository, stamps: tuple[_Stamp, ...]) -> tuple[tuple[str, str, str | None], ...]:
    return tuple(checkout_settings(repo))


def _files(repo: Repository) -> tuple[Path, ...]:
    """Return where settings stand, or would: of the repository, the user and the machine."""
    home = Path.home()
    config = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
    said = os.environ.get("GIT_CONFIG_GLOBAL")
    users = (Path(said),) if said else (home / ".gitconfig", Path(config, "git", "config"))
    return (
        repo.git_dir / "config",
        repo.git_dir / "config.worktree",
        repo.checkout_dir / "config.worktree",
        *users,
        Path(os.environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"),
    )


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
