"""Which commands of a project a person has said may be run: kept in the project's own state.

The file names each by what it says (:mod:`anabranch.core.plans.consent`), and where each plan stood
when it was last run. It is replaced as a whole, under a lock; what cannot be read counts as
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from anabranch.core.plans.consent import PlanCommand, to_be_asked
from anabranch.engine.git import Git, GitError
from anabranch.engine.runs import project_root
from anabranch.errors import machine_errors
from anabranch.files import replace_whole, take_lock
from anabranch.hostile_text import escape_for_terminal
from anabranch.paths import ProjectFolder, project_folder
from anabranch.plain_files import SMALL_FILE_BYTES, open_plain, read_if_there

MOST_KEPT = 400
PATIENCE_SECONDS = 5.0
MOST_COMMITS = 500
"""How far back it is looked for merged work, where it is not known what was looked at before."""

OURS = "anabranch@localhost"
"""Whose commits merged work is."""

_ANY = (0, 1, 128)
_BASES, _RESULTS = "refs/anabranch/base/", "refs/anabranch/candidate/"


class _Kept(msgspec.Struct, frozen=True):
    """What the file holds: digests of commands, and the commit at which a plan was last run."""

    commands: dict[str, str] = {}
    plans: dict[str, str] = {}


class Trust:
    """What may be run in one project without being asked about.

    Args:
        folder: a folder of the project.
    """

    def __init__(self, folder: Path) -> None:
        self._root = project_root(folder)
        self._path = ProjectFolder(project_folder(self._root)).trusted
        self.problem = ""
        """What is wrong with the file; then nothing is trusted."""
        self._kept = self._read()

    def unknown(self, commands: Iterable[PlanCommand]) -> tuple[PlanCommand, ...]:
        """Return those commands that nobody has said may be run."""
        return to_be_asked(commands, self._kept.commands)

    def brought_by_merged_work(
        self, plan: Path, commands: Sequence[PlanCommand]
    ) -> tuple[PlanCommand, ...]:
        """Return the unknown commands of a plan, if merged work changed it since it was last run.

        In a folder without git nobody can say who changed it: there any change counts.
        """
        unknown = self.unknown(commands)
        seen = self._kept.plans.get(self._name(plan))
        if not unknown or (seen is None and not self.problem):
            return ()
        return unknown if self._is_of_merged_work(plan, seen or "") else ()

    def _is_of_merged_work(self, plan: Path, seen: str) -> bool:
        """Return whether work of a stream is in the plan as it is; in doubt it is."""
        git, path = Git(cwd=self._root), self._name(plan)
        try:
            head = self._head()
            known = seen and head and git.run("merge-base", seen, head, accept=_ANY).text
            since = (f"{known}..{head}",) if known else (f"-n{MOST_COMMITS}", head)
            return (
                not head or _merged_by_us(git, path, since) or _made_by_runs(git, plan, path, since)
            )
        except GitError:
            return True

    def allow(self, commands: Iterable[PlanCommand], plan: Path | None = None) -> None:
        """Remember that commands may be run, and where a plan stands of which that was said.

        Raises WorldError.
        """
        digests = {command.digest: f"{command.kind} {command.where}" for command in commands}
        plans = {self._name(plan): self._head()} if plan is not None else {}
        with machine_errors(), self._alone():
            kept = self._read()
            commands_kept = {**kept.commands, **digests}
            if (commands_kept, {**kept.plans, **plans}) == (kept.commands, kept.plans):
                return
            most = dict(list(commands_kept.items())[-MOST_KEPT:])
            self._kept = _Kept(most, {**kept.plans, **plans})
            data = msgspec.json.format(msgspec.json.encode(self._kept), indent=1)
            replace_whole(self._path, data)
        self.problem = ""

    def _head(self) -> str:
        with suppress(GitError, OSError):
            asked = ("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
            return Git(cwd=self._root).run(*asked, accept=_ANY).text
        return ""

    def _name(self, plan: Path) -> str:
        """Return a plan's path in the project."""
        return os.path.relpath(os.path.realpath(plan), self._root)

    def _read(self) -> _Kept:
        try:
            data = read_if_there(self._path, SMALL_FILE_BYTES)
            return _Kept() if data is None else msgspec.json.decode(data, type=_Kept)
        except (OSError, ValueError, RecursionError) as error:
            reason = escape_for_terminal(str(error))
            self.problem = f"{self._path} cannot be read, so nothing is trusted: {reason}"
            return _Kept()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others out; the system lets them in again if this process is killed."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._path.with_name(f"{self._path.name}.lock")
        descriptor = open_plain(lock, flags=os.O_WRONLY | os.O_CREAT)
        try:
            take_lock(descriptor, PATIENCE_SECONDS)
            yield
        finally:
            os.close(descriptor)


def _merged_by_us(git: Git, path: str, since: Sequence[str]) -> bool:
    """Return whether a merge of ours has changed a path. Raises GitError."""
    asked = ("log", "-z", "--format=", "--name-only", "--diff-merges=first-parent")
    found = git.run(*asked, "--full-history", f"--committer={OURS}", *since)
    return path in found.out.decode("utf-8", "surrogateescape").split("\0")


def _made_by_runs(git: Git, plan: Path, path: str, since: Sequence[str]) -> bool:
    """Return whether a path is as a run has made it, or a run that changed it was taken over.

    What a stream has committed itself bears its own name, so commits alone do not tell. Raises
    GitError.
    """
    kept = git.run("for-each-ref", "--format=%(objectname) %(refname)", _RESULTS, _BASES).lines
    tips = {ref: commit for commit, _, ref in (line.partition(" ") for line in kept)}
    asked = "".join(f"{commit}:{path}\n" for commit in tips.values()).encode()
    answers = git.run("cat-file", "--batch-check=%(objectname)", stdin=asked or b"\n").lines
    blobs = dict(zip(tips, (answer.split(" ")[0] for answer in answers), strict=False))
    changed = {
        tips[ref]: blob
        for ref, blob in blobs.items()
        if ref.startswith(_RESULTS) and blob != blobs.get(f"{_BASES}{ref.split('/')[3]}")
    }
    if not changed:
        return False
    now = git.run("hash-object", str(plan)).text
    return now in changed.values() or not changed.keys().isdisjoint(
        git.run("rev-list", *since).lines
    )
