"""Settings that start programs: followed as they were accepted, and named when they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import Base
from anabranch.engine.workspaces import (
    accept_settings,
    capture_base,
    capture_result,
    changed_settings,
    not_followed,
    open_repository,
    prepare_workspace,
    result_ref,
    uncommitted_files,
)
from anabranch.engine.workspaces.accepting import starts_programs
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from tests.engine.repositories import git, make_repository, write

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", ".gitattributes": "*.txt filter=e\n"}


class Runs:
    """Run after run of one project, each with one stream that changes a file."""

    def __init__(self, user: Path, outside: Path) -> None:
        self.user, self.outside, self.number = user, outside, 0

    @property
    def run(self) -> RunId:
        return RunId(f"20260101-00000{self.number}-abc")

    def repo(self) -> Repository:
        return open_repository(self.user, self.outside / "store", self.outside / "git.lock")

    def begin(self, *, include_uncommitted: bool = False) -> Base:
        self.number += 1
        base = capture_base(self.repo(), self.run, include_uncommitted)
        uncommitted_files(self.repo(), self.run, base.head)
        return base

    def work(self, base: Base) -> str:
        """What the engine makes of a file that a stream wrote."""
        repo, stream = self.repo(), StreamId("one")
        made = prepare_workspace(
            repo, self.run, stream, 1, "isolated", self.outside / self.run, base
        )
        assert isinstance(made, PreparedWorkspace)
        write(made.path, {"a.txt": f"work of {self.number}\n"})
        result = capture_result(repo, self.run, stream, 1, made, "w", result_ref(self.run, stream))
        return git(self.user, "show", f"{result.commit}:a.txt")

    def warnings(self) -> str:
        return " ".join(not_followed(self.repo(), self.run))


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """A repository whose attributes name a filter that nobody has defined yet."""
    return Runs(make_repository(tmp_path / "user", FILES), tmp_path / "out")


@pytest.mark.parametrize("place", ["config", "config.worktree", "an included file"])
def test_a_program_that_a_stream_planted_is_not_started_by_the_next_run(
    place: str, runs: Runs, tmp_path: Path
) -> None:
    """It is left out and named, at each run until somebody accepts it."""
    if place == "config.worktree":
        git(runs.user, "config", "extensions.worktreeConfig", "true")
    runs.work(runs.begin())
    assert runs.warnings() == ""
    mark = tmp_path / "ran"
    program = f"touch {mark}; cat; echo planted"
    scope = "--worktree" if place == "config.worktree" else "--local"
    if place == "an included file":
        git(runs.user, "config", "--file", str(tmp_path / "more"), "filter.e.clean", program)
        git(runs.user, "config", "include.path", str(tmp_path / "more"))
    else:
        git(runs.user, "config", scope, "filter.e.clean", program)
    assert "filter.e.clean" in changed_settings(runs.repo(), runs.run)
    write(runs.user, {"a.txt": "changed by the user\n"})
    for _ in range(2):
        assert runs.work(runs.begin(include_uncommitted=True)) == f"work of {runs.number}\n"
        assert not mark.exists()
        assert "filter.e.clean" in runs.warnings()
        assert "--trust" in runs.warnings()
    accept_settings(runs.repo())
    assert runs.work(runs.begin()) == f"work of {runs.number}\nplanted\n"
    assert runs.warnings() == ""


def test_what_was_accepted_is_followed_whatever_became_of_it(runs: Runs) -> None:
    """A filter that is taken out, or replaced, goes on as it was accepted."""
    git(runs.user, "config", "filter.e.clean", "cat; echo wanted")
    assert runs.work(runs.begin()).endswith("wanted\n")
    git(runs.user, "config", "filter.e.clean", "cat; echo other")
    assert runs.work(runs.begin()).endswith("wanted\n")
    git(runs.user, "config", "--unset", "filter.e.clean")
    assert runs.work(runs.begin()).endswith("wanted\n")
    assert "filter.e.clean" in runs.warnings()


def test_attributes_hooks_and_excludes_are_named(runs: Runs) -> None:
    """A hook and an exclude are told about, attributes in ``info/`` are not followed besides."""
    git(runs.user, "config", "filter.x.clean", "cat; echo x")
    runs.work(runs.begin())
    planted: dict[str, str | bytes | None] = {
        ".git/hooks/post-commit": "#!/bin/sh\n",
        ".git/info/exclude": "*.secret\n",
        ".git/info/attributes": "*.txt filter=x\n",
    }
    write(runs.user, planted)
    names = {name.removeprefix(".git/") for name in planted}
    assert names <= set(changed_settings(runs.repo(), runs.run))
    assert runs.work(runs.begin()) == "work of 2\n"
    assert all(name in runs.warnings() for name in names)
    assert set(accept_settings(runs.repo())) == names
    assert runs.work(runs.begin()) == "work of 3\nx\n"


def test_a_folder_that_becomes_a_repository_has_settings_of_its_own(tmp_path: Path) -> None:
    """What a plain folder went by is not taken for what a stream has changed since."""
    user = tmp_path / "user"
    write(user, {"a.txt": "a\n"})
    runs = Runs(user, tmp_path / "out")
    runs.begin()
    make_repository(user, FILES)
    git(user, "config", "filter.e.clean", "cat; echo wanted")
    assert runs.work(runs.begin()).endswith("wanted\n")
    assert runs.warnings() == ""


def test_everyday_settings_are_nobodys_concern(runs: Runs) -> None:
    """Remotes, branches, identities and the like change without a word."""
    runs.work(runs.begin())
    git(runs.user, "remote", "add", "origin", "https://example.org/x.git")
    git(runs.user, "config", "branch.main.merge", "refs/heads/main")
    git(runs.user, "config", "user.name", "Somebody")
    git(runs.user, "config", "lfs.https://example.org/x.access", "basic")
    git(runs.user, "config", "merge.conflictStyle", "diff3")
    runs.work(runs.begin())
    assert runs.warnings() == ""


def test_whom_commits_are_by_is_told_where_it_changes_during_a_run(runs: Runs) -> None:
    """A stream's own repository is its own, but ``git config --global`` is everybody's."""
    runs.begin()
    git(runs.user, "config", "user.name", "Somebody Else")
    git(runs.user, "config", "branch.main.merge", "refs/heads/main")
    assert changed_settings(runs.repo(), runs.run) == ("user.name",)


STARTING = (
    *("filter.x.clean", "filter.x.smudge", "filter.x.process", "merge.x.driver", "core.pager"),
    *("diff.x.textconv", "diff.x.command", "diff.external", "core.fsmonitor", "core.hookspath"),
    *("core.sshcommand", "core.gitproxy", "core.editor", "core.askpass", "core.attributesfile"),
    *("credential.helper", "credential.https://x.y.helper", "url.ext::sh.insteadof"),
    *("remote.origin.uploadpack", "remote.origin.vcs", "lfs.customtransfer.x.path"),
    *("lfs.extension.x.clean", "include.path", "includeif.gitdir:x.path", "gpg.program"),
    *("core.alternaterefscommand", "protocol.ext.allow", "submodule.x.update", "alias.x"),
    *("http.proxy", "uploadpack.packobjectshook", "sequence.editor"),
)


@pytest.mark.parametrize("key", STARTING)
def test_what_can_start_a_program_is_known(key: str) -> None:
    """Every setting by which git would run something of somebody's choice."""
    assert starts_programs(key)
