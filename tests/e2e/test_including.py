"""Files that git ignores and work needs, in real runs: they are there, and they go nowhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.engine.workspaces.layers.mounting import hide_all_below
from tests.e2e.program import Program, until
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


def test_more_than_a_workspace_can_begin_with_is_refused_before_anything_is_made(
    program: Program,
) -> None:
    write(program.project, {".gitignore": "big.img\n"})
    with (program.project / "big.img").open("wb") as image:
        image.truncate(5 << 30)
    program.plan({"a": "true"}, isolation={"include": ["big.img"]})
    wants = "1 file of 5120 MB are to be taken along into workspaces, and at most"
    for command in (("check",), ("run", "--headless"), ("add", "--", "true")):
        refused = program.expect(2, *command)
        assert f"{wants} 300000 files of 4096 MB can be" in refused.out + refused.err
    (error,) = json.loads(program.expect(2, "check", "--json").out)["errors"]
    assert error["key"] == "coordination.isolation.include"
    assert not program.run_folders()


def test_a_resolver_works_with_what_is_ignored_and_needed(needy: Program) -> None:
    settle = 'test -s .env && sh node_modules/x && sort -u "$ANABRANCH_OURS/a" > a'
    write(needy.project, {"a": "0\n"})
    git(needy.project, "add", "a")
    git(needy.project, "commit", "-qm", "a")
    needy.plan(
        {"one": "echo 1 > a", "two": "echo 2 > a"},
        isolation={"include": [".env"]},
        convergence={"final": {"resolver": settle}},
    )
    needy.expect(0, "run", "--headless")
    commit = needy.status()["commit"]
    assert git(needy.project, "show", f"{commit}:a") in ("1\n", "2\n")
    names = git(needy.project, "ls-tree", "-r", "--name-only", commit).split()
    assert not {".env", "node_modules/x"} & set(names)


def told_of(program: Program) -> str:
    """Return all that is told of the latest run, its raw logs aside."""
    return "".join(
        [
            json.dumps(program.status()),
            program.run("report", "--json").out,
            program.run("report", "--format", "junit").out,
            program.run("events", "--json").out,
            program.run("attention", "--json").out,
        ]
    )


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
    told = ran.out + ran.err + told_of(needy)
    assert TOKEN not in told
    assert "echo built > out.txt" not in told
    assert f"got {TOKEN}" in needy.expect(0, "logs", "leaks").out


def test_what_a_stream_reads_as_its_variables_is_told_nowhere(needy: Program) -> None:
    """A file that `env_file` names, as it is at each start: of a service, a setup, a teardown."""
    second = "an0ther-s3cret-4711"
    changes = 'echo "TOKEN=an0ther-""s3cret-4711" > $ANABRANCH_PROJECT/.env; exit 3'
    says = "echo got $TOKEN; "
    needy.plan(
        {
            "api": {
                "command": says + "sleep 60",
                "kind": "service",
                "ready": {"log": "^got "},
                "env_file": [".env"],
            },
            "leaks": {
                "command": says + changes,
                "depends_on": {"api": {"condition": "ready"}},
                "env_file": [".env"],
                "teardown": says + "exit 4",
                "retries": 1,
            },
            "bare": {"command": "true", "setup": says + "exit 5", "env_file": [".env"]},
        },
        recovery={"max_retries": 0},
    )
    ran = needy.run("run", "--headless", "--keep-going")
    assert ran.code == 1
    streams = needy.streams()
    assert "got ***" in streams["api"]["service"]["evidence"] + json.dumps(needy.events())
    assert "got ***" in streams["bare"]["reason"]
    assert any("exit 4: got ***" in text for text in streams["leaks"]["warnings"])
    logs = needy.run("logs", "--all").out
    for secret in (TOKEN, second):
        assert secret in logs
        assert secret not in ran.out + ran.err + told_of(needy)


def test_copies_that_a_run_that_goes_on_was_begun_with_stay(needy: Program) -> None:
    """No workspace stands on them, and they are older than anything that is spared for its age."""
    gate = needy.scratch / "gate"
    waits = f"until test -e {gate}; do sleep 0.05; done"
    isolation = {"method": "worktree", "include": [".env"]}
    needy.plan(
        {"one": waits, "two": {"command": "cat .env", "depends_on": ["one"]}}, isolation=isolation
    )
    host = needy.begin("run", "--headless")
    until(
        lambda: needy.run_folders() and needy.streams()["one"]["state"] == "running", "one begins"
    )
    assert outcomes(needy) == {("kept", "a run that goes on needs it")}
    gate.touch()
    assert host.wait().code == 0
    assert TOKEN in needy.log("two")
    assert ("kept", "a run that goes on needs it") not in outcomes(needy)


def outcomes(program: Program) -> set[tuple[str, str]]:
    """Make all copies of ignored files old, have caches cleaned, and return what became of them."""
    for entry in program.state_home.glob("anabranch/projects/*/store/included/*"):
        os.utime(entry, (1e9, 1e9))
    aged = program.expect(0, "gc", "--json", "--caches").json()["caches"]
    return {(one["outcome"], one["reason"]) for one in aged if "/included/" in one["path"]}
