"""Conflicts: foreseen while streams run, and settled by a person or a command, with real git."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from anabranch.core.ids import StreamId
from anabranch_console import demo
from tests.e2e.program import Program, until
from tests.engine.repositories import git, write

LEFT = "sed -i '1s/.*/left/' src/a.txt"
RIGHT = "sed -i '1s/.*/right/' src/a.txt; echo more > more.txt"
BOTH_WANT_A_LINE = {"left": LEFT, "right": RIGHT}


def content(program: Program, path: str) -> str:
    """Return a file of the run's result."""
    return git(program.project, "show", f"{program.status()['commit']}:{path}")


def blocked(program: Program, streams: dict[str, Any] | None = None, **more: Any) -> None:
    """Bring a run to the point where it needs its operator."""
    program.plan(streams or BOTH_WANT_A_LINE, **more)
    program.expect(4, "run", "--headless")


# --- settled from the command line ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "first"),
    [("--theirs", "right\n"), ("--both", "left\nright\n")],
)
def test_a_conflict_is_settled_by_a_choice(program: Program, choice: str, first: str) -> None:
    """The run needed its operator (exit 4), kept everything, and goes on; resume agrees."""
    blocked(program)
    (conflict,) = program.ask("conflicts", "--json").json()["conflicts"]
    assert (conflict["streams"], conflict["halts"]) == (["left", "right"], None)
    assert [p["path"] for p in conflict["paths"]] == ["src/a.txt"]
    answer = program.expect(0, "resolve", "src/a.txt", choice)
    assert "converged" in answer.err
    assert content(program, "src/a.txt").startswith(first)
    assert content(program, "more.txt") == "more\n"
    program.expect(0, "resume", "--headless")
    (made,) = [e for e in program.events() if e["type"] == "conflict_resolved"]
    assert made["resolution"]["choice"] == choice.removeprefix("--")
    assert git(program.project, "cat-file", "-t", made["resolution"]["blob"]) == "blob\n"


def test_a_decision_is_taken_back_until_the_result_is_approved(program: Program) -> None:
    """By whoever hosts, and where nobody does; the list says what was decided, and by whom."""
    blocked(program)
    program.expect(0, "resolve", "src/a.txt", "--ours")
    assert content(program, "src/a.txt").startswith("left\n")
    (made,) = program.asked(0, "conflicts", "--json").json()["decisions"]
    assert (made["path"], made["choice"], made["by"]) == ("src/a.txt", "ours", "operator")
    listed = program.asked(0, "conflicts")
    assert "src/a.txt  ours  the operator" in listed.out
    assert "anabranch resolve PATH --undo" in listed.err
    assert "nothing was decided about x" in program.asked(2, "resolve", "x", "--undo").err
    assert "needs_operator" in program.expect(0, "resolve", "src/a.txt", "--undo").err
    assert program.asked(0, "conflicts", "--json").json()["decisions"] == []
    program.expect(0, "resolve", "src/a.txt", "--theirs")
    assert content(program, "src/a.txt").startswith("right\n")
    program.expect(0, "approve")
    answer = program.expect(2, "resolve", "src/a.txt", "--undo")
    assert "on your branch already" in answer.err
    assert "on your branch already" in program.asked(0, "conflicts").out


@pytest.mark.parametrize(("choice", "left"), [("--ours", ["n"]), ("--theirs", ["n/i"])])
def test_a_file_against_a_folder_is_settled_by_either_side(
    program: Program, choice: str, left: list[str]
) -> None:
    """Who decides for the file decides about what the other side has in the folder, too."""
    blocked(program, {"file": "echo f > n", "folder": "mkdir n; echo i > n/i"})
    program.expect(0, "resolve", "n", choice)
    listed = git(program.project, "ls-tree", "-r", "--name-only", program.status()["commit"])
    assert [path for path in listed.splitlines() if path.startswith("n")] == left


def test_who_renamed_a_folder_is_named_where_another_one_has_written(program: Program) -> None:
    """The conflict is in a path that nobody has written to; a link and a file are one path."""
    moves = "mkdir to; git mv src/* to; rmdir src; echo f > n"
    blocked(program, {"moves": moves, "adds": "echo new > src/new.txt; ln -s to n"})
    (conflict,) = program.ask("conflicts", "--json").json()["conflicts"]
    assert conflict["streams"] == ["moves", "adds"]
    (point,) = program.ask("convergence", "--json").json()["convergence"]
    assert point["reason"] == "moves and adds conflict in n, to/new.txt"


