"""What is looked at before a run begins: everything that would be noticed too late otherwise.

What no run of this project can do without is refused; what only an approval needs is refused when
one is asked for, and mentioned otherwise. So is what leads streams out of their workspaces.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from anabranch.core.events import Included
from anabranch.core.ids import RunId
from anabranch.core.model.outcome import Refusal
from anabranch.core.plans.plan import Plan
from anabranch.engine import workspaces as ws
from anabranch.engine.surroundings import leads_into_checkout
from anabranch.errors import DiskFull, LossRefused, UsageError
from anabranch.hostile_text import utf8_text

CHECKED = RunId("check")
"""The name under which refs are tried while no run has one."""

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


Code = Literal[
    "cannot-begin", "cannot-approve", "leads-into-checkout", "not-included", "too-much-included"
]


class Finding(msgspec.Struct, frozen=True):
    """Something to know before a run begins, with its code and the way out."""

    code: Code
    message: str
    hint: str = ""

    @property
    def in_words(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


def look_around(
    repo: ws.Repository, plan: Plan, environment: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield what to know about the project before a plan runs in it. Raises GitError."""
    room, outlook = ws.want_of_room(repo), ws.look_ahead(repo, CHECKED)
    hindrances = (*((room,) if room else ()), *ws.why_not_begin(repo, CHECKED, outlook))
    for refusal in (*hindrances, *_without_method(repo, plan), *_not_in_base(repo, plan)):
        yield Finding("cannot-begin", refusal.reason, refusal.hint)
    to_approve = ws.why_not_approve(repo, plan.include_uncommitted, outlook)
    yield from _for_later(repo, plan, environment, to_approve)


def look_for_included(repo: ws.Repository, plan: Plan) -> tuple[Included, tuple[Finding, ...]]:
    """Return what git ignores and workspaces of a plan would get, and what to know about it."""
    if not works_apart(plan):
        return Included(), ()
    try:
        found = ws.list_included(repo, plan.include)
    except ws.GitError as error:
        is_too_much = isinstance(error, ws.TooMuchIncluded)
        code: Code = "too-much-included" if is_too_much else "cannot-begin"
        return Included(), (Finding(code, error.reason, error.hint),)
    left_out = tuple(Finding("not-included", utf8_text(words)) for words in found.left_out)
    return found.included, left_out


def _for_later(
    repo: ws.Repository,
    plan: Plan,
    environment: Mapping[str, str],
    to_approve: Iterable[Refusal],
) -> Iterator[Finding]:
    """Yield what keeps nothing from beginning: for an approval one day, and for streams."""
    for refusal in to_approve:
        # Uncommitted changes are mentioned as the run begins; an approval later names a branch.
        if not isinstance(refusal, ws.FilesInTheWay | ws.NoBranch):
            yield Finding("cannot-approve", refusal.reason, refusal.hint)
    if works_apart(plan):
        for words in leads_into_checkout(repo.root, environment):
            yield Finding("leads-into-checkout", words)


def require_ready(
    repo: ws.Repository,
    run: RunId,
    plan: Plan,
    approve: bool,
    environment: Mapping[str, str] = NO_VARIABLES,
) -> tuple[str, ...]:
    """Return what to tell of the project when a run begins.

    Raises UsageError, DiskFull, LossRefused for what the run, or with ``approve`` its approval,
    would fail late, and GitError for more than workspaces can begin with. Nothing is looked at when
    every stream works in the user's own folder.
    """
    if not works_apart(plan):
        return ()
    room = ws.want_of_room(repo)
    if room is not None:
        raise DiskFull(room.reason, room.hint)
    outlook = ws.look_ahead(repo, run)
    hindrances = (*ws.why_not_begin(repo, run, outlook), *_without_method(repo, plan))
    for refusal in (*hindrances, *_not_in_base(repo, plan)):
        raise UsageError(refusal.reason, refusal.hint)
    ws.list_included(repo, plan.include)
    to_approve = ws.why_not_approve(repo, plan.include_uncommitted, outlook)
    if not approve:
        return tuple(found.in_words for found in _for_later(repo, plan, environment, to_approve))
    warnings = list[str]()
    for refusal in to_approve:
        if not isinstance(refusal, ws.NoBranch):
            raise LossRefused(f"the result could not be approved: {refusal.reason}", refusal.hint)
        warnings.append(f"{refusal.reason}: {refusal.hint}")
    found = _for_later(repo, plan, environment, ())
    return (*(finding.in_words for finding in found), *warnings)


def works_apart(plan: Plan) -> bool:
    """Return whether any stream has a workspace of its own, or may come to be there."""
    return plan.is_open or any(stream.workspace != "shared" for stream in plan.streams)


def _without_method(repo: ws.Repository, plan: Plan) -> Iterator[Refusal]:
    """Yield why workspaces cannot be made in the way that the plan insists on."""
    for method in dict.fromkeys(stream.method for stream in plan.streams):
        refusal = ws.why_not_method(repo, method)
        if refusal is not None:
            yield refusal


def _not_in_base(repo: ws.Repository, plan: Plan) -> Iterator[Refusal]:
    """Yield the folders that streams start in and that no workspace would have.

    What a stream depends on may make its folder; one that is optional may fail for want of it.
    """
    first = [s for s in plan.streams if not s.depends_on and s.workspace != "shared"]
    wanted = {s.working_dir for s in first if not s.optional}
    wanted |= {s.working_dir for s in first if (repo.root / repo.prefix / s.working_dir).is_dir()}
    folders = {posixpath.normpath(posixpath.join(repo.prefix, name)) for name in wanted}
    yield from ws.missing_folders(repo, folders | {repo.prefix}, plan.include_uncommitted)
