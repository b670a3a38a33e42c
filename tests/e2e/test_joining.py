"""Meeting over the socket: values brought to a point, and streams that join from outside."""

from __future__ import annotations

import json

from anabranch.client import Client
from anabranch.core.ids import StreamId
from anabranch.engine.gateway.addresses import door_folder
from anabranch.engine.runs import read_run
from tests.e2e.program import Program, until


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
    told = [json.loads(program.log(stream)) for stream in ("a", "b")]
    assert [(one["outcome"], one["state"]) for one in told] == [("done", 7), ("done", 7)]


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
    token = (folder.path / "operator.token").read_text("ascii").strip()
    with Client(str(door_folder(folder.path) / "socket"), token) as operator:
        assert operator.register("outsider", capabilities=["analysis"])["outcome"] == "done"
    until(lambda: program.streams()["review"]["state"] == "succeeded", "review runs")
    (folder.workspaces / "go").touch()
    assert run.wait().code == 0
    assert json.loads(program.log("busy"))["outcome"] == "refused"


def _is_running(program: Program, stream: str) -> bool:
    """Whether a stream of the latest run runs; a run that has only just begun has no state yet."""
    states = [read_run(folder).state for folder in program.run_folders()]
    return bool(states and states[-1] and states[-1].streams[StreamId(stream)].pid)