def test_both_sides_are_shown_line_by_line(program: Program) -> None:
    blocked(program)
    answer = program.asked(0, "conflicts", "--show", "src/a.txt").out
    assert "+++ ours: left" in answer
    assert "+left\n" in answer
    assert "+++ theirs: right" in answer
    assert "+right\n" in answer


def test_a_file_settles_a_conflict_unless_markers_are_left_in_it(program: Program) -> None:
    """What is refused is refused before anything is decided, with what to do."""
    blocked(program)
    mine = program.project.parent / "mine.txt"
    mine.write_text("<<<<<<< a\nleft\n=======\nright\n>>>>>>> b\n")
    answer = program.asked(2, "resolve", "src/a.txt", "--file", str(mine))
    assert "conflict markers are left" in answer.err
    answer = program.asked(2, "resolve", "src/b.txt", "--ours")
    assert "waits for no decision" in answer.err
    program.asked(2, "resolve", "src/a.txt")
    mine.write_text("left and right\n")
    program.expect(0, "resolve", "src/a.txt", "--file", str(mine))
    assert content(program, "src/a.txt") == "left and right\n"


def test_a_command_settles_a_conflict_from_the_command_line(program: Program) -> None:
    """It finds markers in the file and each side beside it; a failing one decides nothing."""
    blocked(program)
    answer = program.expect(4, "resolve", "--command", "exit 3")
    assert "settled nothing" in answer.err
    script = (
        'for side in "$ANABRANCH_OURS" "$ANABRANCH_THEIRS"; do head -n 1 "$side/src/a.txt"; done'
    )
    script = f"{script} > src/a.txt"
    program.expect(0, "resolve", "--command", script)
    assert content(program, "src/a.txt") == "left\nright\n"


def test_binary_files_and_deletions_are_settled_by_a_side(program: Program) -> None:
    """Nothing can be both there; a deletion that is taken stays one."""
    streams = {
        "left": "printf 'a\\0b' > bin.dat; rm src/a.txt",
        "right": "printf 'c\\0d' > bin.dat; echo edited >> src/a.txt",
    }
    blocked(program, streams)
    answer = program.asked(2, "resolve", "bin.dat", "--both")
    assert "cannot be both" in answer.err
    answer = program.expect(0, "resolve", "bin.dat", "--theirs")
    assert "1 more to settle" in answer.err
    program.expect(0, "resolve", "src/a.txt", "--ours")
    assert content(program, "bin.dat") == "c\0d"
    assert "src/a.txt" not in git(program.project, "ls-tree", "-r", program.status()["commit"])


def test_a_conflict_is_settled_beside_the_run_that_has_it(program: Program, tmp_path: Path) -> None:
    """A stream that a conflict halts starts once another command has decided."""
    gate = tmp_path / "gate"
    streams = {
        "left": LEFT,
        "right": RIGHT,
        "after": {"command": "head -1 src/a.txt > first.txt", "depends_on": ["left", "right"]},
        "slow": f"until [ -e {gate} ]; do sleep 0.1; done",
    }
    program.plan(streams)
    running = program.begin("run", "--headless")
    until(lambda: _waiting(program), "a conflict halts a stream")
    (conflict,) = _waiting(program)
    assert conflict["halts"] == "after"
    program.expect(0, "resolve", "--all", "--theirs")
    until(lambda: program.streams()["after"]["state"] == "succeeded", "it starts")
    gate.touch()
    assert running.wait().code == 0
    assert content(program, "first.txt") == "right\n"  # the same decision holds at the end


def test_a_conflict_is_handed_back_to_a_stream(program: Program) -> None:
    """It runs again on top of the other's work, knows why, and its earlier result stays."""
    again = 'test -n "$ANABRANCH_CONFLICT" && echo "again: $(head -1 src/a.txt)" > again.txt'
    blocked(program, {"left": LEFT, "right": f"if ! {{ {again}; }}; then {RIGHT}; fi"})
    before = program.state().streams[StreamId("right")].result
    assert before is not None
    program.expect(0, "resolve", "--back-to", "right", "--note", "keep left's line")
    assert content(program, "again.txt") == "again: left\n"
    right = program.streams()["right"]
    assert right["attempt"] == 2
    (kept,) = right["partial"]
    assert git(program.project, "rev-parse", kept).strip() == before.commit
    (message,) = program.ask("messages", "--json").json()["messages"]
    assert "keep left's line" in str(message["body"])


