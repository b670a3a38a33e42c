"""Meeting over the socket: values brought to a point, and streams that join from outside."""

from __future__ import annotations

import json
import shlex
import subprocess

from anabranch.core.ids import StreamId
from anabranch.engine.runs import read_run
from tests.e2e.program import PROGRAM, Program, until


def test_values_brought_to_a_point_are_reduced_and_handed_to_everybody(program: Program) -> None:
    """Each waits for the other, and both get the sum."""
    program.plan(
        {
            "a": {"command": "ab-stream arrive meet --state 3 --wait 40", "converge": "meet"},
            "b": {"command": "ab-stream arrive meet --state 4 --wait 40", "converge": "meet"},
        },
        convergence={"meet": {"options": {"reduce": "sum"}}},
    )
    program.expect(0, "run", "--headless")
    found = [json.loads(program.log(stream)) for stream in ("a", "b")]
    assert [(one["outcome"], one["state"]) for one in found] == [("done", 7), ("done", 7)]


def test_an_outsider_that_joins_brings_the_capability_that_was_missing(program: Program) -> None:
    """It needs the operator's token; a stream's own is refused."""
    program.plan(
        {
            "busy": "until test -e ../go; do sleep 0.05; done; ab-stream register sneak || true",
            "review": {
                "command": "echo reviewed",
                "depends_on": [{"capability": "analysis", "condition": "started"}],
            },
        }
    )
    run = program.begin("run", "--headless")
    until(lambda: _is_running(program, "busy"), "busy runs")
    folder = program.folder()
    answer = _from_outside(
        program,
        """
        eval "$(anabranch env)"
        ab-stream register outsider --capability analysis >&2
        eval "$(anabranch env --as outsider)"
        cd "$ANABRANCH_WORKSPACE" && ab-stream heartbeat --status reading >&2
        echo "$ANABRANCH_STREAM $PWD"
        anabranch env --as busy; echo $?
        """,
    )
    assert answer == ["outsider", str(folder.path / "joined" / "outsider"), "2"]
    until(lambda: program.streams()["review"]["state"] == "succeeded", "review runs")
    answer = _from_outside(
        program,
        """
        eval "$(anabranch env --as outsider)"
        ab-stream leave >&2; echo $?
        anabranch env --as outsider
        """,
    )
    assert answer == ["0"]
    (folder.workspaces / "go").touch()
    assert run.wait().code == 0
    assert json.loads(program.log("busy"))["outcome"] == "refused"


def _from_outside(program: Program, script: str) -> list[str]:
    """Run a script that is no stream, and return the words that it printed."""
    own = f'anabranch() {{ {shlex.join(PROGRAM)} "$@"; }}\n'
    done = subprocess.run(
        ["sh", "-c", own + script],
        cwd=program.project,
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.split()


def _is_running(program: Program, stream: str) -> bool:
    """Whether a stream of the latest run runs; a run that has only just begun has no state yet."""
    states = [read_run(folder).state for folder in program.run_folders()]
    return bool(states and states[-1] and states[-1].streams[StreamId(stream)].pid)
