"""What streams change, looked at while they run and before it is merged, with real git."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tests.e2e.program import Program, until
from tests.engine.repositories import git, write

FIRST_AND_AGAIN = (
    'if [ -n "$ANABRANCH_REVIEW" ]; then cp "$ANABRANCH_REVIEW" seen.txt; ab-stream inbox > inbox;'
    " sed -i 's/first/second/' src/a.txt; else echo first > src/a.txt; fi"
)


def changed(program: Program, *arguments: str) -> dict[str, Any]:
    """What a stream has changed, by path: lines added and removed."""
    seen = program.expect(0, "diff", *arguments, "--json").json()
    return {file["path"]: (file["added"], file["removed"]) for file in seen["files"]}


def test_a_stream_is_looked_at_while_it_runs_and_does_not_notice(
    program: Program, tmp_path: Path
) -> None:
    """What it has not committed is shown with its lines; nothing is left, and it goes on."""
    gate = tmp_path / "go"
    program.plan(
        {
            "one": {
                "command": f"printf 'x\\033[2J\\n' > new.txt; rm src/b.txt; echo ready; "
                f"while [ ! -e {gate} ]; do sleep 0.05; done; echo more >> new.txt"
            },
            "half": {"command": "echo half > half.txt; exit 3", "retries": 0, "optional": True},
        }
    )
    write(program.project, {"src/b.txt": "b\n"})
    git(program.project, "add", "-A")
    git(program.project, "commit", "-q", "-m", "b")
    run = program.begin("run", "--headless")
    program.await_log("one", "ready")
    workspace = Path(program.streams()["one"]["workspace"])
    before = git(workspace, "status", "--porcelain=v2", "--branch")
    assert changed(program, "one") == {"new.txt": (1, 0), "src/b.txt": (0, 1)}
    shown = program.expect(0, "diff", "one")
    assert "as it is now" in shown.err
    assert "\033" not in shown.out
    assert "-b" in shown.out.splitlines()
    assert git(workspace, "status", "--porcelain=v2", "--branch") == before
    until(lambda: program.streams()["half"]["state"] == "failed", "one has failed")
    assert "its partial work" in program.expect(0, "diff", "half").err
    assert changed(program, "half", "--attempt", "1") == {"half.txt": (1, 0)}
    refused = program.ask("diff", "one", "--against", "result")
    assert (refused.code, "nothing has merged yet" in refused.err) == (2, True)
    gate.touch()
    assert run.wait().code == 0
    assert changed(program, "one")["new.txt"] == (2, 0)
    assert changed(program, "one", "--against", "result") == {}
    (looks,) = program.state_home.rglob("looks")
    (looks / "killed").mkdir()
    os.utime(looks / "killed", (0, 0))
    program.expect(0, "diff", "one")
    assert list(looks.iterdir()) == []


def test_one_is_handed_back_with_a_note_and_the_other_is_taken(program: Program) -> None:
    """Nothing is merged unseen; the note arrives; what was taken is verified, and approved."""
    program.plan(
        {"a": FIRST_AND_AGAIN, "b": "echo b > b.txt"},
        convergence={"final": {"review": True, "verify": "grep second src/a.txt"}},
    )
    run = program.expect(4, "run", "--headless")
    assert "anabranch review a" in run.err
    waiting = program.expect(0, "review", "--json").json()["reviews"]
    assert [(row["stream"], row["review"]["state"], row["added"]) for row in waiting] == [
        ("a", "waiting", 1),
        ("b", "waiting", 1),
    ]
    first = waiting[0]["review"]["commit"]
    final = program.status()["convergence"][-1]
    assert (final["merged"], final["waiting_for"], final["reviews"]) == ([], ["a", "b"], ["a", "b"])
    assert program.ask("review", "a", "--hand-back").code == 2
    program.expect(0, "review", "a", "--hand-back", "-m", "say second")
    assert program.streams()["a"]["attempt"] == 2
    assert changed(program, "a", "--attempt", "1").keys() == {"src/a.txt"}
    stale = program.ask("review", "a", "--take", "--commit", first)
    assert (stale.code, "has another result now" in stale.err) == (2, True)
    program.expect(0, "review", "b", "--take")
    assert program.status()["state"] == "needs_operator"
    program.expect(4, "resume", "--headless")
    program.expect(0, "review", "a", "--take")
    assert program.status()["state"] == "converged"
    program.expect(0, "approve")
    assert (program.project / "src/a.txt").read_text() == "second\n"
    assert (program.project / "seen.txt").read_text() == "say second\n"
    assert "say second" in (program.project / "inbox").read_text()
    kept = program.streams()["a"]["partial"]
    assert [git(program.project, "rev-parse", ref).strip() for ref in kept] == [first]
    verified = [e["type"] for e in program.events() if e["type"].startswith("verify_")]
    assert verified == ["verify_started", "verify_passed"]


def test_what_an_open_run_is_added_can_be_reviewed_without_anybody_there(program: Program) -> None:
    """The command that takes it hosts the run for that long, and leaves it open."""
    program.expect(0, "add", "--name", "w", "--review", "--", "echo more >> src/a.txt")
    program.expect(0, "add", "--name", "after", "--after", "w", "--", "echo 2 > after.txt")
    (row,) = program.expect(0, "review", "--json").json()["reviews"]
    assert (row["stream"], row["review"]["state"]) == ("w", "waiting")
    program.expect(0, "review", "w", "--take")
    (final,) = program.status()["convergence"]
    assert set(final["merged"]) == {"w", "after"}
    assert program.status()["state"] == "interrupted"
    program.expect(0, "add", "--name", "late", "--review", "--", "echo other >> src/a.txt")
    clash = program.expect(0, "diff", "late", "--against", "result", "--json").json()
    assert (clash["conflicts"], clash["source"]) == ([], "result")  # it began with what had merged
    assert "+other" in str(clash["files"][0]["hunks"])


def test_notes_reach_a_stream_by_a_new_start_or_typed_into_its_terminal(program: Program) -> None:
    """Its template is filled anew with them; a program that reads a terminal gets one line."""
    told = 'printf "%s\\n" {prompt} >> told.txt'
    asks = "import os; said = os.environ.get('ANABRANCH_REVIEW') and input('> ')"
    asks += "; open('typed.txt', 'w').write(said or 'nothing')"
    program.plan(
        {
            "anew": {"template": "writer", "prompt": "the {first}"},
            "typed": {
                "command": [sys.executable, "-c", asks],
                "tty": True,
                "hand_back": "input",
            },
        },
        convergence={"final": {"review": True}},
        templates={"writer": {"command": told, "hand_back": "restart"}},
    )
    program.expect(4, "run", "--headless")
    note = "it's `not` {prompt} $HOME"
    for stream in ("anew", "typed"):
        program.expect(0, "review", stream, "--hand-back", "-m", note)
        program.expect(0, "review", stream, "--take")
    program.expect(0, "approve")
    first = "the {first}\n"
    assert (program.project / "told.txt").read_text() == f"{first}{first}\n{note}\n"
    assert (program.project / "typed.txt").read_text() == note
