"""What git leaves to the programs it starts does not reach a stream; what people set does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from anabranch.engine.git_calls import MARK
from anabranch.engine.git_variables import without_git_variables
from tests.engine.repositories import git, make_repository


def seen_from(repository: Path, way: str) -> dict[str, str]:
    """Return the environment of a program that git starts in one of its ways."""
    seen = repository.with_name("seen")
    script = repository.with_name("script")
    script.write_text(f"#!/bin/sh\nenv -0 > {seen}\n")
    script.chmod(0o755)
    if way == "alias":
        git(repository, "-c", f"alias.x=!{script}", "x")
    elif way == "rebase --exec":
        git(repository, "rebase", "-q", "--exec", str(script), "--root")
    else:
        hook = repository / ".git" / "hooks" / way
        hook.parent.mkdir(exist_ok=True)
        script.rename(hook)
        git(repository, "-c", "core.editor=vi", "commit", "--allow-empty", "-qm", "more")
    return dict(entry.split("=", 1) for entry in seen.read_text().split("\0")[:-1])


@pytest.fixture
def repositories(tmp_path: Path) -> tuple[Path, Path]:
    """The repository that git was started in, and another, of someone else."""
    mine = make_repository(tmp_path / "mine", {"a": "1"})
    other = make_repository(tmp_path / "other", {"b": "1"})
    git(other, "config", "user.name", "Other")
    git(other, "config", "user.email", "other@example.org")
    return mine, other


@pytest.mark.parametrize("way", ["pre-commit", "post-commit", "alias", "rebase --exec"])
def test_a_program_started_by_git_works_elsewhere_as_if_it_were_not(
    way: str, repositories: tuple[Path, Path]
) -> None:
    """A commit in another repository goes there, by that repository's person, and now."""
    mine, other = repositories
    env = without_git_variables(seen_from(mine, way))
    tips = git(mine, "for-each-ref")
    left = {name for name in env if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER", "GIT_EDITOR"))}
    assert not left
    more = ["git", "commit", "--allow-empty", "-qm", "from there"]
    subprocess.run(more, cwd=other, env=env, check=True)
    assert git(other, "log", "-1", "--format=%an <%ae> %s").strip() == (
        "Other <other@example.org> from there"
    )
    assert git(mine, "for-each-ref") == tips


def test_every_variable_that_git_calls_local_goes() -> None:
    """The installed git says itself what names a repository."""
    asked = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, check=True
    )
    local = asked.stdout.decode().split()
    numbered = ["GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH"]
    assert without_git_variables(dict.fromkeys([*local, *numbered], "x")) == {}


def test_what_people_set_for_themselves_stays() -> None:
    """Outside of git's own programs, an identity and an editor are the user's wish."""
    wishes = {
        "GIT_AUTHOR_NAME": "Me",
        "GIT_EDITOR": "vi",
        "GIT_SSH_COMMAND": "ssh -i key",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PATH": "/bin",
    }
    assert without_git_variables({**wishes, "GIT_AUTHOR_DATE": "yesterday"}) == wishes


def test_a_stream_is_no_call_of_whoever_had_git_start_us() -> None:
    """It would be ended as one that an engine which is gone has left behind."""
    assert without_git_variables({MARK: "1.2", "HOME": "/h"}) == {"HOME": "/h"}
