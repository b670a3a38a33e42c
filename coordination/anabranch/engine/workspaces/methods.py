"""By which method workspaces are made on this machine; all of them give the same results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anabranch.core.model.outcome import Refusal
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.workspaces.layers.mounting import why_not_layers
from anabranch.engine.workspaces.reflink import why_not_reflink
from anabranch.engine.workspaces.values import Repository

BY_SPEED: tuple[tuple[WorkspaceMethod, Callable[[Path], str]], ...] = (
    ("overlay", why_not_layers),
    ("reflink", why_not_reflink),
    ("pool", lambda place: ""),
)
"""The quickest first, each with what says why it cannot be had below a folder.

A pool can be had everywhere: while there is nothing in it, files are written as worktrees are.
"""


def method_here(repo: Repository, wanted: WorkspaceMethod) -> WorkspaceMethod:
    """Return the method by which a workspace is made: what is wanted, or the quickest."""
    for method, why_not in BY_SPEED:
        if wanted in ("auto", method) and not why_not(_place(repo)):
            return method
    return "worktree"


def why_not_method(repo: Repository, wanted: WorkspaceMethod) -> Refusal | None:
    """Return a refusal if a plan insists on a method that this machine does not have."""
    why_not = dict(BY_SPEED).get(wanted)
    why = why_not(_place(repo)) if why_not is not None else ""
    if not why:
        return None
    return Refusal(
        f'method = "{wanted}" cannot be had here: {why}',
        'write method = "auto", or leave it out: the fastest way that works is taken then',
    )


def _place(repo: Repository) -> Path:
    repo.store.mkdir(parents=True, exist_ok=True, mode=0o700)
    return repo.store
