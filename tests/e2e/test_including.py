"""Files that git ignores and work needs, in real runs: they are there, and they go nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.engine.workspaces.layers.mounting import hide_all_below
from tests.e2e.program import Program
from tests.engine.repositories import git, write

TOKEN = "s3cr3t-abcdefgh-0815"


@pytest.fixture
def needy(program: Program, tmp_path: Path) -> Iterator[Program]:
    """A project that builds only with what git ignores."""
    ignored = ".env\nnode_modules/\n"
    write(program.project, {".gitignore": ignored, ".worktreeinclude": "node_modules/\n"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "what is ignored")
    write(program.project, {".env": f"TOKEN={TOKEN}\n", "node_modules/x": "echo built > out.txt\n"})
    yield program
    program.end_everything()
    hide_all_below(tmp_path)


def test_streams_have_what_git_ignores_and_work_needs(needy: Program) -> None:
    needy.plan(
        {"build": "set -e; test -s .env; sh node_modules/x", "adds": "git add -f .env; echo 1 > 1"},
        isolation={"include": [".env"]},
    )
    with needy.project.joinpath("anabranch.toml").open("a") as plan:
        plan.write('[convergence.final]\nverify = "test -s .env && test -s node_modules/x"\n')
    line = "Will be copied into workspaces: 2 files, 48 bytes (.env, node_modules/x)"
    assert line in needy.expect(0, "check").out
    assert "ignored files in each workspace: 2 files" in needy.expect(0, "run", "--headless").err
    status = needy.status()
    assert status["included"] == {
        "files": 2,
        "bytes": 48,
        "paths": [".env", "node_modules/x"],
    }
    assert "ignored files in each workspace" in needy.expect(0, "status").out
    names = git(needy.project, "ls-tree", "-r", "--name-only", status["commit"]).split()
    assert {"out.txt", "1"} <= set(names)
    assert not {".env", "node_modules/x"} & set(names)
    needy.expect(0, "gc")
    objects = git(needy.project, "cat-file", "--batch-all-objects", "--batch")
    assert TOKEN not in objects


def test_what_is_in_them_is_told_nowhere(needy: Program) -> None:
    """A stream that writes its secrets and fails: its log has them, and nothing else."""
    needy.plan(
        {"leaks": {"command": "cat .env; . ./.env; echo got $TOKEN; cat node_modules/x; exit 3"}},
        isolation={"include": [".env"]},
        recovery={"max_retries": 1},
    )
    ran = needy.run("run", "--headless")
    assert ran.code == 1
    assert "got ***" in ran.err
    told = [
        ran.out + ran.err,
        json.dumps(needy.status()),
        needy.run("report", "--json").out,
        needy.run("report", "--format", "junit").out,
        needy.run("events", "--json").out,
        needy.run("attention", "--json").out,
    ]
    for text in told:
        assert TOKEN not in text
        assert "echo built > out.txt" not in text
    assert f"got {TOKEN}" in needy.expect(0, "logs", "leaks").out
