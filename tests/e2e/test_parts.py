"""Streams that work on a part of the project, beside others that work on all of it: real runs."""

from __future__ import annotations

from tests.e2e.program import Program
from tests.e2e.test_run import content
from tests.engine.repositories import git, write

FILES: dict[str, str | bytes | None] = {
    "api/a": "a\n",
    "api/b": "b\n",
    "web/w": "w\n",
    "top": "t\n",
}


def test_a_part_takes_others_files_in_and_its_handlers_have_parts(program: Program) -> None:
    """What others do beside the part neither comes into it nor is lost by it."""
    write(program.project, FILES)
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "files")
    done = program.scratch / "done"
    until = "until {}; do sleep 0.05; done"
    part = {"paths": ["api"]}
    program.plan(
        {
            "whole": "echo new > api/a; echo new > web/w; echo x > web/new; rm top; "
            + until.format(f"test -e {done}"),
            "synced": {
                "command": f"{until.format('grep new api/a')}; test ! -e web && test ! -e top && "
                f"echo s > api/synced && touch {done}",
                "sync": True,
                **part,
            },
            "fan": {
                "each": ["1", "2"],
                "command": "test ! -e web && echo {item} > api/of-{item}",
                "handler_workspace": "each",
                **part,
            },
        },
        convergence_type="checkpoint",
        checkpoint_interval=1,
    )
    program.expect(0, "run", "--headless")
    commit = program.status()["commit"]
    names = set(git(program.project, "ls-tree", "-r", "--name-only", commit).split())
    assert names >= {"api/a", "api/b", "api/of-1", "api/of-2", "api/synced", "web/new", "web/w"}
    assert "top" not in names
    assert [content(program, commit, name) for name in ("api/a", "web/w")] == ["new\n", "new\n"]