def test_a_path_that_is_no_utf8_can_be_in_a_conflict(program: Program) -> None:
    """The journal, the list and the decision name it; the file keeps its name."""
    name = os.fsdecode(b"caf\xe9.txt")
    blocked(program, {side: f"echo {side} > \"$(printf 'caf\\351.txt')\"" for side in ("l", "r")})
    answer = program.asked(0, "conflicts").out
    assert "caf\\xe9.txt" in answer
    program.expect(0, "resolve", name, "--ours")
    files = git(program.project, "ls-tree", "-z", "--name-only", program.status()["commit"])
    assert name in files.split("\0")


# --- settled by the plan's resolver --------------------------------------------------------------

FINAL = {"final": {"resolver": 'sort -u "$ANABRANCH_OURS/src/a.txt" > src/a.txt'}}


def test_the_plans_resolver_settles_a_conflict_without_anybody(program: Program) -> None:
    program.plan(BOTH_WANT_A_LINE, convergence=FINAL)
    program.expect(0, "run", "--headless")
    types = [e["type"] for e in program.events()]
    wanted = ["conflict_found", "resolver_started", "conflict_resolved", "resolver_ended"]
    assert [t for t in types if t in wanted] == wanted
    assert "left\n" in content(program, "src/a.txt")
    assert not any(program.folder().resolving.glob("*"))


def test_the_demonstrations_conflict_is_settled_by_its_own_resolver(program: Program) -> None:
    """Two of its streams write one line of the README; its resolver names what both wrote."""
    plan = tomllib.loads(demo.PLAN.read_text("utf-8"))
    demo_environment = demo.environment()
    env = {name: demo_environment[name] for name in ("DEMO_PYTHON", "DEMO_WORK")}
    readme = (demo.HERE / "project" / "README.md").read_text("utf-8")
    write(program.project, {"README.md": readme})
    git(program.project, "commit", "-q", "-a", "-m", "the demo's")
    mention = '"$DEMO_PYTHON" "$DEMO_WORK/mention.py"'
    names = [name for name in ("totals", "budget") if mention in plan["streams"][name]["command"]]
    assert len(names) == 2
    program.plan(
        {name: {"command": f"{mention} {name}", "env": env} for name in names},
        convergence={"final": plan["convergence"]["final"]},
    )
    answer = program.begin("run", "--headless", **env).wait()
    assert answer.code == 0, answer
    assert "Modules: budget, entries, totals\n" in content(program, "README.md")


@pytest.mark.parametrize("resolver", ["exit 9", "ln -sf /etc/passwd src/a.txt"])
def test_a_resolver_that_settles_nothing_leaves_it_to_the_operator(
    program: Program, resolver: str
) -> None:
    """A failure, or something that is no file: exit 4, as without it."""
    program.plan(BOTH_WANT_A_LINE, convergence={"final": {"resolver": resolver}})
    program.expect(4, "run", "--headless")
    assert len(_waiting(program)) == 1


# --- the radar -----------------------------------------------------------------------------------


def test_a_conflict_is_foreseen_while_both_streams_run(program: Program, tmp_path: Path) -> None:
    """Shown with both sides, told on request, cleared when it has gone; no object is left over."""
    undo, end = tmp_path / "undo", tmp_path / "end"
    wait = "until [ -e {0} ]; do sleep 0.1; done"
    streams = {
        "left": f"{LEFT}; {wait.format(end)}",
        "right": f"{RIGHT}; {wait.format(undo)}; git checkout -q src/a.txt; {wait.format(end)}",
        "other": f"echo x > other.txt; {wait.format(end)}",
    }
    program.plan(streams)
    running = program.begin("run", "--headless")
    until(lambda: program.run_folders() and _foreseen(program), "the conflict is foreseen")
    (found,) = _foreseen(program)
    assert found["streams"] == ["left", "right"]
    assert [p["path"] for p in found["paths"]] == ["src/a.txt"]
    assert not found["told"]
    program.expect(0, "conflicts", "--tell", "left", "right")
    assert len(program.ask("messages", "--json").json()["messages"]) == 2
    assert program.ask("convergence", "--json").json()["foreseen"][0]["told"]
    shown = program.asked(0, "conflicts", "--show", "src/a.txt").out
    assert "+left\n" in shown
    assert "+right\n" in shown
    blobs = git(program.project, "count-objects").split()[0]
    undo.touch()
    until(lambda: not _foreseen(program), "it has gone")
    assert git(program.project, "count-objects").split()[0] == blobs
    end.touch()
    assert running.wait().code == 0
    assert content(program, "src/a.txt").startswith("left\n")


def _foreseen(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program.ask("status", "--json").json().get("foreseen", [])
    return found


def _waiting(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program.ask("conflicts", "--json").json().get("conflicts", [])
    return found
