"""What a setup made: kept for other workspaces, put back, or not, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anabranch.engine import kept_setups
from anabranch.engine.caches import CACHES, entries
from tests.e2e.program import until
from tests.engine.repositories import git, make_repository

PROGRAM = (sys.executable, "-I", "-m", kept_setups.__name__)


@pytest.fixture
def workspaces(tmp_path: Path) -> tuple[Path, Path]:
    """Two checkouts of one project, in which git ignores ``env/``."""
    for name in ("one", "two"):
        make_repository(tmp_path / name, {".gitignore": "env/\nother/\n", "deps": "a"})
    return tmp_path / "one", tmp_path / "two"


def program(where: Path, script: str, about: str = "", within: str = ".") -> list[str]:
    """Return the program's command line for what is to be run in a workspace."""
    wanted = {
        "workspace": str(where),
        "within": within,
        "inputs": ["deps"],
        "store": str(where.parent / "store"),
        "about": about,
        "made": str(where.parent / f"{where.name}.made"),
    }
    return [*PROGRAM, json.dumps(wanted), "/bin/sh", "-c", script]


def set_up(where: Path, script: str, about: str = "") -> tuple[int, str]:
    """Run the program in a workspace; return its exit code, and what it said."""
    done = subprocess.run(
        program(where, script, about),
        cwd=where,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


MAKES = (
    "mkdir -p env/sub; echo $PWD/env > env/sub/text; ln -s $PWD/deps env/link; date +%N > env/at"
)


def test_what_it_made_is_put_back_and_names_the_new_place(
    workspaces: tuple[Path, Path],
) -> None:
    """As it was, with its times, but for where it is; and each has its own."""
    one, two = workspaces
    assert "kept for others: 1 entry" in set_up(one, MAKES)[1]
    code, said = set_up(two, MAKES)
    assert (code, "is used again" in said) == (0, True)
    assert (two / "env/at").read_text() == (one / "env/at").read_text()
    assert (two / "env/sub/text").read_text() == f"{two}/env\n"
    assert os.readlink(two / "env/link") == f"{two}/deps"
    for name in ("env/sub/text", "env/at"):
        assert (two / name).stat().st_mtime_ns == (one / name).stat().st_mtime_ns
    (two / "env/at").write_text("mine")
    assert (one / "env/at").read_text() != "mine"


def test_it_is_run_anew_when_something_that_decides_it_is_another(
    workspaces: tuple[Path, Path],
) -> None:
    """The contents of its inputs, its command, or what else is told of it."""
    one, two = workspaces
    set_up(one, MAKES)
    assert "is used again" not in set_up(two, MAKES, about="another variable")[1]
    git(two, "clean", "-fdxq")
    assert "is used again" not in set_up(two, f"{MAKES}; true")[1]
    git(two, "clean", "-fdxq")
    (two / "deps").write_text("b")
    assert "is used again" not in set_up(two, MAKES)[1]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("mkdir env; echo x > seen.txt", "it changed seen.txt, which git does not ignore"),
        (
            "mkdir env; printf '\\0%s' $PWD > env/bin",
            "env/bin names the workspace, and is not text",
        ),
        ("mkdir env; echo x > other/there", "it changed other/, which was there before"),
        ("true", "it added nothing that git ignores"),
    ],
)
def test_what_cannot_be_used_elsewhere_is_not_kept(
    workspaces: tuple[Path, Path], script: str, why: str
) -> None:
    """It is said, and nothing fails for it."""
    one, _ = workspaces
    (one / "other").mkdir()
    (one / "other/there").write_text("first")
    code, said = set_up(one, script)
    assert (code, why in said) == (0, True), said
    (kind,) = [kind for kind in CACHES if kind.folder == kept_setups.FOLDER]
    assert list(entries(one.parent / "store", kind)) == []


def test_compiled_python_that_names_the_workspace_is_left_out(
    workspaces: tuple[Path, Path],
) -> None:
    """It is made again when it is needed; what another workspace of a like name has is not."""
    one, two = workspaces
    script = "mkdir env; printf '\\0%s' $PWD > env/a.pyc; echo ${PWD}2 > env/b"
    set_up(one, script)
    set_up(two, script)
    assert sorted(os.listdir(two / "env")) == ["b"]
    assert (two / "env/b").read_text() == f"{one}2\n"


def test_it_fails_as_its_command_does(workspaces: tuple[Path, Path]) -> None:
    """By exit code or signal, and nothing is kept."""
    one, two = workspaces
    script = "mkdir env; test -e ../again || exit 3"
    assert set_up(one, script) == (3, "")
    assert set_up(two, "kill -9 $$") == (-9, "")
    assert not any(path.is_dir() for path in (one.parent / "store/setups").iterdir())
    (one.parent / "again").touch()
    assert "kept for others" in set_up(two, script)[1]


def test_a_kept_result_that_is_damaged_is_not_used(workspaces: tuple[Path, Path]) -> None:
    """Nothing of it stays, and the setup is run; what it makes then takes its place."""
    one, two = workspaces
    set_up(one, MAKES)
    (entry,) = (p for p in (one.parent / "store/setups").iterdir() if p.is_dir())
    (entry / "tree/env/sub/text").unlink()
    code, said = set_up(two, MAKES)
    assert code == 0
    assert "cannot be used" in said
    assert "kept for others" in said
    assert (two / "env/sub/text").read_text() == f"{two}/env\n"


def test_two_that_want_the_same_at_a_time_run_it_once(workspaces: tuple[Path, Path]) -> None:
    """The second waits for the first, and says so."""
    one, two = workspaces
    go = one.parent / "go"
    script = f"until test -e {go}; do sleep 0.02; done; mkdir env; echo x > env/x"
    running = [
        subprocess.Popen(program(where, script), cwd=where, stdout=subprocess.PIPE, text=True)
        for where in (one, two)
    ]
    until(lambda: list((one.parent / "store").glob("setups/.*.lock")), "one of them has begun")
    go.touch()
    said = [process.communicate(timeout=30)[0] for process in running]
    assert sum("kept for others" in text for text in said) == 1
    assert sum("is used again" in text for text in said) == 1


def test_nobody_waits_for_a_result_that_could_not_be_kept(workspaces: tuple[Path, Path]) -> None:
    """They run theirs at once, side by side."""
    one, two = workspaces
    script = "mkdir env; echo x > seen.txt"
    set_up(one, script)
    said = set_up(two, script)[1]
    assert "not kept for others: it changed seen.txt" in said
    assert (two / "seen.txt").exists()
