"""Plans from other tools' files, imported and run."""

from __future__ import annotations

import json

import pytest

from tests.e2e.program import Program
from tests.e2e.test_run import content
from tests.engine.repositories import git, write
from tests.plugins.wheels import write_wheel

WORKFLOW = {
    "name": "two steps",
    "schemaVersion": "1.5",
    "workflow": {
        "specification": {
            "tasks": [
                {"name": "write", "id": "write_1", "parents": [], "children": ["write_2"]},
                {"name": "write", "id": "write_2", "parents": ["write_1"], "children": []},
            ]
        },
        "execution": {
            "tasks": [
                {
                    "id": id,
                    "runtimeInSeconds": 0.1,
                    "command": {"program": "echo", "arguments": [id, ">>", "order"]},
                }
                for id in ("write_1", "write_2")
            ]
        },
    },
}


def run_the_plan(program: Program, plan: str) -> str:
    """Commit what is there, run a plan, and return the result's commit."""
    (program.project / "anabranch.toml").write_text(plan)
    git(program.project, "add", "-A")
    git(program.project, "commit", "-qm", "imported")
    program.expect(0, "run", "--headless")
    return str(program.status()["commit"])


def test_a_recorded_workflow_is_imported_and_run(program: Program) -> None:
    """The graph is written beside the plan, and never in the place of another file."""
    write(program.project, {"flow.json": json.dumps(WORKFLOW)})
    told = program.expect(0, "import", "flow.json")
    assert "written: tasks.json" in told.err
    assert "written" not in program.expect(0, "import", "flow.json").err, "it is the same"
    commit = run_the_plan(program, told.out)
    assert content(program, commit, "order") == "write_1\nwrite_2\n"
    write(program.project, {"tasks.json": "mine"})
    refused = program.expect(2, "import", "flow.json")
    assert "tasks.json is there already" in refused.err
    assert not refused.out
    assert (program.project / "tasks.json").read_text() == "mine"
    (program.project / "tasks.json").unlink()
    (program.project / "tasks.json").symlink_to("elsewhere")
    program.expect(2, "import", "flow.json")
    assert not (program.project / "elsewhere").exists()


def test_a_large_workflow_is_read(program: Program) -> None:
    """Larger than other files may be; a Procfile of that size is not."""
    write(program.project, {"flow.json": json.dumps({**WORKFLOW, "description": "x" * (5 << 20)})})
    program.expect(0, "import", "flow.json")
    assert "larger than 4 MB" in program.expect(2, "import", "--from", "procfile", "flow.json").err


def test_a_script_for_parallel_is_imported_and_run(program: Program) -> None:
    script = "mkdir out\nls src | parallel -j2 'echo {.} > {/.}.out'\nparallel echo {%} ::: a\n"
    write(program.project, {"work.sh": script, "src/own.txt": ""})
    told = program.expect(0, "import", "--from", "parallel", "work.sh")
    assert "left out: line 1: `mkdir out`" in told.err
    assert "left out: line 3: `parallel echo {%} ::: a` cannot be a stream" in told.err
    commit = run_the_plan(program, told.out)
    assert content(program, commit, "own.out") == "./own\n"


def test_a_command_line_of_parallel_is_imported_and_run(program: Program) -> None:
    """As the shell has it: nothing in it is expanded a second time."""
    told = program.expect(
        0,
        "import",
        "--",
        "parallel",
        "-k",
        "echo {1} {2} > '{1}-{2}'",
        ":::",
        "a b",
        "$c",
        ":::",
        "1",
    )
    commit = run_the_plan(program, told.out)
    assert content(program, commit, "a b-1") == "a b 1\n"
    assert content(program, commit, "$c-1") == "$c 1\n"
    assert "no importer 'xargs'" in program.expect(2, "import", "--", "xargs", "echo").err
    program.expect(2, "import", "--")
    program.expect(2, "import", "a", "--", "parallel")


SOURCE = """
from anabranch.extending import Imported
from anabranch.hookspecs import hookimpl

class Out:
    name = "out"
    file_names = ("*.out",)
    def convert(self, text):
        return Imported({"streams": {"a": "true"}}, (), {text.strip(): "x"})

@hookimpl
def anabranch_importers(): return [Out()]
"""


@pytest.mark.parametrize("name", ["../x", "a/b", ".bashrc", "anabranch.toml", "-x", ""])
def test_a_file_beside_a_plan_lies_beside_it(program: Program, name: str) -> None:
    """Whatever a plugin calls it."""
    made = write_wheel(program.scratch, "anabranch-out", SOURCE)
    program.expect(0, "plugins", "install", str(made), "--no-index", "--yes")
    write(program.project, {"a.out": name})
    assert "is not a plan" in program.expect(2, "import", "a.out").err
