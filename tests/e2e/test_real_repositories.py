"""Twenty streams on repositories of every size: the right result, and the checkout untouched.

With ``ANABRANCH_SDISTS`` naming a folder of source archives (``*.tar.gz``), the same is done on
each of them.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.checkouts import (
    EXTRA,
    commit_everything,
    leave_in_the_middle_of_work,
    likeness,
    make_files,
    unpack,
)
from tests.e2e.program import Program
from tests.engine.repositories import git

SIZES = (30, 700, 2500)
ARCHIVES = sorted(Path(os.environ.get("ANABRANCH_SDISTS", "/nonexistent")).glob("*.tar.gz"))
COMMIT = "git -c user.name=S -c user.email=s@example.org commit -q"
COMMANDS = {
    "windows-top": r"sed -i '3s/.*/changed by windows-top\r/' windows.txt",
    "windows-end": r"sed -i '190s/.*/changed by windows-end\r/' windows.txt",
    "unix-top": "sed -i '5s/.*/changed by unix-top/' unix.txt",
    "unix-end": "sed -i '180s/.*/changed by unix-end/' unix.txt",
    "no-newline": "printf ' really' >> 'no newline.txt'",
    "binary": r"printf '\000\377\000' | dd of=binary.dat bs=1 seek=100 conv=notrunc status=none",
    "big": "printf tail >> big.dat",
    "non-ascii": "echo more >> 'grüße-中文-🙂.txt'; echo neu > 'ñandú.txt'",
    "twins": "echo more >> Twin.txt; echo weniger >> twin.txt",
    "odd-names": 'f=$(ls | grep quote); echo more >> "$f"; echo x > \'a\tb"c.txt\'',
    "modes": "chmod -x tool.sh; echo '#!/bin/sh' > new-tool.sh; chmod +x new-tool.sh",
    "links": "ln -sfn big.dat inside; ln -s nowhere new-link; rm dangling",
    "rename": "git mv to-rename.txt renamed.txt",
    "remove": "rm to-remove.txt; touch new-empty",
    "commits": f"echo 1 > one.txt; git add .; {COMMIT} -m one; echo 2 > two.txt",
}
DEPENDENTS = {
    "after-rename": (["rename"], "echo 'after the rename' >> renamed.txt"),
    "after-commits": (["commits", "unix-top"], "cat one.txt two.txt > three.txt"),
}
ON_SOURCES = ("source-first", "source-middle", "source-last")


def streams_for(sources: list[str]) -> dict[str, dict[str, Any]]:
    """Return twenty streams: on every kind of file, and on three of the project's own."""
    streams: dict[str, dict[str, Any]] = {
        name: {"command": command, "working_dir": EXTRA} for name, command in COMMANDS.items()
    }
    for name, (depends_on, command) in DEPENDENTS.items():
        streams[name] = {"command": command, "working_dir": EXTRA, "depends_on": depends_on}
    places = (0, len(sources) // 2, len(sources) - 1)
    for name, place in zip(ON_SOURCES, places, strict=True):
        streams[name] = {"command": f"echo '# {name}' >> {shlex.quote(sources[place])}"}
    return streams


def in_sequence(project: Path, streams: dict[str, dict[str, Any]], place: Path) -> str:
    """Do the same work one after the other in a plain clone; return the tree it comes to."""
    git(project, "clone", "-q", "--no-local", "-c", "core.autocrlf=true", str(project), str(place))
    for stream in streams.values():
        folder = place / stream.get("working_dir", ".")
        subprocess.run(["sh", "-c", stream["command"]], cwd=folder, check=True)
    git(place, "add", "-A")
    return git(place, "write-tree").strip()


def listed(repository: Path, tree: str) -> list[str]:
    """Return the files of a tree with their modes and contents' names."""
    return git(repository, "ls-tree", "-r", "-z", tree).split("\0")


def sources_of(project: Path) -> list[str]:
    """Return the project's own text files."""
    names = git(project, "ls-files", "-z", "--", "*.py", f":!{EXTRA}").split("\0")
    return [name for name in names if name]


@pytest.fixture(params=[*SIZES, *ARCHIVES], ids=lambda p: p.name if isinstance(p, Path) else str(p))
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """Give the program in a repository with a checkout in the middle of work."""
    project = tmp_path / "project"
    if isinstance(request.param, Path):
        unpack(request.param, project)
    else:
        make_files(project, request.param)
    commit_everything(project)
    leave_in_the_middle_of_work(project)
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()


def test_twenty_streams_bring_what_one_after_the_other_brings(
    program: Program, tmp_path: Path
) -> None:
    """The result's tree is that of the sequence, and the user's checkout is as it was."""
    project = program.project
    streams = streams_for(sources_of(project))
    assert len(streams) == 20
    expected = in_sequence(project, streams, tmp_path / "sequence")
    program.plan(streams, max_parallel=6, recovery={"max_retries": 0})
    before = likeness(project)
    (tmp_path / "hooks-ran").unlink(missing_ok=True)
    answer = program.run("run", "--headless")
    assert answer.code == 0, answer
    assert listed(project, program.status()["commit"]) == listed(tmp_path / "sequence", expected)
    assert likeness(project) == before
    ran = tmp_path / "hooks-ran"
    own_commits = {"pre-commit", "post-index-change", "reference-transaction"}
    assert not ran.exists() or set(ran.read_text().split()) <= own_commits
    git(project, "fsck", "--strict")
