"""Streams that write and commit are killed at random moments: every byte is reachable afterwards.

Each attempt is killed (its process, its group, or its holder), and the console now and then too.
``ANABRANCH_KILL_POINTS`` asks for more moments than the suite has time for, ``ANABRANCH_SEED`` for
others; what was written is known from a diary that the streams keep elsewhere.
"""

from __future__ import annotations

import os
import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from anabranch.drilling.proof import kept_commits
from anabranch.engine.git import Git
from tests.e2e.program import Program, until
from tests.engine.repositories import git

POINTS = int(os.environ.get("ANABRANCH_KILL_POINTS", "24"))
SEED = os.environ.get("ANABRANCH_SEED", "20261128")
STREAMS = 12
KILLS_OF_EACH = 2
LONGEST_SECONDS = 1.0
WRITER = Path(__file__).with_name("writing_stream.py")


class Written(NamedTuple):
    """What one attempt had written when it was killed: a number by path, and its commits."""

    numbers: dict[str, int]
    commits: list[str]


def test_every_byte_that_was_written_before_a_kill_is_reachable(program: Program) -> None:
    for number in range(-(-POINTS // (STREAMS * KILLS_OF_EACH))):
        diary = program.scratch / f"diary-{number}"
        diary.mkdir()
        begin_and_see_through(program, diary, f"{SEED}.{number}")
        missing = [word for name in names() for word in lost_of(program, name, diary)]
        assert not missing, f"seed {SEED}.{number}: {missing}"


def names() -> list[str]:
    return [f"s{number}" for number in range(STREAMS)]


def begin_and_see_through(program: Program, diary: Path, seed: str) -> None:
    """Run the writers; kill the console once on the way, and go on."""
    attempts = KILLS_OF_EACH + 1
    command = [sys.executable, "-I", "-S", str(WRITER), str(diary), seed]
    command += [str(attempts), str(LONGEST_SECONDS)]
    program.plan(
        {name: {"command": command, "retries": attempts} for name in names()},
        max_parallel=STREAMS,
    )
    before = len(program.run_folders())
    running = program.begin("run", "--headless")
    until(lambda: len(program.run_folders()) > before and any(diary.iterdir()), "streams write")
    until(
        lambda: len(list(diary.iterdir())) > random.Random(seed).randrange(STREAMS),
        "some have written",
    )
    running.kill()
    program.expect(0, "resume", "--headless")


def lost_of(program: Program, stream: str, diary: Path) -> list[str]:
    """Return what a stream had written for sure and what is nowhere any more."""
    run = program.folder().run
    commits = kept_commits(Git(cwd=program.project), run, stream)
    found: dict[tuple[str, str], int] = {}
    for commit in commits:
        for place, content in contents_of(program, commit, stream).items():
            first, *_ = content.splitlines()
            attempt, number, lines = first.split()
            assert content == f"{first}\n" * int(lines), f"{place} in {commit} is not whole"
            key = (place, attempt)
            found[key] = max(found.get(key, -1), int(number))
    known = set(git(program.project, "rev-list", *commits).split())
    missing = []
    for entry in sorted(diary.glob(f"{stream}.*")):
        written = read_diary(entry)
        missing += [
            f"{entry.name}: {path} {number}"
            for path, number in written.numbers.items()
            if found.get((path, entry.name), -1) < number
        ]
        missing += [f"{entry.name}: commit {c}" for c in written.commits if c not in known]
    return missing


def contents_of(program: Program, commit: str, stream: str) -> dict[str, str]:
    """Return the stream's own files in a commit, by path."""
    paths = [
        path
        for path in git(program.project, "ls-tree", "-r", "--name-only", commit).split()
        if f"{stream}-" in path
    ]
    return {path: git(program.project, "show", f"{commit}:{path}") for path in paths}


def read_diary(entry: Path) -> Written:
    numbers: dict[str, int] = defaultdict(int)
    commits = []
    for line in entry.read_text().splitlines():
        what, name, number = line.split()
        if what == "wrote":
            numbers[name] = int(number)
        else:
            commits.append(name)
    return Written(numbers, commits)
