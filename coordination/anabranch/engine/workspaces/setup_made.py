"""What the setup of a workspace has made and nobody has changed: it can be made again.

So nobody has to keep it, and there is nothing to say of it. It is known file by file; whatever is
not for certain as the setup left it is work (:mod:`anabranch.engine.kept_setups.made`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from anabranch.engine.git import encode
from anabranch.engine.kept_setups.made import Stamp, as_made, holds_other, made_in, stamps_noted
from anabranch.engine.kept_setups.results import kept_in
from anabranch.engine.workspaces.records import made_path
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.undecodable import UNDECODABLE


def still_as_made(repo: Repository, workspace: PreparedWorkspace) -> frozenset[bytes]:
    """Return which files of a workspace are as its setup made them."""
    return as_made(workspace.path, _stamps(repo, workspace))


def but_made(
    ignored: Sequence[str], repo: Repository, workspace: PreparedWorkspace
) -> tuple[str, ...]:
    """Return ignored files and folders but those that are whole as the setup made them."""
    stamps = _stamps(repo, workspace)
    if not stamps:
        return tuple(ignored)
    return tuple(path for path in ignored if holds_other(workspace.path, encode(path), stamps))


def shown_of_setup(repo: Repository, workspace: PreparedWorkspace) -> tuple[str, ...]:
    """Return what a workspace has of a kept result that it shows, folders by a slash at the end."""
    below = made_in(_note(repo, workspace)).below
    if not below:
        return ()
    try:
        entries = kept_in(Path(below)).entries
    except (OSError, *UNDECODABLE):
        return ("./",)  # nobody knows what, but something
    there = [name for name in entries if os.path.lexists(workspace.path / name)]
    return tuple(name + ("/" if (workspace.path / name).is_dir() else "") for name in there)


def _stamps(repo: Repository, workspace: PreparedWorkspace) -> Mapping[bytes, Stamp]:
    return stamps_noted(_note(repo, workspace))


def _note(repo: Repository, workspace: PreparedWorkspace) -> Path:
    return made_path(repo, workspace.run, workspace.stream, workspace.attempt)
