"""Races on real repositories: attempts side by side, one adopted, the others kept."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Program, until
from tests.engine.repositories import git

ATTEMPT = (
    "echo $ANABRANCH_STREAM > f; seq ${ANABRANCH_STREAM##*.} > g; "
    "[ $ANABRANCH_STREAM != try.3 ] || touch bad"
)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Give the program in a small repository."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "f").write_text("base\n")
    git(project, "init", "-q", "-b", "main")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "one")
    program = Program(project, tmp_path / "state", tmp_path / "scratch")
    yield program
    program.end_everything()


def test_one_of_three_is_adopted_and_the_others_are_kept(program: Program) -> None:
    """Asked for by a person, merged with what goes on from it, and proven by what git has."""
    program.plan(
        {
            "try": {"command": ATTEMPT, "race": 3},
            "after": {"command": "cat f > h", "depends_on": ["try"]},
        },
        convergence={"try": {"verify": "ls; test ! -e bad"}},
    )
    answer = program.expect(4, "run", "--headless")
    assert "anabranch adopt try." in answer.out + answer.err
    (race,) = program.expect(0, "race", "--compare", "--json").json()["races"]
    assert set(race["asks_to_adopt"]) == {"try.1", "try.2"}
    seen = {one["stream"]: one for one in race["attempts"]}
    assert (seen["try.2"]["added"], seen["try.2"]["removed"]) == (3, 1)
    assert seen["try.2"]["check"]["passed"]
    assert seen["try.3"]["standing"] == "fails verify"
    assert "bad" in Path(seen["try.3"]["check"]["log"]).read_text().split()
    assert seen["try.3"]["check"]["log"].endswith("@verify.try.try.3.log")
    refused = program.expect(2, "adopt", "try.3")
    assert "fails the check of try" in refused.err
    answer = program.expect(0, "adopt", "try.2")
    assert "try.2 is adopted" in answer.err
    status = program.status()
    assert status["state"] == "converged"
    assert git(program.project, "show", f"{status['branch']}:h").split() == ["try.2"]
    final = status["convergence"][-1]
    assert {one["stream"] for one in final["left_out"]} == {"try.1", "try.3"}
    program.expect(0, "gc")
    for name, kept in (("try.1", "1"), ("try.3", "1\n2\n3")):
        ref = seen[name]["ref"]
        assert git(program.project, "show", f"{ref}:g").strip() == kept


def test_a_race_of_ones_own_asks_on_the_command_line(program: Program) -> None:
    """Of a command or of a template; and what may not be is refused before anything starts."""
    program.expect(4, "race", "2", "--name", "r", "--headless", "--", "echo $ANABRANCH_STREAM > f")
    answer = program.expect(0, "race", "--compare", "r")
    assert "can be adopted" in answer.out
    program.expect(0, "adopt", "r.1")
    args = ("--template", "shell", "--prompt", "echo it > f", "--adopt", "first", "--headless")
    answer = program.expect(0, "race", "2", *args)
    assert "from the template shell (built-in): /bin/sh -c 'echo it > f'" in answer.err
    refused = program.expect(2, "race", "2", "--template", "shel", "--headless")
    assert "there is no template 'shel'" in refused.err


def test_a_race_whose_host_is_killed_goes_on_as_the_same_processes(program: Program) -> None:
    """Resumed, all three are compared, each ran once; one is adopted, the others are kept."""
    gate = program.scratch / "gate"
    waits = f"{ATTEMPT}; echo ready; until test -e {gate}; do sleep 0.02; done"
    host = program.begin("race", "3", "--name", "try", "--headless", "--", waits)
    names = ("try.1", "try.2", "try.3")
    for name in names:
        program.await_log(name, "ready")
    before = {name: program.streams()[name]["pid"] for name in names}
    host.send(signal.SIGKILL)
    host.wait()
    gone_on = program.begin("resume", "--headless")
    until(lambda: program.status()["state"] == "running", "it is hosted again")
    assert {name: program.streams()[name]["pid"] for name in names} == before
    gate.touch()
    assert gone_on.wait().code == 4
    (race,) = program.asked(0, "race", "--compare", "--json").json()["races"]
    seen = {one["stream"]: one for one in race["attempts"]}
    assert set(race["asks_to_adopt"]) == set(names)
    program.asked(0, "adopt", "try.2")
    streams = program.streams()
    assert [(streams[name]["attempt"], program.log(name)) for name in names] == [(1, "ready\n")] * 3
    status = program.status()
    assert status["state"] == "converged"
    assert git(program.project, "show", f"{status['branch']}:f").split() == ["try.2"]
    for name in ("try.1", "try.3"):
        assert git(program.project, "show", f"{seen[name]['ref']}:f").split() == [name]
